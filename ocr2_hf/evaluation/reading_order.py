"""Reading order: how far the predicted order of the blocks is from the true one."""

from collections.abc import Hashable, Sequence

from rapidfuzz.distance import Levenshtein


def reading_order_distance(predicted_ids: Sequence[Hashable], reference_ids: Sequence[Hashable]) -> float:
    """Edit distance between two orders of block ids / the longer one's length: 0 is equal, 1 shares nothing.

    Missing and surplus ids count as edits. Two empty orders have distance 0.
    """
    # Small integers, because rapidfuzz compares hashes and Python hashes -1 and -2 alike.
    number = {block: index for index, block in enumerate(dict.fromkeys([*predicted_ids, *reference_ids]))}
    predicted, reference = [number[i] for i in predicted_ids], [number[i] for i in reference_ids]
    return Levenshtein.normalized_distance(predicted, reference)
