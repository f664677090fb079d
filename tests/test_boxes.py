"""Box IoU and matching, by hand."""

import itertools

import numpy as np
import pytest

from ocr2_hf.evaluation.boxes import box_iou, match_boxes, mean_box_iou


def test_iou_by_hand():
    iou = box_iou([[0, 0, 10, 10]], [[5, 5, 15, 15], [2, 2, 8, 8], [0, 0, 10, 10], [10, 0, 20, 10], [30, 30, 40, 40]])
    assert iou.shape == (1, 5)
    assert iou[0] == pytest.approx([1 / 7, 0.36, 1, 0, 0])


def test_iou_is_symmetric_and_knows_no_unit():
    draw = np.random.default_rng(0)
    a, b = (np.sort(draw.random((n, 2, 2)), axis=1).reshape(n, 4) for n in (7, 5))
    assert box_iou(a, b) == pytest.approx(box_iou(b, a).T)
    assert box_iou(a * 999, b * 999) == pytest.approx(box_iou(a, b))


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    "broken",
    [
        [0, 0, 0, 0],
        [5, 0, 5, 10],
        [10, 10, 0, 0],
        [float("nan"), 0, 10, 10],
        [0, 0, float("inf"), 10],
        [-1e308, -1e308, 1e308, 1e308],
    ],
)
def test_a_box_that_is_none_overlaps_nothing(broken):
    assert box_iou([broken], [broken, [0, 0, 10, 10]]).tolist() == [[0, 0]]
    assert box_iou([[0, 0, 10, 10]], [broken, [0, 0, 10, 10]]).tolist() == [[0, 1]]
    assert match_boxes([broken], [broken]) == []


def test_empty_sides():
    assert box_iou([], [[0, 0, 1, 1]]).shape == (0, 1)
    assert box_iou(np.zeros((2, 4)), np.zeros((0, 4))).shape == (2, 0)
    assert match_boxes([], []) == []


@pytest.mark.parametrize("wrong", [[1, 2, 3, 4], [[1, 2, 3]], [[[1, 2, 3, 4]]]])
def test_wrong_shapes_are_refused(wrong):
    with pytest.raises(ValueError, match=r"\[N, 4\]"):
        box_iou(wrong, [[0, 0, 1, 1]])


def test_matching_is_optimal_where_greedy_is_not():
    # Greedy would give the first prediction its best reference (1) and leave the second with nothing.
    predicted, reference = [[0, 0, 10, 10], [3, 0, 13, 10]], [[-4, 0, 6, 10], [2, 0, 12, 10]]
    iou = box_iou(predicted, reference)
    assert iou[0, 1] > iou[0, 0] and iou[1, 1] > iou[1, 0]
    best = max(sum(iou[p, r] for p, r in zip(order, (0, 1), strict=True)) for order in itertools.permutations((0, 1)))
    pairs = match_boxes(predicted, reference)
    assert [pair[:2] for pair in pairs] == [(0, 0), (1, 1)]
    assert sum(pair[2] for pair in pairs) == pytest.approx(best)


def test_pairs_below_the_least_iou_are_left_out():
    predicted, reference = [[0, 0, 10, 10], [50, 50, 60, 60]], [[0, 0, 10, 8], [55, 55, 65, 65]]
    assert [pair[:2] for pair in match_boxes(predicted, reference)] == [(0, 0), (1, 1)]
    assert [pair[:2] for pair in match_boxes(predicted, reference, min_iou=0.5)] == [(0, 0)]


def test_mean_iou_counts_unmatched_references_as_zero_and_boxes_alike():
    pages = [[[0, 0, 10, 10]], []]
    references = [[[0, 0, 10, 10], [20, 20, 30, 30]], [[0, 0, 5, 5]]]
    assert mean_box_iou(pages, references) == pytest.approx(1 / 3)
    assert mean_box_iou([[[0, 0, 1, 1]]], [[]]) is None
