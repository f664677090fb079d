"""The figures of a set of pages: each page's own, their means, and these by page attribute.

A page counts for a figure when it has something to measure: the mean of the page's tables for TEDS, of its formulas
for CDM, the sum of its edits over the sum of the longer lengths for the rest. Pages without a prediction do not count:
that is how the official scorer has it (metrics/cal_metric.py `ALL_page_avg`, metrics/show_result.py
`get_page_split`, tools/generate_result_tables.ipynb), and `with_missing_pages` counts them as empty pages.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ocr2_hf.evaluation.omnidocbench.page import Edits, PageScore
from ocr2_hf.evaluation.registry import DECIMAL, METRICS, RATE, Metric
from ocr2_hf.evaluation.summary import interval, resamples

_EDITS = (
    Metric("text_edit", "Text edits", DECIMAL, "lower", "edit distance of blocks of text, 0 is perfect"),
    Metric("formula_edit", "Formula edits", DECIMAL, "lower", "edit distance of display formulas, 0 is perfect"),
    Metric("table_edit", "Table edits", DECIMAL, "lower", "edit distance of the tables' HTML, 0 is perfect"),
)
_AS_ELSEWHERE = ("teds", "teds_s", "reading_order_edit", "cdm")
FIGURES = {metric.name: metric for metric in (*_EDITS, *(METRICS[name] for name in _AS_ELSEWHERE))}
OVERALL = Metric("overall", "Overall", RATE, "higher", "100 times the mean of 1 - text edits, TEDS and CDM")
Figures = dict[str, float | None]


def summarize_pages(scores: Sequence[PageScore], cdm: Mapping[str, Sequence[float]] | None = None) -> dict[str, Any]:
    """All that metrics.json holds. `cdm` has the CDM of each page's formulas, by image; None where nobody measured it.

    Figures that nothing was measured for are None; `overall` is 100 times the mean of 1 - text_edit, TEDS and CDM.
    """
    predicted = [score for score in scores if not score.missing]
    figures = page_figures(predicted, cdm)
    metrics: dict[str, Any] = {
        **mean_figures(figures),
        "pages": len(scores),
        "missing_pages": len(scores) - len(predicted),
        **_unseen_by_the_official_scorer(predicted),
        "intervals": _intervals(figures),
        "by": _by_attribute(predicted, figures),
    }
    if len(predicted) < len(scores):
        empty = {score.image: [0.0] * len(score.formula) for score in scores if score.missing}
        metrics["with_missing_pages"] = mean_figures(page_figures(scores, None if cdm is None else {**cdm, **empty}))
    return metrics


def page_figures(scores: Sequence[PageScore], cdm: Mapping[str, Sequence[float]] | None = None) -> list[Figures]:
    """The figures of each page.

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


def mean_figures(figures: Sequence[Figures]) -> Figures:
    """The mean of each figure over the pages that have it, and `overall`."""
    means = {name: _mean([page[name] for page in figures if page[name] is not None]) for name in FIGURES}
    return {**means, "overall": _overall(means)}


def _overall(means: Figures) -> float | None:
    text, teds, cdm = (means[name] for name in ("text_edit", "teds", "cdm"))
    return None if text is None or teds is None or cdm is None else 100 * (1 - text + teds + cdm) / 3


def _unseen_by_the_official_scorer(scores: Sequence[PageScore]) -> dict[str, float | None]:
    return {
        "cer_strict": _ratio([score.strict for score in scores]),
        "invented_text_rate": _ratio([score.invented for score in scores]),
        "repeated_block_rate": _ratio([score.repeated for score in scores]),
        "repetition_rate": _mean([float(score.looping) for score in scores]),
        "empty_rate": _mean([float(score.empty) for score in scores]),
    }


def _by_attribute(scores: Sequence[PageScore], figures: Sequence[Figures]) -> dict[str, dict[str, dict[str, Any]]]:
    """{attribute: {value: figures and pages}}. A list attribute counts a page for each of its values."""
    groups: dict[str, dict[str, list[Figures]]] = defaultdict(lambda: defaultdict(list))
    for score, page in zip(scores, figures, strict=True):
        for attribute, value in score.attributes.items():
            for one in value if isinstance(value, list) else [value]:
                groups[attribute][str(one)].append(page)
    return {
        attribute: {value: {**mean_figures(pages), "pages": len(pages)} for value, pages in sorted(values.items())}
        for attribute, values in sorted(groups.items())
    }


def _intervals(figures: Sequence[Figures]) -> dict[str, list[float]]:
    """95% bootstrap intervals over the pages of every figure that was measured."""
    values = {name: np.array([page[name] for page in figures], dtype=np.float64) for name in FIGURES}
    samples: dict[str, list[np.ndarray]] = defaultdict(list)
    for counts in resamples(len(figures)):
        for name, value in values.items():
            measured = ~np.isnan(value)
            with np.errstate(invalid="ignore", divide="ignore"):
                samples[name].append(counts @ np.where(measured, value, 0) / (counts @ measured))
    means = {name: np.concatenate(parts) for name, parts in samples.items()}
    if means:
        means["overall"] = 100 * (1 - means["text_edit"] + means["teds"] + means["cdm"]) / 3
    found = {name: interval(mean) for name, mean in means.items()}
    return {name: ends for name, ends in found.items() if ends is not None}


def _ratio(edits: Sequence[Edits]) -> float | None:
    length = sum(one.length for one in edits)
    return sum(one.count for one in edits) / length if length else None


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None
