"""Character error rate: character edits of all pages / characters of all references, after NFC and whitespace.

One text per page on both sides; `strict=True` compares the characters as they are.
"""

import datasets
import evaluate

from ocr2_hf.evaluation.text import character_error_rate


class CharacterErrorRate(evaluate.Metric):
    def _info(self) -> evaluate.MetricInfo:
        text = datasets.Value("string")
        features = datasets.Features({"predictions": text, "references": text})
        return evaluate.MetricInfo(description=__doc__, citation="", features=features)

    def _compute(self, predictions: list[str], references: list[str], strict: bool = False) -> dict[str, float]:
        return {"cer": character_error_rate(predictions, references, strict)}
