"""Bootstrap intervals: how far a figure would move if other pages had been drawn (Efron, 1979)."""

from collections.abc import Iterator

import numpy as np

CONFIDENCE = 0.95
_CELLS_AT_ONCE = 2_000_000  # of samples x pages: 16 MB


def resamples(pages: int, samples: int = 1000, seed: int = 0) -> Iterator[np.ndarray]:
    """How often each page is in each sample, [S, pages] float64 in several arrays, `samples` rows together.

    A sample is as many pages, drawn with replacement. The same seed gives the same samples.
    """
    draw = np.random.default_rng(seed)
    at_once = max(1, _CELLS_AT_ONCE // max(pages, 1))
    for start in range(0, samples, at_once):
        drawn = draw.integers(pages, size=(min(at_once, samples - start), pages))
        yield np.array([np.bincount(row, minlength=pages) for row in drawn], dtype=np.float64)


def interval(values_S: np.ndarray) -> list[float] | None:
    """[low, high]: the middle 95% of a figure's values over the samples; None where no sample could be measured."""
    measured = values_S[~np.isnan(values_S)]
    if not len(measured):
        return None
    tail = (1 - CONFIDENCE) / 2
    return [float(value) for value in np.quantile(measured, (tail, 1 - tail))]
