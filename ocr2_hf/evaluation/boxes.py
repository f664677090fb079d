"""Box metrics: IoU, matching, precision and recall, COCO's mean average precision.

Boxes are xyxy in pixels (any one unit will do), x0 < x1 and y0 < y1.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from ocr2_hf.document.grounding import Region
from ocr2_hf.document.predictions import Prediction
from ocr2_hf.evaluation.pairing import best_pairs

IOU_THRESHOLDS = np.linspace(0.5, 0.95, 10)
RECALLS = np.linspace(0, 1, 101)
MAX_DETECTIONS = 100
_MANY_PREDICTIONS = 2000
_CELLS_AT_ONCE = 30_000  # of samples x predictions, which a processor's cache holds

Pair = tuple[int, int, float]


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


def match_boxes(predicted: ArrayLike, reference: ArrayLike, min_iou: float = 0.0) -> list[Pair]:
    """The one-to-one pairs with the largest total IoU: (predicted index, reference index, IoU) by reference.

    `predicted` [N, 4], `reference` [M, 4]. Boxes that do not overlap, or by less than `min_iou`, are no pair.
    """
    return pair_boxes(box_iou(predicted, reference), min_iou)


def pair_boxes(iou: np.ndarray, min_iou: float = 0.0) -> list[Pair]:
    """`match_boxes` for IoUs that are known, [N, M]."""
    allowed = np.where(iou >= min_iou, iou, 0.0)
    overlapping = _where(allowed > 0)
    pairs = overlapping if _is_one_to_one(overlapping) else best_pairs(allowed, maximize=True)
    found = ((p, r, float(allowed[p, r])) for p, r in pairs if allowed[p, r] > 0)
    return sorted(found, key=itemgetter(1))


def match_boxes_greedily(predicted: ArrayLike, reference: ArrayLike, min_iou: float = 0.0) -> list[Pair]:
    """Like `match_boxes`, but the pair with the largest IoU is taken first, then the next of what is left."""
    iou = box_iou(predicted, reference)
    left, pairs = np.where(iou >= min_iou, iou, 0.0), []
    while left.max(initial=0.0) > 0:
        p, r = map(int, np.unravel_index(left.argmax(), left.shape))
        pairs.append((p, r, float(left[p, r])))
        left[p, :] = left[:, r] = 0.0
    return sorted(pairs, key=itemgetter(1))


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
    found = sum(len(match(*pair, min_iou)) for pair in zip(predicted, reference, strict=True))
    made, wanted = sum(map(len, predicted)), sum(map(len, reference))
    return BoxScores(
        found / made if made else None,
        found / wanted if wanted else None,
        2 * found / (made + wanted) if made + wanted else None,
    )


class LabelFound(NamedTuple):
    """The boxes of one label on one page: `hits` [N, T] bool, whether each prediction hits at each of the T thresholds
    (at most MAX_DETECTIONS predictions, in their order), and how many `references` there are."""

    hits: np.ndarray
    references: int


def found_labels(regions: tuple[Sequence[Region], Sequence[Region]], iou: np.ndarray) -> dict[str, LabelFound]:
    """What was found of each label on a page: those of the references first, in the order in which they come.

    `regions` are its predicted and reference regions, `iou` [N, M] their overlap.
    """
    return {
        label: LabelFound(_hits(iou[np.ix_(rows[:MAX_DETECTIONS], columns)]), len(columns))
        for label, (rows, columns) in regions_by_label(regions).items()
    }


def regions_by_label(regions: tuple[Sequence[Region], Sequence[Region]]) -> dict[str, tuple[list[int], list[int]]]:
    """For each label the indices of the predicted and of the reference regions that have it; labels as
    `found_labels` has them."""
    labels = {region.label: ([], []) for side in reversed(regions) for region in side}
    for number, side in enumerate(regions):
        for index, region in enumerate(side):
            labels[region.label][number].append(index)
    return labels


class Detections:
    """What was found of every label that the references have: COCO's mean average precision, for boxes without scores.

    As pycocotools computes it: per label, ten IoU thresholds from 0.5 to 0.95, precision read at 101 recalls, boxes of
    any size, at most 100 predictions per label and page; the mean over thresholds and over the labels that the
    references have. A model that writes text gives its boxes no score, so all have the same: they are taken in the
    order in which the pages come and the boxes were written, which is what pycocotools makes of equal scores.
    """

    def __init__(self, pages: Sequence[Mapping[str, LabelFound]]):
        """`pages`: `found_labels` of each."""
        self._pages = len(pages)
        wanted = (label for page in pages for label, found in page.items() if found.references)
        self._labels = {label: _Label() for label in wanted}
        for number, page in enumerate(pages):
            for label in page.keys() & self._labels.keys():
                self._labels[label].add_page(number, page[label])

    @classmethod
    def of(cls, lines: Sequence[Prediction]) -> "Detections":
        """Those of prediction lines that were not measured yet."""
        return cls([found_labels(line.scored_regions(), box_iou(*line.boxes())) for line in lines])

    @property
    def labels(self) -> list[str]:
        """Those that the references have."""
        return list(self._labels)

    def by_label(self) -> dict[str, float]:
        """The average precision of each label."""
        return {label: found.average_precision(self._pages) for label, found in self._labels.items()}

    def mean(self) -> float | None:
        """COCO mAP in [0, 1]; None where the references have no box."""
        return float(np.mean(list(self.by_label().values()))) if self._labels else None

    def resampled(self, counts_SP: np.ndarray) -> np.ndarray:
        """[S]: mAP of S samples of the P pages; `counts_SP` says how often a page is in each. NaN without a box."""
        if not self._labels:
            return np.full(len(counts_SP), np.nan)
        counts_SP = counts_SP.astype(np.int32)
        scores_LS = np.ma.masked_invalid([found.resampled(counts_SP) for found in self._labels.values()])
        return scores_LS.mean(axis=0).filled(np.nan)


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


@dataclass
class _Label:
    """The predictions and references of one label: on which page each is, and at which thresholds it hits."""

    prediction_pages: list[int] = field(default_factory=list)
    hits: list[np.ndarray] = field(default_factory=list)  # [N, T] bool for each page
    reference_pages: list[int] = field(default_factory=list)

    def add_page(self, number: int, found: LabelFound) -> None:
        self.hits.append(found.hits)
        self.prediction_pages += [number] * len(found.hits)
        self.reference_pages += [number] * found.references

    def average_precision(self, pages: int) -> float:
        """Of so many pages as they are, the mean over thresholds."""
        once = np.ones((1, pages), dtype=np.int32)
        return float(self._mean_area(once, lambda areas_SD: areas_SD.sum(axis=1))[0])

    def resampled(self, counts_SP: np.ndarray) -> np.ndarray:
        """[S], of samples of the pages; NaN in a sample without a reference of the label."""
        return self._mean_area(counts_SP, _in_order)

    def _mean_area(self, counts_SP: np.ndarray, total: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
        references_S1 = counts_SP[:, self.reference_pages].sum(axis=1, keepdims=True)
        sum_S = np.where(references_S1[:, 0] > 0, 0.0, np.nan)
        hits_TD = np.concatenate(self.hits).T.copy()
        predictions = hits_TD.shape[1]
        searches = predictions >= _MANY_PREDICTIONS and total is _in_order
        areas = _areas_by_search if searches else _areas
        rows = max(1, _CELLS_AT_ONCE // max(predictions, 1))  # of all samples the arrays would take gigabytes
        for start in range(0, len(counts_SP) if predictions else 0, rows):
            some = slice(start, start + rows)
            for areas_SA in areas(counts_SP[some].take(self.prediction_pages, axis=1), hits_TD, references_S1[some]):
                sum_S[some] += total(areas_SA)
        return sum_S / len(RECALLS) / len(IOU_THRESHOLDS)


def _in_order(areas_SA: np.ndarray) -> np.ndarray:
    """The sums of rows, one number after the other: zeros between them change nothing, to the last digit."""
    return areas_SA.cumsum(axis=1)[:, -1]


def _areas(copies_SD: np.ndarray, hits_TD: np.ndarray, references_S1: np.ndarray) -> Iterator[np.ndarray]:
    """At each threshold [S, D]: what each prediction adds to 101 times the area under precision over recall."""
    predicted_SD = np.maximum(copies_SD.cumsum(axis=1), 1)
    reached_SF = _recalls_reached(references_S1)
    for hits_D in hits_TD:
        found_SD = (copies_SD * hits_D).cumsum(axis=1)
        precision_SD = np.maximum.accumulate((found_SD / predicted_SD)[:, ::-1], axis=1)[:, ::-1]
        reached_SD = np.take_along_axis(reached_SF, found_SD, axis=1)
        yield precision_SD * np.diff(reached_SD, axis=1, prepend=0)


def _areas_by_search(copies_SD: np.ndarray, hits_TD: np.ndarray, references_S1: np.ndarray) -> Iterator[np.ndarray]:
    """The same without the zeros, [S, 101], in a third of the time where predictions are many: a recall is reached by
    101 of them at most."""
    predicted_SD = np.maximum(copies_SD.cumsum(axis=1), 1)
    recalls = np.arange(1, len(RECALLS) + 1)
    needed_SK = [np.searchsorted(reached_F, recalls) for reached_F in _recalls_reached(references_S1)]
    for hits_D in hits_TD:
        found_SD = (copies_SD * hits_D).cumsum(axis=1)
        areas_SA = np.zeros((len(copies_SD), len(RECALLS)))
        for sample, precision_D in enumerate(found_SD / predicted_SD):
            starts, reached = np.unique(np.searchsorted(found_SD[sample], needed_SK[sample]), return_counts=True)
            known = starts < len(precision_D)
            best = np.maximum.reduceat(precision_D, starts[known])
            areas_SA[sample, : len(best)] = np.maximum.accumulate(best[::-1])[::-1] * reached[known]
        yield areas_SA


def _recalls_reached(references_S1: np.ndarray) -> np.ndarray:
    """[S, F]: how many of the 101 RECALLS are at most the recall where so many of the references are found."""
    recall = np.minimum(np.arange(references_S1.max() + 1) / np.maximum(references_S1, 1), 1)
    below = np.floor(recall * 100 + 1e-9).astype(np.int64)
    return below + (RECALLS[below] <= recall)


def _where(true_NM: np.ndarray) -> list[tuple[int, int]]:
    return list(zip(*(side.tolist() for side in np.nonzero(true_NM)), strict=True))


def _is_one_to_one(pairs: Sequence[tuple[int, int]]) -> bool:
    """Whether nothing is in two pairs, as on most pages: then there is nothing to choose."""
    return all(len(set(side)) == len(pairs) for side in zip(*pairs, strict=True))


def _hits(iou_NM: np.ndarray) -> np.ndarray:
    """[N, T] bool: each prediction in turn takes the free reference that it overlaps most, at every threshold."""
    if _is_one_to_one(_where(iou_NM >= IOU_THRESHOLDS[0])):
        return iou_NM.max(axis=1, initial=0.0)[:, None] >= IOU_THRESHOLDS
    hits_NT = np.zeros((len(iou_NM), len(IOU_THRESHOLDS)), dtype=bool)
    free_TM = np.ones((len(IOU_THRESHOLDS), iou_NM.shape[1]), dtype=bool)
    for index, iou_M in enumerate(iou_NM):
        if iou_M.max(initial=0.0) < IOU_THRESHOLDS[0]:
            continue
        open_TM = np.where(free_TM & (iou_M >= IOU_THRESHOLDS[:, None]), iou_M, -1.0)
        best_T = open_TM.shape[1] - 1 - open_TM[:, ::-1].argmax(axis=1)  # of equals the last, as in pycocotools
        hits_NT[index] = open_TM[np.arange(len(open_TM)), best_T] >= 0
        free_TM[hits_NT[index], best_T[hits_NT[index]]] = False
    return hits_NT
