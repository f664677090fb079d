"""The tables of a text, HTML and markdown's, as grids of cells: for reading, scoring and statements alike."""

import html
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate, count, dropwhile, islice, takewhile
from typing import TYPE_CHECKING

from lxml import etree
from lxml.html import HtmlElement, HTMLParser, document_fromstring

from ocr2_hf.document.grounding import text_pieces

if TYPE_CHECKING:
    import pandas as pd

MAX_COLUMNS = 1000  # as browsers cap colspan; what stands further right is left out

_TAG = re.compile(r"<(?P<close>/?)(?P<name>table|td|th)\b[^>]*>?", re.I)
_CONTROL = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
# A number with a footnote mark must not become another number.
_SCRIPTS = {
    "sup": str.maketrans("0123456789+-()n", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁽⁾ⁿ"),
    "sub": str.maketrans("0123456789+-()n", "₀₁₂₃₄₅₆₇₈₉₊₋₍₎ₙ"),
}
_APART = ("br", "p", "div", "li", "table", "tr", "td", "th")

_DELIMITER = re.compile(r"[ \t]*\|?[ \t]*:?-+:?[ \t]*(?:\|[ \t]*:?-+:?[ \t]*)*\|?[ \t]*")
_LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+")
_UNESCAPED_PIPE = re.compile(r"(?<!\\)\|")
_OUTER_PIPE = re.compile(r"^\||(?<!\\)\|$")


@dataclass(frozen=True)
class Cell:
    """One cell: its text on one line, whether it is a head, where it begins (from 0) and how far it reaches.

    `indent`: how many spaces (no-break ones and the like count too) stand before the text, in financial statements a
    sign of what belongs to what.
    """

    text: str
    header: bool = False
    row: int = 0
    column: int = 0
    row_span: int = 1
    column_span: int = 1
    indent: int = 0


@dataclass(frozen=True)
class Table:
    """A table: for each row the cells that begin in it, from left to right. Cells do not overlap.

    Rows may have gaps (`grid` shows them as ""), and one that cells above fill has no cells.
    """

    rows: tuple[tuple[Cell, ...], ...]

    @cached_property
    def width(self) -> int:
        """How many columns it has."""
        return max((cell.column + cell.column_span for row in self.rows for cell in row), default=0)

    def grid(self) -> list[list[str]]:
        """Texts, rows of one length: a spanned cell is repeated in all its places, a missing one is ""."""
        return [["" if cell is None else cell.text for cell in row] for row in self._places]

    @property
    def header_rows(self) -> int:
        """How many rows at the top are heads: all their cells are, but for empty ones before the first (the corner)
        and missing ones at the end."""
        return sum(1 for _ in takewhile(_is_head, self._places))

    def to_html(self) -> str:
        """HTML that `parse_tables` reads back as this table: heads are `th`, spans are written where they are not 1."""
        return f"<table>{''.join('<tr>' + ''.join(map(_cell_html, row)) + '</tr>' for row in self.rows)}</table>"

    def to_dataframe(self) -> "pd.DataFrame":
        """`grid` as text cells. Header rows become the columns, several of them a `MultiIndex`; else 0, 1, 2, ..."""
        import pandas as pd  # takes longer to load than most tables to read

        grid, heads = self.grid(), self.header_rows
        columns = None
        if heads:
            columns = pd.Index(grid[0], dtype="object") if heads == 1 else pd.MultiIndex.from_arrays(grid[:heads])
        return pd.DataFrame(grid[heads:], columns=columns, dtype="object")

    @cached_property
    def _places(self) -> list[list[Cell | None]]:
        places: list[list[Cell | None]] = [[None] * self.width for _ in self.rows]
        for cell in (cell for row in self.rows for cell in row):
            for row in places[cell.row : cell.row + cell.row_span]:
                row[cell.column : cell.column + cell.column_span] = [cell] * cell.column_span
        return places


def parse_tables(text: str) -> list[Table]:
    """Every table of `text` with a cell in it, in order: HTML, and markdown's pipe tables (a line of dashes is needed).

    HTML may be cut off or not closed: a table ends where the next begins, at a region's tag and at the end. A table
    inside a cell follows the one it is in, whose cell has its text too. Spans that are no numbers, or reach over other
    cells or the last row, are cut. A pipe table's first row is its head; rows that are shorter are filled up, longer
    ones keep their cells.
    """
    # NUL ends the input for libxml2.
    return [table for piece in text_pieces(text.replace("\0", " ")) for table in _piece_tables(piece)]


def read_tables(text: str) -> list["pd.DataFrame"]:
    """The tables of `text` (`parse_tables`) as data frames (`Table.to_dataframe`)."""
    return [table.to_dataframe() for table in parse_tables(text)]


def cell_span(cell: HtmlElement, name: str) -> int:
    """The attribute as an integer; 1 where it is missing or no number, as browsers read it."""
    value = cell.get(name, "").strip()
    return int(value) if value.isdecimal() and len(value) < 10 else 1


def _piece_tables(text: str) -> list[Table]:
    spans = list(_html_spans(text))
    found = [(start, table) for start, end in spans for table in _html_tables(text[start:end])]
    for start, end in spans:  # what is HTML is no markdown; places stay, and lines stay lines
        text = text[:start] + re.sub(r"[^\r\n]", " ", text[start:end]) + text[end:]
    for start, markup in _pipe_tables(text):
        found += [(start, table) for table in _html_tables(markup)]
    return [table for _, table in sorted(found, key=lambda item: item[0])]


def _html_spans(text: str) -> Iterator[tuple[int, int]]:
    """Where outermost HTML tables begin and end."""
    start, in_cell = 0, []  # for each open table whether a cell is open in it
    for tag in _TAG.finditer(text):
        name = tag["name"].lower()
        begins = name == "table" and not tag["close"]
        if begins and in_cell and not in_cell[-1]:  # the one before never ended
            yield start, tag.start()
            in_cell.clear()
        if begins:
            start = start if in_cell else tag.start()
            in_cell.append(False)
        elif name == "table" and in_cell:
            in_cell.pop()
            if not in_cell:
                yield start, tag.end()
        elif in_cell:
            in_cell[-1] = not tag["close"]
    if in_cell:
        yield start, len(text)


def _pipe_tables(text: str) -> Iterator[tuple[int, str]]:
    """The pipe tables of a text, each with the offset of its first line and as HTML.

    A table is a head, a line of dashes, and lines with pipes; outer pipes may be missing. Shorter rows are filled up,
    longer ones keep their cells. Source: the tables of GitHub Flavored Markdown, but the line of dashes may be shorter
    or longer than the head.
    """
    if "|" not in text:
        return
    found = _LINE.findall(text)
    offsets = [0, *accumulate(map(len, found))]
    lines, at = [line.rstrip("\r\n") for line in found], 0
    while at < len(lines) - 1:
        if "|" not in lines[at] or "|" not in lines[at + 1] or not _DELIMITER.fullmatch(lines[at + 1]):
            at += 1
            continue
        start, at = at, at + 2
        while at < len(lines) and "|" in lines[at]:
            at += 1
        rows = [_pipe_cells(line) for line in (lines[start], *lines[start + 2 : at])]
        filled = (row + [""] * (len(rows[0]) - len(row)) for row in rows)
        head, *body = (f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in filled)
        yield offsets[start], f"<table><thead>{head}</thead>{''.join(body)}</table>"


def _pipe_cells(line: str) -> list[str]:
    cells = _UNESCAPED_PIPE.split(_OUTER_PIPE.sub("", line.strip()))
    return [cell.strip().replace("\\|", "|") for cell in cells]


def _html_tables(markup: str) -> Iterator[Table]:
    parser = HTMLParser(remove_comments=True, remove_pis=True, encoding="utf-8")
    markup = re.sub(r"<(?![a-zA-Z/])", "&lt;", markup)  # what is no tag is text: "a < b"
    try:
        root = document_fromstring(markup.encode("utf-8", "replace"), parser=parser)
    except etree.ParserError:
        return
    for element in root.iter(*_APART):
        element.text, element.tail = f" {_storable(element.text)}", f" {_storable(element.tail)}"
    for element in root.iter(*_SCRIPTS):
        element.text = _script(_storable(element.text), _SCRIPTS[element.tag])
    for element in root.iter("table"):
        table = _place([[_read_cell(cell) for cell in row] for row in _own_rows(element)])
        if table.width:
            yield table


def _own_rows(table: HtmlElement) -> list[list[HtmlElement]]:
    """The cells of each row, without those of tables in cells. Cells outside of rows make one of their own."""
    rows: list[list[HtmlElement]] = []
    loose = True
    for element in table.iter("tr", "td", "th"):
        if next(element.iterancestors("table")) is not table:
            continue
        in_row = element.tag == "tr" or element.getparent().tag == "tr"
        if element.tag == "tr" or (not in_row and not (loose and rows)):
            rows.append([])
        if element.tag != "tr":
            rows[-1].append(element)
        loose = not in_row
    return rows


def _read_cell(cell: HtmlElement) -> Cell:
    head = cell.tag == "th" or any(group.tag == "thead" for group in (cell.getparent(), cell.getparent().getparent()))
    spans = (min(max(cell_span(cell, name), 1), MAX_COLUMNS) for name in ("rowspan", "colspan"))
    text = cell.text_content()
    return Cell(" ".join(text.split()), head, 0, 0, *spans, _indent(text))


def _indent(text: str) -> int:
    """Spaces before the text, without the one that parts it from other cells. After a line break, as in HTML laid out
    for people, only those count that HTML keeps."""
    before = text[: len(text) - len(text.lstrip())]
    kept = before.replace(" ", "") if "\n" in before else before.removeprefix(" ")
    return len(re.sub(r"[\t\r\n\f\v]", "", kept)) if text.strip() else 0


def _place(rows: Sequence[Sequence[Cell]]) -> Table:
    """Cells in the order they are written -> cells in their places."""
    placed: list[tuple[Cell, ...]] = []
    taken: list[set[int]] = [set() for _ in rows]
    for number, row in enumerate(rows):
        column, cells = 0, []
        for left, cell in zip(range(len(row) - 1, -1, -1), row, strict=True):
            column = next(at for at in count(column) if at not in taken[number])
            if column >= MAX_COLUMNS:
                break
            # A span leaves room for the cells that follow.
            reach = range(column, max(column + 1, MAX_COLUMNS - left))
            free = takewhile(lambda at: at not in taken[number], reach)  # noqa: B023
            columns = list(islice(free, cell.column_span))
            height = min(cell.row_span, len(rows) - number)
            for below in taken[number : number + height]:
                below.update(columns)
            cells.append(Cell(cell.text, cell.header, number, column, height, len(columns), cell.indent))
            column += len(columns)
        placed.append(tuple(cells))
    # What a truncated answer began: a row that nothing is in.
    while placed and not placed[-1] and not taken[len(placed) - 1]:
        placed.pop()
    return Table(tuple(placed))


def _is_head(row: Sequence[Cell | None]) -> bool:
    cells = list(dropwhile(lambda cell: cell is None or not cell.text, row))
    while cells and cells[-1] is None:
        cells.pop()
    return bool(cells) and all(cell is not None and cell.header for cell in cells)


def _cell_html(cell: Cell) -> str:
    name = "th" if cell.header else "td"
    spans = {"rowspan": cell.row_span, "colspan": cell.column_span}
    attributes = "".join(f' {key}="{value}"' for key, value in spans.items() if value != 1)
    indent = "\xa0" * cell.indent
    return f"<{name}{attributes}>{indent}{html.escape(cell.text, quote=False)}</{name}>"


def _storable(text: str | None) -> str:
    """The text without the control characters that libxml2 reads (`&#31;`) but does not take back."""
    return _CONTROL.sub(" ", text or "")


def _script(text: str, small: dict[int, int]) -> str:
    """The text in small digits, where it has them for all of it."""
    stripped = text.strip()
    return stripped.translate(small) if stripped and all(ord(character) in small for character in stripped) else text
