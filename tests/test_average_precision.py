"""COCO mAP against pycocotools, and by hand."""

import numpy as np
import pytest

from helpers.scoring_peers import coco_map
from ocr2_hf.document.grounding import Region
from ocr2_hf.document.predictions import Prediction
from ocr2_hf.evaluation import boxes
from ocr2_hf.evaluation.boxes import Detections


def detections(predicted, reference) -> Detections:
    """Of (label, box) lists, one per page on both sides."""
    sides = [[[Region(*region) for region in page] for page in side] for side in (predicted, reference)]
    return Detections.of([Prediction("", "", regions=p, reference_regions=r) for p, r in zip(*sides, strict=True)])


def mean_precision(predicted, reference) -> float | None:
    return detections(predicted, reference).mean()


def random_pages(seed, pages=20):
    """References, and predictions that are moved, lost, invented, named otherwise and in another order."""
    draw = np.random.default_rng(seed)
    predicted, reference = [], []
    for _ in range(pages):
        corners = np.sort(draw.integers(0, 60, (draw.integers(0, 9), 2, 2)), axis=1)
        boxes = (corners + np.array([[0, 0], [draw.integers(5, 40)] * 2])).reshape(-1, 4).astype(float)
        labels = draw.choice(["text", "table", "title"], len(boxes))
        wanted = [(str(label), list(box)) for label, box in zip(labels, boxes, strict=True)]
        made = [(label, list(box + draw.normal(0, 2, 4))) for label, box in zip(labels, boxes, strict=True)]
        made = [("figure" if draw.random() < 0.1 else str(label), box) for label, box in made if draw.random() > 0.2]
        made += [made[at] for at in range(len(made)) if draw.random() < 0.2]
        made += [("text", [1.0, 1.0, 9.0, 9.0])] * draw.integers(0, 3)
        draw.shuffle(made)
        predicted.append([(label, box) for label, box in made if box[0] < box[2] and box[1] < box[3]])
        reference.append(wanted)
    return predicted, reference


@pytest.mark.parametrize("seed", range(8))
def test_equals_pycocotools(seed):
    pages = random_pages(seed)
    expected = coco_map(*pages)
    assert 0.05 < expected < 0.95
    assert mean_precision(*pages) == pytest.approx(expected, abs=1e-12)


def test_at_most_a_hundred_predictions_of_a_page_count():
    reference = [[("text", [0, 0, 10, 10])], [("text", [0, 0, 10, 10])]]
    surplus = [("text", [50, 50, 60, 60])] * 100
    pages = [[*surplus, reference[0][0]], [*surplus[:1], reference[1][0]]], reference
    assert mean_precision(*pages) == pytest.approx(coco_map(*pages), abs=1e-12)


def test_of_two_references_as_good_the_last_is_taken():
    # The first prediction overlaps both alike; the second only the first reference.
    reference = [[("a", [0, 0, 10, 10]), ("a", [4, 0, 14, 10])]]
    for second in ([-1, 0, 9, 10], [5, 0, 15, 10]):
        pages = [[("a", [2, 0, 12, 10]), ("a", second)]], reference
        assert mean_precision(*pages) == pytest.approx(coco_map(*pages), abs=1e-12)


def test_by_hand():
    box, far = [0, 0, 10, 10], [50, 50, 60, 60]
    assert mean_precision([[("a", box)]], [[("a", box)]]) == 1
    # IoU 0.8: found at the seven thresholds from 0.5 to 0.8.
    assert mean_precision([[("a", [0, 0, 10, 8])]], [[("a", box)]]) == pytest.approx(0.7)
    # One of two found: precision 1 at the 51 recalls up to 0.5.
    assert mean_precision([[("a", box)]], [[("a", box), ("a", far)]]) == pytest.approx(51 / 101)
    # The mean over the labels of the references; a label that only predictions have does not count.
    assert detections([[("a", box), ("c", far)]], [[("a", box), ("b", far)]]).by_label() == {"a": 1, "b": 0}
    assert mean_precision([[("a", box), ("c", far)]], [[("a", box), ("b", far)]]) == 0.5
    assert mean_precision([[("a", box)]], [[]]) is None
    assert mean_precision([], []) is None


def test_a_sample_is_scored_as_its_pages():
    pages = random_pages(3, pages=6)
    counts = np.array([[1, 1, 1, 1, 1, 1], [1, 0, 1, 0, 0, 1], [0, 0, 0, 0, 0, 0]], dtype=float)
    some = [[side[page] for page in (0, 2, 5)] for side in pages]
    whole, part, nothing = detections(*pages).resampled(counts)
    assert whole == pytest.approx(mean_precision(*pages))
    assert part == pytest.approx(mean_precision(*some))
    assert np.isnan(nothing)
    assert np.isnan(detections([[]], [[]]).resampled(np.ones((2, 1)))).all()


def area_by_definition(copies_D, hits_D, references):
    """101 times the area under the curve, every prediction looked at, summed up in order."""
    found_D, predicted_D = (copies_D * hits_D).cumsum(), np.maximum(copies_D.cumsum(), 1)
    precision_D = np.maximum.accumulate((found_D / predicted_D)[::-1])[::-1]
    reached_D = np.array([(found / references >= boxes.RECALLS).sum() for found in found_D])
    return sum((precision_D * np.diff(reached_D, prepend=0)).tolist())


@pytest.mark.parametrize("seed", range(6))
def test_few_and_many_predictions_are_summed_alike_to_the_last_digit(seed):
    draw = np.random.default_rng(seed)
    copies_SD = draw.poisson(1, (4, 1 + draw.integers(700)))
    hits_TD = draw.random((3, copies_SD.shape[1])) < np.array([[0.9], [0.3], [0.0]])
    references_S1 = (copies_SD * hits_TD[0]).sum(axis=1, keepdims=True) + draw.integers(1, 30, (4, 1))
    copies_SD[3], references_S1[3] = 0, 0  # a sample without the label
    few, many = (
        np.array([boxes._in_order(areas) for areas in areas_of(copies_SD, hits_TD, references_S1)])
        for areas_of in (boxes._areas, boxes._areas_by_search)
    )
    assert few[:, :3].tobytes() == many[:, :3].tobytes()
    for sample in range(3):
        areas = [area_by_definition(copies_SD[sample], hits_D, references_S1[sample, 0]) for hits_D in hits_TD]
        assert few[:, sample].tolist() == areas


def test_slices_of_samples_change_nothing(monkeypatch):
    found = detections(*random_pages(1))
    counts = np.random.default_rng(0).poisson(1, (30, 20)).astype(float)
    together = found.resampled(counts)
    monkeypatch.setattr(boxes, "_CELLS_AT_ONCE", 100)
    assert found.resampled(counts).tobytes() == together.tobytes()
    monkeypatch.setattr(boxes, "_MANY_PREDICTIONS", 0)
    assert found.resampled(counts).tobytes() == together.tobytes()
