"""Word error rate: word edits of all pages / words of all references; whitespace parts words.

One text per page on both sides; `strict=True` compares the characters as they are.
"""

import datasets
import evaluate

from ocr2_hf.evaluation.text import word_error_rate


class WordErrorRate(evaluate.Metric):
    def _info(self) -> evaluate.MetricInfo:
        text = datasets.Value("string")
        features = datasets.Features({"predictions": text, "references": text})
        return evaluate.MetricInfo(description=__doc__, citation="", features=features)

    def _compute(self, predictions: list[str], references: list[str], strict: bool = False) -> dict[str, float]:
        return {"wer": word_error_rate(predictions, references, strict)}
