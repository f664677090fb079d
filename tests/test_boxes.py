"""Box IoU and matching, by hand."""

import itertools

import numpy as np
import pytest

from ocr2_hf.document.grounding import Region
from ocr2_hf.document.predictions import Prediction
from ocr2_hf.evaluation.boxes import box_iou, box_scores, match_boxes, match_boxes_greedily
from ocr2_hf.evaluation.summary import summarize


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


def test_greedy_matching_takes_the_best_pair_first():
    predicted, reference = [[0, 0, 10, 10], [3, 0, 13, 10]], [[-4, 0, 6, 10], [2, 0, 12, 10]]
    # The second overlaps the second reference most (9/11); for the first 6/14 is left.
    assert match_boxes_greedily(predicted, reference) == [(0, 0, pytest.approx(6 / 14)), (1, 1, pytest.approx(9 / 11))]
    # Where the best pair leaves the others nothing, greedy finds fewer.
    predicted, reference = [[1, 0, 11, 10], [-4, 0, 6, 10]], [[0, 0, 10, 10], [5, 0, 15, 10]]
    assert [pair[:2] for pair in match_boxes_greedily(predicted, reference, 0.4)] == [(0, 0)]
    assert [pair[:2] for pair in match_boxes(predicted, reference, 0.4)] == [(1, 0), (0, 1)]
    for match in (match_boxes, match_boxes_greedily):
        assert match([], []) == match([[0, 0, 1, 1]], []) == match([[0, 0, 1, 1]], [[5, 5, 6, 6]]) == []


def test_greedy_matching_never_has_more_overlap():
    draw = np.random.default_rng(1)
    for _ in range(30):
        a, b = (np.sort(draw.random((6, 2, 2)), axis=1).reshape(6, 4) for _ in range(2))
        greedy, best = match_boxes_greedily(a, b), match_boxes(a, b)
        assert sum(pair[2] for pair in greedy) <= sum(pair[2] for pair in best) + 1e-12
        for pairs in (greedy, best):
            assert len({p for p, _, _ in pairs}) == len({r for _, r, _ in pairs}) == len(pairs)


def test_a_pair_that_is_too_far_apart_blocks_no_other():
    # The largest total IoU pairs them crosswise (0.33 + 0.75); of what reaches 0.6 the first pair is the best.
    predicted, reference = [[0, 0, 10, 10], [0, 0, 10, 6]], [[0, 0, 10, 8], [0, 5, 10, 15]]
    assert match_boxes(predicted, reference, min_iou=0.6) == [(0, 0, pytest.approx(0.8))]


def test_precision_recall_and_f1_by_hand():
    # Page 1: one of two references found (IoU 0.64), one box too many. Page 2: a surplus box. Page 3: a lost one.
    predicted = [[[0, 0, 8, 8], [50, 50, 60, 60]], [[0, 0, 1, 1]], []]
    reference = [[[0, 0, 10, 10], [20, 20, 30, 30]], [], [[0, 0, 5, 5]]]
    for greedy in (False, True):
        assert box_scores(predicted, reference, 0.5, greedy) == pytest.approx((1 / 3, 1 / 3, 1 / 3))
        assert box_scores(predicted, reference, 0.75, greedy) == (0, 0, 0)
    assert box_scores([[]], [[[0, 0, 1, 1]]]) == (None, 0, 0)
    assert box_scores([[[0, 0, 1, 1]]], [[]]) == (0, None, 0)
    assert box_scores([[]], [[]]) == (None, None, None)


def test_pairs_below_the_least_iou_are_left_out():
    predicted, reference = [[0, 0, 10, 10], [50, 50, 60, 60]], [[0, 0, 10, 8], [55, 55, 65, 65]]
    assert [pair[:2] for pair in match_boxes(predicted, reference)] == [(0, 0), (1, 1)]
    assert [pair[:2] for pair in match_boxes(predicted, reference, min_iou=0.5)] == [(0, 0)]


def test_mean_iou_counts_unmatched_references_as_zero_and_boxes_alike():
    pages = [([[0, 0, 10, 10]], [[0, 0, 10, 10], [20, 20, 30, 30]]), ([], [[0, 0, 5, 5]]), ([[0, 0, 1, 1]], [])]
    sides = [[[Region("", tuple(box)) for box in side] for side in page] for page in pages]
    lines = [Prediction("", "", regions=p, reference_regions=r) for p, r in sides]
    assert summarize(lines)["bbox_iou"] == pytest.approx(1 / 3)
    assert summarize(lines[2:])["bbox_iou"] is None
