"""Share of pages whose text ends in a loop: one unit repeated to the end.

One predicted text per page; there is no reference.
"""

import datasets
import evaluate

from ocr2_hf.evaluation.robustness import repetition_rate


class RepetitionRate(evaluate.Metric):
    def _info(self) -> evaluate.MetricInfo:
        features = datasets.Features({"predictions": datasets.Value("string")})
        return evaluate.MetricInfo(description=__doc__, citation="", features=features)

    def _compute(self, predictions: list[str]) -> dict[str, float]:
        return {"repetition_rate": repetition_rate(predictions)}
