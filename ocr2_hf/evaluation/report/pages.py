"""The pages of a report: of one evaluation or of two beside each other, and the value of each page for each metric."""

from collections.abc import Sequence

import numpy as np

from ocr2_hf.document.predictions import Prediction
from ocr2_hf.evaluation.measures import PageMeasure
from ocr2_hf.evaluation.registry import Metric, listed_metrics, measure_pages
from ocr2_hf.evaluation.report.items import Side
from ocr2_hf.evaluation.summary import page_values


class ReportPages:
    """All pages, and `metrics`, by which they are listed: those that any page has."""

    def __init__(
        self, sides: Sequence[Sequence[Prediction]], measures: Sequence[Sequence[PageMeasure]] | None = None
    ) -> None:
        """`sides`: the lines of each evaluation; `measures`: `measure_pages` of them, where it is known."""
        self._sides = sides
        self._measures = list(map(measure_pages, sides)) if measures is None else measures
        self._values = [page_values(listed_metrics(), side) for side in self._measures]
        self.metrics = [m for m in listed_metrics() if any(np.isfinite(side[m.name]).any() for side in self._values)]

    def __len__(self) -> int:
        return len(self._sides[0])

    def __getitem__(self, page: int) -> list[Side]:
        return [
            (lines[page], measures[page], {name: _known(values[page]) for name, values in by_name.items()})
            for lines, measures, by_name in zip(self._sides, self._measures, self._values, strict=True)
        ]

    def badness(self) -> dict[str, np.ndarray]:
        """[P] by metric, NaN where it was not measured: how bad a page is; of two evaluations, how much worse it
        became."""
        first, last = self._values[0], self._values[-1]
        more = {m.name: last[m.name] - (first[m.name] if len(self._values) > 1 else 0) for m in self.metrics}
        return {m.name: -more[m.name] if m.higher_is_better else more[m.name] for m in self.metrics}

    def distribution(self, metric: Metric) -> list[list[float]]:
        """The measured values of all pages in each evaluation, to four digits: they become bars."""
        sides = (side[metric.name] for side in self._values)
        return [[float(f"{value:.4g}") for value in side[np.isfinite(side)]] for side in sides]


def _known(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
