"""COCO's mean average precision of labelled boxes, for predictions without scores.

As pycocotools computes it: per label, ten IoU thresholds from 0.5 to 0.95, precision read at 101 recalls, boxes of any
size, at most 100 predictions per label and page; the mean over thresholds and over the labels that the references have.
A model that writes text gives its boxes no score, so all have the same: they are taken in the order in which the pages
come and the boxes were written, which is what pycocotools makes of equal scores.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from ocr2_hf.document.grounding import Region
from ocr2_hf.document.predictions import Prediction
from ocr2_hf.evaluation.boxes import box_iou

IOU_THRESHOLDS = np.linspace(0.5, 0.95, 10)
RECALLS = np.linspace(0, 1, 101)
MAX_DETECTIONS = 100

LabelledBox = tuple[str, Sequence[float]]


class Detections:
    """What was found of every label that the references have; (label, box xyxy) lists, one per page on both sides."""

    def __init__(self, predicted: Sequence[Sequence[LabelledBox]], reference: Sequence[Sequence[LabelledBox]]):
        self._pages = len(reference)
        self._labels = {label: _Label() for page in reference for label, _ in page}
        for number, (made, wanted) in enumerate(zip(predicted, reference, strict=True)):
            boxes = defaultdict(lambda: ([], []))
            for side, regions in enumerate((made, wanted)):
                for label, box in regions:
                    boxes[label][side].append(box)
            for label in boxes.keys() & self._labels.keys():
                self._labels[label].add_page(number, *boxes[label])

    @classmethod
    def of(cls, lines: Sequence[Prediction]) -> "Detections":
        """Of the regions of prediction lines."""
        sides = ([_labelled(line.regions) for line in lines], [_labelled(line.reference_regions) for line in lines])
        return cls(*sides)

    def by_label(self) -> dict[str, float]:
        """The average precision of each label."""
        once = np.ones((1, self._pages))
        return {label: float(found.average_precision(once)[0]) for label, found in self._labels.items()}

    def mean(self) -> float | None:
        """COCO mAP in [0, 1]; None where the references have no box."""
        return float(np.mean(list(self.by_label().values()))) if self._labels else None

    def resampled(self, counts_SP: np.ndarray) -> np.ndarray:
        """[S]: mAP of S samples of the P pages; `counts_SP` says how often a page is in each. NaN without a box."""
        scores_LS = np.array([found.average_precision(counts_SP) for found in self._labels.values()])
        if not self._labels:
            return np.full(len(counts_SP), np.nan)
        measured_S = (~np.isnan(scores_LS)).sum(axis=0)
        nothing = np.full(len(counts_SP), np.nan)
        return np.divide(np.nansum(scores_LS, axis=0), measured_S, out=nothing, where=measured_S > 0)


def _labelled(regions: Sequence[Region] | None) -> list[LabelledBox]:
    return [(region.label, region.box) for region in regions or ()]


@dataclass
class _Label:
    """The predictions and references of one label: on which page each is, and at which thresholds it hits."""

    prediction_pages: list[int] = field(default_factory=list)
    hits: list[np.ndarray] = field(default_factory=list)  # [T] bool for each prediction
    reference_pages: list[int] = field(default_factory=list)

    def add_page(self, number: int, predicted: Sequence[Sequence[float]], reference: Sequence[Sequence[float]]) -> None:
        hits = _hits(box_iou(predicted[:MAX_DETECTIONS], reference))
        self.hits.extend(hits)
        self.prediction_pages += [number] * len(hits)
        self.reference_pages += [number] * len(reference)

    def average_precision(self, counts_SP: np.ndarray) -> np.ndarray:
        """[S], the mean over thresholds; NaN in a sample without a reference of the label."""
        references_S1 = counts_SP[:, self.reference_pages].sum(axis=1, keepdims=True)
        total = np.where(references_S1[:, 0] > 0, 0.0, np.nan)
        if not self.hits:
            return total
        copies_SD = counts_SP[:, self.prediction_pages]
        predicted_SD = np.maximum(copies_SD.cumsum(axis=1), 1)
        for hits_D in np.array(self.hits).T:
            found_SD = (copies_SD * hits_D).cumsum(axis=1)
            precision_SD = np.maximum.accumulate((found_SD / predicted_SD)[:, ::-1], axis=1)[:, ::-1]
            reached_SD = _recalls_reached(found_SD / np.maximum(references_S1, 1))
            total += (precision_SD * np.diff(reached_SD, axis=1, prepend=0)).sum(axis=1)
        return total / len(RECALLS) / len(IOU_THRESHOLDS)


def _recalls_reached(recall: np.ndarray) -> np.ndarray:
    """How many of the 101 RECALLS are at most `recall`."""
    below = np.floor(recall * 100 + 1e-9).astype(np.int64)
    return below + (RECALLS[below] <= recall)


def _hits(iou_NM: np.ndarray) -> np.ndarray:
    """[N, T] bool: each prediction in turn takes the free reference that it overlaps most, at every threshold."""
    hits_NT = np.zeros((len(iou_NM), len(IOU_THRESHOLDS)), dtype=bool)
    if not iou_NM.size:
        return hits_NT
    free_TM = np.ones((len(IOU_THRESHOLDS), iou_NM.shape[1]), dtype=bool)
    for index, iou_M in enumerate(iou_NM):
        if iou_M.max() < IOU_THRESHOLDS[0]:
            continue
        open_TM = np.where(free_TM & (iou_M >= IOU_THRESHOLDS[:, None]), iou_M, -1.0)
        best_T = open_TM.shape[1] - 1 - open_TM[:, ::-1].argmax(axis=1)  # of equals the last, as in pycocotools
        hits_NT[index] = open_TM[np.arange(len(open_TM)), best_T] >= 0
        free_TM[hits_NT[index], best_T[hits_NT[index]]] = False
    return hits_NT
