"""The annotated pages of OmniDocBench: the blocks that are scored, the ignored ones, and what is joined.

Source: dataset/end2end_dataset.py of the official scorer (`get_page_elements`, `get_sorted_text_list`), and
utils/match.py for which key holds a block's content.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ocr2_hf.errors import UsageError, WorkError

FORMULA = "equation_isolated"
SCORED_TEXT = ("text_block", "title", "code_txt", "code_txt_caption", "reference")
IGNORED = (
    "equation_caption",
    "figure_caption",
    "figure_footnote",
    "table_caption",
    "table_footnote",
    "code_algorithm",
    "code_algorithm_caption",
    "header",
    "footer",
    "page_footnote",
    "page_number",
)
# Blocks of one order stay in the order of these categories.
_CATEGORIES = (*SCORED_TEXT, *IGNORED, FORMULA)


@dataclass(frozen=True)
class GroundTruthBlock:
    """A block to match: its text, or its LaTeX where the category is `FORMULA`. `order` is None outside the order."""

    category: str
    content: str
    order: float | None

    @property
    def is_formula(self) -> bool:
        """Whether its content is LaTeX."""
        return self.category == FORMULA


@dataclass(frozen=True)
class BenchmarkTable:
    """An annotated table, as HTML and as LaTeX; "" where the annotation has none."""

    html: str
    latex: str


@dataclass(frozen=True)
class BenchmarkPage:
    """One annotated page. `attributes` are the page's (data_source, language, layout, ...)."""

    image: str
    blocks: list[GroundTruthBlock]
    tables: list[BenchmarkTable]
    attributes: dict[str, Any]


def read_ground_truth(path: Path) -> list[BenchmarkPage]:
    """Every page of the JSON list. `UsageError` when there is no such file, `WorkError` naming what is wrong in it."""
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"--omnidocbench {path} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise WorkError(f"{path} is not JSON: {error}") from error
    if not isinstance(entries, list) or not entries:
        raise WorkError(f"{path} is not the ground truth of OmniDocBench: it should be a list of pages")
    pages = []
    for number, entry in enumerate(entries, 1):
        try:
            pages.append(_page(entry))
        except _Fault as fault:
            raise WorkError(f"{path}: page {number}: {fault}; is this the OmniDocBench.json of v1.5?") from None
    seen: set[str] = set()
    for page in pages:
        if page.image in seen:
            raise WorkError(f"{path} has two pages of the image {page.image}")
        seen.add(page.image)
    return pages


class _Fault(Exception):
    """What is wrong with a page."""


def _page(entry: Any) -> BenchmarkPage:
    info = _value(entry, "page_info", dict, "the page")
    image = _value(info, "image_path", str, "page_info")
    found = _value(entry, "layout_dets", list, "the page")
    for block in found:
        _value(block, "category_type", str, "a block")
        if isinstance(block.get("anno_id"), (list, dict)):
            raise _Fault(f"the anno_id {block['anno_id']} of a {block['category_type']} is neither number nor string")
    found = _joined(found, _truncated(entry))
    found.sort(key=_place)
    attributes = info.get("page_attribute")
    return BenchmarkPage(
        image=Path(image).name,
        blocks=[_block(block) for block in found if block["category_type"] in _CATEGORIES],
        tables=[
            BenchmarkTable(_content(block, "html"), str(block.get("latex") or ""))
            for block in found
            if block["category_type"] == "table"
        ],
        attributes=attributes if isinstance(attributes, dict) else {},
    )


def _place(block: Mapping[str, Any]) -> tuple[float, int]:
    category = block["category_type"]
    return _order(block) or 0, _CATEGORIES.index(category) if category in _CATEGORIES else -1


def _block(block: Mapping[str, Any]) -> GroundTruthBlock:
    category = block["category_type"]
    return GroundTruthBlock(category, _content(block, "latex" if category == FORMULA else "text"), _order(block))


def _truncated(entry: Mapping[str, Any]) -> list[list[Any]]:
    """The ids of each paragraph that goes on elsewhere, as the relations name them.

    An id that two relations name, the middle of three parts, is listed twice, and its text then comes twice:
    so does the official scorer.
    """
    extra = entry.get("extra")
    relations = extra.get("relation") if isinstance(extra, dict) else None
    chains: list[list[Any]] = []
    for relation in relations or []:
        if not isinstance(relation, dict) or relation.get("relation_type") != "truncated":
            continue
        ends = [_identifier(relation, "source_anno_id"), _identifier(relation, "target_anno_id")]
        touching = [chain for chain in chains if any(end in chain for end in ends)]
        for chain in touching:
            chain += ends
        if not touching:
            chains.append(ends)
    return chains


def _joined(blocks: list[dict[str, Any]], chains: list[list[Any]]) -> list[dict[str, Any]]:
    """The blocks by category of appearance; the parts of a paragraph are one block, after the others."""
    by_id = {block.get("anno_id"): block for block in blocks} if chains else {}
    parts = {identifier for chain in chains for identifier in chain}
    alone = [block for block in blocks if not parts or block.get("anno_id") not in parts]
    joined = []
    for chain in chains:
        absent = [identifier for identifier in chain if identifier not in by_id]
        if absent:
            raise _Fault(f"a truncated relation names anno_id {absent[0]}, which no block has")
        in_order = sorted((by_id[identifier] for identifier in chain), key=lambda block: _order(block) or 0)
        text = "".join(_content(part, "text") for part in in_order)
        joined.append({"category_type": in_order[0]["category_type"], "order": _order(in_order[0]), "text": text})
    return alone + joined


def _order(block: Mapping[str, Any]) -> float | None:
    order = block.get("order")
    if order is None or (isinstance(order, (int, float)) and not isinstance(order, bool)):
        return order
    raise _Fault(f"the order {order!r} of a {block['category_type']} is no number")


def _content(block: Mapping[str, Any], key: str) -> str:
    if block.get(key) is None:
        raise _Fault(f"the {block['category_type']} with anno_id {block.get('anno_id')} has no {key}")
    return str(block[key])


def _identifier(relation: Mapping[str, Any], key: str) -> Any:
    identifier = relation.get(key)
    if not isinstance(identifier, (int, str)):
        raise _Fault(f"a truncated relation has the {key} {identifier!r}")
    return identifier


def _value(entry: Any, key: str, kind: Callable, owner: str) -> Any:
    value = entry.get(key) if isinstance(entry, dict) else None
    if not isinstance(value, kind):
        raise _Fault(f"{owner} has no {key}")
    return value
