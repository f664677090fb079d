"""Label Studio: percent boxes of regions whose shape, label and text are results of their own."""

import math

import pytest

from data_scripts.file_tree import list_files
from data_scripts.formats import label_studio
from helpers.format_folders import build, read_folder, write_images, write_json
from ocr2_hf.errors import WorkError


def result(region, kind, value, **changes):
    sides = {"original_width": 60, "original_height": 40, "image_rotation": 0}
    return {"id": region, "type": kind, "from_name": "x", "to_name": "image", "value": value, **sides} | changes


def rectangle(region, box, label=None, **changes):
    value = dict(zip(("x", "y", "width", "height"), box), rotation=0) | changes
    return result(region, "rectanglelabels", value | {"rectanglelabels": [label]} if label else value)


def transcription(region, *lines, box=None):
    value = {"text": list(lines)} | (dict(zip(("x", "y", "width", "height"), box)) if box else {})
    return result(region, "textarea", value)


def annotation(*results, **changes):
    return {"id": 1, "was_cancelled": False, "ground_truth": False, "result": list(results)} | changes


def task(*annotations, image="/data/upload/1/a.png", **data):
    return {"id": 1, "annotations": list(annotations), "data": {"image": image, **data}, "predictions": []}


def folder_with(tmp_path, *tasks):
    write_json(tmp_path / "export.json", list(tasks))
    return write_images(tmp_path, "a.png", "b.png")


def read(tmp_path, *tasks):
    return read_folder(folder_with(tmp_path, *tasks), "label_studio")


def read_one(tmp_path, *results):
    records, reasons = read(tmp_path, task(annotation(*results)))
    assert not reasons
    return records["a"]


def test_shape_label_and_text_of_a_region_belong_together(tmp_path):
    box = (10, 10, 50, 25)
    record = read_one(
        tmp_path,
        rectangle("r2", box, "Title"),
        transcription("r1", "first", "line", box=(0, 50, 50, 50)),
        result("r1", "rectangle", {"x": 0, "y": 50, "width": 50, "height": 50}),
        transcription("r2", "A title", box=box),
        {"from_id": "r1", "to_id": "r2", "type": "relation", "direction": "right"},
        result("r1", "labels", {"x": 0, "y": 50, "width": 50, "height": 50, "labels": ["list"]}),
        rectangle("r3", (50, 50, 10, 10)),
    )
    assert record.bboxes == [[6, 4, 36, 14], [0, 20, 30, 40], [30, 20, 36, 24]]
    assert (record.labels, record.texts) == (["title", "list", "text"], ["A title", "first\nline", ""])
    assert record.text == "A title\n\nfirst\nline"


def test_polygons_and_ellipses_become_the_box_around_them(tmp_path):
    polygon = result("p", "polygonlabels", {"points": [[10, 20], [50, 10], [30, 90]], "polygonlabels": ["x"]})
    ellipse = result("e", "ellipselabels", {"x": 50, "y": 50, "radiusX": 10, "radiusY": 25, "ellipselabels": ["y"]})
    record = read_one(tmp_path, polygon, ellipse)
    assert record.bboxes == [[6, 4, 30, 36], [24, 10, 36, 30]] and record.labels == ["x", "y"]


def test_a_rotated_rectangle_becomes_the_box_around_it(tmp_path):
    """It turns clockwise about its upper left corner, in pixels: a quarter turn swaps sides that are not percent."""
    quarter = rectangle("q", (50, 10, 20, 10), rotation=90)  # at (30, 4), 12 wide and 4 high
    record = read_one(tmp_path, quarter, rectangle("s", (50, 10, 20, 10), rotation=30))
    assert record.bboxes[0] == pytest.approx([26, 4, 30, 16])
    cos, sin = math.cos(math.pi / 6), 0.5
    assert record.bboxes[1] == pytest.approx([30 - 4 * sin, 4, 30 + 12 * cos, 4 + 12 * sin + 4 * cos])


def test_boxes_are_of_the_image_that_lies_there(tmp_path):
    write_images(tmp_path / "scans", "a.png", size=(120, 80))
    write_json(tmp_path / "export.json", [task(annotation(rectangle("r", (10, 10, 50, 25))))])
    record = read_folder(tmp_path, "label_studio", tmp_path / "scans")[0]["a"]
    assert record.bboxes == [[12, 8, 72, 28]]


def test_text_for_the_whole_page_counts_where_no_region_has_one(tmp_path):
    page_text = result("t", "textarea", {"text": ["the", "page"]})
    record = read_one(tmp_path, page_text, result("c", "choices", {"choices": ["good"]}))
    assert (record.text, record.bboxes) == ("the\npage", [])
    record = read_one(tmp_path, rectangle("r", (10, 10, 50, 25)), page_text)
    assert (record.text, record.texts) == ("the\npage", [""])
    record = read_one(tmp_path, rectangle("r", (10, 10, 50, 25)), transcription("r", "region"), page_text)
    assert record.text == "region"


def test_the_ground_truth_counts_else_the_newest_and_never_a_cancelled_one(tmp_path):
    def said(text, **changes):
        return annotation(result("t", "textarea", {"text": [text]}), **changes)

    old = said("old", updated_at="2024-01-01T00:00:00Z")
    new = said("new", updated_at="2024-05-01T00:00:00Z")
    truth = said("truth", updated_at="2023-01-01T00:00:00Z", ground_truth=True)
    cancelled = said("cancelled", updated_at="2025-01-01T00:00:00Z", was_cancelled=True)
    for annotations, text in [((old, new), "new"), ((new, old, cancelled), "new"), ((old, truth, new), "truth")]:
        assert read(tmp_path, task(*annotations))[0]["a"].text == text
    assert read(tmp_path, task(cancelled))[1] == {"a": "every annotation of the task was cancelled"}
    assert read(tmp_path, task())[1] == {"a": "task has no annotation"}


def predicted(*predictions, **more):
    return {"data": {"image": "a.png"}, "predictions": list(predictions), **more}


def prediction(text, **changes):
    return {"model_version": "v1", "result": [result("t", "textarea", {"text": [text]})]} | changes


def test_a_task_that_nobody_annotated_has_its_newest_or_surest_prediction(tmp_path):
    old = prediction("old", created_at="2024-01-01T00:00:00Z", score=0.9)
    new = prediction("new", created_at="2024-05-01T00:00:00Z", score=0.1)
    sure, unsure, unknown = prediction("sure", score=0.8), prediction("unsure", score=0.2), prediction("?", score=None)
    for predictions, text in [((old, new), "new"), ((unknown, unsure, sure), "sure"), ((unknown,), "?")]:
        for more in ({}, {"annotations": []}, {"annotations": None}):
            assert read(tmp_path, predicted(*predictions, **more))[0]["a"].text == text


def test_annotations_go_before_predictions(tmp_path):
    person = annotation(result("t", "textarea", {"text": ["person"]}))
    assert read(tmp_path, predicted(prediction("model"), annotations=[person]))[0]["a"].text == "person"
    cancelled = predicted(prediction("model"), annotations=[person | {"was_cancelled": True}])
    assert read(tmp_path, cancelled)[1] == {"a": "every annotation of the task was cancelled"}


def test_a_prediction_need_not_say_the_size_of_its_image(tmp_path):
    region = {key: value for key, value in rectangle("r", (10, 10, 50, 25)).items() if "original" not in key}
    record = read(tmp_path, predicted({"result": [region]}))[0]["a"]
    assert record.bboxes == [[6, 4, 36, 14]]
    region["value"]["rotation"] = 90
    assert "the size of its image is None" in read(tmp_path, predicted({"result": [region]}))[1]["a"]


@pytest.mark.parametrize(
    ("address", "file"),
    [
        ("/data/upload/1/0a1b2c3d-page.png", "page.png"),
        ("/data/upload/1/0a1b2c3d-page.png", "0a1b2c3d-page.png"),
        ("s3://bucket/scans/page.png", "scans/page.png"),
        ("https://host/scans/page.png?token=a/b.png", "page.png"),
        ("/data/local-files/?d=scans/page%201.png", "scans/page 1.png"),
        ("/data/upload/1/0a1b2c3d-page%201.png", "page 1.png"),
        ("page.png", "page.png"),
        ("http://[x/page.png", "page.png"),
    ],
)
def test_the_image_is_found_by_its_address(tmp_path, address, file):
    write_images(tmp_path, file)
    write_json(tmp_path / "export.json", [task(annotation(rectangle("r", (1, 1, 9, 9))), image=address)])
    records, reasons = read_folder(tmp_path, "label_studio")
    assert (list(records), reasons) == ([file.removesuffix(".png")], {})


def test_the_image_may_be_under_another_key_and_old_exports_are_read(tmp_path):
    old = {"id": 3, "completions": [annotation(rectangle("r", (1, 1, 9, 9)))], "data": {"n": 1, "page": "x/b.png"}}
    assert list(read(tmp_path, old)[0]) == ["b"]


def test_an_export_is_built_and_classes_can_be_mapped(tmp_path, datasets_cache):
    tasks = [task(annotation(rectangle("r", (1, 1, 9, 9), "Heading"), rectangle("s", (1, 1, 9, 9), "Stamp")))]
    (tmp_path / "map.yaml").write_text("Heading: title\nStamp: null\n")
    (row,) = build("labelled", folder_with(tmp_path, *tasks), "--label_map", tmp_path / "map.yaml")
    assert (row["id"], row["labels"]) == ("a", ["title"])


GOOD = rectangle("r", (1, 1, 9, 9), "x")


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (task(annotation()), "annotation has neither regions nor text"),
        (task(annotation(GOOD), image="gone.png"), "no image 'gone.png' in"),
        (task(annotation(GOOD), image="a/../../b.png"), "leaves the image folder"),
        (task(annotation(GOOD), image=None), "image is None, not the path"),
        (task(annotation(rectangle("r", (1, 1, 9)))), "rectangle's x, y, width, height is [1, 1, 9, None]"),
        (task(annotation(rectangle("r", (1, 1, 200, 9)))), "leaves the page"),
        (task(annotation(rectangle("r", (1, 1, 9, 9), rotation="a"))), "rotation is ['a']"),
        (
            task(annotation(result("b", "brushlabels", {"rle": [1], "format": "rle"}))),
            "region is a 'brushlabels', which",
        ),
        (task(annotation(result("b", "keypointlabels", {"x": 1, "y": 1, "width": 1}))), "which has no box"),
        (task(annotation(GOOD | {"image_rotation": 90})), "image was turned by 90 degrees"),
        (task(annotation(GOOD | {"original_width": None})), "size is [None, 40]"),
        (task(annotation(GOOD, rectangle("s", (1, 1, 9, 9)) | {"original_width": 30})), "images of several sizes"),
        (task(annotation(GOOD | {"original_width": 40, "original_height": 60})), "it is turned"),
        (task(annotation(GOOD, result("r", "labels", {"labels": ["a"]}))), "region has the labels ['x', 'a'], not one"),
        (task(annotation(rectangle("r", (1, 1, 9, 9), 5))), "label of a region is 5, not a string"),
        (task(annotation(transcription("r", 5), GOOD)), "text of a region is 5, not a string"),
        (task(annotation(7)), "result[0] is 7, not an object"),
        (task(annotation(result=None)), "result of the annotation is None, not a list"),
        (task(7), "annotations of the task are [7], not a list of objects"),
        (predicted(7), "predictions of the task are [7], not a list of objects"),
        (predicted({"result": 7}), "result of the prediction is 7, not a list"),
    ],
)
def test_a_bad_task_is_rejected_and_the_others_are_read(tmp_path, bad, reason):
    good = task(annotation(GOOD), image="b.png")
    records, reasons = read(tmp_path, good, bad)
    assert list(records) == ["b"] and len(reasons) == 1
    assert reason in next(iter(reasons.values()))


def test_an_entry_that_is_no_task_is_rejected_by_its_number(tmp_path):
    records, reasons = read(tmp_path, task(annotation(GOOD)), {"annotations": []}, 7)
    assert list(records) == ["a"]
    assert reasons["export.json#2"] == "entry 2 is {'annotations': []}, not a task with data"
    assert reasons["export.json#3"] == "entry 3 is 7, not a task with data"


@pytest.mark.parametrize("content", ["{}", "[NaN]", "[", '[{"id": 1, "id": 1}]'])
def test_a_broken_file_stops_the_build_and_is_named(tmp_path, content):
    (tmp_path / "a.json").write_text(content)
    tree = list_files(tmp_path)
    with pytest.raises(WorkError, match=r"a\.json: "):
        label_studio.list_pages(tree, tree)
