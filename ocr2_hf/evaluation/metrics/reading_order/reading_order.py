"""Reading order: the mean over pages of the edit distance between two orders of block ids / the longer one's length.

A list of block ids per page on both sides: 0 is the same order, 1 shares nothing. Missing and surplus ids are edits.
"""

from statistics import fmean

import datasets
import evaluate

from ocr2_hf.evaluation.reading_order import reading_order_distance


class ReadingOrder(evaluate.Metric):
    def _info(self) -> evaluate.MetricInfo:
        order = datasets.List(datasets.Value("int64"))
        features = datasets.Features({"predictions": order, "references": order})
        return evaluate.MetricInfo(description=__doc__, citation="", features=features)

    def _compute(self, predictions: list[list[int]], references: list[list[int]]) -> dict[str, float]:
        pairs = zip(predictions, references, strict=True)
        return {"reading_order": fmean(reading_order_distance(*pair) for pair in pairs)}
