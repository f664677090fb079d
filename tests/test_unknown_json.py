"""JSON of no format that is read: it is told by the keys that it has, and the formats that were tried."""

import json

import pytest

from data_scripts.file_tree import list_files
from data_scripts.formats import FORMATS, choose_format, page_reader
from data_scripts.formats import json as json_format
from data_scripts.formats.json_files import MAX_PAGE_BYTES
from helpers.format_folders import build, read_folder, write_images, write_json, write_rows
from helpers.page_folders import write_page
from ocr2_hf.document.records import RecordError
from ocr2_hf.errors import WorkError

NOBODYS = {"version": "5.0", "flags": {}, "forms": [], "imagePath": "a.png", "imageHeight": 40, "imageWidth": 60}
REST = "'forms', 'imageHeight', 'imagePath', 'imageWidth', 'version'"
COCO = {"images": [{"file_name": "x.png"}], "annotations": [], "categories": []}
TASKS = [{"annotations": [], "data": {}}]
BENCHMARK = [{"layout_dets": [], "page_info": {}}]
READ = {"file": "x.png", "pages": [{"file": "x.png", "page": 1}]}
TRIED = "formats tried: coco, pubtabnet, omnidocbench, label_studio, ocr2, docling, mineru, jsonl, json"
NEEDED = "it needs text, or bboxes and labels, or prompt and target"


def test_the_formats_that_are_tried_are_all_that_are_read_from_json():
    assert TRIED.removeprefix("formats tried: ").split(", ") == [
        name
        for name in FORMATS
        if name not in ("alto", "page", "hocr", "cvat", "sroie", "icdar", "paddle", "csv", "pairs")
    ]


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (
            NOBODYS,
            f"annotation is no plain page: {NEEDED}; "
            "its keys are 'version', 'flags', 'forms', 'imagePath', 'imageHeight', 'imageWidth'",
        ),
        ({}, f"annotation is no plain page: {NEEDED}; it is {{}}"),
        (
            [{"id": 1, "boxes": []}, {"id": 2}],
            "annotation is a JSON list, not an object; of its 2 entries the first is: its keys are 'id', 'boxes'",
        ),
        (7, "annotation is a JSON int, not an object; it is 7"),
        (
            dict.fromkeys("abcdefghijklmno", 1),
            f"annotation is no plain page: {NEEDED}; "
            "its keys are 'a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'j', 'k', 'l' and 3 more",
        ),
    ],
)
@pytest.mark.parametrize("has_image", [True, False])
def test_an_unknown_file_is_told_by_its_keys(tmp_path, value, told, has_image):
    write_json(tmp_path / "a.json", value)
    write_images(tmp_path, "a.png" if has_image else "b.png")
    assert read_folder(tmp_path, "json") == ({}, {"a": f"{told}; {TRIED}"})


def test_a_plain_page_that_lacks_a_key_is_told_by_it(tmp_path):
    write_page(tmp_path, "a", labels=None)
    (reason,) = read_folder(tmp_path, "json")[1].values()
    assert reason == f"annotation has no labels; {NEEDED}; its keys are 'text', 'bboxes', 'texts'"


def test_an_unknown_file_that_is_too_large_to_be_a_page_is_told_by_the_keys_in_its_head(tmp_path):
    head = json.dumps({"cats": {"1": {"id": 1}}, "anns": {"1": {"bbox": [1, 2, 3, 4]}}, "imgs": "x"})
    (tmp_path / "a.json").write_text(head[:-2])
    with open(tmp_path / "a.json", "r+b") as file:
        file.truncate(MAX_PAGE_BYTES + 1)
    (reason,) = read_folder(write_images(tmp_path, "a.png"), "json")[1].values()
    assert reason == (
        "annotation of 16,777,217 bytes is over the limit of 16,777,216 bytes of one page; "
        f"its keys are 'anns', 'cats', 'imgs'; {TRIED}"
    )


@pytest.mark.parametrize(
    ("file", "found"),
    [
        (COCO, "coco"),
        (TASKS, "label_studio"),
        (BENCHMARK, "omnidocbench"),
        ([{"messages": [], "images": []}], "jsonl"),
        (READ, "ocr2"),
        ({"schema_name": "DoclingDocument", "body": {"children": []}}, "docling"),
        ({"pdf_info": [{"preproc_blocks": []}]}, "mineru"),
        ([{"type": "text", "page_idx": 0}], "mineru"),
    ],
)
def test_a_file_of_another_format_is_told_by_the_formats_name(tmp_path, file, found):
    write_json(tmp_path / "a.json", file)
    tree = list_files(write_images(tmp_path, "a.png"))
    (page,) = json_format.list_pages(tree, tree)
    with pytest.raises(RecordError, match=f"; the file looks like {found}: name that --format, or move the file"):
        page_reader("json", None, {})(page)


def test_unknown_rows_are_told_by_their_keys(tmp_path):
    rows = [{"file_name": "a.png", "answer": "{}"}, {"img": "a.png"}, {"file_name": "a.png", "labels": []}]
    write_rows(tmp_path / "metadata.jsonl", *rows)
    records, reasons = read_folder(write_images(tmp_path, "a.png"), "jsonl")
    advice = "--columns image=file_name,text=... says what its columns are called"
    assert not records
    assert reasons == {
        "metadata.jsonl#1": "row is neither a chat nor a plain page; its keys are 'file_name', 'answer'; " + advice,
        "metadata.jsonl#2": "row is neither a chat nor a plain page; its keys are 'img'; " + advice,
        "a": f"annotation has no bboxes; {NEEDED}; its keys are 'file_name', 'labels'",
    }


def test_a_chat_without_an_image_is_told_by_its_keys(tmp_path):
    write_rows(tmp_path / "train.jsonl", {"messages": [], "picture": "a.png"})
    reasons = read_folder(write_images(tmp_path, "a.png"), "jsonl")[1]
    assert reasons == {
        "train.jsonl#1": "row has 0 images, not one; its keys are 'messages', 'picture'; "
        "--columns image=picture says which column is the image"
    }


@pytest.mark.parametrize("name", ["rows.json", "metadata.jsonl"])
def test_rows_with_an_image_are_told_how_to_name_their_columns(tmp_path, name):
    row = {"id": 1, "scan": "scans/a.png", "said": "A"}
    write_json(tmp_path / name, [row] if name == "rows.json" else row)
    (reason,) = read_folder(write_images(tmp_path, "a.png"), name.split(".")[1])[1].values()
    assert reason.endswith("; --columns image=scan,text=... says what its columns are called")


def test_rows_that_are_no_flat_objects_are_told_the_formats(tmp_path):
    write_rows(tmp_path / "rows.jsonl", {"scan": "a.png", "said": {"text": "A"}})
    (reason,) = read_folder(write_images(tmp_path, "a.png"), "jsonl")[1].values()
    assert reason.endswith(TRIED)


@pytest.mark.parametrize(
    ("good", "file", "told"),
    [
        (
            COCO,
            NOBODYS,
            "images is no list of objects, so it is no COCO file; its keys are 'version', 'flags', 'forms'",
        ),
        (
            COCO,
            [NOBODYS],
            f"annotation is a JSON list, not a dict; its keys are 'flags', {REST}",
        ),
        (TASKS, NOBODYS, f"annotation is a JSON dict, not a list; its keys are 'flags', {REST}"),
        (BENCHMARK, NOBODYS, f"annotation is a JSON dict, not a list; its keys are 'flags', {REST}"),
        (READ, NOBODYS, "not a list of objects: ocr2 read did not write the file; its keys are 'version', 'flags'"),
    ],
)
def test_an_unknown_file_among_others_is_told_by_its_keys(tmp_path, datasets_cache, good, file, told):
    write_json(tmp_path / "pages/a.json", good)
    write_json(tmp_path / "pages/b.json", file)
    write_images(tmp_path / "pages", "x.png")
    with pytest.raises(WorkError) as raised:
        build("unknown", tmp_path / "pages")
    assert "pages/b.json: " in str(raised.value) and told in str(raised.value)


@pytest.mark.parametrize(
    ("format", "file", "told"),
    [
        ("coco", NOBODYS, f"its keys are 'flags', {REST}; {TRIED}"),
        ("label_studio", [NOBODYS], f"its keys are 'flags', {REST}; {TRIED}"),
        ("omnidocbench", TASKS, "its keys are 'annotations', 'data'; the file looks like label_studio: name that"),
        ("ocr2", [1], f"its beginning has no keys; {TRIED}"),
        ("alto", NOBODYS, f"its keys are 'flags', {REST}; {TRIED}"),
    ],
)
def test_what_is_not_of_the_named_format_is_told_by_its_keys(tmp_path, format, file, told):
    path = write_json(tmp_path / "a.json", file)
    with pytest.raises(WorkError) as raised:
        choose_format(format, [list_files(tmp_path)])
    assert f"no annotations in {tmp_path}: the files that are read are\n  {format}" in str(raised.value)
    assert f"\n{path}: {told}" in str(raised.value)


def test_a_folder_of_it_is_not_built_and_says_why(tmp_path, datasets_cache):
    write_json(tmp_path / "pages/a.json", NOBODYS)
    write_images(tmp_path / "pages", "a.png")
    with pytest.raises(
        WorkError, match=r"a\.json: annotation is no plain page: .* its keys are 'version'.*; formats tried"
    ):
        build("unknown", tmp_path / "pages")
