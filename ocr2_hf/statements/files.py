"""Read the statements of many files into a directory: bad ones listed, what is done passed over."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tqdm.auto import tqdm

from ocr2_hf.document.page_files import Pages
from ocr2_hf.errors import WorkError
from ocr2_hf.reading.inputs import Input
from ocr2_hf.reading.resume_log import ResumeLog
from ocr2_hf.statements.csv_file import write_csv_file
from ocr2_hf.statements.json_file import write_json_file
from ocr2_hf.statements.parser import FinancialStatementParser
from ocr2_hf.statements.statement import StatementDocument
from ocr2_hf.statements.workbook import write_workbook

WRITERS: Mapping[str, Callable[[StatementDocument, Path], None]] = {
    "json": write_json_file,
    "csv": write_csv_file,
    "xlsx": write_workbook,
}


@dataclass
class Outcome:
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


def ledger_for(output: Path, settings: Mapping, model_files: list, formats: Sequence[str]) -> ResumeLog:
    """What of `output` is done; a file is when its result in the last format is there, which is written last."""
    return ResumeLog(output, settings, model_files, ".ocr2_statements.jsonl", f".statements.{formats[-1]}")


def read_statements(
    parser: FinancialStatementParser,
    files: Sequence[Input],
    ledger: ResumeLog,
    formats: Sequence[str],
    pages: Pages | None = None,
) -> Outcome:
    """Write NAME.statements.FORMAT for every file that is not done; one that cannot be read stops no other."""
    outcome = Outcome()
    for item in tqdm(files, desc="reading", unit="file"):
        if ledger.is_done(item):
            outcome.done += 1
            continue
        try:
            document = parser.parse_statement(item.path, pages)
        except WorkError as error:
            outcome.failed.append(str(error))
            continue
        for name in formats:
            _write(document, ledger.output / f"{item.name}.statements.{name}", WRITERS[name])
        broken = [page.problem for page in document.pages if not page.width]
        ledger.add(item, whole=not broken)
        _count(document, item, outcome, broken)
    return outcome


def _write(document: StatementDocument, path: Path, writer: Callable[[StatementDocument, Path], None]) -> None:
    try:
        writer(document, path)
    except OSError as error:
        raise WorkError(f"{path}: cannot be written ({error.strerror or error})") from None


def _count(document: StatementDocument, item: Input, outcome: Outcome, broken: Sequence[str]) -> None:
    outcome.files += 1
    outcome.statements += len(document.statements)
    outcome.statuses.update(check.status for check in document.all_checks)
    outcome.failed += broken
    outcome.off += [f"{item.path}: {check}" for check in document.all_checks if check.status == "off"]
    outcome.cut_off += [
        f"{item.path}, page {page.page}: {page.problem}" for page in document.pages if page.width and page.problem
    ]
    if not document.statements:
        outcome.empty.append(item.path)
