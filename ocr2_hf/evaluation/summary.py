"""`metrics.json`: the figures of a set of prediction lines. What cannot be measured is None, never 0."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ocr2_hf.document.predictions import Prediction
from ocr2_hf.evaluation.average_precision import Detections
from ocr2_hf.evaluation.intervals import interval, resamples
from ocr2_hf.evaluation.measures import Measures, measure_boxes, measure_labels, plain_pair
from ocr2_hf.evaluation.registry import DEFINITIONS, Metric, counted_metrics, measure_pages
from ocr2_hf.evaluation.scripts import dominant_script

# Of more different values than these no breakdown is made: then they are no groups, but names.
MAX_GROUPS = 50

# Of a figure that is no ratio of sums: each takes longer than all ratios together.
WHOLE_SAMPLES = 200


def summarize(lines: Sequence[Prediction], measures: Sequence[Measures] | None = None) -> dict[str, float | int | None]:
    """Flat metrics over prediction lines; `measures` is `measure_pages(lines)` where it is known.

    `text_accuracy` is max(0, 1 - cer); text is compared without its grounding tags, and the text metrics are None when
    no reference has any text. `bbox_iou` is the mean IoU over all reference boxes (one without a match counts 0), None
    when there are none. Tables without a partner count 0. `inference_time` (seconds per page), `pages_per_second` (of
    one process), `tokens_per_page` and `missing_eos_rate` are over the pages that say so; `cdm` needs a scorer (see
    `measure_pages`). A line with `missing` counts as a page on which nothing was read.
    """
    sums = _sums(measures if measures is not None else measure_pages(lines))
    figures = {metric.name: _figure(metric, lines, sums) for metric in counted_metrics()}
    return figures | {"pages": len(lines)}


def figure(metric: Metric, lines: Sequence[Prediction], measures: Sequence[Measures]) -> float | int | None:
    """One metric; `measures` have at least the quantities that it is counted from."""
    return _figure(metric, lines, _sums(measures))


def summarize_with_intervals(
    lines: Sequence[Prediction], seed: int = 0, samples: int = 1000, measures: Sequence[Measures] | None = None
) -> dict[str, Any]:
    """`summarize`, with `intervals`, `by`, and `definitions`, the version of what the metrics mean.

    `intervals`: {metric: [low, high]}, the middle 95% over `samples` bootstrap samples of the pages, for every metric
    that was measured, from two pages on. `by`: {"label" | "script" | "language" | "task": {value: metrics}}, the
    metrics of a part of the pages, or of the regions of a label, as far as they can be measured.
    """
    measures = measures if measures is not None else measure_pages(lines)
    figures = summarize(lines, measures)
    values = bootstrap(lines, measures, seed, samples) if len(lines) > 1 else {}
    intervals = {name: interval(values[name]) for name in values if figures[name] is not None}
    return figures | {"definitions": DEFINITIONS, "intervals": intervals, "by": _breakdowns(lines, measures)}


def bootstrap(
    lines: Sequence[Prediction], measures: Sequence[Measures], seed: int = 0, samples: int = 1000
) -> dict[str, np.ndarray]:
    """The value of every metric but counts in every bootstrap sample, {metric: [samples]}; NaN where it cannot be
    measured.

    Sums are divided by sums within each sample; what is no such ratio is computed on the first WHOLE_SAMPLES samples.
    The same seed and number of pages give the same samples.
    """
    quantities = _quantities()
    sums_PK = _matrix(measures, quantities)
    wholes = {metric.name: metric.over_all(lines) for metric in counted_metrics() if metric.over_all}
    parts = defaultdict(list)
    for counts_SP in resamples(len(lines), samples, seed):
        column = dict(zip(quantities, (counts_SP @ sums_PK).T, strict=True))
        for metric in counted_metrics():
            if metric.normaliser:
                parts[metric.name].append(_ratio(metric, column))
        for name, whole in wholes.items():
            left = WHOLE_SAMPLES - sum(map(len, parts[name]))
            parts[name].append(whole.resampled(counts_SP[: max(left, 0)]))
    return {name: np.concatenate(values) for name, values in parts.items()}


def _quantities() -> list[str]:
    """What is summed over pages, for any metric."""
    named = [(metric.sum, metric.normaliser, metric.needs) for metric in counted_metrics()]
    return list(dict.fromkeys(name for names in named for name in names if name))


def _matrix(measures: Sequence[Measures], quantities: Sequence[str]) -> np.ndarray:
    """[pages, quantities]"""
    rows = [[page.get(quantity, 0) for quantity in quantities] for page in measures]
    return np.array(rows, dtype=np.float64).reshape(-1, len(quantities))


def _sums(measures: Sequence[Measures]) -> dict[str, np.ndarray]:
    """{quantity: [1]}"""
    quantities = _quantities()
    return dict(zip(quantities, _matrix(measures, quantities).sum(axis=0)[:, None], strict=True))


def _ratio(metric: Metric, column: Mapping[str, np.ndarray]) -> np.ndarray:
    """[S] of S rows of summed quantities; NaN where it cannot be measured."""
    above, below = column[metric.sum], column[metric.normaliser]
    measured = (column[metric.needs or metric.normaliser] > 0) & (below > 0)
    ratio = np.divide(above, below, out=np.full(len(above), np.nan), where=measured)
    return metric.turn(ratio) if metric.turn else ratio


def _figure(metric: Metric, lines: Sequence[Prediction], sums: Mapping[str, np.ndarray]) -> float | int | None:
    if metric.over_all:
        return metric.over_all(lines).mean()
    if not metric.normaliser:
        return int(sums[metric.sum][0])
    value = _ratio(metric, sums)[0]
    return None if np.isnan(value) else float(value)


def _breakdowns(lines: Sequence[Prediction], measures: Sequence[Measures]) -> dict[str, dict[str, dict[str, Any]]]:
    kinds: Mapping[str, Callable[[Prediction], str | None]] = {
        "script": lambda line: dominant_script(plain_pair(line)[1]),
        "language": lambda line: line.language,
        "task": lambda line: line.task,
    }
    parts = {"label": _by_label(lines)} | {kind: _by_page(lines, measures, of) for kind, of in kinds.items()}
    return {kind: values for kind, values in parts.items() if values}


def _by_page(
    lines: Sequence[Prediction], measures: Sequence[Measures], value_of: Callable[[Prediction], str | None]
) -> dict[str, dict[str, Any]]:
    """The metrics of the pages of each value, the most frequent first; pages without a value are left out."""
    places = defaultdict(list)
    for place, line in enumerate(lines):
        if value := value_of(line):
            places[value].append(place)
    if len(places) > MAX_GROUPS:
        return {}
    groups = {
        value: summarize([lines[place] for place in group], [measures[place] for place in group])
        for value, group in sorted(places.items(), key=lambda item: -len(item[1]))
    }
    return {value: {name: x for name, x in metrics.items() if x is not None} for value, metrics in groups.items()}


def _by_label(lines: Sequence[Prediction]) -> dict[str, dict[str, Any]]:
    """The box metrics of each label that the references have, and the CER of its regions where texts are known."""
    if len({region.label for line in lines for region in line.reference_regions or ()}) > MAX_GROUPS:
        return {}
    has_text = any(region.text for line in lines for region in line.regions or ())
    pages = defaultdict(list)
    for line in lines:
        for label, measures in measure_labels(line).items():
            pages[label].append(measures)
    shown = [
        metric for metric in counted_metrics() if metric.measure is measure_boxes or (has_text and metric.name == "cer")
    ]
    groups = {}
    for label, precision in Detections.of(lines).by_label().items():
        sums = _sums(pages[label])
        figures = {metric.name: _figure(metric, lines, sums) for metric in shown}
        groups[label] = {"boxes": int(sums["boxes"][0]), "average_precision": precision} | {
            name: value for name, value in figures.items() if value is not None
        }
    return dict(sorted(groups.items(), key=lambda item: -item[1]["boxes"]))
