"""OmniDocBench: blocks with four corners, text and reading order."""

import pytest

from data_scripts.file_tree import list_files
from data_scripts.formats import omnidocbench
from helpers.format_folders import build, read_folder, write_images, write_json
from ocr2_hf.errors import WorkError


def block(category, order, x=1, **changes):
    poly = [x, 2, x + 10, 2, x + 10, 8, x, 8]
    return {"category_type": category, "poly": poly, "order": order, "ignore": False, "anno_id": x} | changes


def page(*blocks, image="a.png", **info):
    return {
        "layout_dets": list(blocks),
        "page_info": {"image_path": image, "width": 60, "height": 40, "page_no": 0} | info,
        "extra": {"relation": [{"source_anno_id": 1, "target_anno_id": 2, "relation_type": "truncated"}]},
    }


def folder_with(tmp_path, *pages):
    write_json(tmp_path / "OmniDocBench.json", list(pages))
    write_images(tmp_path / "images", "a.png", "b.png")
    return tmp_path


def read(tmp_path, *pages):
    return read_folder(folder_with(tmp_path, *pages), "omnidocbench", tmp_path / "images")


def test_blocks_come_in_reading_order_and_those_without_one_last(tmp_path):
    header = block("header", None, 30, text="Journal", ignore=True)
    mask = block("need_mask", None, 40, ignore=True)
    blocks = [header, block("text_block", 2, 20, text="second"), mask, block("title", 1, 10, text="First")]
    records, reasons = read(tmp_path, page(*blocks))
    assert not reasons
    assert records["a"].labels == ["title", "text", "header", "need_mask"]
    assert records["a"].bboxes == [[x, 2, x + 10, 8] for x in (10, 20, 30, 40)]
    assert records["a"].texts == ["First", "second", "Journal", ""]
    assert records["a"].text == "First\n\nsecond\n\nJournal"


def test_corners_become_the_box_around_them_on_the_image(tmp_path):
    turned = block("text_block", 1, poly=[10, 4, 50, 8, 46, 60, 8, 56])
    records, _ = read(tmp_path, page(turned, width=120, height=80))
    assert records["a"].bboxes == [[4, 2, 25, 30]]


@pytest.mark.parametrize(
    ("found", "text"),
    [
        (block("table", 1, html="<table></table>", latex="\\begin{tabular}"), "<table></table>"),
        (block("equation_isolated", 1, latex="$$x + 1$$"), r"\[ x + 1 \]"),
        (block("equation_isolated", 1, latex=r"\[x + 1\]"), r"\[ x + 1 \]"),
        (block("equation_isolated", 1, latex="$x$"), r"\[ x \]"),
        (block("equation_isolated", 1, latex="x"), r"\[ x \]"),
        (block("figure", 1), ""),
        (block("text_block", 1, text=None), ""),
        (block("text_block", 1, text="costs $5 or $6"), "costs $5 or $6"),
        (
            block(
                "text_block",
                1,
                text="for $n$, $ k $ and $5",
                line_with_spans=[
                    {"category_type": "text_span", "text": "for"},
                    {"category_type": "equation_inline", "latex": "$n$"},
                    {"category_type": "equation_inline", "latex": "$ k $"},
                    {"category_type": "equation_inline", "latex": None},
                ],
            ),
            r"for \(n\), \(k\) and $5",
        ),
    ],
)
def test_the_text_of_a_block(tmp_path, found, text):
    assert read(tmp_path, page(found))[0]["a"].texts == [text]


def test_a_page_is_built_and_classes_can_be_mapped(tmp_path, datasets_cache):
    folder = folder_with(tmp_path, page(block("text_block", 1, text="x"), block("abandon", None)))
    (tmp_path / "map.yaml").write_text("abandon: null\ntext: reference\ntext_block: paragraph\n")
    (row,) = build("bench", folder, "--label_map", tmp_path / "map.yaml")
    assert (row["id"], row["labels"], row["texts"]) == ("a", ["paragraph"], ["x"])


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (page(block("title", 1, poly=[1, 2, 3])), "poly is [1, 2, 3], not a list of 8 numbers"),
        (page(block("title", 1, poly=None)), "poly is None"),
        (page(block(None, 1)), "category_type is None, not a string"),
        (page(block("title", "1")), "order of the blocks is ['1'], not a list of 1 numbers"),
        (page(block("title", 1, text=["x"])), "text of a block is ['x'], not a string"),
        (page(block("title", 1), width=None), "size in page_info is [None, 40], not a list of 2 numbers"),
        (page(block("title", 1), width=40, height=60), "the image has 60x40 pixels; it is turned"),
        (page(block("title", 1), image="x/gone.png"), "no image 'x/gone.png' in "),
        (page(block("title", 1), image="../a.png"), "leaves the image folder"),
        (page(block("title", 1), image="b.png"), "2 entries are of the image 'b'"),
    ],
)
def test_a_bad_page_is_rejected_and_the_others_are_read(tmp_path, bad, reason):
    good = page(block("title", 1, text="x"), image="b.png")
    records, reasons = read(tmp_path, good, bad)
    assert len(records) + len(reasons) in (1, 2) and len(reasons) == 1
    assert reason in next(iter(reasons.values()))


def test_an_entry_that_is_no_page_is_rejected_by_its_number(tmp_path):
    good = page(block("title", 1, text="x"))
    records, reasons = read(tmp_path, good, {"layout_dets": []}, 1, {"layout_dets": [1], "page_info": {}})
    assert list(records) == ["a"] and sorted(reasons) == [f"OmniDocBench.json#{number}" for number in (2, 3, 4)]
    assert reasons["OmniDocBench.json#3"] == "entry 3 is 1, not a page with layout_dets and page_info"


@pytest.mark.parametrize("content", ["{}", "[", "[Infinity]"])
def test_a_broken_file_stops_the_build_and_is_named(tmp_path, content):
    (tmp_path / "a.json").write_text(content)
    tree = list_files(tmp_path)
    with pytest.raises(WorkError, match=r"a\.json: "):
        omnidocbench.list_pages(tree, tree)
