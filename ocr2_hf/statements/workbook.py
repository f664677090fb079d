"""Statements as XLSX: a sheet for each, one for the checks, values as numbers in the way they were printed."""

import io
import re
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from typing import Any

import xlsxwriter
from xlsxwriter.format import Format
from xlsxwriter.worksheet import Worksheet

from ocr2_hf.document.atomic_files import write_whole
from ocr2_hf.statements.statement import Check, Statement, StatementDocument, Value

# A double holds that many digits for sure; a longer number stays text rather than become another.
_SAFE_DIGITS = 15
_FORBIDDEN = re.compile(r"[\[\]:*?/\\\x00-\x1f]")
_LONGEST_NAME = 31
_COLOURS = {"off": "#F8CBAD", "not checkable": "#FFF2CC", "ok": "#E2EFDA"}
Formats = Callable[..., Format]  # of properties
_CHECK_HEADS = ("Statement", "Rule", "Line", "Column", "Result", "Difference", "Tolerance", "Added up", "Reason")
_LOOKS = {"total": {"bold": True, "top": 1}, "section": {"bold": True}, "item": {}}  # of lines


def write_workbook(document: StatementDocument, path: str | Path) -> None:
    """Write a document, whole or not at all. No text becomes a formula or a link, whatever it begins with."""
    options = {"strings_to_formulas": False, "strings_to_urls": False, "strings_to_numbers": False, "in_memory": True}
    content = io.BytesIO()  # a full disk would leave the library with a file that it cannot close
    with xlsxwriter.Workbook(content, options) as book:
        formats = cache(lambda **properties: book.add_format(properties))  # each combination once
        names = _sheet_names(document.statements)
        for name, statement in zip(names, document.statements, strict=True):
            _write_statement(book.add_worksheet(name, _Sheet), formats, statement)
        if not names:
            book.add_worksheet("No statement", _Sheet).write_string(
                0, 0, f"No statement was found in {document.file or 'it'}"
            )
        _write_checks(book.add_worksheet("Checks", _Sheet), formats, document, names)
    write_whole(path, content.getvalue())


class _Sheet(Worksheet):
    """A sheet in which lone surrogates, of files' names that are not UTF-8, become "?"."""

    def write_string(self, row: int, column: int, text: str, *options: Any) -> int:
        """As the library's."""
        return super().write_string(row, column, text.encode("utf-8", "replace").decode(), *options)


def _write_statement(sheet, formats: Formats, statement: Statement) -> None:
    """Title, unit, heads, and a row for each line; columns: name, note, values."""
    has_notes = any(line.note for line in statement.lines)
    first = 1 + has_notes
    sheet.write_string(0, 0, statement.title or "Statement", formats(bold=True, font_size=14))
    sheet.write_string(1, 0, _unit(statement), formats(italic=True))
    head = formats(bold=True, bottom=1, align="right", text_wrap=True)
    sheet.write_string(3, 0, "", formats(bold=True, bottom=1))
    if has_notes:
        sheet.write_string(3, 1, "Note", head)
    for column, content in enumerate(statement.columns, first):
        sheet.write_string(3, column, content.head, head)
    for row, line in enumerate(statement.lines, 4):
        look = _LOOKS[line.kind]
        sheet.write_string(row, 0, line.name.text, formats(**look, indent=min(line.level, 15)))
        if has_notes:
            sheet.write_string(row, 1, line.note, formats(**look, align="right"))
        for index, value in enumerate(line.values):
            worst = statement.worst_check(row - 4, index)
            _write_value(sheet, row, first + index, value, formats, look | _colour(worst))
            if worst and worst.status != "ok":
                sheet.write_comment(row, first + index, f"{worst}\n{_parts(worst)}".strip(), {"x_scale": 2})
    sheet.set_column(0, 0, _width(line.name.text for line in statement.lines))
    sheet.set_column(1, first + len(statement.columns) - 1, 16)
    sheet.freeze_panes(4, 1)
    sheet.fit_to_pages(1, 0)  # where it is printed: as wide as a page, as long as it takes


def _write_value(sheet, row: int, column: int, value: Value | None, formats: Formats, look: dict) -> None:
    if value is None:
        sheet.write_blank(row, column, None, formats(**look))
    elif value.number is None or len(value.number.as_tuple().digits) > _SAFE_DIGITS:
        sheet.write_string(row, column, value.printed.text, formats(**look, align="right"))
    else:
        number = value.number / 100 if value.printed.kind == "percent" else value.number
        sheet.write_number(row, column, number, formats(**look, num_format=_number_format(value)))


def _number_format(value: Value) -> str:
    """As printed: the same decimals, parentheses below zero, a dash for nil."""
    decimals = "." + "0" * value.printed.decimals if value.printed.decimals else ""
    if value.printed.kind == "percent":
        return f"0{decimals}%"
    if value.printed.kind == "per_mille":
        return f'0{decimals}"‰"'
    zero = '"–"' if value.printed.kind == "nil" else f"0{decimals}"
    return f"#,##0{decimals};(#,##0{decimals});{zero}"


def _write_checks(sheet, formats: Formats, document: StatementDocument, names: list[str]) -> None:
    for column, head in enumerate(_CHECK_HEADS):
        look = {"align": "right"} if column in (5, 6) else {"indent": 1} if column == 7 else {}
        sheet.write_string(0, column, head, formats(bold=True, bottom=1, **look))
    rows = [(name, check) for name, statement in zip(names, document.statements) for check in statement.checks]
    rows += [("all", check) for check in document.checks]
    for row, (name, check) in enumerate(rows, 1):
        for column, text in enumerate((name, check.rule, check.line, check.column)):
            sheet.write_string(row, column, text, formats())
        sheet.write_string(row, 4, check.status, formats(**_colour(check)))
        for column, number in ((5, check.difference), (6, check.tolerance)):
            if number is not None:
                sheet.write_number(row, column, number, formats(num_format="#,##0.##;-#,##0.##;0"))
        sheet.write_string(row, 7, _parts(check), formats(text_wrap=True, indent=1))
        sheet.write_string(row, 8, check.reason, formats())
    for row, problem in enumerate(document.problems, len(rows) + 2):
        sheet.write_string(row, 0, problem, formats(font_color="#C00000"))
    for column, width in enumerate((24, 10, 34, 16, 14, 14, 12, 60, 40)):
        sheet.set_column(column, column, width)
    sheet.freeze_panes(1, 0)
    sheet.set_landscape()
    sheet.fit_to_pages(1, 0)
    if rows:
        sheet.autofilter(0, 0, len(rows), len(_CHECK_HEADS) - 1)


def _parts(check: Check) -> str:
    signed = ((" - " if part.startswith("-") else " + ") + part.removeprefix("-") for part in check.parts)
    return "".join(signed).removeprefix(" + ").strip()


def _colour(check: Check | None) -> dict:
    return {"bg_color": _COLOURS[check.status]} if check else {}


def _unit(statement: Statement) -> str:
    scale = f"in {statement.unit.scale:,}" if statement.unit.scale > 1 else ""
    return " ".join(filter(None, (statement.unit.currency, scale))) or "unit not stated"


def _width(texts: Iterable[str]) -> int:
    return min(max((sum(2 if ord(c) > 0x2E80 else 1 for c in text) for text in texts), default=10) + 6, 70)


def _sheet_names(statements: Iterable[Statement]) -> list[str]:
    """What Excel takes: at most 31 characters, none of []:*?/\\, no apostrophe at the ends, each once."""
    names: list[str] = []
    for number, statement in enumerate(statements, 1):
        base = _FORBIDDEN.sub(" ", statement.title or statement.kind).strip(" '") or "Statement"
        name = base[:_LONGEST_NAME].strip(" '")
        if name.lower() in {"checks", "history", *(other.lower() for other in names)}:
            name = f"{base[: _LONGEST_NAME - 5].strip()} ({number})"
        names.append(name)
    return names
