"""Tables: cells with spans, as the HTML that a reader should answer with, and as ink in columns and rules."""

import html
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from PIL import Image

from data_scripts.synthetic.fonts import Fonts
from data_scripts.synthetic.page import DrawnRegion, Mark, TableCell, line_mark, write_mark

Style = Literal["rules", "grid", "plain"]
Kind = Literal["head", "section", "item", "subtotal", "total"]

GAP = 1.3  # between columns, in font sizes
SHADE = 18  # behind totals, of 255: too faint to be ink


@dataclass
class DrawnTable:
    """Cells that cover a grid of rows and `columns` once; `kinds` says what each row is."""

    columns: int
    kinds: list[Kind] = field(default_factory=list)
    cells: list[TableCell] = field(default_factory=list)

    def add_row(self, kind: Kind, cells: Sequence[TableCell]) -> None:
        """Append a row; the cells' `row` is set here."""
        for cell in cells:
            cell.row = len(self.kinds)
        self.kinds.append(kind)
        self.cells += cells

    def in_order(self) -> list[TableCell]:
        """The cells row by row, from left to right."""
        return sorted(self.cells, key=lambda cell: (cell.row, cell.column))

    def html(self) -> str:
        """`<table><tr><td>...`, spans where they are not 1, texts escaped."""
        rows: list[str] = [""] * len(self.kinds)
        for cell in self.in_order():
            spans = [("rowspan", cell.rowspan), ("colspan", cell.colspan)]
            written = "".join(f' {name}="{value}"' for name, value in spans if value > 1)
            rows[cell.row] += f"<td{written}>{html.escape(cell.text, quote=False)}</td>"
        return "<table>" + "".join(f"<tr>{row}</tr>" for row in rows) + "</table>"


@dataclass
class TableLayout:
    """Where a table is on the page, and how it looks.

    `edges` are the columns' (x in pixels), `pitch` is the height of a row.
    """

    fonts: Fonts
    size: int
    edges: list[float]
    top: float
    pitch: float
    style: Style
    bold_totals: bool = True
    shaded: bool = False

    def y(self, row: float) -> float:
        """Where a row begins, in pixels; of half a row its middle."""
        return self.top + row * self.pitch


def natural_widths(table: DrawnTable, font) -> list[float]:
    """How wide each column must be for its texts, without the gaps; spanning cells widen the last column they span."""
    widths = [0.0] * table.columns
    for cell in sorted(table.cells, key=lambda cell: cell.colspan):
        last = cell.column + cell.colspan - 1
        need = font.getlength(cell.text) * 1.06 + cell.indent * font.size - sum(widths[cell.column : last])
        if cell.colspan < table.columns:
            widths[last] = max(widths[last], need)
    return widths


def draw_table(table: DrawnTable, layout: TableLayout) -> DrawnRegion:
    """The table as a region; its box is around rules and texts."""
    cells = table.in_order()
    for cell in cells:
        cell.mark = _text(cell, table, layout) if cell.text else None
    lines = _rules(table, layout)
    marks = [*_shades(table, layout), *([line_mark(lines)] if lines else []), *(c.mark for c in cells if c.mark)]
    return DrawnRegion("table", table.html(), marks, cells)


def _text(cell: TableCell, table: DrawnTable, layout: TableLayout) -> Mark:
    kind = table.kinds[cell.row]
    size, pad = layout.size, GAP / 2 * layout.size
    left, right = layout.edges[cell.column] + pad, layout.edges[cell.column + cell.colspan] - pad
    y = layout.y(cell.row + cell.rowspan / 2) if kind == "head" else layout.y(cell.row + 0.5)
    if cell.align == "centre":
        x, anchor = (left + right) / 2, "mm"
    elif cell.align == "right":
        # Amounts stand under each other: the closing parenthesis of a negative one hangs out.
        hang = layout.fonts(size).getlength(")") if cell.text.endswith(")") else 0
        x, anchor = right - layout.fonts(size).getlength(")") + hang, "rm"
    else:
        x, anchor = left + cell.indent * size, "lm"
    bold = layout.bold_totals and kind != "item"
    # The middle of "mm" is that of the letters' height in the font, so texts with and without descenders are level.
    return write_mark(cell.text, x, y, anchor, layout.fonts(size), bold)


def _shades(table: DrawnTable, layout: TableLayout) -> list[Mark]:
    if not layout.shaded:
        return []
    left, right = round(layout.edges[0]), round(layout.edges[-1])
    marks = []
    for row, kind in enumerate(table.kinds):
        if kind in ("head", "total"):
            top, bottom = round(layout.y(row)), round(layout.y(row + 1))
            marks.append(Mark(Image.new("L", (right - left, bottom - top), SHADE), left, top))
    return marks


def _rules(table: DrawnTable, layout: TableLayout) -> list[tuple[float, float, float, float]]:
    thin = max(1, round(layout.size / 18))
    left, right = layout.edges[0], layout.edges[-1]
    bottom = layout.y(len(table.kinds))
    if layout.style == "grid":
        return _grid(table, layout, thin)
    heads = sum(kind == "head" for kind in table.kinds)
    lines = []
    for cell in table.cells:
        if table.kinds[cell.row] == "head" and cell.colspan > 1 and cell.row + cell.rowspan < heads:
            start, end, y = layout.edges[cell.column], layout.edges[cell.column + cell.colspan], layout.y(cell.row + 1)
            lines.append((start + layout.size / 2, y - thin, end - layout.size / 2, y))
    if layout.style == "rules":
        lines += [(left, layout.top, right, layout.top + 2 * thin), (left, bottom, right, bottom + 2 * thin)]
        lines.append((left, layout.y(heads), right, layout.y(heads) + thin))
    for row, kind in enumerate(table.kinds):
        if kind in ("subtotal", "total"):
            lines += _sum_lines(table, layout, row, thin)
    return lines


def _sum_lines(table: DrawnTable, layout: TableLayout, row: int, thin: int) -> list[tuple[float, float, float, float]]:
    """A line above the amounts of a sum, and under those of a total two."""
    heights = [layout.y(row)]
    if table.kinds[row] == "total":
        heights += [layout.y(row + 1) - 3 * thin, layout.y(row + 1) - thin]
        if layout.style == "rules" and row + 1 == len(table.kinds):
            heights = heights[:1]  # the table's own line is there
    amounts = [cell for cell in table.cells if cell.row == row and cell.align == "right"]
    pad = layout.size * GAP / 4
    return [
        (layout.edges[cell.column] + pad, y, layout.edges[cell.column + 1] - pad, y + thin)
        for cell in amounts
        for y in heights
    ]


def _grid(table: DrawnTable, layout: TableLayout, thin: int) -> list[tuple[float, float, float, float]]:
    """A frame around every cell."""
    lines = []
    for cell in table.cells:
        left, right = layout.edges[cell.column], layout.edges[cell.column + cell.colspan]
        top, bottom = layout.y(cell.row), layout.y(cell.row + cell.rowspan)
        lines += [(left, top, right + thin, top + thin), (left, bottom, right + thin, bottom + thin)]
        lines += [(left, top, left + thin, bottom + thin), (right, top, right + thin, bottom + thin)]
    return lines
