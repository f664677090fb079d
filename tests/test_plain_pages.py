"""Pages of text alone, of boxes alone, of a question and its answer alone: in a file of one page, and in rows."""

import json

import pytest

from data_scripts.file_tree import list_files
from data_scripts.formats import jsonl
from helpers.format_folders import build, read_folder, write_images, write_json, write_rows

BOXES = {"bboxes": [[5, 5, 50, 20]], "labels": ["text"]}
NEEDED = "it needs text, or bboxes and labels, or prompt and target"


def read(tmp_path, format, page):
    """(record or None, reason or None) of the one page, as a file or as a row."""
    write_images(tmp_path, "a.png")
    if format == "json":
        write_json(tmp_path / "a.json", page)
    else:
        write_rows(tmp_path / "metadata.jsonl", page | {"file_name": "a.png"})
    records, reasons = read_folder(tmp_path, format)
    return records.get("a"), reasons.get("a")


@pytest.mark.parametrize(
    ("page", "fields"),
    [
        ({"text": "# A\n\nb"}, ("# A\n\nb", [], [], [], None, None)),
        ({"text": "x", "bboxes": None, "labels": None, "texts": None}, ("x", [], [], [], None, None)),
        ({"text": "x", "bboxes": [], "labels": []}, ("x", [], [], [], None, None)),
        ({"text": ""}, ("", [], [], [], None, None)),
        (BOXES, ("", [[5, 5, 50, 20]], ["text"], [""], None, None)),
        (BOXES | {"text": "x"}, ("x", [[5, 5, 50, 20]], ["text"], [""], None, None)),
        ({"prompt": "Q", "target": "A"}, ("", [], [], [], "Q", "A")),
        ({"prompt": "Q", "target": "A", "bboxes": [], "labels": []}, ("", [], [], [], "Q", "A")),
        ({"prompt": "Q", "target": "A", "text": "x", "more": 1}, ("x", [], [], [], "Q", "A")),
    ],
)
@pytest.mark.parametrize("format", ["json", "jsonl"])
def test_a_page_needs_one_thing_that_is_known_of_it(tmp_path, format, page, fields):
    record, reason = read(tmp_path, format, page)
    assert reason is None
    assert (record.text, record.bboxes, record.labels, record.texts, record.prompt, record.target) == fields


@pytest.mark.parametrize(
    ("page", "absent"),
    [
        ({"text": "x", "bboxes": [[5, 5, 50, 20]]}, "labels"),
        ({"text": "x", "labels": ["text"]}, "bboxes"),
        ({"labels": ["text"]}, "bboxes"),
        ({"text": "x", "texts": ["x"]}, "bboxes, labels"),
        (BOXES | {"texts": ["x"]}, "text"),
        ({"prompt": "Q"}, "target"),
        ({"target": "A"}, "prompt"),
        ({"bboxes": [], "labels": []}, "text"),
        ({"text": None}, "text"),
    ],
)
@pytest.mark.parametrize("format", ["json", "jsonl"])
def test_half_of_it_is_refused_with_what_is_missing(tmp_path, format, page, absent):
    record, reason = read(tmp_path, format, page)
    assert record is None
    empty = "; its text is empty" if "text" in page and page["text"] is None else ""
    assert reason.startswith(f"annotation has no {absent}; {NEEDED}{empty}; its keys are ")


def test_imagefolders_metadata_is_built(tmp_path, datasets_cache):
    rows = [{"file_name": "scans/a.png", "text": "A"}, {"image_file_name": "b.png", "text": "B", "label": 3}]
    write_images(tmp_path / "pages", "scans/a.png", "b.png")
    write_rows(tmp_path / "pages/metadata.jsonl", *rows)
    built = build("texts", tmp_path / "pages")
    assert [(row["id"], row["text"], row["bboxes"], row["texts"]) for row in built] == [
        ("b", "B", [], []),
        ("scans/a", "A", [], []),
    ]


def test_a_row_with_two_images_is_refused_unless_one_is_named(tmp_path):
    write_images(tmp_path, "a.png", "b.png")
    write_rows(tmp_path / "metadata.jsonl", {"image_file_name": "a.png", "mask_file_name": "b.png", "text": "A"})
    (reason,) = read_folder(tmp_path, "jsonl")[1].values()
    assert reason.startswith("row has 2 images, not one; its keys are 'image_file_name', 'mask_file_name'")
    records, _ = read_folder(tmp_path, "jsonl", columns={"image": "image_file_name"})
    assert list(records) == ["a"]


@pytest.mark.parametrize(
    ("rows", "is_one"),
    [
        ([{"image": "a.png", "text": "A"}], True),
        ([{"page_file_name": "a.png", "text": "A"}], True),
        ([{"image": "a.png", "prompt": "Q", "target": "A"}], True),
        ([{"type": "text", "text": "A", "img_path": "a.png", "page_idx": 0}], False),
        ([{"text": "A", "inner": {"image": "a.png"}}], False),
        ([{"image": "a.png", "label": "A"}], False),
    ],
)
def test_a_json_list_is_of_rows_where_they_have_an_image_and_a_text(tmp_path, rows, is_one):
    write_json(tmp_path / "list.json", rows)
    assert jsonl.recognise(list_files(tmp_path)) is is_one


def test_a_page_of_text_alone_is_built_as_one_with_boxes_is(tmp_path, datasets_cache):
    pages = {"text": {"text": "x"}, "boxed": {"text": "x"} | BOXES}
    built = {}
    for name, page in pages.items():
        write_images(tmp_path / name, "a.png")
        (tmp_path / name / "a.json").write_text(json.dumps(page))
        (built[name],) = build(name, tmp_path / name)
    assert built["boxed"] | {"bboxes": [], "labels": [], "texts": []} == built["text"]
