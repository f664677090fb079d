"""A table's columns as statements need them: heads apart from what is below, split amounts as one; and what each column
holds: names of lines, notes, numbers of lines, values of a period."""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import takewhile

from ocr2_hf.document.tables import Cell, Table
from ocr2_hf.statements.amounts import NumberStyle, bare_number, read_amount
from ocr2_hf.statements.names import head_kind
from ocr2_hf.statements.periods import Period, read_period
from ocr2_hf.statements.units import find_unit, read_affixes

# "7", "5, 12", "3.1", "12(a)", "五、1", "Note 4": what stands in a column of notes.
_REFERENCE = re.compile(
    r"(?:note\s*)?(?:[一二三四五六七八九十]+\s*[、.(（])?\(?\d{1,2}(?:[.,、/&;\s-]+\d{1,2})*\s*(?:\(?[a-z]\)?)?[)）]?(?:[,;]\s*\d{1,2}\(?[a-z]?\)?)*",
    re.IGNORECASE,
)
_CLOSING = re.compile(r"\)?\s*[%‰]?")


@dataclass
class GridColumn:
    """A column: the texts of its `heads` from the top, each once, and the `texts` below them, "" where a cell is empty
    or a spanned one does not begin; `indents` are those of the texts."""

    heads: list[str]
    texts: list[str]
    indents: list[int]

    @property
    def head(self) -> str:
        """The heads on one line."""
        return " ".join(self.heads)

    @property
    def filled(self) -> list[str]:
        """The texts without empty ones."""
        return [text for text in self.texts if text]

    @property
    def period(self) -> Period | None:
        """What period the head names."""
        return read_period(self.head)


@dataclass
class ColumnBlock:
    """Columns that belong together: a column of names, those of notes, those of values. A balance sheet with assets to
    the left of liabilities has two."""

    name: GridColumn
    notes: list[GridColumn] = field(default_factory=list)
    values: list[GridColumn] = field(default_factory=list)


def table_grid(table: Table) -> tuple[list[str], list[GridColumn]]:
    """A table as read -> (titles, columns): rows of one cell across the table above its heads, columns of one length.

    The heads are those marked so, and rows at the top that only say periods, units and what columns hold.
    """
    count = max(table.header_rows, _count_heads(table))
    titles = [row[0].text for row in table.rows[:count] if _is_across(row, table)]
    rows = len(table.rows) - count
    columns = [GridColumn([], [""] * rows, [0] * rows) for _ in range(table.width)]
    for cell in (cell for row in table.rows[:count] for cell in row if cell.text and cell.text not in titles):
        for column in columns[cell.column : cell.column + cell.column_span]:
            if cell.text not in column.heads:
                column.heads.append(cell.text)
    for number, row in enumerate(table.rows[count:]):
        for cell in row:
            columns[cell.column].texts[number], columns[cell.column].indents[number] = cell.text, cell.indent
    return titles, _without_splinters(columns)


def find_blocks(columns: Sequence[GridColumn]) -> list[ColumnBlock]:
    """The blocks of a table from left to right; [] where it has no column of names with values beside it."""
    blocks: list[ColumnBlock] = []
    for column in columns:
        kind = _kind(column, columns)
        if kind == "name" and not (blocks and not blocks[-1].values):
            blocks.append(ColumnBlock(column))
        elif kind == "note" and blocks:
            blocks[-1].notes.append(column)
        elif kind == "value" and blocks:
            blocks[-1].values.append(column)
    return [block for block in blocks if block.values]


def _is_across(row: Sequence[Cell], table: Table) -> bool:
    return len(row) == 1 and row[0].column_span == table.width > 1


def _count_heads(table: Table) -> int:
    """Rows at the top in which no cell is a value of the statement."""
    titles = sum(1 for _ in takewhile(lambda row: _is_across(row, table), table.rows))
    heads, dated = 0, False
    for row in table.rows[titles:]:
        cells = [cell for cell in row if cell.text]
        if not _is_head_row(cells, dated):
            break
        heads += 1
        dated = dated or any(read_period(cell.text) for cell in cells if cell.column)
    # Rows across the table are no titles where nothing but body follows.
    return titles + heads if heads or titles == 1 == len(table.rows) else 0


def _is_head_row(cells: Sequence[Cell], dated: bool) -> bool:
    texts = [unicodedata.normalize("NFKC", cell.text) for cell in cells if cell.column]
    if not texts or any(bare_number(text) and (dated or not read_period(text)) for text in texts):
        return False
    if len(texts) == len(cells):
        return True  # "December 31," above the years
    told = any(read_period(text) or find_unit(text) or head_kind(text) for text in texts)
    return told or all(cell.header for cell in cells)


def _without_splinters(columns: list[GridColumn]) -> list[GridColumn]:
    """ "$" | "(1,234" | ")" in three columns is one amount in one: columns of signs alone join their neighbours."""
    kept = []
    for number, column in enumerate(columns):
        texts = column.filled
        if not texts:
            # A spacer. A head that spans it and its neighbour says nothing of it.
            beside = [other.heads for other in columns[max(number - 1, 0) : number + 2] if other is not column]
            if column.heads not in beside and column.period:
                kept.append(column)
        elif number and all(map(_CLOSING.fullmatch, texts)):
            _join(column, columns[number - 1], before=False)
        elif number + 1 < len(columns) and not any(read_affixes(text)[0] for text in texts):
            _join(column, columns[number + 1], before=True)
        else:
            kept.append(column)
    return kept


def _join(signs: GridColumn, into: GridColumn, before: bool) -> None:
    for number, (sign, text) in enumerate(zip(signs.texts, into.texts, strict=True)):
        if text:
            into.texts[number] = f"{sign}{text}" if before else f"{text}{sign}"
    into.heads += [text for text in signs.heads if text not in into.heads]


def _kind(column: GridColumn, columns: Sequence[GridColumn]) -> str:
    if kind := head_kind(column.head):
        return kind
    if column is columns[0]:
        return "name"
    texts = column.filled
    amounts = sum(read_amount(text, NumberStyle()).kind not in ("text", "absent") for text in texts)
    are_references = all(map(_REFERENCE.fullmatch, texts))
    if column.period or 2 * amounts > len(texts):
        # Small whole numbers in a column that says no period, where others say one, are notes.
        is_dated = column.period or not any(other.period for other in columns)
        return "value" if is_dated or not are_references or "0" in map(bare_number, texts) else "note"
    return "note" if are_references else "name"
