"""Reading order distance, by hand."""

import pytest

from ocr2_hf.evaluation.reading_order import (
    reading_order_distance,
    region_order_distance,
    text_blocks,
)


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


def row(number):
    return [0, number * 10, 100, number * 10 + 9]


@pytest.mark.parametrize(
    ("predicted", "reference", "distance"),
    [
        # By their boxes, whose texts are not known.
        ([(row(0), ""), (row(1), ""), (row(2), "")], [(row(0), ""), (row(1), ""), (row(2), "")], 0),
        ([(row(1), ""), (row(0), ""), (row(2), ""), (row(3), "")], [(row(n), "") for n in range(4)], 0.5),
        # By their texts where the boxes are wrong, one of them misread.
        ([(row(7), "second"), (row(8), "frst")], [(row(0), "first"), (row(1), "second")], 1),
        ([(None, "a b"), (None, "c d")], [(None, "a b"), (None, "c d")], 0),
        # A lost and a surplus block are no matter of order.
        ([(None, "one"), (None, "new text"), (None, "three")], [(None, "one"), (None, "two x"), (None, "three")], 0),
        # A block that comes twice is taken where it stands.
        ([(None, "same"), (None, "other"), (None, "same")], [(None, "same"), (None, "other"), (None, "same")], 0),
        # Fewer than two that match have no order.
        ([(None, "one")], [(None, "one"), (None, "two")], None),
        ([(row(0), "")], [(row(5), "")], None),
        ([], [], None),
    ],
)
def test_order_of_regions(predicted, reference, distance):
    assert region_order_distance(predicted, reference) == (None if distance is None else pytest.approx(distance))


def test_lines_that_come_again_are_taken_where_they_stand():
    reference = ["total", "same", "other", "same", "total", "same", "total", "other"]
    predicted = ["total", "other", "same", "total", "same", "total", "other"]  # the first "same" is lost
    assert region_order_distance(*([(None, text) for text in side] for side in (predicted, reference))) == 0


def test_two_columns_read_across():
    columns = [(None, f"{side} paragraph {number}") for side in ("left", "right") for number in range(4)]
    across = [columns[at] for at in (0, 4, 1, 5, 2, 6, 3, 7)]
    # The longest run that stays in order is five of eight: left 0..3 and the last on the right.
    assert region_order_distance(across, columns) == pytest.approx(6 / 8, abs=0.13)
    assert region_order_distance(columns, columns) == 0


def test_text_is_parted_alike_on_both_sides():
    assert text_blocks("a\nb\n\nc", "a b\n \nc") == (["a\nb", "c"], ["a b", "c"])
    assert text_blocks("a\nb\n\nc", "a\nb\nc") == (["a", "b", "c"], ["a", "b", "c"])
    assert text_blocks("", " \n") == ([], [])


@pytest.mark.timeout(60)
def test_a_page_of_a_thousand_lines_is_ordered_quickly():
    lines = [(None, f"line number {number} of the long page") for number in range(1000)]
    assert region_order_distance(lines, lines) == 0
