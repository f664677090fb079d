"""`metrics.json`: the figures of a set of prediction lines. What cannot be measured is None, never 0."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ocr2_hf.evaluation.average_precision import Detections, LabelledBox
from ocr2_hf.evaluation.intervals import interval, resamples
from ocr2_hf.evaluation.measures import (
    COUNTS,
    QUANTITIES,
    RATIOS,
    Line,
    Measures,
    measure_labels,
    measure_pages,
    plain_pair,
)
from ocr2_hf.evaluation.scripts import dominant_script

# Of more different values than these no breakdown is made: then they are no groups, but names.
MAX_GROUPS = 50

MAP_SAMPLES = 200

HIGHER_IS_BETTER = {
    *("text_accuracy", "exact_match", "exact_match_strict", "teds", "teds_s", "cell_precision", "cell_recall", "cdm"),
    *("bbox_iou", "map", "box_precision_50", "box_recall_50", "box_f1_50"),
    *("box_precision_75", "box_recall_75", "box_f1_75", "pages_per_second"),
}
_LABEL_FIGURES = ("bbox_iou", *(f"box_{name}_{least}" for least in (50, 75) for name in ("precision", "recall", "f1")))


def summarize(lines: Sequence[Line], measures: Sequence[Measures] | None = None) -> dict[str, float | int | None]:
    """Flat metrics over prediction lines (see `predictions`); `measures` is `measure_pages(lines)` where it is known.

    `text_accuracy` is max(0, 1 - cer); text is compared without its grounding tags, and the text metrics are None when
    no reference has any text. `bbox_iou` is the mean IoU over all reference boxes (one without a match counts 0), None
    when there are none. Tables without a partner count 0. `inference_time` (seconds per page), `pages_per_second` (of
    one process), `tokens_per_page` and `missing_eos_rate` are over the pages that say so; `cdm` needs a scorer (see
    `measure_pages`). A line with `missing` counts as a page on which nothing was read.
    """
    sums = _matrix(measures if measures is not None else measure_pages(lines)).sum(axis=0)
    figures = {name: _number(values[0]) for name, values in _ratios(sums[None, :]).items()}
    figures["map"] = _detections(lines).mean()
    counts = {name: int(sums[QUANTITIES.index(quantity)]) for name, quantity in COUNTS.items()}
    return figures | counts


def summarize_with_intervals(
    lines: Sequence[Line], seed: int = 0, samples: int = 1000, measures: Sequence[Measures] | None = None
) -> dict[str, Any]:
    """`summarize`, with `intervals` and `by`.

    `intervals`: {metric: [low, high]}, the middle 95% over `samples` bootstrap samples of the pages, for every metric
    that was measured, from two pages on. `by`: {"label" | "script" | "language" | "task": {value: metrics}}, the
    metrics of a part of the pages, or of the regions of a label, as far as they can be measured.
    """
    measures = measures if measures is not None else measure_pages(lines)
    figures = summarize(lines, measures)
    values = bootstrap(lines, measures, seed, samples) if len(lines) > 1 else {}
    intervals = {name: interval(values[name]) for name in values if figures[name] is not None}
    return figures | {"intervals": intervals, "by": _breakdowns(lines, measures)}


def bootstrap(
    lines: Sequence[Line], measures: Sequence[Measures], seed: int = 0, samples: int = 1000
) -> dict[str, np.ndarray]:
    """The value of every metric in every bootstrap sample, {metric: [samples]}; NaN where it cannot be measured.

    `map` is computed on the first MAP_SAMPLES samples: it is no ratio of sums, and takes longer than all others.
    Sums are divided by sums within each sample. The same seed and number of pages give the same samples.
    """
    sums_PK, detections = _matrix(measures), _detections(lines)
    parts = defaultdict(list)
    for counts_SP in resamples(len(lines), samples, seed):
        for name, values in _ratios(counts_SP @ sums_PK).items():
            parts[name].append(values)
        left = MAP_SAMPLES - sum(map(len, parts["map"]))
        parts["map"].append(detections.resampled(counts_SP[: max(left, 0)]))
    return {name: np.concatenate(values) for name, values in parts.items()}


def boxes(line: Line, key: str) -> list[list[float]]:
    """The boxes of `line[key]` ("regions" or "reference_regions"), [N, 4]."""
    return [region["box"] for region in line.get(key) or []]


def _matrix(measures: Sequence[Measures]) -> np.ndarray:
    """[pages, QUANTITIES]"""
    rows = [[page.get(quantity, 0) for quantity in QUANTITIES] for page in measures]
    return np.array(rows, dtype=np.float64).reshape(-1, len(QUANTITIES))


def _ratios(sums_SK: np.ndarray) -> dict[str, np.ndarray]:
    """{metric: [S]} of S rows of summed QUANTITIES; NaN where it cannot be measured."""
    column = {quantity: sums_SK[:, index] for index, quantity in enumerate(QUANTITIES)}
    figures = {}
    for name, (above, below, needed) in RATIOS.items():
        measured = (column[needed] > 0) & (column[below] > 0)
        figures[name] = np.divide(column[above], column[below], out=np.full(len(sums_SK), np.nan), where=measured)
    return {"text_accuracy": np.maximum(0.0, 1.0 - figures["cer"])} | figures


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _detections(lines: Sequence[Line]) -> Detections:
    return Detections(*([_labelled(line, key) for line in lines] for key in ("regions", "reference_regions")))


def _labelled(line: Line, key: str) -> list[LabelledBox]:
    return [(region.get("label") or "", region["box"]) for region in line.get(key) or []]


def _breakdowns(lines: Sequence[Line], measures: Sequence[Measures]) -> dict[str, dict[str, dict[str, Any]]]:
    kinds: Mapping[str, Callable[[Line], str | None]] = {
        "script": lambda line: dominant_script(plain_pair(line)[1]),
        "language": lambda line: line.get("language"),
        "task": lambda line: line.get("task"),
    }
    parts = {"label": _by_label(lines)} | {kind: _by_page(lines, measures, of) for kind, of in kinds.items()}
    return {kind: values for kind, values in parts.items() if values}


def _by_page(
    lines: Sequence[Line], measures: Sequence[Measures], value_of: Callable[[Line], str | None]
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


def _by_label(lines: Sequence[Line]) -> dict[str, dict[str, Any]]:
    """The box metrics of each label that the references have, and the CER of its regions where texts are known."""
    if len({label for line in lines for label, _ in _labelled(line, "reference_regions")}) > MAX_GROUPS:
        return {}
    precisions = _detections(lines).by_label()
    has_text = any(region.get("text") for line in lines for region in line.get("regions") or [])
    pages = defaultdict(list)
    for line in lines:
        for label, measures in measure_labels(line).items():
            pages[label].append(measures)
    groups = {}
    for label, precision in precisions.items():
        sums = _matrix(pages[label]).sum(axis=0)
        figures = {name: _number(values[0]) for name, values in _ratios(sums[None, :]).items()}
        names = (*_LABEL_FIGURES, "cer") if has_text else _LABEL_FIGURES
        groups[label] = {"boxes": int(sums[QUANTITIES.index("boxes")]), "average_precision": precision} | {
            name: figures[name] for name in names if figures[name] is not None
        }
    return dict(sorted(groups.items(), key=lambda item: -item[1]["boxes"]))
