r"""OmniDocBench: pages of one JSON list, each with its blocks, their four corners, text and reading order.

`[{"layout_dets": [{category_type, poly, order, text | latex | html}], "page_info": {image_path, width, height}}]`
Blocks without an `order` (headers, page numbers, masks) come last, as they stand. Those that the benchmark ignores are
regions like the others, by the name of their category. The text of a block is its HTML, else its text, else its LaTeX
as `\[ \]`; inline formulas that its spans name are written `\( \)`. A paragraph that is continued elsewhere on the
page (the relation `truncated`) stays two regions: each has a box of its own.

Source: the dataset card of OmniDocBench v1.5.
"""

from typing import Any

from data_scripts.file_tree import FileTree
from data_scripts.formats.entries import Fields, entry_id, entry_record, list_row, unique_pages
from data_scripts.formats.format import Level, ListedPage
from data_scripts.formats.formulas import display_formula, inline_formula
from data_scripts.formats.json_files import are_all, first_key_paths, numbers, read_row, string
from data_scripts.formats.json_pieces import list_entries
from data_scripts.formats.layout import box_around
from data_scripts.label_map import by_class
from ocr2_hf.document.records import PageRecord, RecordError, shown

FILES = "*.json, a list of pages with layout_dets"
LABELS = by_class(
    text="text_block reference",
    equation="equation_isolated",
    image="figure",
    figure_title="figure_caption table_caption",
    image_footnote="figure_footnote",
)
LEVELS = ()
BOX_UNIT = None


def recognise(annotations: FileTree) -> bool:
    """True where the head of a JSON file has the blocks of a page, which MinerU's NAME_model.json has with numbers."""
    return any(
        "[].layout_dets" in paths and "[].layout_dets[].category_id" not in paths
        for paths in first_key_paths(annotations.paths(".json"))
    )


def list_pages(annotations: FileTree, images: FileTree) -> list[ListedPage]:
    """Every page of every *.json; `WorkError` where one of the files is no JSON list."""
    return unique_pages(
        list_row(path, entry_id(path, number), images, _image_or_fault(number, entry), place)
        for path in annotations.paths(".json")
        for number, place, entry in list_entries(path)
    )


def read_page(page: ListedPage, level: Level = None) -> PageRecord:
    """The page's blocks, in their order."""
    return entry_record(page, lambda: _fields(read_row(page)))


def _image_or_fault(number: int, entry: Any) -> Any:
    info = entry.get("page_info") if isinstance(entry, dict) else None
    if not isinstance(info, dict) or not are_all(dict, entry.get("layout_dets")):
        return RecordError(f"entry {number} is {shown(entry)}, not a page with layout_dets and page_info")
    return info.get("image_path")


def _fields(entry: dict[str, Any]) -> Fields:
    blocks, info = _in_order(entry["layout_dets"]), entry["page_info"]
    texts = [_text(block) for block in blocks]
    return {
        "text": "\n\n".join(text for text in texts if text),
        "bboxes": [_box(block.get("poly")) for block in blocks],
        "labels": [string(block.get("category_type"), "category_type") for block in blocks],
        "texts": texts,
        "page_size": tuple(numbers([info.get("width"), info.get("height")], 2, "size in page_info")),
        "is_ordered": True,
    }


def _in_order(blocks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    placed = [block for block in blocks if block.get("order") is not None]
    numbers([block["order"] for block in placed], len(placed), "order of the blocks")
    rest = [block for block in blocks if block.get("order") is None]
    return sorted(placed, key=lambda block: block["order"]) + rest


def _box(poly: Any) -> list[float]:
    corners = numbers(poly, 8, "poly")
    return box_around(list(zip(corners[::2], corners[1::2])), "poly")


def _text(block: dict[str, Any]) -> str:
    key = next((key for key in ("html", "text", "latex") if block.get(key)), None)
    if key is None:
        return ""
    text = string(block[key], f"{key} of a block")
    if key == "latex":
        return display_formula(text)
    for latex in _inline_formulas(block.get("line_with_spans")):
        if isinstance(latex, str) and len(latex) > 2 and latex[0] == latex[-1] == "$":
            text = text.replace(latex, inline_formula(latex))
    return text.strip()


def _inline_formulas(spans: Any) -> list[Any]:
    if not are_all(dict, spans):
        return []
    return [span.get("latex") for span in spans if span.get("category_type") == "equation_inline"]
