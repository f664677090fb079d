"""What each column of a table holds: names of lines, notes, numbers of lines, values of a period."""

import re
from dataclasses import dataclass, field

from ocr2_hf.statements.figures import bare_number, read_figure
from ocr2_hf.statements.names import is_note_head, is_row_number_head
from ocr2_hf.statements.number_style import NumberStyle
from ocr2_hf.statements.periods import read_period
from ocr2_hf.statements.table_grid import TableGrid

# "7", "5, 12", "3.1", "12(a)", "五、1", "Note 4": what stands in a column of notes.
_REFERENCE = re.compile(
    r"(?:note\s*)?(?:[一二三四五六七八九十]+\s*[、.(（])?\(?\d{1,2}(?:[.,、/&;\s-]+\d{1,2})*\s*(?:\(?[a-z]\)?)?[)）]?(?:[,;]\s*\d{1,2}\(?[a-z]?\)?)*",
    re.IGNORECASE,
)


@dataclass
class Block:
    """Columns that belong together: a column of names, those of notes, those of values. A balance sheet with assets to
    the left of liabilities has two."""

    name: int
    notes: list[int] = field(default_factory=list)
    values: list[int] = field(default_factory=list)


def find_blocks(grid: TableGrid) -> list[Block]:
    """The blocks of a table from left to right; [] where it has no column of names with values beside it."""
    blocks: list[Block] = []
    for column in range(grid.width):
        kind = _kind(grid, column)
        if kind == "name" and not (blocks and not blocks[-1].values):
            blocks.append(Block(column))
        elif kind == "note" and blocks:
            blocks[-1].notes.append(column)
        elif kind == "value" and blocks:
            blocks[-1].values.append(column)
    return [block for block in blocks if block.values]


def _kind(grid: TableGrid, column: int) -> str:
    head, texts = grid.head(column), grid.column(column)
    if is_row_number_head(head):
        return "number"
    if is_note_head(head):
        return "note"
    if column == 0:
        return "name"
    figures = sum(read_figure(text, NumberStyle()).kind not in ("text", "absent") for text in texts)
    if read_period(head) or 2 * figures > len(texts):
        return "note" if _is_notes(grid, column) else "value"
    if all(_REFERENCE.fullmatch(text) for text in texts):
        return "note"
    return "name"


def _is_notes(grid: TableGrid, column: int) -> bool:
    """Small whole numbers in a column that says no period, where others say one."""
    if read_period(grid.head(column)) or not any(read_period(grid.head(other)) for other in range(grid.width)):
        return False
    texts = grid.column(column)
    return all(_REFERENCE.fullmatch(text) and bare_number(text) != "0" for text in texts)
