"""Reading order distance, by hand."""

import pytest

from ocr2_hf.evaluation.reading_order import reading_order_distance


@pytest.mark.parametrize(
    ("predicted", "reference", "distance"),
    [
        ([0, 1, 2, 3], [0, 1, 2, 3], 0),
        ([1, 0, 2, 3], [0, 1, 2, 3], 0.5),  # a swap is two edits
        ([0, 1, 2], [0, 1, 2, 3], 0.25),
        ([0, 1, 2, 3, 9], [0, 1, 2, 3], 0.2),
        ([], [0, 1], 1),
        ([], [], 0),
        (["b", "a"], ["a"], 0.5),
        ([-1], [-2], 1),  # equal hashes in Python
    ],
)
def test_distance_by_hand(predicted, reference, distance):
    assert reading_order_distance(predicted, reference) == pytest.approx(distance)
