"""Precision, recall and F1 of boxes that overlap a reference box by an IoU of at least `min_iou` (0.5).

A list of xyxy boxes per page on both sides, in any one unit; labels are not compared. None where there is nothing to
divide by. `greedy=True` matches the best pairs first, otherwise the total IoU is the largest.
"""

import datasets
import evaluate

from ocr2_hf.evaluation.boxes import box_scores


class BoxF1(evaluate.Metric):
    def _info(self) -> evaluate.MetricInfo:
        boxes = datasets.List(datasets.List(datasets.Value("float64")))
        features = datasets.Features({"predictions": boxes, "references": boxes})
        return evaluate.MetricInfo(description=__doc__, citation="", features=features)

    def _compute(
        self,
        predictions: list[list[list[float]]],
        references: list[list[list[float]]],
        min_iou: float = 0.5,
        greedy: bool = False,
    ) -> dict[str, float | None]:
        return box_scores(predictions, references, min_iou, greedy)._asdict()
