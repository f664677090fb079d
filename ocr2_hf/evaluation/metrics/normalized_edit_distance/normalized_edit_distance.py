"""Mean over pages of the character edits / the length of the longer text: 0 is perfect, 1 shares nothing.

One text per page on both sides; `strict=True` compares the characters as they are.
"""

import datasets
import evaluate

from ocr2_hf.evaluation.text import normalized_edit_distance


class NormalizedEditDistance(evaluate.Metric):
    def _info(self) -> evaluate.MetricInfo:
        text = datasets.Value("string")
        features = datasets.Features({"predictions": text, "references": text})
        return evaluate.MetricInfo(description=__doc__, citation="", features=features)

    def _compute(self, predictions: list[str], references: list[str], strict: bool = False) -> dict[str, float]:
        return {"normalized_edit_distance": normalized_edit_distance(predictions, references, strict)}
