"""HTML tables in what the model wrote -> data frames."""

import re

import pandas as pd
from lxml import etree, html

MAX_SPAN = 1000  # as browsers cap colspan
_TABLE = re.compile(r"<table\b.*?(?:</table\s*>|\Z)", re.DOTALL | re.IGNORECASE)


def read_tables(text: str) -> list[pd.DataFrame]:
    """Every HTML table of `text`, in order, as text cells without a header; a spanned cell is repeated.

    A table that is cut off keeps the rows it has. Columns are numbered from 0; missing cells are "".
    """
    tables = (_grid(match[0]) for match in _TABLE.finditer(text.replace("\0", "")))
    return [pd.DataFrame(grid, dtype="object") for grid in tables if grid]


def _grid(table_html: str) -> list[list[str]]:
    parser = html.HTMLParser(remove_comments=True, remove_pis=True, encoding="utf-8")
    try:
        root = html.document_fromstring(table_html.encode("utf-8", "replace"), parser=parser)
    except etree.ParserError:
        return []
    rows: list[list[str]] = []
    below: dict[int, tuple[int, str]] = {}  # column -> (rows that a cell above still spans, its text)
    for row in root.iter("tr"):
        cells = [cell for cell in row if cell.tag in ("td", "th")]
        rows.append(_row(cells, below))
    columns = max(map(len, rows), default=0)
    return [row + [""] * (columns - len(row)) for row in rows]


def _row(cells: list[html.HtmlElement], below: dict[int, tuple[int, str]]) -> list[str]:
    """One row of the grid; takes from `below` what cells above span and leaves there what these span."""
    row: list[str] = []
    while cells or any(column >= len(row) for column in below):
        width, rows_left, text = 1, 0, ""
        if len(row) in below:
            count, text = below[len(row)]
            rows_left = count - 1
        elif cells:
            cell = cells.pop(0)
            text = " ".join(cell.text_content().split())
            width, rows_left = _span(cell, "colspan"), _span(cell, "rowspan") - 1
        for _ in range(width):
            below.pop(len(row), None)
            if rows_left:
                below[len(row)] = (rows_left, text)
            row.append(text)
    return row


def _span(cell: html.HtmlElement, name: str) -> int:
    value = cell.get(name, "").strip()
    return min(max(int(value), 1), MAX_SPAN) if value.isdecimal() and len(value) < 10 else 1
