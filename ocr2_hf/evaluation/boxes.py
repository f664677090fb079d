"""Box metrics. Boxes are xyxy in pixels (any one unit will do), x0 < x1 and y0 < y1."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import linear_sum_assignment


def box_iou(a: ArrayLike, b: ArrayLike) -> np.ndarray:
    """Intersection over union of every pair: `a` [N, 4], `b` [M, 4] -> [N, M] float64 in [0, 1].

    A box without area (reversed corners included) or with a coordinate that is not finite overlaps nothing.
    Either side may be empty. Raises ValueError on any other shape.
    """
    a_N4, b_M4 = _boxes(a), _boxes(b)
    low_NM2 = np.maximum(a_N4[:, None, :2], b_M4[None, :, :2])
    high_NM2 = np.minimum(a_N4[:, None, 2:], b_M4[None, :, 2:])
    overlap_NM = np.clip(high_NM2 - low_NM2, 0, None).prod(axis=2)
    union_NM = _area(a_N4)[:, None] + _area(b_M4)[None, :] - overlap_NM
    return np.divide(overlap_NM, union_NM, out=np.zeros_like(overlap_NM), where=union_NM > 0)


def match_boxes(predicted: ArrayLike, reference: ArrayLike, min_iou: float = 0.0) -> list[tuple[int, int, float]]:
    """The one-to-one pairs with the largest total IoU: (predicted index, reference index, IoU) by reference.

    `predicted` [N, 4], `reference` [M, 4]. Boxes that do not overlap, or by less than `min_iou`, are no pair.
    """
    return pair_boxes(box_iou(predicted, reference), min_iou)


def pair_boxes(iou: np.ndarray, min_iou: float = 0.0) -> list[tuple[int, int, float]]:
    """`match_boxes` for IoUs that are known, [N, M]."""
    allowed = np.where(iou >= min_iou, iou, 0.0)
    pairs = ((int(p), int(r)) for p, r in zip(*linear_sum_assignment(allowed, maximize=True), strict=True))
    return sorted(((p, r, float(allowed[p, r])) for p, r in pairs if allowed[p, r] > 0), key=lambda pair: pair[1])


def match_boxes_greedily(
    predicted: ArrayLike, reference: ArrayLike, min_iou: float = 0.0
) -> list[tuple[int, int, float]]:
    """Like `match_boxes`, but the pair with the largest IoU is taken first, then the next of what is left."""
    iou = box_iou(predicted, reference)
    pairs, free_p, free_r = [], set(range(iou.shape[0])), set(range(iou.shape[1]))
    for place in np.argsort(-iou, axis=None, kind="stable"):
        p, r = (int(index) for index in np.unravel_index(place, iou.shape))
        if iou[p, r] <= 0 or iou[p, r] < min_iou:
            break
        if p in free_p and r in free_r:
            pairs.append((p, r, float(iou[p, r])))
            free_p.remove(p)
            free_r.remove(r)
    return sorted(pairs, key=lambda pair: pair[1])


class BoxScores(NamedTuple):
    """Over all boxes of all pages; None where there is nothing to divide by."""

    precision: float | None
    recall: float | None
    f1: float | None


def box_scores(
    predicted: Sequence[ArrayLike], reference: Sequence[ArrayLike], min_iou: float = 0.5, greedy: bool = False
) -> BoxScores:
    """Precision, recall and F1 of boxes that overlap by at least `min_iou`, one entry [N, 4] per page on both sides.

    A reference box is found by one predicted box at most; labels are not compared. `greedy` matches as
    `match_boxes_greedily` does, else as `match_boxes`.
    """
    match = match_boxes_greedily if greedy else match_boxes
    pairs = list(zip(predicted, reference, strict=True))
    found = sum(len(match(p, r, min_iou)) for p, r in pairs)
    made, wanted = sum(len(p) for p, _ in pairs), sum(len(r) for _, r in pairs)
    return BoxScores(
        found / made if made else None,
        found / wanted if wanted else None,
        2 * found / (made + wanted) if made + wanted else None,
    )


def mean_box_iou(predicted: Sequence[ArrayLike], reference: Sequence[ArrayLike]) -> float | None:
    """Mean over all pages' reference boxes of the IoU with the predicted box matched to each, 0 if none.

    One entry per page on both sides, each [N, 4]. None when no page has a reference box. Surplus predicted
    boxes cost nothing here.
    """
    pairs = list(zip(predicted, reference, strict=True))
    boxes = sum(len(r) for _, r in pairs)
    return sum(iou for p, r in pairs for _, _, iou in match_boxes(p, r)) / boxes if boxes else None


def _boxes(boxes: ArrayLike) -> np.ndarray:
    """`boxes` as [N, 4] float64; a box that can overlap nothing becomes all zeros."""
    array = np.asarray(boxes, dtype=np.float64)
    if array.size == 0:
        return np.zeros((0, 4))
    if array.ndim != 2 or array.shape[1] != 4:
        raise ValueError(f"boxes must have the shape [N, 4], not {list(array.shape)}")
    # Beyond 1e100 an area would overflow; no page is that large.
    usable = (np.abs(array) < 1e100).all(axis=1) & (array[:, 2:] > array[:, :2]).all(axis=1)
    return np.where(usable[:, None], array, 0.0)


def _area(boxes_N4: np.ndarray) -> np.ndarray:
    return (boxes_N4[:, 2:] - boxes_N4[:, :2]).prod(axis=1)
