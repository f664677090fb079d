"""The pages of a report as plain values: scores, regions with their IoU, text differences, tables as grids.

Everything that is looked at in the report is computed here; the script in the page only draws it.
"""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

from rapidfuzz.distance import Levenshtein

from ocr2_hf.document.grounding import Region, plain_text
from ocr2_hf.document.predictions import Prediction
from ocr2_hf.document.tables import Table
from ocr2_hf.evaluation.boxes import Pair
from ocr2_hf.evaluation.measures import PageMeasure
from ocr2_hf.evaluation.tables import find_tables

# A word, a single character of a script without spaces, a run of blanks, or any other character.
_SPACELESS = "\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af"
_TOKEN = re.compile(rf"\s+|[{_SPACELESS}]|[^\W{_SPACELESS}]+|.")
_CELL_END, _ROW_END = re.compile(r"</t[dh]>(?!\s*</tr>)"), re.compile(r"</tr>")
_TABLE_TAG = re.compile(r"</?(?:table|thead|tbody|tfoot|tr|td|th)\b[^<>]*>")
# What went wrong with a page as a whole, and the quantity that says so.
_MARKS = {"missing": "missing", "empty": "empty", "loop": "loops", "no end": "unfinished"}
_MAX_ROWS, _MAX_SPAN = 500, 100  # of a table that is drawn


Scores = Mapping[str, float | None]  # of a page, by metric
Side = tuple[Prediction, PageMeasure, Scores]  # a page in one evaluation


def report_item(sides: Sequence[Side], size: tuple[int, int] | None, image: str | None) -> dict[str, Any]:
    """One page: what one evaluation says about it, or two beside each other. `size` is (width, height) in pixels."""
    first = sides[0][0]
    return {
        "id": first.id,
        "image": image,
        "size": size,
        "prompt": first.prompt,
        "reference": first.reference,
        "regions": [_region(region) for region in first.reference_regions or []],
        "sides": [_side(*side) for side in sides],
    }


def difference(prediction: str, reference: str) -> list[tuple[str, str]]:
    """The predicted text in pieces, word by word: ("same" | "extra" | "lost", text).

    Extra is not in the reference, lost is only there. Grounding tags are left out; blanks of any kind are equal, as in
    the metrics. Of HTML tables the cells are shown, parted by bars: how they lie is seen where tables are drawn.
    """
    texts = (_ROW_END.sub("\n", _CELL_END.sub(" | ", plain_text(text))) for text in (prediction, reference))
    texts = (unicodedata.normalize("NFC", _TABLE_TAG.sub("", text)) for text in texts)
    predicted, wanted = map(_TOKEN.findall, texts)
    same = [[" " if token.isspace() else token for token in side] for side in (predicted, wanted)]
    pieces = []
    for step in Levenshtein.opcodes(*same):
        extra = "".join(predicted[step.src_start : step.src_end])
        lost = "".join(wanted[step.dest_start : step.dest_end])
        pieces += [("same", extra)] if step.tag == "equal" else [("extra", extra), ("lost", lost)]
    return [piece for piece in pieces if piece[1]]


def _side(line: Prediction, measured: PageMeasure, scores: Scores) -> dict[str, Any]:
    partners = {p: {"partner": r, "iou": iou} for p, r, iou in measured.box_pairs}
    alone = {"partner": None, "iou": 0.0 if line.scored_regions()[0] else None}
    return {
        "scores": scores,
        "marks": [mark for mark, quantity in _MARKS.items() if measured.quantities[quantity]],
        "regions": [_region(region) | partners.get(p, alone) for p, region in enumerate(line.regions or [])],
        "difference": difference(line.prediction, line.reference),
        "tables": _tables(line, measured.table_pairs),
        "prediction": line.prediction,
    }


def _region(region: Region) -> dict[str, Any]:
    return region.to_dict() | {"box": [round(float(value), 1) for value in region.box]}


def _tables(line: Prediction, pairs: Sequence[Pair]) -> list[dict[str, Any]]:
    """Pairs of tables as the metrics match them; then those that one side has alone."""
    predicted, reference = map(find_tables, (line.prediction, line.reference))
    alone = [(p, None, 0.0) for p in range(len(predicted)) if p not in {pair[0] for pair in pairs}]
    alone += [(None, r, 0.0) for r in range(len(reference)) if r not in {pair[1] for pair in pairs}]
    shown = []
    for p, r, score in [*pairs, *alone]:
        a, b = None if p is None else predicted[p].table, None if r is None else reference[r].table
        shown.append({"teds": score, "predicted": _grid(a, b), "reference": _grid(b, a)})
    return shown


def _grid(table: Table | None, other: Table | None) -> list[list[tuple[str, int, int, bool]]] | None:
    """Rows of (text, columns, rows, whether the other table has the same text there)."""
    if table is None:
        return None
    beside = enumerate(other.rows if other else ())
    same = {(row, at, cell.text) for row, cells in beside for at, cell in enumerate(cells)}
    return [
        [
            (cell.text, min(cell.column_span, _MAX_SPAN), min(cell.row_span, _MAX_SPAN), (row, at, cell.text) in same)
            for at, cell in enumerate(cells)
        ]
        for row, cells in enumerate(table.rows[:_MAX_ROWS])
    ]
