"""Reading order: how far the predicted order of the blocks is from the true one."""

import re
from collections.abc import Hashable, Sequence

import numpy as np
from rapidfuzz.distance import Levenshtein
from rapidfuzz.process import cdist

from ocr2_hf.evaluation.boxes import box_iou
from ocr2_hf.evaluation.pairing import best_pairs
from ocr2_hf.evaluation.text import normalize_text

# Two blocks are the same when their boxes overlap by this IoU or their texts are that alike.
MIN_SIMILARITY = 0.5
MAX_BLOCKS = 500  # of a page with more, the first are ordered

TextBlock = tuple[Sequence[float] | None, str]  # box xyxy, or None where it is not known, and text


def reading_order_distance(predicted_ids: Sequence[Hashable], reference_ids: Sequence[Hashable]) -> float:
    """Edit distance between two orders of block ids / the longer one's length: 0 is equal, 1 shares nothing.

    Missing and surplus ids count as edits. Two empty orders have distance 0.
    """
    # Small integers, because rapidfuzz compares hashes and Python hashes -1 and -2 alike.
    number = {block: index for index, block in enumerate(dict.fromkeys([*predicted_ids, *reference_ids]))}
    predicted, reference = [number[i] for i in predicted_ids], [number[i] for i in reference_ids]
    return Levenshtein.normalized_distance(predicted, reference)


def region_order_distance(predicted: Sequence[TextBlock], reference: Sequence[TextBlock]) -> float | None:
    """`reading_order_distance` of a page's blocks: (box xyxy or None, text), each side in its reading order.

    Blocks are matched one to one by the larger of the IoU of their boxes and the similarity of their texts, and only
    what is matched is put in order: a lost block is a matter of recall, not of order. None where fewer than two are.
    """
    pairs = _match(predicted[:MAX_BLOCKS], reference[:MAX_BLOCKS])
    if len(pairs) < 2:
        return None
    return reading_order_distance([r for _, r in pairs], sorted(r for _, r in pairs))


def text_blocks(predicted: str, reference: str) -> tuple[list[str], list[str]]:
    """Both texts in blocks: parted by blank lines, or lines where a side has no blank line."""
    sides = [
        [block.strip() for block in re.split(r"\n\s*\n", text) if block.strip()] for text in (predicted, reference)
    ]
    if min(map(len, sides)) < 2:
        sides = [[line.strip() for line in text.splitlines() if line.strip()] for text in (predicted, reference)]
    return sides[0], sides[1]


def _match(predicted: Sequence[TextBlock], reference: Sequence[TextBlock]) -> list[tuple[int, int]]:
    if not predicted or not reference:
        return []
    texts = [[normalize_text(text) for _, text in side] for side in (predicted, reference)]
    alike = cdist(*texts, scorer=Levenshtein.normalized_similarity, score_cutoff=MIN_SIMILARITY, dtype=np.float64)
    alike[:, [not text for text in texts[1]]] = 0.0  # of two texts that are not known
    overlap = box_iou(*([box or (0.0, 0.0, 0.0, 0.0) for box, _ in side] for side in (predicted, reference)))
    similarity = np.maximum(alike, overlap)
    # Among equals (a line that comes twice) the one at the same place.
    drift = np.abs(np.subtract.outer(np.linspace(0, 1, len(predicted)), np.linspace(0, 1, len(reference))))
    allowed = np.where(similarity >= MIN_SIMILARITY, similarity - 1e-6 * drift, 0.0)
    return [(p, r) for p, r in best_pairs(allowed, maximize=True) if allowed[p, r] > 0]
