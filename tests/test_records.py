"""What a page record accepts, mends, counts and refuses."""

import math

import pytest

from ocr2_hf.data.columns import FEATURES
from ocr2_hf.document.records import (
    BOX_UNITS,
    BadBoxes,
    PageRecord,
    RecordError,
    check_and_drop,
    check_boxes,
    check_record,
)


def record(**changes) -> PageRecord:
    fields = {"id": "p1", "image_path": "p1.png", "text": "a", "bboxes": [[1, 2, 3, 4]], "labels": ["text"]}
    return PageRecord(**(fields | changes))


def test_features_are_those_of_the_design():
    names = ["id", "image", "width", "height", "text", "bboxes", "labels", "texts", "prompt", "target"]
    assert list(FEATURES) == names
    assert FEATURES["bboxes"].feature.length == 4
    assert FEATURES["bboxes"].feature.feature.dtype == "float32"


def test_a_good_record_is_kept_and_its_texts_are_filled():
    checked, clamped = check_record(record(bboxes=[[1, 2, 3, 4], [0, 0, 100, 50.5]], labels=["title", "text"]), 100, 51)
    assert checked.bboxes == [[1, 2, 3, 4], [0, 0, 100, 50.5]]
    assert checked.texts == ["", ""]
    assert (checked.prompt, checked.target, clamped) == (None, None, 0)


def test_a_page_without_regions_is_good():
    checked, clamped = check_record(record(bboxes=[], labels=[]), 100, 100)
    assert (checked.bboxes, checked.labels, checked.texts, clamped) == ([], [], [], 0)


def test_text_becomes_nfc_with_unix_line_ends():
    checked, _ = check_record(record(text="cafe\u0301\r\nnoir", texts=["e\u0301"], labels=["e\u0301"]), 100, 100)
    assert (checked.text, checked.texts, checked.labels) == ("caf\u00e9\nnoir", ["\u00e9"], ["\u00e9"])


def test_boxes_a_little_outside_are_clamped_and_counted():
    boxes, clamped = check_boxes([[-2, -1, 50, 50], [0, 0, 202, 101], [10, 10, 20, 20]], 200, 100)
    assert boxes == [[0, 0, 50, 50], [0, 0, 200, 100], [10, 10, 20, 20]]
    assert clamped == 2


BAD = [None, [3, 2, 1, 4], [1, 2, 3, 2], [100.2, 0, 100.9, 5]]


@pytest.mark.parametrize("size", [None, (200, 400)])
def test_bad_boxes_can_be_dropped_with_what_belongs_to_them(size):
    bboxes = [[1, 2, 3, 4], *BAD, [5, 6, 7, 8], BAD[1]]
    if size:
        bboxes = [box and [2 * value for value in box] for box in bboxes]
    lists = {"bboxes": bboxes, "labels": list("abcdefg"), "texts": list("tuvwxyz")}
    checked, clamped, reasons = check_and_drop(record(**lists, page_size=size), 100, 200)
    assert (checked.bboxes, checked.labels, checked.texts) == ([[1, 2, 3, 4], [5, 6, 7, 8]], ["a", "f"], ["t", "y"])
    assert (checked.text, clamped, len(reasons)) == ("a", 0, 5)
    assert reasons[0] == "bboxes[1] is missing: the region has no coordinates; its text is 'u'"
    assert sum("is empty or turned round" in reason for reason in reasons) == 3
    assert sum("lies outside the page" in reason for reason in reasons) == 1


def test_only_bad_boxes_are_dropped():
    for changes in ({"bboxes": [[1, 2, 3, 2], [1, 2, 3, "4"]]}, {"bboxes": [[1, 2, 3, 2], [1, 2, 300, 4]]}):
        with pytest.raises(RecordError, match=r"bboxes\[[01]\] .*(holds '4'|leaves the page)"):
            check_and_drop(record(labels=["a", "b"], **changes), 100, 100)
    alone = {"bboxes": [[1, 2, 3, 2]], "labels": ["a"]}
    assert check_and_drop(record(**alone), 100, 100)[0].bboxes == []
    with pytest.raises(BadBoxes, match="is empty or turned round"):
        check_and_drop(record(text="", **alone), 100, 100)


@pytest.mark.parametrize(
    ("unit", "box"),
    [
        ("pixel", [20, 30, 50, 60]),
        ("relative", [0.1, 0.3, 0.25, 0.6]),
        ("percent", [10, 30, 25, 60]),
        ("thousand", [100, 300, 250, 600]),
    ],
)
@pytest.mark.parametrize("page_size", [None, (400, 200)])
def test_boxes_of_any_unit_become_pixels(unit, box, page_size):
    if page_size and unit == "pixel":
        box = [2 * value for value in box]
    assert unit in BOX_UNITS
    checked, clamped = check_record(record(bboxes=[box], box_unit=unit, page_size=page_size), 200, 100)
    assert (checked.bboxes, clamped, checked.box_unit) == ([pytest.approx([20, 30, 50, 60])], 0, None)


def test_shares_of_a_page_that_was_drawn_on_in_another_shape_are_refused():
    with pytest.raises(RecordError, match=r"boxes were drawn on a page of 100x200.*; it is turned"):
        check_record(record(bboxes=[[0.1, 0.3, 0.25, 0.6]], box_unit="relative", page_size=(100, 200)), 200, 100)


@pytest.mark.parametrize(
    "boxes", [[[0.1, 0.2, 0.9, 0.95]], [[0, 0, 1, 1]], [[0.5, 0.5, 1.004, 1], [0.1, 0.1, 0.2, 0.2]]]
)
def test_boxes_within_0_and_1_are_not_taken_for_pixels(boxes):
    share = record(bboxes=boxes, labels=["text"] * len(boxes))
    with pytest.raises(
        RecordError, match=r"within 0 and 1, such as \[0.*200x100 pixels\? build with --box_unit relative"
    ):
        check_record(share, 200, 100)
    beside_bad = record(bboxes=[*boxes, None], labels=["text"] * (len(boxes) + 1))
    with pytest.raises(RecordError, match="all bboxes are within 0 and 1"):
        check_and_drop(beside_bad, 200, 100)
    share.box_unit = "pixel"
    assert check_record(share, 200, 100)[0].bboxes == boxes
    assert check_record(record(bboxes=[[0, 0, 1, 1]]), 1, 1)[0].bboxes == [[0, 0, 1, 1]]
    assert check_record(record(bboxes=[[0, 0, 1, 1.5]]), 200, 100)[0].bboxes == [[0, 0, 1, 1.5]]


@pytest.mark.parametrize(
    ("box", "message"),
    [
        (["1", 2, 3, 4], r"bboxes\[1\] holds '1', not a number"),
        ([True, 2, 3, 4], r"bboxes\[1\] holds True, not a number"),
        ([None, 2, 3, 4], r"bboxes\[1\] holds None, not a number"),
        ([math.nan, 2, 3, 4], r"bboxes\[1\] holds nan, not a pixel coordinate"),
        ([1, 2, math.inf, 4], r"bboxes\[1\] holds inf, not a pixel coordinate"),
        ([1, 2, 10**400, 4], r"bboxes\[1\] holds 1000.*\.\.\., not a pixel coordinate"),
        ([1, 2, 10**5000, 4], r"bboxes\[1\] holds a number of thousands of digits, not a pixel coordinate"),
        ([1, 2, 3], r"bboxes\[1\] is \[1, 2, 3\], not a list of four numbers"),
        ("1234", r"bboxes\[1\] is '1234', not a list of four numbers"),
        ([3, 2, 1, 4], r"bboxes\[1\] \[3, 2, 1, 4\] is empty or turned round"),
        ([1, 2, 3, 2], r"bboxes\[1\] .* is empty or turned round"),
        ([50, 2, 50 + 1e-9, 4], r"bboxes\[1\] .* is empty"),
        ([-1.5, 0, 5, 5], r"bboxes\[1\] .* leaves the page of 100x200 pixels by more than 1%"),
        ([0, 0, 5, 203], r"bboxes\[1\] .* leaves the page of 100x200 pixels by more than 1%"),
        ([100.2, 0, 100.9, 5], r"bboxes\[1\] .* lies outside the page of 100x200 pixels"),
    ],
)
def test_bad_boxes_are_refused_by_index_and_value(box, message):
    with pytest.raises(RecordError, match=message):
        check_boxes([[1, 2, 3, 4], box], 100, 200)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"labels": []}, "unequal length: 1 bboxes, 0 labels, 1 texts"),
        ({"texts": ["a", "b"]}, "unequal length: 1 bboxes, 1 labels, 2 texts"),
        ({"bboxes": None}, "bboxes is None, not a list"),
        ({"labels": "text"}, "labels is 'text', not a list"),
        ({"labels": [3]}, r"labels\[0\] is 3, not a string"),
        ({"labels": [" "]}, r"labels\[0\] is ' ', not a name on one line"),
        ({"labels": ["a\nb"]}, r"labels\[0\] .* not a name on one line"),
        ({"texts": [None]}, r"texts\[0\] is None, not a string"),
        ({"text": 7}, "text is 7, not a string"),
        ({"text": "ab\x00"}, r"text has the control character U\+0000 at offset 2"),
        ({"target": "a\x1bb"}, r"target has the control character U\+001B at offset 1"),
        ({"prompt": ["x"]}, r"prompt is \['x'\], not a string"),
        ({"text": "a\ud800"}, "text has half of a surrogate pair at offset 1"),
        ({"id": "p\udce9"}, "id has half of a surrogate pair at offset 1"),
    ],
)
def test_bad_records_are_refused_with_the_field_and_its_value(changes, message):
    with pytest.raises(RecordError, match=message):
        check_record(record(**changes), 100, 100)
