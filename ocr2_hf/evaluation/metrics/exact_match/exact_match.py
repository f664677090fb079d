"""Share of pages whose text is its reference, after NFC and whitespace.

One text per page on both sides; `strict=True` compares the characters as they are.
"""

import datasets
import evaluate

from ocr2_hf.evaluation.text import exact_match


class ExactMatch(evaluate.Metric):
    def _info(self) -> evaluate.MetricInfo:
        text = datasets.Value("string")
        features = datasets.Features({"predictions": text, "references": text})
        return evaluate.MetricInfo(description=__doc__, citation="", features=features)

    def _compute(self, predictions: list[str], references: list[str], strict: bool = False) -> dict[str, float]:
        return {"exact_match": exact_match(predictions, references, strict)}
