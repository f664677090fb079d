"""How well statements were read: figures over the tables of a predictions file.

    python -m ocr2_hf.statements.scores runs/base/predictions.jsonl runs/tuned/predictions.jsonl

Prints a row for each file of `ocr2 evaluate` and writes `statement_scores.json` beside it.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from ocr2_hf.document.atomic_files import write_json
from ocr2_hf.document.predictions import Prediction, read_predictions
from ocr2_hf.document.tables import Cell, Table, parse_tables
from ocr2_hf.errors import run_command
from ocr2_hf.evaluation.tables import ScoredTable, count_cells, right_cells, teds
from ocr2_hf.statements.balance import check_lines
from ocr2_hf.statements.statement import Check, Line, Place
from ocr2_hf.statements.table_lines import read_table

_NOWHERE = Place(1, (0.0, 0.0, 0.0, 0.0), "page")


@dataclass(frozen=True)
class StatementScores:
    """Over the first table of each reference that is a statement.

    `teds`: the mean. `numbers_right`: of all figures of the references, the share read to the last character in the
    same column of a row paired with theirs. `checks_closed`: of all checks that close exactly in the references, the
    share that closes exactly in what was read. `wrong_but_closed`: the share of tables with a wrong or missing figure
    in which every check closes all the same, None where no table has a wrong figure.
    """

    tables: int
    teds: float
    numbers_right: float
    checks_closed: float
    wrong_but_closed: float | None


def score_statements(lines: Sequence[Prediction]) -> StatementScores | None:
    """Scores of prediction lines; None where no reference is a statement."""
    tables, similarity, figures, right, checks, closed, wrong, silent = 0, 0.0, 0, 0, 0, 0, 0, 0
    for line in lines:
        reference, wanted = _read(line.reference)
        if not reference:
            continue
        predicted, found = _read(line.prediction)
        tables += 1
        similarity += teds(line.prediction, line.reference)
        pair = _figures(predicted), _figures(reference)
        figures, right = figures + count_cells(pair[1]), right + right_cells(*pair)
        due = sum(map(_exact, wanted))
        checks, closed = checks + due, closed + min(sum(map(_exact, found)), due)
        if right_cells(*pair) < count_cells(pair[1]):
            wrong += 1
            silent += bool(found) and len(found) >= due and all(map(_exact, found))
    if not tables:
        return None
    closing = closed / checks if checks else 0.0
    return StatementScores(tables, similarity / tables, right / figures, closing, silent / wrong if wrong else None)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("predictions", nargs="+", type=Path, metavar="FILE", help="predictions.jsonl of ocr2 evaluate")
    names = [field.name for field in fields(StatementScores)]
    print("  ".join(f"{name:>16}" for name in names))
    for path in parser.parse_args(argv).predictions:
        scores = score_statements(read_predictions(path))
        values = asdict(scores) if scores else dict.fromkeys(names)
        write_json(path.with_name("statement_scores.json"), values)
        shown = (f"{value:.3f}" if isinstance(value, float) else str(value) for value in values.values())
        print("  ".join(f"{value:>16}" for value in shown), path)
    return 0


def _read(text: str) -> tuple[list[Line], list[Check]]:
    """Lines and checks of the first table."""
    tables = parse_tables(text)[:1]
    content = read_table(tables[0], _NOWHERE) if tables else None
    if content is None:
        return [], []
    return content.lines, check_lines(content.lines, content.columns)


def _figures(lines: Sequence[Line]) -> ScoredTable:
    """The values alone, as a table to compare."""
    rows = (
        (Cell(value.figure.text if value else "", row=row, column=column) for column, value in enumerate(line.values))
        for row, line in enumerate(lines)
    )
    return ScoredTable(Table(tuple(map(tuple, rows))))


def _exact(check: Check) -> bool:
    return check.status == "ok" and check.difference == 0


if __name__ == "__main__":
    sys.exit(run_command(main))
