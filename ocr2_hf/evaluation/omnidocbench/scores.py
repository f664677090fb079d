"""The metrics of a set of pages: each page's own, their means, these by page attribute; and CDM, which somebody else
measures.

A page counts for a metric when it has something to measure: the mean of the page's tables for TEDS, of its formulas
for CDM, the sum of its edits over the sum of the longer lengths for the rest. Pages without a prediction do not count:
that is how the official scorer has it (metrics/cal_metric.py `ALL_page_avg`, metrics/show_result.py
`get_page_split`, tools/generate_result_tables.ipynb), and `with_missing_pages` counts them as empty pages.

`formulas.json` lists the matched formulas as the CDM tool of the official scorer reads them (`CDM_plain` in
metrics/cal_metric.py): `[{"img_id": "0", "img_name": page, "gt": LaTeX, "pred": LaTeX}]`. Its answer, or a command,
gives the scores.
"""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ocr2_hf.errors import WorkError
from ocr2_hf.evaluation.formulas import score_formulas
from ocr2_hf.evaluation.omnidocbench.page_score import Edits, PageScore
from ocr2_hf.evaluation.registry import DECIMAL, METRICS, RATE, Metric
from ocr2_hf.evaluation.summary import interval, resamples

_EDITS = (
    Metric("text_edit", "Text edits", DECIMAL, "lower", "edit distance of blocks of text, 0 is perfect"),
    Metric("formula_edit", "Formula edits", DECIMAL, "lower", "edit distance of display formulas, 0 is perfect"),
    Metric("table_edit", "Table edits", DECIMAL, "lower", "edit distance of the tables' HTML, 0 is perfect"),
)
_AS_ELSEWHERE = tuple(METRICS[name] for name in ("teds", "teds_s", "reading_order_edit", "cdm"))
_OVERALL = Metric("overall", "Overall", RATE, "higher", "100 times the mean of 1 - text edits, TEDS and CDM")
BENCHMARK_METRICS = (*_EDITS, *_AS_ELSEWHERE, _OVERALL)
_PAGE_METRICS = [metric.name for metric in (*_EDITS, *_AS_ELSEWHERE)]
PageValues = dict[str, float | None]


def summarize_pages(scores: Sequence[PageScore], cdm: Mapping[str, Sequence[float]] | None = None) -> dict[str, Any]:
    """All that metrics.json holds. `cdm` has the CDM of each page's formulas, by image; None where nobody measured it.

    Metrics that nothing was measured for are None; `overall` is 100 times the mean of 1 - text_edit, TEDS and CDM.
    """
    predicted = [score for score in scores if not score.missing]
    values = page_values(predicted, cdm)
    metrics: dict[str, Any] = {
        **mean_values(values),
        "pages": len(scores),
        "missing_pages": len(scores) - len(predicted),
        # What the official scorer does not see.
        "cer_strict": _ratio([score.strict for score in predicted]),
        "invented_text_rate": _ratio([score.invented for score in predicted]),
        "repeated_block_rate": _ratio([score.repeated for score in predicted]),
        "repetition_rate": _mean([float(score.looping) for score in predicted]),
        "empty_rate": _mean([float(score.empty) for score in predicted]),
        "intervals": _intervals(values),
        "by": _by_attribute(predicted, values),
    }
    if len(predicted) < len(scores):
        empty = {score.image: [0.0] * len(score.formula) for score in scores if score.missing}
        metrics["with_missing_pages"] = mean_values(page_values(scores, None if cdm is None else {**cdm, **empty}))
    return metrics


def page_values(scores: Sequence[PageScore], cdm: Mapping[str, Sequence[float]] | None = None) -> list[PageValues]:
    """The value of each metric for each page.

    Formulas that were predicted as text count as text, but only where some page has text: else for nothing, which is
    the official scorer's rule.
    """
    has_text = any(score.text for score in scores)
    return [
        {
            "text_edit": _ratio(score.text + score.unread_formulas * has_text),
            "formula_edit": _ratio(score.formula),
            "table_edit": _ratio(score.table),
            "teds": _mean(score.teds),
            "teds_s": _mean(score.teds_s),
            "reading_order_edit": _ratio(score.order),
            "cdm": None if cdm is None else _mean(cdm.get(score.image, ())),
        }
        for score in scores
    ]


def mean_values(pages: Sequence[PageValues]) -> PageValues:
    """The mean of each metric over the pages that have it, and `overall`."""
    means = {name: _mean([page[name] for page in pages if page[name] is not None]) for name in _PAGE_METRICS}
    return {**means, "overall": _overall(means)}


def formula_list(scores: Sequence[PageScore]) -> list[dict[str, str]]:
    """Every matched formula of the pages that were predicted, numbered."""
    pairs = [(score.image, *pair) for score in scores if not score.missing for pair in score.formulas]
    keys = ("img_name", "gt", "pred")
    return [{"img_id": str(number), **dict(zip(keys, pair))} for number, pair in enumerate(pairs)]


def cdm_by_page(
    formulas: Sequence[dict[str, str]], scores: str | None, command: str | None
) -> dict[str, list[float]] | None:
    """{page: CDM of its formulas} by a file of scores or else a command (see `formulas`); None without either.

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


def _overall(means: PageValues) -> float | None:
    text, teds, cdm = (means[name] for name in ("text_edit", "teds", "cdm"))
    return None if text is None or teds is None or cdm is None else 100 * (1 - text + teds + cdm) / 3


def _by_attribute(scores: Sequence[PageScore], pages: Sequence[PageValues]) -> dict[str, dict[str, dict[str, Any]]]:
    """{attribute: {value: metrics and pages}}. A list attribute counts a page for each of its values."""
    groups: dict[str, dict[str, list[PageValues]]] = defaultdict(lambda: defaultdict(list))
    for score, page in zip(scores, pages, strict=True):
        for attribute, value in score.attributes.items():
            for one in value if isinstance(value, list) else [value]:
                groups[attribute][str(one)].append(page)
    return {
        attribute: {value: {**mean_values(found), "pages": len(found)} for value, found in sorted(values.items())}
        for attribute, values in sorted(groups.items())
    }


def _intervals(pages: Sequence[PageValues]) -> dict[str, list[float]]:
    """95% bootstrap intervals over the pages of every metric that was measured."""
    values = {name: np.array([page[name] for page in pages], dtype=np.float64) for name in _PAGE_METRICS}
    samples: dict[str, list[np.ndarray]] = defaultdict(list)
    for counts in resamples(len(pages)):
        for name, value in values.items():
            measured = ~np.isnan(value)
            with np.errstate(invalid="ignore", divide="ignore"):
                samples[name].append(counts @ np.where(measured, value, 0) / (counts @ measured))
    means = {name: np.concatenate(parts) for name, parts in samples.items()}
    if means:
        means["overall"] = _overall(means)
    found = {name: interval(mean) for name, mean in means.items()}
    return {name: ends for name, ends in found.items() if ends is not None}


def _ratio(edits: Sequence[Edits]) -> float | None:
    length = sum(one.length for one in edits)
    return sum(one.count for one in edits) / length if length else None


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None


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
