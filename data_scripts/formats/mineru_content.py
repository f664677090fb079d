"""The regions of a page in MinerU's NAME_content_list.json: blocks with a box in thousandths of the page.

A caption has no box of its own there, which NAME_middle.json has. Texts are Markdown: formulas in `$`, signs escaped.
"""

import re
from collections.abc import Iterator
from typing import Any

from data_scripts.formats.documents import DocumentRegion
from data_scripts.formats.formulas import display_formula, inline_formula, split_formulas
from data_scripts.formats.json_files import numbers, string
from data_scripts.formats.mineru_blocks import Block, table_element
from data_scripts.formats.mineru_margins import MARGINS, with_margins
from ocr2_hf.document.records import BOX_UNITS, RecordError, shown

_HEIGHT = BOX_UNITS["thousand"]
_DISCARDED = "discarded"
_ESCAPED = re.compile(r"\\([\\`*_{}\[\]()#+\-.!~$|<>])")
_FENCE = re.compile(r"\A```[^\n]*\n|\n?```\s*\Z")


def content_regions(blocks: list[Block]) -> list[DocumentRegion]:
    """The regions of the blocks of one page; captions and notes, whose box is not known, around what they are of."""
    parts: tuple[list[DocumentRegion], list[DocumentRegion]] = [], []
    for block in blocks:
        parts[block.get("type") in (*MARGINS, _DISCARDED)].extend(_regions(block))
    return with_margins(*parts, _HEIGHT)


def _regions(block: Block) -> Iterator[DocumentRegion]:
    kind = string(block.get("type"), "type of a block")
    if block.get("bbox") is None:
        raise RecordError(f"block {shown(kind)} has no bbox: this version of MinerU has them in NAME_middle.json alone")
    own = DocumentRegion(
        _label(kind, block), _own_text(kind, block), numbers(block["bbox"], 4, f"bbox of a block {shown(kind)}")
    )
    captions = [DocumentRegion("caption", text, None) for text in _noted(block, "_caption")]
    yield from [*captions, own] if kind in ("table", "code") else [own, *captions]
    yield from (DocumentRegion(f"{kind}_footnote", text, None) for text in _noted(block, "_footnote"))


def _label(kind: str, block: Block) -> str:
    level = block.get("text_level")
    if kind == "text" and type(level) is int and level > 0:
        return "title" if level == 1 else "paragraph_title"
    return {"table": "table_body", "image": "image_body", "chart": "chart_body", "code": "code_body"}.get(kind, kind)


def _own_text(kind: str, block: Block) -> str:
    match kind:
        case "table":
            return table_element(string(block.get("table_body") or "", "table_body"))
        case "image" | "chart":
            return ""
        case "code":
            return _FENCE.sub("", string(block.get("code_body") or "", "code_body"))
        case "equation":
            return display_formula(string(block.get("text") or "", "text of an equation"))
        case "list":
            return "\n".join(map(_plain, _strings(block, "list_items")))
    return _plain(string(block.get("text") or "", f"text of a block {shown(kind)}"))


def _noted(block: Block, end: str) -> Iterator[str]:
    return (_plain(text) for key in block if key.endswith(end) for text in _strings(block, key) if text.strip())


def _strings(block: Block, key: str) -> list[str]:
    found = block.get(key)
    texts: Any = [found] if isinstance(found, str) else found or []
    return [string(text, f"{key} of a block") for text in texts] if isinstance(texts, list) else [string(texts, key)]


def _plain(text: str) -> str:
    parts = split_formulas(text)
    return "".join(inline_formula(part) if i % 2 else _ESCAPED.sub(r"\1", part) for i, part in enumerate(parts)).strip()
