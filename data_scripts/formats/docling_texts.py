"""What an item of a DoclingDocument says: a text, a formula, a table as HTML; and the parts of it in several boxes."""

from itertools import pairwise
from typing import Any

from data_scripts.formats.docling_items import Item
from data_scripts.formats.formulas import display_formula
from data_scripts.formats.json_files import are_all, string
from ocr2_hf.document.records import RecordError, shown
from ocr2_hf.document.tables import MAX_COLUMNS, Cell, Table

# A table of 10,000 rows in 100 columns; counted with all that its cells span.
_MAX_PLACES = 1_000_000
_OFFSETS = ("start_row_offset_idx", "end_row_offset_idx", "start_col_offset_idx", "end_col_offset_idx")
_HEADS = ("column_header", "row_header")


def item_text(item: Item, ref: str) -> str:
    """The text as it is printed; `orig` where there is none and nothing in the item says it."""
    text, original = (string(item.get(key) or "", f"{key} of {ref}") for key in ("text", "orig"))
    if item.get("label") == "formula":
        return display_formula(text) or original  # as it was read, which is no LaTeX
    if item.get("label") == "list_item" and original.endswith(text):
        return "" if item.get("children") and not text else original  # with the marker
    return text or ("" if item.get("children") else original)


def text_parts(text: str, spans: list[Any]) -> list[str]:
    """The parts of a text, by the `charspan` of each of its boxes; all in the first where they are not its parts."""
    whole = [text, *("" for _ in spans[1:])]
    if len(spans) < 2 or not all(are_all(int, span) and len(span) == 2 for span in spans):
        return whole
    ends = [0, *(end for span in spans for end in span), len(text)]
    gaps = list(zip(ends[::2], ends[1::2], strict=True))
    if ends[1] or ends[-2] != len(text) or any(before > after for before, after in pairwise(ends)):
        return whole
    if any(text[begin:end].strip() for begin, end in gaps):
        return whole
    return [text[begin:end].strip() for begin, end in spans]


def table_html(item: Item, ref: str) -> str:
    """The table's cells as HTML, with an empty cell where there is none; "" where docling has read no cells."""
    data = item.get("data")
    found = data.get("table_cells") if isinstance(data, dict) else None
    if not are_all(dict, found):
        raise RecordError(f"{ref} has no data with table_cells, a list of objects")
    cells = sorted((_cell(cell, ref) for cell in found), key=lambda cell: (cell.row, cell.column))
    height = max((cell.row + cell.row_span for cell in cells), default=0)
    width = max((cell.column + cell.column_span for cell in cells), default=0)
    if (
        max(height * width, sum(cell.row_span * cell.column_span for cell in cells)) > _MAX_PLACES
        or width > MAX_COLUMNS
    ):
        raise RecordError(f"{ref} has {height:,} rows and {width:,} columns, more than a table on a page")
    rows: list[list[Cell]] = [[] for _ in range(height)]
    taken: list[set[int]] = [set() for _ in range(height)]
    for cell in [*cells, *(Cell("", row=row, column=width) for row in range(height))]:
        row, done = rows[cell.row], taken[cell.row]
        begin = row[-1].column + row[-1].column_span if row else 0
        row += [Cell("", row=cell.row, column=at) for at in range(begin, cell.column) if at not in done]
        if cell.column < width:
            row.append(cell)
        for below in taken[cell.row : cell.row + cell.row_span]:
            below.update(range(cell.column, cell.column + cell.column_span))
    return Table(tuple(map(tuple, rows))).to_html() if cells else ""


def _cell(cell: dict[str, Any], ref: str) -> Cell:
    offsets = [cell.get(key) for key in _OFFSETS]
    if not are_all(int, offsets) or not (0 <= offsets[0] < offsets[1] and 0 <= offsets[2] < offsets[3]):
        raise RecordError(f"a cell of {ref} has the offsets {shown(offsets)}, not its rows and columns from and to")
    row, row_end, column, column_end = offsets
    text = " ".join(string(cell.get("text"), f"text of a cell of {ref}").split())
    return Cell(text, any(cell.get(key) is True for key in _HEADS), row, column, row_end - row, column_end - column)
