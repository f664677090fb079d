"""Boxes in text and back, case by case."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ocr2_hf.document.grounding import (
    REPAIRS,
    TAGS,
    Region,
    decode_box,
    encode_box,
    encode_regions,
    find_boxes,
    parse_regions,
    plain_markdown,
    plain_text,
    read_grounded,
)
from ocr2_hf.document.page_files import PageSource
from ocr2_hf.document.predictions import Prediction
from ocr2_hf.evaluation.measures import measure_text
from ocr2_hf.evaluation.registry import measure_page
from ocr2_hf.evaluation.text import normalize_text
from ocr2_hf.reading.results import Page

PAGE = (1000, 2000)


def test_a_region_is_written_as_the_model_writes_it():
    text = encode_regions([Region("sub_title", (217, 418, 520, 450), "### 5.1 Search")], *PAGE)
    assert text == "<|ref|>sub_title<|/ref|><|det|>[[217, 209, 519, 225]]<|/det|>\n### 5.1 Search"


def test_regions_are_parted_by_a_blank_line_and_a_region_without_text_has_an_empty_line():
    text = encode_regions([Region("image", (0, 0, 10, 10)), Region("text", (0, 0, 1000, 2000), "a\nb")], *PAGE)
    assert text == (
        "<|ref|>image<|/ref|><|det|>[[0, 0, 10, 5]]<|/det|>\n\n\n"
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
        ("<|ref|>a<|det|>[[1, 2, 3, 4]]<|/det|>", 1),
        ("no tags at all [[1, 2, 3, 4]]", 0),
    ],
)
def test_what_models_produce_is_read_as_far_as_it_goes(text, boxes):
    assert len(parse_regions(text, *PAGE)) == boxes


def test_coordinates_past_999_and_reversed_corners_are_put_right():
    (region,) = parse_regions("<|ref|>a<|/ref|><|det|>[[1200, 999, 0, 100]]<|/det|>", 999, 999)
    assert region.box == (0, 100, 999, 999)


A = "<|ref|>a<|/ref|><|det|>[[1, 2, 3, 4]]<|/det|>"
REPAIRED = {
    "<|ref|>a<|/ref|><|det|>[[1, 2, 3, 4]]\nText [1] of 2": (["missing_end_tag"], [("a", "Text [1] of 2")]),
    "<|ref|>a<|/ref|><|det|>[[1, 2, 3, 4]] Text": (["missing_end_tag"], [("a", "Text")]),
    "<|ref|>a<|det|>[[1, 2, 3, 4]]<|/det|>\nText": (["missing_end_tag"], [("a", "Text")]),
    f"<|ref|>b<|det|>[[5, 6, 7, 8]]{A}": (["missing_end_tag"], [("b", ""), ("a", "")]),
    "before <|det|>[[1, 2, 3, 4]]<|/det|>\nText": (["missing_label"], [("", "Text")]),
    "<|ref|>a<|/ref|><|det|>[[one]]<|/det|>\nText": (["missing_box"], []),
    "<|ref|>a<|/ref|><|det|>[[1, 2, 3]]<|/det|>\nText": (["missing_box"], []),
    f"<|ref|>a<|/ref|><|det|>[[1, 2, 3, {'4' * 5000}]]<|/det|>\nText": (["missing_box"], []),
    "<|ref|>a<|/ref|><|det|>[[1, 2, 3, 4],\n[5, 6, 7, 8]]<|/det|>\nText": (
        ["several_boxes"],
        [("a", "Text"), ("a", "")],
    ),
    "<|ref|>a<|/ref|><|det|>[1, 2, 3, 4]<|/det|>": (["wrong_brackets"], [("a", "")]),
    "<|ref|>a<|/ref|><|det|>[[1, 2, 3, 1000]]<|/det|>": (["coordinate_out_of_range"], [("a", "")]),
    "<|ref|>a<|/ref|><|det|>[[-1, 2, 3, 4]]<|/det|>": (["coordinate_out_of_range"], [("a", "")]),
    "<|ref|>a<|/ref|><|det|>[[3, 2, 1, 4]]<|/det|>": (["reversed_corners"], [("a", "")]),
    f"{A}\nloop\n\n{A}\nloop\n\n{A}\nloop\n\n{A}\nlo": (["repeated_region"] * 2, [("a", "loop"), ("a", "lo")]),
    f"{A}\nsee <|ref|>Table 1<|/ref|> below": (["stray_tag"] * 2, [("a", "see Table 1 below")]),
    f"{A}\nText<|/det|> goes on<|grounding|>": (["stray_tag"] * 2, [("a", "Text goes on")]),
    f"{A}\nText\n\n<|ref|>b<|/ref|><|det|>[[5, 6, 7, 8": (["cut_off"], [("a", "Text")]),
    f"{A}\nText\n\n<|ref|>b<|/ref|><|det|>": (["cut_off"], [("a", "Text")]),
    f"{A}\nText\n\n<|ref|>b<|/ref|>": (["cut_off"], [("a", "Text")]),
    f"{A}\nText\n\n<|ref|>b<|/re": (["cut_off"], [("a", "Text")]),
    f"{A}\nText\n\n<|ref|>tit": (["cut_off"], [("a", "Text")]),
    f"{A}\nText\n\n<|ref|>": (["cut_off"], [("a", "Text")]),
    f"{A}\nText\n\n<|re": (["cut_off"], [("a", "Text")]),
    f"{A}\nText\n\n<|ref|>b<|/ref|><|det|>[[5, 6, 7, 8]]<|/det": (
        ["missing_end_tag", "cut_off"],
        [("a", "Text"), ("b", "")],
    ),
}


@pytest.mark.parametrize("text", REPAIRED, ids=lambda text: repr(text)[:60])
def test_every_repair_is_recorded(text):
    kinds, regions = REPAIRED[text]
    found = read_grounded(text, *PAGE)
    assert [repair.kind for repair in found.repairs] == kinds
    assert [(region.label, region.text) for region in found.regions] == regions
    for repair in found.repairs:
        assert text[repair.where :].startswith(repair.value) and 0 < len(repair.value) <= 80
    lost = {"missing_box": ["Text"], "missing_label": ["before", "Text"]}.get(kinds[0])
    assert plain_text(text).split("\n") == (lost or [text for _, text in regions if text] or [""])


def test_each_kind_of_repair_is_documented_and_tested(repo):
    assert {kind for kinds, _ in REPAIRED.values() for kind in kinds} == REPAIRS.keys()
    readme = (repo / "ocr2_hf/reading/README.md").read_text(encoding="utf-8").partition("## Repairs")[2]
    assert dict(re.findall(r"^\| `(\w+)` \| (.*) \|$", readme, re.MULTILINE)) == REPAIRS


def test_spans_are_the_characters_of_a_region():
    text = f"before\n{A}\nText\n\n<|ref|>b<|/ref|><|det|>[[1, 2, 3, 4], [5, 6, 7, 8]]<|/det|>\n\n"
    assert [text[slice(*span)] for (span,) in read_grounded(text, *PAGE).spans] == [
        f"{A}\nText",
        *["<|ref|>b<|/ref|><|det|>[[1, 2, 3, 4], [5, 6, 7, 8]]<|/det|>"] * 2,
    ]


def test_links_stand_where_their_regions_do():
    text = f"before\n{A}\n\n<|ref|>t<|/ref|><|det|>[[1, 2, 3, 4], [5, 6, 7, 8]]<|/det|>\nText"
    assert plain_markdown(text, ["![](1)", "", "![](3)"]) == "before\n\n![](1)\n\n![](3)\n\nText"
    assert plain_markdown(text) == "before\n\nText"


PIECES = st.sampled_from(
    [*TAGS, "<|re", "<|/det", "[[1, 2, 3, 4]]", "[[12, 3", "[9, 9, 0, 1000]", "]]", "a", " ", "\n"]
)


@settings(max_examples=300, deadline=None)
@given(st.lists(PIECES | st.text(max_size=5), max_size=20).map("".join))
def test_any_text_is_read(text):
    found = read_grounded(text, *PAGE)
    assert len(found.regions) == len(found.spans) and {repair.kind for repair in found.repairs} <= REPAIRS.keys()
    assert all(0 <= r.box[0] <= r.box[2] <= 1000 and 0 <= r.box[1] <= r.box[3] <= 2000 for r in found.regions)
    assert not any(tag in plain_text(text) for tag in TAGS)


WORDS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="<|"), max_size=20).map(str.strip)
SIDES = st.integers(0, 999).flatmap(lambda first: st.tuples(st.just(first), st.integers(first, 999)))
REGIONS = st.builds(lambda label, x, y, text: Region(label, (x[0], y[0], x[1], y[1]), text), WORDS, SIDES, SIDES, WORDS)


@settings(max_examples=100, deadline=None)
@given(st.lists(REGIONS, max_size=6, unique_by=lambda region: (region.label, region.box, region.text)))
def test_what_is_written_is_read_back_without_a_repair(regions):
    found = read_grounded(encode_regions(regions, 999, 999), 999, 999)
    assert not found.repairs
    assert [(r.label, r.text) for r in found.regions] == [(r.label, r.text) for r in regions]
    for before, after in zip(regions, found.regions, strict=True):
        assert after.box == pytest.approx(before.box)


@pytest.mark.parametrize(
    "text",
    [
        "<|ref|>" * 9000,
        "<|det|>" * 9000,
        f"<|ref|>{' ' * 60_000}",
        f"<|det|>[[{' ' * 60_000}",
        f"{A}\n" * 4000,
        "<|ref|>a<|/ref|>" * 5000,
        "[[1, 2, " * 9000,
        f"<|det|>{'[' * 60_000}",
        f"<|ref|>a<|/ref|>{' ' * 60_000}",
        "<|det|>[1,2,3,4]" * 5000,
        "<|" * 30_000,
    ],
)
@pytest.mark.timeout(60)
def test_no_answer_takes_long_to_read(text):
    read_grounded(text, *PAGE)


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
    assert text[first.text[1] :].startswith("<|ref|>table") and first.spans == ((first.tag[0], first.text[1]),)
    assert second.label == "table" and text[slice(*second.text)] == "<table></table>"


def test_real_outputs_of_the_model_are_read(real_pages):
    pages = sorted((real_pages / "deepseek_grounded_markdown").glob("*.md"))
    counts = {page.stem: len(parse_regions(page.read_text(encoding="utf-8"), 1000, 1000)) for page in pages}
    tags = {page.stem: page.read_text(encoding="utf-8").count("<|det|>") for page in pages}
    assert pages and counts == tags
    assert not any(read_grounded(page.read_text(encoding="utf-8"), 1000, 1000).repairs for page in pages)


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("no tags, a < b | c", "no tags, a < b | c"),
        (
            "<|ref|>title<|/ref|><|det|>[[1, 2, 3, 4]]<|/det|>\n# One\n\n"
            "<|ref|>text<|/ref|><|det|>[[5, 6, 7, 8]]<|/det|>\nTwo",
            "# One\nTwo",
        ),
        ("<|ref|>image<|/ref|><|det|>[[1, 2, 3, 4]]<|/det|>\n", ""),
        ("before<|ref|>text<|/ref|><|det|>[[1, 2, 3, 4], [5, 6, 7, 8]]<|/det|>after", "before\nafter"),
        ("<|ref|>text<|/ref|><|det|>[[1, 2,\nOne", "One"),  # the end tag is missing
        ("One\n<|ref|>text<|/ref|><|det|>[[1, 2", "One"),  # cut off
        ("<|ref|>\n" * 3, ""),
    ],
)
def test_grounding_is_no_text(text, plain):
    assert plain_text(text) == plain


def test_grounding_of_an_endless_page_is_stripped_quickly():
    assert plain_text("<|ref|>" * 20_000) == ""
    assert plain_text("<|ref|>a<|/ref|><|det|>[[" * 20_000).strip() == ""


# How answers were taken apart before one reader did it for all: right for what is well formed.
_OLD_TAG = re.compile(r"<\|ref\|>(?:(?!<\|).)*<\|/ref\|>\s*<\|det\|>(?:(?!<\||\n).)*(?:<\|/det\|>)?", re.DOTALL)
WORDS = st.text("ab c\n.|<é#", max_size=12)
WELL_FORMED = st.lists(
    st.builds(
        lambda label, text, at, pad: (label, text + pad, at), st.sampled_from(["text", "title"]), WORDS,
        st.integers(0, 900), st.sampled_from(["", "  ", "\n\n"]),
    ),
    max_size=4, unique_by=lambda region: region[2],
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(WORDS, WELL_FORMED)
def test_of_a_well_formed_answer_the_same_text_is_scored_as_ever(before, regions):
    tags = [f"<|ref|>{label}<|/ref|><|det|>[[{at}, 1, {at + 9}, 2]]<|/det|>\n{text}" for label, text, at in regions]
    answer = "\n\n".join([before, *tags])
    old = re.sub(r"\n\s*\n", "\n", _OLD_TAG.sub("\n", answer)).strip()
    assert normalize_text(plain_text(answer)) == normalize_text(old)
    strict = measure_text(Prediction("page", answer, old + "<|grounding|>"))
    assert strict["strict_edits"] == 0 and strict["strict_characters"] == len(old)


MALFORMED = [
    "<|ref|>text<|det|>[[1, 2, 30, 40]]<|/det|>\nOne",  # a label without its end tag
    "<|det|>[[1, 2, 30, 40]]<|/det|>\nOne",  # a box without a label
    "<|ref|>text<|/ref|><|det|>[[1, 2, 30, 40]]\nOne",  # a box without its end tag
    "One\n<|ref|>text<|/ref|><|det|>[[1, 2",  # cut off in a box
    "One\n<|ref|>te",  # cut off in a tag
    "One\n<|re",
    "<|ref|>text<|/ref|><|det|>[[1, 2, 30, 40]]<|/det|>\nOne\n\n" * 3,  # a repeated region
    "<|ref|>text<|/ref|><|det|>[[1, 2, 30, 40], [5, 6, 70, 80]]<|/det|>\nOne",  # two boxes in a tag
    "<|ref|>text<|/ref|><|det|>1, 2, 30, 40<|/det|>\nOne",  # without brackets
    "One<|/det|><|grounding|>",  # stray tags
    "<|ref|>text<|/ref|><|det|><|/det|>One",  # no box
]


@pytest.mark.parametrize("answer", MALFORMED)
def test_what_is_scored_is_what_is_read(answer):
    page = Page(answer, *PAGE, True, 1, 0.0, PageSource("page.png"))
    assert page.text == "One"
    counted = measure_page(Prediction("page", answer, "One")).quantities
    assert (counted["character_edits"], counted["strict_edits"], counted["exact"]) == (0, 0, True)
