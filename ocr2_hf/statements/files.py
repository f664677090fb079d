"""The files of statements: JSON, CSV and XLSX of a document (`WRITERS`), and those of many documents in a directory.

The JSON is by the schema beside this file (`statements.schema.json`).
"""

import csv
import io
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tqdm.auto import tqdm

from ocr2_hf.document.atomic_files import write_json, write_whole
from ocr2_hf.document.page_files import Pages
from ocr2_hf.errors import WorkError, writing_to
from ocr2_hf.reading.inputs import Input
from ocr2_hf.reading.resume_log import ResumeLog
from ocr2_hf.statements.periods import Period
from ocr2_hf.statements.statement import Check, Place, Statement, StatementDocument, Value
from ocr2_hf.statements.workbook import write_workbook

if TYPE_CHECKING:
    from ocr2_hf.statements.parser import FinancialStatementParser

SCHEMA = Path(__file__).with_name("statements.schema.json")
COLUMNS = (
    *("file", "statement", "title", "kind", "line", "name", "line_kind", "level", "note"),
    *("column", "period", "period_end", "text", "value_kind", "number", "currency", "scale", "amount"),
    *("page", "left", "top", "right", "bottom", "box_source", "check", "difference"),
)
_NUMBERS = ("number", "amount", "difference")  # of the columns, those that hold no text
# Also behind blanks and marks without width, which spreadsheets pass over, and with signs of full or small width.
_FORMULA = re.compile(
    r"[\t\r\n]|[\s\x00-\x1f\u200b-\u200f\u2060\ufeff]*[=+\-@\uff1d\uff0b\uff0d\uff20\ufe66\ufe62\ufe63\ufe6b]"
)


def to_dict(document: StatementDocument) -> dict[str, Any]:
    """A document ready for JSON; numbers are strings, exactly as many digits as were printed."""
    return {
        "version": 1,
        "file": document.file,
        "pages": [asdict(page) for page in document.pages],
        "statements": [_statement(statement) for statement in document.statements],
        "checks": [_check(check) for check in document.checks],
    }


def write_json_file(document: StatementDocument, path: str | Path) -> None:
    """Write a document, whole or not at all."""
    write_json(path, to_dict(document))


def write_csv_file(document: StatementDocument, path: str | Path) -> None:
    """Write a document, whole or not at all: UTF-8 with the mark by which spreadsheets know it.

    A row for each value, so that files of many documents can be put together. `statement` and `line` count from 1. A
    section is a row without a value. `check` is the worst result of the checks of that total in that column,
    `difference` its own. A text that a spreadsheet would run as a formula when it opens the file gets an apostrophe
    (OWASP, CSV injection); XLSX cells have a type and need none.
    """
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n", extrasaction="ignore")
    writer.writeheader()
    for number, statement in enumerate(document.statements, 1):
        about = {"file": document.file or "", "statement": number, "title": statement.title, "kind": statement.kind}
        for row in _rows(statement):
            cells = (about | row).items()
            writer.writerow({key: cell if key in _NUMBERS else _guarded(cell) for key, cell in cells})
    write_whole(path, "\ufeff" + text.getvalue())


WRITERS: Mapping[str, Callable[[StatementDocument, Path], None]] = {
    "json": write_json_file,
    "csv": write_csv_file,
    "xlsx": write_workbook,
}


@dataclass
class StatementsOutcome:
    """What came of a run. `done` counts files that were read before, `statuses` the checks by what they found;
    `failed`: files and pages that could not be read; `empty`: files without a statement; `cut_off`: pages with an
    answer that hit a limit; `off`: sums that do not add up."""

    files: int = 0
    statements: int = 0
    done: int = 0
    statuses: Counter = field(default_factory=Counter)
    failed: list[str] = field(default_factory=list)
    empty: list[str] = field(default_factory=list)
    cut_off: list[str] = field(default_factory=list)
    off: list[str] = field(default_factory=list)

    def add(self, document: StatementDocument, file: str) -> None:
        """Count what was read of a file."""
        self.files += 1
        self.statements += len(document.statements)
        self.statuses.update(check.status for check in document.all_checks)
        self.off += [f"{file}: {check}" for check in document.all_checks if check.status == "off"]
        self.failed += [page.problem for page in document.pages if not page.width]
        told = [page for page in document.pages if page.width and page.problem]
        self.cut_off += [f"{file}, page {page.page}: {page.problem}" for page in told]
        if not document.statements:
            self.empty.append(file)


def statements_log(output: Path, settings: Mapping, model_files: list, formats: Sequence[str]) -> ResumeLog:
    """What of `output` is done; a file is when its result in the last format is there, which is written last."""
    return ResumeLog(output, settings, model_files, ".ocr2_statements.jsonl", f".statements.{formats[-1]}")


def read_statements(
    parser: "FinancialStatementParser",
    files: Sequence[Input],
    log: ResumeLog,
    formats: Sequence[str],
    pages: Pages | None = None,
) -> StatementsOutcome:
    """Write NAME.statements.FORMAT for every file that is not done; one that cannot be read stops no other.

    Raises `WorkError` where a result cannot be written.
    """
    outcome = StatementsOutcome()
    for item in tqdm(files, desc="reading", unit="file"):
        if log.is_done(item):
            outcome.done += 1
            continue
        try:
            document = parser.parse_statement(item.path, pages)
        except WorkError as error:
            outcome.failed.append(str(error))
            continue
        with writing_to(log.output):
            for name in formats:
                WRITERS[name](document, log.output / f"{item.name}.statements.{name}")
            log.add(item, whole=all(page.width for page in document.pages))
        outcome.add(document, item.path)
    return outcome


def _statement(statement: Statement) -> dict[str, Any]:
    return {
        "title": statement.title,
        "kind": statement.kind,
        "unit": asdict(statement.unit),
        "columns": [
            {"head": column.head, "label": column.label, "period": column.period and _period(column.period)}
            for column in statement.columns
        ],
        "lines": [
            {
                "name": line.name.text,
                "kind": line.kind,
                "level": line.level,
                "level_source": line.level_source,
                "of_which": line.name.of_which,
                "note": line.note,
                "values": [value and _value(value) for value in line.values],
            }
            for line in statement.lines
        ],
        "checks": [_check(check) for check in statement.checks],
        "tables": [
            {**_place(place), "html": html} for place, html in zip(statement.places, statement.html, strict=True)
        ],
    }


def _period(period: Period) -> dict[str, Any]:
    dates = {name: day and day.isoformat() for name, day in (("start", period.start), ("end", period.end))}
    return {"label": period.label, **dates, "relation": period.relation, "restated": period.restated}


def _value(value: Value) -> dict[str, Any]:
    return {
        "text": value.printed.text,
        "kind": value.printed.kind,
        "number": _plain(value.number),
        "amount": _plain(value.amount),
        "currency": value.unit.currency,
        "scale": value.unit.scale,
        "doubt": value.printed.doubt,
        **_place(value.place),
    }


def _place(place: Place) -> dict[str, Any]:
    return {"page": place.page, "box": list(place.box), "box_source": place.source}


def _check(check: Check) -> dict[str, Any]:
    exact = {"difference": _plain(check.difference), "tolerance": _plain(check.tolerance)}
    return asdict(check) | exact | {"parts": list(check.parts)}


def _plain(number: Decimal | None) -> str | None:
    """As many digits as were printed, without an exponent."""
    return None if number is None else f"{number:f}"


def _rows(statement: Statement) -> Iterator[dict[str, Any]]:
    """The rows of a CSV, by column."""
    for number, line in enumerate(statement.lines):
        head = {"line": number + 1, "name": line.name.text, "line_kind": line.kind, "level": line.level}
        head["note"] = line.note
        if line.kind == "section":
            yield head
        for index, (column, value) in enumerate(zip(statement.columns, line.values, strict=True)):
            if not value:
                continue
            cells = _value(value)
            cells |= {"value_kind": cells.pop("kind"), "column": column.head}
            if column.period:
                cells |= {"period": column.label, "period_end": _period(column.period)["end"]}
            sides = (round(side, 1) for side in value.place.box)
            cells |= zip(("left", "top", "right", "bottom"), sides, strict=True)
            if worst := statement.worst_check(number, index):
                cells |= {"check": worst.status, "difference": _plain(worst.difference)}
            yield head | cells


def _guarded(cell: Any) -> Any:
    return f"'{cell}" if isinstance(cell, str) and _FORMULA.match(cell) else cell
