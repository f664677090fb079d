"""CDM of the formulas that were matched, which somebody else measures.

`formulas.json` lists them as the CDM tool of the official scorer reads them (`CDM_plain` in metrics/cal_metric.py):
`[{"img_id": "0", "img_name": page, "gt": LaTeX, "pred": LaTeX}]`. Its answer, or a command, gives the scores.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ocr2_hf.errors import WorkError
from ocr2_hf.evaluation.formulas import score_formulas
from ocr2_hf.evaluation.omnidocbench.page import PageScore


def formula_list(scores: Sequence[PageScore]) -> list[dict[str, str]]:
    """Every matched formula of the pages that were predicted, numbered."""
    pairs = [(score.image, *pair) for score in scores if not score.missing for pair in score.formulas]
    keys = ("img_name", "gt", "pred")
    return [{"img_id": str(number), **dict(zip(keys, pair))} for number, pair in enumerate(pairs)]


def cdm_by_page(
    formulas: Sequence[dict[str, str]], scores: str | None, command: str | None
) -> dict[str, list[float]] | None:
    """{page: CDM of its formulas} by a file of scores or else a command (see `evaluation.cdm`); None without either.

    The file is what the CDM tool writes, `{"details": {img_id: {"F1_score": x}}}`, or `{img_id: x}`.
    """
    if scores is not None:
        values = _file_scores(Path(scores), [formula["img_id"] for formula in formulas])
    elif command is not None:
        values = score_formulas([(formula["pred"], formula["gt"]) for formula in formulas], command)
    else:
        return None
    pages: dict[str, list[float]] = {}
    for formula, value in zip(formulas, values, strict=True):
        pages.setdefault(formula["img_name"], []).append(value)
    return pages


def _file_scores(file: Path, ids: Sequence[str]) -> list[float]:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise WorkError(f"--cdm_scores {file} cannot be read: {error}") from error
    details = content.get("details", content) if isinstance(content, dict) else {}
    values = {key: _number(value) for key, value in details.items()} if isinstance(details, dict) else {}
    wrong = next((key for key in ids if values.get(key) is None), None)
    if wrong is not None or len(values) != len(ids):
        missing = f"none in [0, 1] for img_id {wrong}" if wrong is not None else "others too"
        raise WorkError(f"--cdm_scores {file} has {len(values)} scores for the {len(ids)} of formulas.json, {missing}")
    return [values[key] for key in ids]


def _number(value: Any) -> float | None:
    value = value.get("F1_score") if isinstance(value, dict) else value
    is_score = isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value <= 1
    return float(value) if is_score else None
