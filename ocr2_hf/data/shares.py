"""Shares of several datasets in a training: how many examples of each an epoch has."""

import math
from collections.abc import Mapping

from ocr2_hf.errors import WorkError

# When an epoch ends: as soon as a source would have to be repeated, or once every page of every source was there. The
# names are those of `datasets.interleave_datasets`.
STOPPING_STRATEGIES = ("first_exhausted", "all_exhausted")
STOPPING_STRATEGY = STOPPING_STRATEGIES[0]


def shares_of(dataset: str | Mapping[str, float] | None) -> dict[str, float]:
    """The datasets that a recipe's `dataset` names, and their shares; {} where it names none."""
    if isinstance(dataset, Mapping):
        return dict(dataset)
    return {str(dataset): 1.0} if dataset else {}


def epoch_counts(sizes: Mapping[str, int], shares: Mapping[str, float], stopping_strategy: str) -> dict[str, int]:
    """Examples of an epoch by source, in the proportion of `shares`, which add up to 1, of sources with so many pages.

    Raises `WorkError` for a source with too small a share for one example.
    """
    epochs = [size / shares[name] for name, size in sizes.items()]
    # Quotients of such shares miss whole numbers by a little.
    first = stopping_strategy == STOPPING_STRATEGY
    examples = math.floor(min(epochs) + 1e-6) if first else math.ceil(max(epochs) - 1e-6)
    counts = apportioned(examples, shares)
    if few := [name for name, count in counts.items() if not count]:
        ends = min(sizes, key=lambda name: sizes[name] / shares[name])
        raise WorkError(
            f"{', '.join(few)}: with so small a share not one of the {examples} examples of an epoch, which ends with "
            f"{ends}; raise the share, or set stopping_strategy: all_exhausted"
        )
    return counts


def apportioned(total: int, shares: Mapping[str, float]) -> dict[str, int]:
    """Whole numbers in the proportion of `shares`, which add up to 1, that add up to `total`."""
    exact = {name: share * total for name, share in shares.items()}
    counts = {name: math.floor(quota) for name, quota in exact.items()}
    for name in sorted(exact, key=lambda name: counts[name] - exact[name])[: total - sum(counts.values())]:
        counts[name] += 1
    return counts
