"""`metrics.json`: the metrics of a set of prediction lines, and of two beside each other, with bootstrap intervals.

What cannot be measured is None, never 0.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from ocr2_hf.document.predictions import Prediction
from ocr2_hf.errors import WorkError
from ocr2_hf.evaluation.boxes import Detections
from ocr2_hf.evaluation.measures import Measures, PageMeasure, measure_boxes
from ocr2_hf.evaluation.registry import DEFINITIONS, METRICS, Metric, counted_metrics, measure_pages

CONFIDENCE = 0.95

# Of more different values than these no breakdown is made: then they are no groups, but names.
MAX_GROUPS = 50

# Of a metric that is no ratio of sums: each takes longer than all ratios together.
WHOLE_SAMPLES = 200

_CELLS_AT_ONCE = 2_000_000  # of samples x pages: 16 MB


def summarize(
    lines: Sequence[Prediction], measures: Sequence[PageMeasure] | None = None
) -> dict[str, float | int | None]:
    """Flat metrics over prediction lines; `measures` is `measure_pages(lines)` where it is known.

    `text_accuracy` is max(0, 1 - cer); text is compared without its grounding tags, and the text metrics are None when
    no reference has any text. `bbox_iou` is the mean IoU over all reference boxes (one without a match counts 0), None
    when there are none. Tables without a partner count 0. `inference_time` (seconds per page), `pages_per_second` (of
    one process), `tokens_per_page` and `missing_eos_rate` are over the pages that say so; `cdm` needs a scorer (see
    `measure_pages`). A line with `missing` counts as a page on which nothing was read.
    """
    return summarize_measures(measures if measures is not None else measure_pages(lines))


def summarize_measures(measures: Sequence[PageMeasure]) -> dict[str, float | int | None]:
    """`summarize` of pages that are measured."""
    sums = _sums([page.quantities for page in measures])
    return {metric.name: _value(metric, measures, sums) for metric in counted_metrics()} | {"pages": len(measures)}


def summarize_with_intervals(
    lines: Sequence[Prediction], seed: int = 0, samples: int = 1000, measures: Sequence[PageMeasure] | None = None
) -> dict[str, Any]:
    """`summarize`, with `intervals`, `by`, and `definitions`, the version of what the metrics mean.

    `intervals`: {metric: [low, high]}, the middle 95% over `samples` bootstrap samples of the pages, for every metric
    that was measured, from two pages on. `by`: {"label" | "script" | "language" | "task": {value: metrics}}, the
    metrics of a part of the pages, or of the regions of a label, as far as they can be measured.
    """
    measures = measures if measures is not None else measure_pages(lines)
    metrics = summarize_measures(measures)
    resampled = bootstrap(measures, seed, samples) if len(measures) > 1 else {}
    intervals = {name: interval(values) for name, values in resampled.items() if metrics[name] is not None}
    return metrics | {"definitions": DEFINITIONS, "intervals": intervals, "by": _breakdowns(measures)}


def page_values(metrics: Sequence[Metric], measures: Sequence[PageMeasure]) -> dict[str, np.ndarray]:
    """[P]: the value of each metric, a sum or a ratio of sums, on every page alone; NaN where it cannot be measured."""
    names, pages_PK = _quantities([page.quantities for page in measures])
    pages = dict(zip(names, pages_PK.T, strict=True))
    return {metric.name: _ratio(metric, pages) if metric.normaliser else pages[metric.sum] for metric in metrics}


def shared_pages(
    before: Sequence[Prediction], after: Sequence[Prediction]
) -> tuple[list[Prediction], list[Prediction]]:
    """The pages that both evaluations have, in one order. Raises WorkError when there is none.

    Also when a shared page has two references: then the metrics do not compare like with like.
    """
    after_by_id = {line.id: line for line in after}
    pairs = [(line, after_by_id[line.id]) for line in before if line.id in after_by_id]
    if not pairs:
        raise WorkError("the two evaluations have no page in common; compare two evaluations of one data set")
    for a, b in pairs:
        if a.reference != b.reference:
            raise WorkError(f"page {a.id!r} has two references; compare two evaluations of one task")
    return [a for a, _ in pairs], [b for _, b in pairs]


def compare(
    before: Sequence[Prediction],
    after: Sequence[Prediction],
    seed: int = 0,
    samples: int = 1000,
    measures: tuple[Sequence[PageMeasure], Sequence[PageMeasure]] | None = None,
) -> dict[str, Any]:
    """`{"before": metrics, "after": metrics, "change": after - before, "paired": ...}` of the same pages in one order.

    A change is None where a side is. `paired`: {metric: {"better_by": x, "interval": [low, high]}}: how much better
    `after` is (negative: worse), whichever way the metric points, and the middle 95% of that over bootstrap samples of
    the pages, each sample the same pages on both sides. An interval without 0 in it is a difference that other pages
    would show too. From two pages on. Both sides are measured now, by the present `definitions`; `measures` is
    `measure_pages` of both where it is known.
    """
    sides = measures or (measure_pages(before), measure_pages(after))
    a, b = map(summarize_measures, sides)
    change = {name: None if a[name] is None or b[name] is None else b[name] - a[name] for name in a}
    paired = {}
    if len(before) > 1:
        values_a, values_b = (bootstrap(side, seed, samples) for side in sides)
        for name in values_a:
            if change[name] is not None:
                sign = 1 if METRICS[name].higher_is_better else -1
                limits = interval(sign * (values_b[name] - values_a[name]))
                paired[name] = {"better_by": sign * change[name], "interval": limits}
    return {"definitions": DEFINITIONS, "before": a, "after": b, "change": change, "paired": paired}


def definitions_note(name: str, metrics: dict[str, Any]) -> str | None:
    """What to say of an evaluation whose own values, in its metrics.json, are of other definitions than today's."""
    known = metrics.get("definitions", 1)
    if not metrics or known == DEFINITIONS:
        return None
    return (
        f"{name}: its metrics.json is of the metrics' definitions {known}, today's are {DEFINITIONS}. Both sides are "
        "measured by today's here; figures of malformed answers and tables differ from that file's"
    )


def bootstrap(measures: Sequence[PageMeasure], seed: int = 0, samples: int = 1000) -> dict[str, np.ndarray]:
    """The value of every metric but counts in every bootstrap sample, {metric: [samples]}; NaN where it cannot be
    measured.

    Sums are divided by sums within each sample; what is no such ratio is computed on the first WHOLE_SAMPLES samples.
    The same seed and number of pages give the same samples.
    """
    quantities, pages_PK = _quantities([page.quantities for page in measures])
    wholes = {metric.name: _over_all(metric, measures) for metric in counted_metrics() if metric.over_all}
    parts = defaultdict(list)
    for counts_SP in resamples(len(measures), samples, seed):
        sums = dict(zip(quantities, (counts_SP @ pages_PK).T, strict=True))
        for metric in counted_metrics():
            if metric.normaliser:
                parts[metric.name].append(_ratio(metric, sums))
        for name, whole in wholes.items():
            left = WHOLE_SAMPLES - sum(map(len, parts[name]))
            parts[name].append(whole.resampled(counts_SP[: max(left, 0)]))
    return {name: np.concatenate(values) for name, values in parts.items()}


def resamples(pages: int, samples: int = 1000, seed: int = 0) -> Iterator[np.ndarray]:
    """Bootstrap samples (Efron, 1979): how far a metric would move if other pages had been drawn.

    How often each page is in each sample, [S, pages] float64 in several arrays, `samples` rows together.

    A sample is as many pages, drawn with replacement. The same seed gives the same samples.
    """
    draw = np.random.default_rng(seed)
    at_once = max(1, _CELLS_AT_ONCE // max(pages, 1))
    for start in range(0, samples, at_once):
        drawn = draw.integers(pages, size=(min(at_once, samples - start), pages))
        yield np.array([np.bincount(row, minlength=pages) for row in drawn], dtype=np.float64)


def interval(values_S: np.ndarray) -> list[float] | None:
    """[low, high]: the middle 95% of a metric's values over the samples; None where no sample could be measured."""
    measured = values_S[~np.isnan(values_S)]
    if not len(measured):
        return None
    tail = (1 - CONFIDENCE) / 2
    return [float(value) for value in np.quantile(measured, (tail, 1 - tail))]


def _quantities(measures: Sequence[Measures]) -> tuple[list[str], np.ndarray]:
    """What is summed over pages for any metric: the names [K], and the pages' values [P, K]."""
    used = [(metric.sum, metric.normaliser, metric.needs) for metric in counted_metrics()]
    names = list(dict.fromkeys(name for group in used for name in group if name))
    rows = [[page.get(name, 0) for name in names] for page in measures]
    return names, np.array(rows, dtype=np.float64).reshape(-1, len(names))


def _sums(measures: Sequence[Measures]) -> dict[str, np.ndarray]:
    """{quantity: [1]}"""
    names, pages_PK = _quantities(measures)
    return dict(zip(names, pages_PK.sum(axis=0)[:, None], strict=True))


def _ratio(metric: Metric, sums: Mapping[str, np.ndarray]) -> np.ndarray:
    """[S] of S rows of summed quantities; NaN where it cannot be measured."""
    above, below = sums[metric.sum], sums[metric.normaliser]
    measured = (sums[metric.needs or metric.normaliser] > 0) & (below > 0)
    ratio = np.divide(above, below, out=np.full(len(above), np.nan), where=measured)
    return metric.turn(ratio) if metric.turn else ratio


def _over_all(metric: Metric, measures: Sequence[PageMeasure]) -> Detections:
    return metric.over_all([page.found for page in measures])


def _value(metric: Metric, measures: Sequence[PageMeasure], sums: Mapping[str, np.ndarray]) -> float | int | None:
    if metric.over_all:
        return _over_all(metric, measures).mean()
    if not metric.normaliser:
        return int(sums[metric.sum][0])
    value = _ratio(metric, sums)[0]
    return None if np.isnan(value) else float(value)


def _breakdowns(measures: Sequence[PageMeasure]) -> dict[str, dict[str, dict[str, Any]]]:
    kinds = dict.fromkeys(kind for page in measures for kind in page.parts)
    parts = {"label": _by_label(measures)} | {kind: _by_page(kind, measures) for kind in kinds}
    return {kind: groups for kind, groups in parts.items() if groups}


def _by_page(kind: str, measures: Sequence[PageMeasure]) -> dict[str, dict[str, Any]]:
    """The metrics of the pages of each value, the most frequent first; pages without a value are left out."""
    groups = defaultdict(list)
    for page in measures:
        if value := page.parts[kind]:
            groups[value].append(page)
    if len(groups) > MAX_GROUPS:
        return {}
    ordered = sorted(groups.items(), key=lambda item: -len(item[1]))
    return {value: _known(summarize_measures(group)) for value, group in ordered}


def _by_label(measures: Sequence[PageMeasure]) -> dict[str, dict[str, Any]]:
    """The box metrics of each label that the references have, and the CER of its regions where texts are known."""
    detections = Detections([page.found for page in measures])
    if len(detections.labels) > MAX_GROUPS:
        return {}
    has_text = any(page.has_region_texts for page in measures)
    shown = [
        metric for metric in counted_metrics() if metric.measure is measure_boxes or (has_text and metric.name == "cer")
    ]
    groups = {}
    for label, precision in detections.by_label().items():
        sums = _sums([page.labels[label] for page in measures if label in page.labels])
        values = {metric.name: _value(metric, measures, sums) for metric in shown}
        groups[label] = {"boxes": int(sums["boxes"][0]), "average_precision": precision, **_known(values)}
    return dict(sorted(groups.items(), key=lambda item: -item[1]["boxes"]))


def _known(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}
