"""A table as columns of periods and typed lines."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from ocr2_hf.document.tables import Table
from ocr2_hf.statements.columns import Block, find_blocks
from ocr2_hf.statements.figures import Figure, bare_number, read_figure
from ocr2_hf.statements.levels import line_levels
from ocr2_hf.statements.names import Name, read_name
from ocr2_hf.statements.number_style import NumberStyle, find_style
from ocr2_hf.statements.periods import read_period
from ocr2_hf.statements.statement import Column, Line, Place, Value
from ocr2_hf.statements.table_grid import TableGrid, table_grid
from ocr2_hf.statements.units import SIGN_OF, Unit, find_unit, unit_in_head

_TOTAL_CONCEPTS = ("assets", "liabilities and equity")
_BRACKETED = re.compile(r"[(（\[]([^()（）\[\]]+)[)）\]]")


@dataclass(frozen=True)
class TableContent:
    """What a table says: `titles` and the `unit` in its heads (None where they name none), its columns and lines."""

    titles: list[str]
    unit: Unit | None
    columns: list[Column]
    lines: list[Line]


def read_table(table: Table, place: Place, unit: Unit | None = None) -> TableContent | None:
    """A table's content; None where it is no statement: no column of names with figures beside it.

    `unit` is what the page says around it; what its own heads say goes before. Values of blocks beside each other
    (assets to the left of liabilities) follow each other where they have the same columns, else the first block counts.
    """
    grid = table_grid(table)
    blocks = find_blocks(grid)
    if not blocks:
        return None
    blocks = [block for block in blocks if len(block.values) == len(blocks[0].values)]
    own = _table_unit(grid, blocks)
    heads = map(grid.head, blocks[0].values)
    columns = [Column(head, read_period(head), unit_in_head(head)) for head in heads]
    texts = (text for block in blocks for column in block.values for text in grid.column(column))
    style = find_style(map(bare_number, texts))
    reader = _LineReader(grid, columns, merge_units(own, unit) or Unit(), style, place)
    lines = [line for block in blocks for line in reader.lines(block)]
    return TableContent(grid.titles, own, columns, _without_results(lines))


def _without_results(lines: Sequence[Line]) -> list[Line]:
    """In a balance sheet the profit of the year is an item, not what the lines above add up to."""
    if not any(line.name.concept in _TOTAL_CONCEPTS for line in lines):
        return list(lines)
    return [replace(line, kind="item") if line.kind == "total" and _only_result(line.name) else line for line in lines]


def _only_result(name: Name) -> bool:
    return name.is_result and not name.is_total and not name.concept


def merge_units(*units: Unit | None) -> Unit | None:
    """Currency and scale from the first that says them; a sign of several currencies is made clear by a later one."""
    known = [unit for unit in units if unit]
    if not known:
        return None
    named = [unit.currency for unit in known if unit.currency]
    currency = next((code for code in named if code in SIGN_OF.get(named[0], ())), named[0]) if named else None
    scale = next((unit.scale for unit in known if unit.scale != 1), 1)
    return Unit(currency, scale, "; ".join(dict.fromkeys(unit.text for unit in known if unit.text)))


def _table_unit(grid: TableGrid, blocks: Sequence[Block]) -> Unit | None:
    """What titles and the heads of the name columns say of the unit."""
    texts = [*(grid.head(block.name) for block in blocks), *grid.titles]
    return merge_units(*(find_unit(text) for text in texts))


@dataclass
class _LineReader:
    grid: TableGrid
    columns: list[Column]
    unit: Unit
    style: NumberStyle
    place: Place

    def lines(self, block: Block) -> list[Line]:
        """The lines of a block; rows without a name and a figure are left out."""
        texts = map(self.grid.column, block.values)
        styles = [find_style(map(bare_number, column), fallback=self.style) for column in texts]
        rows = [
            (index, read_name(row[block.name]), [read_figure(row[c], s) for c, s in zip(block.values, styles)])
            for index, row in enumerate(self.grid.body)
        ]
        rows = [row for row in rows if row[1].text or any(figure.kind != "empty" for figure in row[2])]
        names = [name for _, name, _ in rows]
        indents = [self.grid.indents[index][block.name] for index, _, _ in rows]
        levels, source = line_levels(names, indents)
        return [
            self._line(name, level, source, figures, " ".join(self.grid.body[index][note] for note in block.notes))
            for (index, name, figures), level in zip(rows, levels, strict=True)
        ]

    def _line(self, name: Name, level: int, source: str, figures: Sequence[Figure], note: str) -> Line:
        values = tuple(
            None if figure.kind == "empty" else Value(figure, self._unit(name, figure, column), self.place)
            for figure, column in zip(figures, self.columns, strict=True)
        )
        kind = "item"
        if not any(values):
            kind = "section"
        elif name.is_total or name.is_result or name.concept in _TOTAL_CONCEPTS or not name.text:
            kind = "total"
        return Line(name, level, source, kind, note.strip(), values)

    def _unit(self, name: Name, figure: Figure, column: Column) -> Unit:
        """Cell before name of the line before column before table. What is per share is not in thousands."""
        cell = Unit(figure.currency, figure.scale or 1) if figure.currency or figure.scale else None
        named = merge_units(*(find_unit(part) for part in _BRACKETED.findall(name.text)))
        merged = merge_units(cell, named, column.unit, self.unit) or Unit()
        if figure.kind in ("percent", "per_mille"):
            return Unit()
        if name.per_share and not (named and named.scale != 1):
            return Unit(merged.currency, 1, named.text if named else "")
        return Unit(merged.currency, merged.scale, merged.text)
