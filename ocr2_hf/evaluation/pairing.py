"""Which entries of two lists belong together, one to one."""

from collections.abc import Sequence

import numpy as np
from rapidfuzz.distance import Levenshtein
from rapidfuzz.process import cdist


def best_pairs(scores: np.ndarray, maximize: bool = False) -> list[tuple[int, int]]:
    """The one-to-one pairs (row, column) of `scores` [N, M] with the least total, or the largest, by row.

    As many as the shorter side has; where several totals are equal, SciPy's choice.
    """
    # Here, because SciPy takes longer to load than a command may take to check its call.
    from scipy.optimize import linear_sum_assignment

    pairs = zip(*linear_sum_assignment(scores, maximize=maximize), strict=True)
    return [(int(row), int(column)) for row, column in pairs]


def text_distances(rows: Sequence[Sequence], columns: Sequence[Sequence]) -> np.ndarray:
    """[N, M]: edits / the longer text's length, in [0, 1], of every row [N] with every column [M].

    A text is a string, or a sequence of hashable tokens. Two empty texts have distance 0.
    """
    if not rows or not columns:
        return np.zeros((len(rows), len(columns)))
    return cdist(rows, columns, scorer=Levenshtein.normalized_distance, dtype=np.float64)
