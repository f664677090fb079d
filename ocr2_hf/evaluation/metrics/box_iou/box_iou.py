"""Mean IoU over all reference boxes with the predicted box matched to each; a box without a match counts 0.

A list of xyxy boxes per page on both sides, in any one unit. None when no page has a reference box.
"""

import datasets
import evaluate

from ocr2_hf.evaluation.boxes import mean_box_iou


class BoxIou(evaluate.Metric):
    def _info(self) -> evaluate.MetricInfo:
        boxes = datasets.List(datasets.List(datasets.Value("float64")))
        features = datasets.Features({"predictions": boxes, "references": boxes})
        return evaluate.MetricInfo(description=__doc__, citation="", features=features)

    def _compute(
        self, predictions: list[list[list[float]]], references: list[list[list[float]]]
    ) -> dict[str, float | None]:
        return {"box_iou": mean_box_iou(predictions, references)}
