"""How well statements were read: scores over the tables of a predictions file.

    python -m ocr2_hf.statements.scores runs/base/predictions.jsonl runs/tuned/predictions.jsonl

Prints a row for each file of `ocr2 evaluate` and writes `statement_scores.json` beside it.
"""

import argparse
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from ocr2_hf.document.atomic_files import write_json
from ocr2_hf.document.predictions import Prediction, read_predictions
from ocr2_hf.document.tables import Cell, Table, parse_tables
from ocr2_hf.errors import run_command
from ocr2_hf.evaluation.tables import ScoredTable, count_cells, right_cells, teds
from ocr2_hf.statements.checks import check_lines
from ocr2_hf.statements.statement import Place
from ocr2_hf.statements.table_lines import read_table

_NOWHERE = Place(1, (0.0, 0.0, 0.0, 0.0), "page")


@dataclass(frozen=True)
class StatementScores:
    """Over the first table of each reference that is a statement.

    `teds`: the mean. `numbers_right`: of all values of the references, the share read to the last character in the
    same column of a row paired with theirs. `checks_closed`: of all checks that close exactly in the references, the
    share that closes exactly in what was read. `wrong_but_closed`: the share of tables with a wrong or missing value
    in which every check closes all the same, None where no table has a wrong value.
    """

    tables: int
    teds: float
    numbers_right: float
    checks_closed: float
    wrong_but_closed: float | None


def score_statements(lines: Sequence[Prediction]) -> StatementScores | None:
    """Scores of prediction lines; None where no reference is a statement."""
    counts, similarity = Counter(), 0.0
    for line in lines:
        reference, wanted = _read(line.reference)
        if not reference.table.rows:
            continue
        predicted, found = _read(line.prediction)
        similarity += teds(line.prediction, line.reference)
        numbers, right, due = count_cells(reference), right_cells(predicted, reference), sum(wanted)
        counts.update(tables=1, numbers=numbers, right=right, checks=due, closed=min(sum(found), due))
        if right < numbers:
            counts.update(wrong=1, silent=int(bool(found) and len(found) >= due and all(found)))
    if not counts["tables"]:
        return None
    return StatementScores(
        counts["tables"],
        similarity / counts["tables"],
        counts["right"] / counts["numbers"],
        counts["closed"] / counts["checks"] if counts["checks"] else 0.0,
        counts["silent"] / counts["wrong"] if counts["wrong"] else None,
    )


def main(argv: list[str] | None = None) -> int:
    """Score files of predictions; prints a row for each and writes its scores beside it."""
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


def _read(text: str) -> tuple[ScoredTable, list[bool]]:
    """The values of the first table alone, as a table to compare, and for each check whether it closes exactly."""
    tables = parse_tables(text)[:1]
    content = read_table(tables[0], _NOWHERE) if tables else None
    if content is None:
        return ScoredTable(Table(())), []
    rows = tuple(
        tuple(Cell(value.printed.text if value else "", row=row, column=n) for n, value in enumerate(line.values))
        for row, line in enumerate(content.lines)
    )
    checks = check_lines(content.lines, content.columns)
    return ScoredTable(Table(rows)), [check.status == "ok" and check.difference == 0 for check in checks]


if __name__ == "__main__":
    sys.exit(run_command(main))
