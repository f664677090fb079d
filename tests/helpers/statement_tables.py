"""Statements as HTML for tests, and the reading of them."""

import html

from ocr2_hf.document.tables import parse_tables
from ocr2_hf.statements.checks import check_lines
from ocr2_hf.statements.statement import Place
from ocr2_hf.statements.table_lines import read_table

PLACE = Place(1, (10.0, 20.0, 110.0, 220.0), "table")

BALANCE = [
    ["€'000", "Note", "2023", "2022"],
    ["Non-current assets", "", "", ""],
    ["Goodwill", "5", "1,200", "1,100"],
    ["Land & buildings", "6, 7", "2,300", "2,400"],
    ["Total non-current assets", "", "3,500", "3,500"],
    ["Current assets", "", "", ""],
    ["Inventories", "", "400", "—"],
    ["Cash", "8", "100", "200"],
    ["Total current assets", "", "500", "200"],
    ["Total assets", "", "4,000", "3,700"],
    ["Borrowings", "9", "1,500", "1,600"],
    ["Total liabilities", "", "1,500", "1,600"],
    ["Share capital", "", "1,000", "1,000"],
    ["Retained earnings", "", "1,500", "1,100"],
    ["Total equity", "", "2,500", "2,100"],
    ["Total equity and liabilities", "", "4,000", "3,700"],
]


def table_html(rows, indent=lambda row: 0):
    """Rows of texts as a table; the first cell of a row gets `indent(row)` no-break spaces."""
    written = "".join(
        "<tr>"
        + "".join(
            f"<td>{'&nbsp;' * indent(row) if not column else ''}{html.escape(cell, quote=False)}</td>"
            for column, cell in enumerate(row)
        )
        + "</tr>"
        for row in rows
    )
    return f"<table>{written}</table>"


def read(markup, unit=None):
    """The content of the first table of a text."""
    return read_table(parse_tables(markup)[0], PLACE, unit)


def checked(markup):
    """All checks of the first table of a text."""
    content = read(markup)
    return check_lines(content.lines, content.columns)
