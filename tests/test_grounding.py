"""Boxes in text and back, case by case."""

import pytest

from ocr2_hf.data.grounding import (
    Region,
    decode_box,
    encode_box,
    encode_regions,
    find_boxes,
    parse_regions,
    plain_text,
)

PAGE = (1000, 2000)


def test_a_region_is_written_as_the_model_writes_it():
    text = encode_regions([Region("sub_title", (217, 418, 520, 450), "### 5.1 Search")], *PAGE)
    assert text == "<|ref|>sub_title<|/ref|><|det|>[[217, 209, 519, 225]]<|/det|>\n### 5.1 Search"


def test_regions_are_parted_by_a_blank_line_and_a_region_without_text_is_its_tag():
    text = encode_regions([Region("image", (0, 0, 10, 10)), Region("text", (0, 0, 1000, 2000), "a\nb")], *PAGE)
    assert text == (
        "<|ref|>image<|/ref|><|det|>[[0, 0, 10, 5]]<|/det|>\n\n"
        "<|ref|>text<|/ref|><|det|>[[0, 0, 999, 999]]<|/det|>\na\nb"
    )


def test_no_regions_are_no_text():
    assert encode_regions([], *PAGE) == ""
    assert parse_regions("", *PAGE) == []
    assert find_boxes("") == []


@pytest.mark.parametrize("side", [1, 7, 975, 1754, 9999])
def test_a_box_comes_back_within_half_a_coordinate(side):
    box = (0.0, 0.25 * side, 0.5 * side, float(side))
    again = decode_box(encode_box(box, side, side), side, side)
    assert max(abs(a - b) for a, b in zip(again, box, strict=True)) <= side / 999 / 2 + 1e-9


def test_the_corners_of_the_page_are_0_and_999():
    assert encode_box((0, 0, *PAGE), *PAGE) == (0, 0, 999, 999)
    assert decode_box((0, 0, 999, 999), *PAGE) == (0, 0, *PAGE)


def test_what_lies_outside_is_moved_to_the_edge():
    assert encode_box((-5, -5, 1010, 2500), *PAGE) == (0, 0, 999, 999)


def test_a_box_that_is_not_finite_is_refused():
    with pytest.raises(ValueError, match="not finite"):
        encode_box((0, 0, float("nan"), 1), *PAGE)


def test_text_that_holds_a_tag_of_its_own_is_refused():
    with pytest.raises(ValueError, match="grounding tag"):
        encode_regions([Region("text", (0, 0, 1, 1), "see <|det|> here")], *PAGE)
    with pytest.raises(ValueError, match="grounding tag"):
        encode_regions([Region("<|ref|>", (0, 0, 1, 1))], *PAGE)


def test_round_trip_with_labels_nobody_has_seen_and_any_script():
    regions = [
        Region("stamp_2", (10, 20, 300, 400), "Café №7 — «ü»"),
        Region("公式", (0, 0, 1000, 2000), "資產總計\n[[1, 2]] not a box"),
    ]
    again = parse_regions(encode_regions(regions, *PAGE), *PAGE)
    assert [(r.label, r.text) for r in again] == [(r.label, r.text) for r in regions]
    for before, after in zip(regions, again, strict=True):
        assert max(abs(a - b) for a, b in zip(before.box, after.box, strict=True)) < 1.1


@pytest.mark.parametrize(
    ("text", "boxes"),
    [
        ("<|ref|>a<|/ref|><|det|>[[1,2,3,4]]<|/det|>", 1),
        ("<|ref|>a<|/ref|><|det|>[[1, 2, 3, 4], [5, 6, 7, 8]]<|/det|>\nx", 2),
        ("<|ref|>a<|/ref|><|det|>[[1, 2, 3, 4]]\nno end tag", 1),
        ("<|ref|>a<|/ref|><|det|>[[1, 2, 3", 0),
        ("<|ref|>a<|/ref|><|det|>[[one, 2, 3, 4]]<|/det|>", 0),
        ("<|ref|>a<|det|>[[1, 2, 3, 4]]<|/det|>", 0),
        ("no tags at all [[1, 2, 3, 4]]", 0),
    ],
)
def test_what_models_produce_is_read_as_far_as_it_goes(text, boxes):
    assert len(parse_regions(text, *PAGE)) == boxes


def test_coordinates_past_999_and_reversed_corners_are_put_right():
    (region,) = parse_regions("<|ref|>a<|/ref|><|det|>[[1200, 999, 0, 100]]<|/det|>", 999, 999)
    assert region.box == (0, 100, 999, 999)


def test_plain_text_is_the_texts_without_tags():
    regions = [
        Region("title", (0, 0, 1, 1), "Bill"),
        Region("image", (0, 0, 1, 1)),
        Region("text", (0, 0, 1, 1), "a\nb"),
    ]
    assert plain_text(encode_regions(regions, *PAGE)) == "Bill\na\nb"
    assert plain_text("  no tags\n") == "no tags"


def test_find_boxes_points_at_every_character_it_names():
    regions = [
        Region("text", (0, 0, 500, 2000), "a"),
        Region("table", (0, 1000, 1000, 2000), "<table></table>"),
    ]
    text = encode_regions(regions, *PAGE)
    first, second = find_boxes(text)
    assert text[slice(*first.det)] == "<|det|>"
    assert tuple(int(text[slice(*span)]) for span in first.coordinates) == first.values == (0, 0, 500, 999)
    assert text[slice(*first.tag)].startswith("<|ref|>text") and text[slice(*first.tag)].endswith("<|/det|>\n")
    assert text[first.end :].startswith("<|ref|>table")
    assert second.label == "table" and second.end == len(text)


def test_real_outputs_of_the_model_are_read(real_pages):
    pages = sorted((real_pages / "deepseek_grounded_markdown").glob("*.md"))
    counts = {page.stem: len(parse_regions(page.read_text(encoding="utf-8"), 1000, 1000)) for page in pages}
    tags = {page.stem: page.read_text(encoding="utf-8").count("<|det|>") for page in pages}
    assert pages and counts == tags
