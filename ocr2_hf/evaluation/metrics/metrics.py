"""Metrics as modules of the library `evaluate`, which loads them by path, offline.

    evaluate.load("ocr2_hf/evaluation/metrics", "teds").compute(predictions=[...], references=[...])

Every metric of the registry that texts or boxes are enough for is there by its name: the value that `ocr2 evaluate`
gives, an entry a page. `evaluate` wants a file for each path, so the modules that had one of their own keep it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import fmean
from typing import Any

import datasets
import evaluate

from ocr2_hf.document.grounding import Region
from ocr2_hf.document.predictions import Prediction
from ocr2_hf.evaluation.boxes import BoxScores, box_scores
from ocr2_hf.evaluation.measures import PageMeasure
from ocr2_hf.evaluation.reading_order import reading_order_distance
from ocr2_hf.evaluation.registry import METRICS, Metric
from ocr2_hf.evaluation.summary import summarize_measures

_TEXT = datasets.Value("string")
_BOXES = datasets.List(datasets.List(datasets.Value("float64")))
_ORDER = datasets.List(datasets.Value("int64"))


@dataclass(frozen=True)
class ModuleSpec:
    """What an entry of predictions and references is, and the function of both (of predictions alone where there is no
    reference) and of options."""

    meaning: str
    entry: Any
    compute: Callable[..., Any]
    has_references: bool = True


class MetricModule(evaluate.Metric):
    """The metric `metric`, or, where a module has none, the one its configuration names."""

    metric: str | None = None

    def _info(self) -> evaluate.MetricInfo:
        sides = ("predictions", "references") if self._spec.has_references else ("predictions",)
        features = datasets.Features(dict.fromkeys(sides, self._spec.entry))
        return evaluate.MetricInfo(description=self._spec.meaning, citation="", features=features)

    def _compute(self, **given: Any) -> dict[str, Any]:
        sides = [given.pop(side) for side in ("predictions", "references") if side in given]
        value = self._spec.compute(*sides, **given)
        return value._asdict() if isinstance(value, BoxScores) else {self.metric or self.config_name: value}

    @property
    def _spec(self) -> ModuleSpec:
        specs = {metric.name: _spec(metric) for metric in METRICS.values() if metric.inputs} | _NAMED
        name = self.metric or self.config_name
        if name not in specs:
            raise ValueError(f"no metric {name!r}; there are {', '.join(sorted(specs))}")
        return specs[name]


def module_of(metric: str) -> type[MetricModule]:
    """The module of one metric, for a path of its own."""
    return type("Module", (MetricModule,), {"metric": metric})


def _spec(metric: Metric) -> ModuleSpec:
    compute = metric.module or partial(_counted, metric)
    entry = _BOXES if metric.inputs == "boxes" else _TEXT
    return ModuleSpec(metric.directed_meaning, entry, compute, metric.inputs != "prediction")


def _counted(metric: Metric, predictions: Sequence[Any], references: Sequence[Any]) -> float | None:
    """The metric over pages of which no more is known."""
    lines = [_line(metric, *sides) for sides in zip(predictions, references, strict=True)]
    return summarize_measures([PageMeasure({"pages": 1} | metric.measure(line)) for line in lines])[metric.name]


def _line(metric: Metric, prediction: Any, reference: Any) -> Prediction:
    if metric.inputs != "boxes":
        return Prediction("", prediction, reference)
    made, wanted = ([Region("", tuple(box)) for box in side] for side in (prediction, reference))
    return Prediction("", "", regions=made, reference_regions=wanted)


def _teds(predictions: Sequence[str], references: Sequence[str], structure_only: bool = False) -> float | None:
    return _counted(METRICS["teds_s" if structure_only else "teds"], predictions, references)


def _reading_order(predictions: Sequence[Sequence[int]], references: Sequence[Sequence[int]]) -> float:
    return fmean(map(reading_order_distance, predictions, references))


# Modules with a name or options of their own.
_NAMED = {
    "teds": ModuleSpec("TEDS of the tables in each text; structure_only=True gives TEDS-S", _TEXT, _teds),
    "box_iou": ModuleSpec(
        "Mean IoU over reference boxes; a list of xyxy boxes a page", _BOXES, partial(_counted, METRICS["bbox_iou"])
    ),
    "box_f1": ModuleSpec(
        "Precision, recall and F1 of boxes of an IoU of at least min_iou (0.5); greedy=True takes the best pairs first",
        *(_BOXES, box_scores),
    ),
    "reading_order": ModuleSpec(
        "Edit distance of two orders of block ids; a list of ids a page", _ORDER, _reading_order
    ),
}
