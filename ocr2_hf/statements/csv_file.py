"""Statements as CSV: a row for each value, so that files of many documents can be put together."""

import csv
import io
from collections.abc import Iterator
from pathlib import Path

from ocr2_hf.document.atomic_files import write_whole
from ocr2_hf.statements.cells import guarded
from ocr2_hf.statements.statement import Statement, StatementDocument, Value, plain_number

COLUMNS = (
    *("file", "statement", "title", "kind", "line", "name", "line_kind", "level", "note"),
    *("column", "period", "period_end", "text", "value_kind", "number", "currency", "scale", "amount"),
    *("page", "left", "top", "right", "bottom", "box_source", "check", "difference"),
)


def write_csv_file(document: StatementDocument, path: str | Path) -> None:
    """Write a document, whole or not at all: UTF-8 with the mark by which spreadsheets know it.

    `statement` and `line` count from 1. A section is a row without a value. `check` is the worst result of the checks
    of that total in that column, `difference` its own. Texts that a spreadsheet would run get an apostrophe
    (`guarded`).
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for number, statement in enumerate(document.statements, 1):
        writer.writerows(_rows(document, number, statement))
    write_whole(path, "\ufeff" + text.getvalue())


def _rows(document: StatementDocument, number: int, statement: Statement) -> Iterator[list]:
    for place, line in enumerate(statement.lines, 1):
        head = [guarded(document.file or ""), number, guarded(statement.title), statement.kind, place]
        head += [guarded(line.name.text), line.kind, line.level, guarded(line.note)]
        if line.kind == "section":
            yield [*head, *[""] * (len(COLUMNS) - len(head))]
        for index, (column, value) in enumerate(zip(statement.columns, line.values, strict=True)):
            if value:
                end = column.period and column.period.end
                when = [guarded(column.head), guarded(column.label if column.period else ""), end and end.isoformat()]
                yield [*head, *when, *_value(value), *_checked(statement, place - 1, index)]


def _value(value: Value) -> list:
    figure = [guarded(value.figure.text), value.figure.kind, plain_number(value.number)]
    unit = [value.unit.currency, value.unit.scale, plain_number(value.amount)]
    return [*figure, *unit, value.place.page, *(round(side, 1) for side in value.place.box), value.place.source]


def _checked(statement: Statement, line: int, column: int) -> list:
    """The worst result of the checks of a value, and its difference."""
    worst = statement.worst_check(line, column)
    return [worst.status, plain_number(worst.difference)] if worst else ["", ""]
