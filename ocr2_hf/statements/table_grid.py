"""A table's cells in rows and columns as statements need them: heads apart from the body, split figures as one."""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from ocr2_hf.document.tables import Cell, Table
from ocr2_hf.statements.figures import bare_number
from ocr2_hf.statements.names import is_note_head, is_row_number_head
from ocr2_hf.statements.periods import read_period
from ocr2_hf.statements.units import find_unit, read_affixes

_CLOSING = re.compile(r"\)?\s*[%‰]?")


@dataclass(frozen=True)
class TableGrid:
    """`titles`: rows of one cell across the table above its heads. `heads`: for each column the texts of its head rows,
    from the top, each once. `body`: texts, a spanned cell only where it begins; `indents`: of the same cells."""

    titles: list[str]
    heads: list[list[str]]
    body: list[list[str]]
    indents: list[list[int]]

    @property
    def width(self) -> int:
        return len(self.heads)

    def head(self, column: int) -> str:
        """The head of a column on one line."""
        return " ".join(self.heads[column])

    def column(self, column: int) -> list[str]:
        """The texts of a column below its head, without empty ones."""
        return [row[column] for row in self.body if row[column]]


def table_grid(table: Table) -> TableGrid:
    """A table as read -> its grid; the heads are those marked so, and rows at the top that only say periods, units and
    what columns hold."""
    count = max(table.header_rows, _count_heads(table))
    titles = [row[0].text for row in table.rows[:count] if len(row) == 1 and row[0].column_span == table.width > 1]
    heads: list[list[str]] = [[] for _ in range(table.width)]
    for row in table.rows[:count]:
        for cell in row:
            for texts in heads[cell.column : cell.column + cell.column_span]:
                if cell.text and cell.text not in titles and cell.text not in texts:
                    texts.append(cell.text)
    body, indents = [], []
    for row in table.rows[count:]:
        body.append([""] * table.width)
        indents.append([0] * table.width)
        for cell in row:
            body[-1][cell.column], indents[-1][cell.column] = cell.text, cell.indent
    return _without_splinters(TableGrid(titles, heads, body, indents))


def _count_heads(table: Table) -> int:
    """Rows at the top in which no cell is a figure of the statement."""
    count, dated, titles = 0, False, 0
    for row in table.rows:
        cells = [cell for cell in row if cell.text]
        across = len(row) == 1 and row[0].column_span == table.width > 1
        if across and count == titles:  # a title, unless nothing but body follows
            count, titles = count + 1, titles + 1
            continue
        if not cells or not _is_head_row(cells, dated):
            break
        count += 1
        dated = dated or any(read_period(cell.text) for cell in cells if cell.column)
    return count if count > titles or titles == 1 == len(table.rows) else 0


def _is_head_row(cells: Sequence[Cell], dated: bool) -> bool:
    beside = [cell for cell in cells if cell.column]
    if not beside:
        return False
    texts = [unicodedata.normalize("NFKC", cell.text) for cell in beside]
    if any(bare_number(text) and (dated or not read_period(text)) for text in texts):
        return False
    if not any(cell.column == 0 for cell in cells):
        return True  # "December 31," above the years
    return any(
        read_period(text) or find_unit(text) or is_note_head(text) or is_row_number_head(text) for text in texts
    ) or all(cell.header for cell in cells)


def _without_splinters(grid: TableGrid) -> TableGrid:
    """ "$" | "(1,234" | ")" in three columns is one figure in one: columns of signs alone join their neighbours."""
    keep = list(range(grid.width))
    for column in range(grid.width):
        texts = grid.column(column)
        if not texts:
            # A spacer. A head that spans it and its neighbour says nothing of it.
            if not _period_of_its_own(grid, column):
                keep.remove(column)
        elif all(_CLOSING.fullmatch(text) for text in texts) and column:
            _join(grid, column, column - 1, before=False)
            keep.remove(column)
        elif all(not read_affixes(text)[0] for text in texts) and column + 1 < grid.width:
            _join(grid, column, column + 1, before=True)
            keep.remove(column)
    heads, *rows = ([row[column] for column in keep] for row in (grid.heads, *grid.body, *grid.indents))
    return TableGrid(grid.titles, heads, rows[: len(grid.body)], rows[len(grid.body) :])


def _period_of_its_own(grid: TableGrid, column: int) -> bool:
    head = grid.heads[column]
    neighbours = [grid.heads[other] for other in (column - 1, column + 1) if 0 <= other < grid.width]
    return bool(head) and head not in neighbours and read_period(" ".join(head)) is not None


def _join(grid: TableGrid, column: int, into: int, before: bool) -> None:
    for row in grid.body:
        if row[column] and row[into]:
            row[into] = f"{row[column]}{row[into]}" if before else f"{row[into]}{row[column]}"
    for text in grid.heads[column]:
        if text not in grid.heads[into]:
            grid.heads[into].append(text)
