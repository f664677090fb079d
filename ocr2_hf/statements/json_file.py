"""Statements as JSON, by the schema beside this file (`statements.schema.json`)."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from ocr2_hf.document.atomic_files import write_json
from ocr2_hf.statements.periods import Period
from ocr2_hf.statements.statement import (
    Check,
    Column,
    Line,
    Place,
    Statement,
    StatementDocument,
    Value,
    plain_number,
)

SCHEMA = Path(__file__).with_name("statements.schema.json")
VERSION = 1
_PERIOD = TypeAdapter(Period)


def to_dict(document: StatementDocument) -> dict[str, Any]:
    """A document ready for JSON; numbers are strings, exactly as many digits as were printed."""
    return {
        "version": VERSION,
        "file": document.file,
        "pages": [asdict(page) for page in document.pages],
        "statements": [_statement(statement) for statement in document.statements],
        "checks": [_check(check) for check in document.checks],
    }


def write_json_file(document: StatementDocument, path: str | Path) -> None:
    """Write a document, whole or not at all."""
    write_json(path, to_dict(document))


def _statement(statement: Statement) -> dict[str, Any]:
    return {
        "title": statement.title,
        "kind": statement.kind,
        "unit": asdict(statement.unit),
        "columns": [_column(column) for column in statement.columns],
        "lines": [_line(line) for line in statement.lines],
        "checks": [_check(check) for check in statement.checks],
        "tables": [
            {**_place(place), "html": html} for place, html in zip(statement.places, statement.html, strict=True)
        ],
    }


def _column(column: Column) -> dict[str, Any]:
    period = column.period and _PERIOD.dump_python(column.period, mode="json", exclude={"text"})
    return {"head": column.head, "label": column.label, "period": period}


def _line(line: Line) -> dict[str, Any]:
    return {
        "name": line.name.text,
        "kind": line.kind,
        "level": line.level,
        "level_source": line.level_source,
        "of_which": line.name.of_which,
        "note": line.note,
        "values": [value and _value(value) for value in line.values],
    }


def _value(value: Value) -> dict[str, Any]:
    figure = value.figure
    return {
        "text": figure.text,
        "kind": figure.kind,
        "number": plain_number(value.number),
        "amount": plain_number(value.amount),
        "currency": value.unit.currency,
        "scale": value.unit.scale,
        "doubt": figure.doubt,
        **_place(value.place),
    }


def _place(place: Place) -> dict[str, Any]:
    return {"page": place.page, "box": list(place.box), "box_source": place.source}


def _check(check: Check) -> dict[str, Any]:
    exact = {"difference": plain_number(check.difference), "tolerance": plain_number(check.tolerance)}
    return asdict(check) | exact | {"parts": list(check.parts)}
