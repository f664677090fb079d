"""Distances between normalised blocks, as parts of the longer text and within one another.

Source: utils/match.py (`compute_edit_distance_matrix_new`) and utils/match_quick.py (`sub_pred_fuzzy_matching`,
`sub_gt_fuzzy_matching`) of the official scorer. Its distance is of the package Levenshtein; rapidfuzz counts the same.
"""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from rapidfuzz.distance import Levenshtein
from rapidfuzz.process import cdist


def distance(a: str, b: str) -> float:
    """Edits / the longer length, in [0, 1]; 0 for two empty texts."""
    return Levenshtein.distance(a, b) / max(len(a), len(b), 1)


def distance_matrix(rows: Sequence[str], columns: Sequence[str]) -> np.ndarray:
    """`distance` of every row with every column, [rows, columns]."""
    if not rows or not columns:
        return np.zeros((len(rows), len(columns)))
    return cdist(rows, columns, scorer=Levenshtein.normalized_distance, dtype=np.float64)


# Of a page that loops, the same few parts are looked for again and again.
@lru_cache(maxsize=10_000)
def is_within(part: str, whole: str, limit: float, *, at_limit: bool = False) -> bool:
    """Whether a stretch of `whole` as long as `part` differs from it in less than `limit` of its characters.

    With `at_limit` in no more than that. False where `part` is empty or longer than `whole`.
    """
    length = len(part)
    allowed = int(limit * length) + 1
    while allowed / max(length, 1) >= limit and not (at_limit and allowed / length == limit):
        allowed -= 1
    start = 0
    while length and start <= len(whole) - length:
        edits = Levenshtein.distance(whole[start : start + length], part)
        if edits <= allowed:
            return True
        # One character on, a stretch has one character less and one more: two edits nearer at best.
        start += (edits - allowed + 1) // 2
    return False
