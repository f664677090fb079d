"""What is in a built dataset: pages and regions by split, labels, and lengths in tokens against the context."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from datasets import Dataset
from tqdm import tqdm

from data_scripts.token_lengths import TokenLengths

_QUANTILES = (0.5, 0.95)


@dataclass
class SplitCounts:
    """The figures of one split; `lengths` and `visual` have one number a page."""

    pages: int = 0
    regions: int = 0
    labels: Counter = field(default_factory=Counter)
    without_text: int = 0  # pages
    without_regions: int = 0  # pages
    lengths: list[int] = field(default_factory=list)
    visual: list[int] = field(default_factory=list)

    def over(self, context: int) -> int:
        """Pages longer than the context."""
        return sum(length > context for length in self.lengths)

    def as_dict(self, context: int) -> dict[str, Any]:
        over = self.over(context)
        return {
            "pages": self.pages,
            "regions": self.regions,
            "labels": dict(self.labels.most_common()),
            "pages_without_text": self.without_text,
            "pages_without_regions": self.without_regions,
            "tokens": summary(self.lengths),
            "visual_tokens": summary(self.visual),
            "pages_over_context": over,
            "share_over_context": over / self.pages if self.pages else 0.0,
        }


def summary(values: list[int]) -> dict[str, float]:
    """Mean, median, 95th percentile and maximum; nothing for no values."""
    if not values:
        return {}
    median, high = np.quantile(values, _QUANTILES)
    return {"mean": float(np.mean(values)), "median": float(median), "p95": float(high), "max": max(values)}


def count_splits(splits: Mapping[str, Dataset], lengths: TokenLengths) -> dict[str, SplitCounts]:
    """The figures of every split; no image is decoded."""
    return {name: _count(dataset, name, lengths) for name, dataset in splits.items()}


def _count(dataset: Dataset, name: str, lengths: TokenLengths) -> SplitCounts:
    counts = SplitCounts()
    for row in tqdm(dataset.remove_columns("image"), desc=f"counting {name}", unit=" pages"):
        visual, length = lengths.measure(row)
        counts.pages += 1
        counts.regions += len(row["labels"])
        counts.labels.update(row["labels"])
        counts.without_text += not row["text"].strip()
        counts.without_regions += not row["labels"]
        counts.lengths.append(length)
        counts.visual.append(visual)
    return counts
