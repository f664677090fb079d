"""TEDS of HTML tables (Zhong et al., arXiv 1911.10683), the mean over the pairs given: 1 is perfect.

One table per entry on both sides; `structure_only=True` gives TEDS-S, which leaves the cells' content out.
"""

from statistics import fmean

import datasets
import evaluate

from ocr2_hf.evaluation.tables import teds


class TableEditDistanceSimilarity(evaluate.Metric):
    def _info(self) -> evaluate.MetricInfo:
        table = datasets.Value("string")
        features = datasets.Features({"predictions": table, "references": table})
        return evaluate.MetricInfo(description=__doc__, citation="", features=features)

    def _compute(self, predictions: list[str], references: list[str], structure_only: bool = False) -> dict[str, float]:
        pairs = zip(predictions, references, strict=True)
        return {"teds": fmean(teds(predicted, reference, structure_only) for predicted, reference in pairs)}
