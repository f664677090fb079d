"""COCO: boxes and labels of many pages in one file."""

import json
import tracemalloc
from collections import Counter

import pytest

from data_scripts.file_tree import list_files
from data_scripts.formats import coco
from helpers.format_folders import build, read_folder, write_images, write_json
from ocr2_hf.errors import WorkError

CATEGORIES = [{"id": 1, "name": "Text"}, {"id": 2, "name": "Section-header"}, {"id": 3, "name": "stamp"}]


def image(number, name, **changes):
    return {"id": number, "file_name": name, "width": 60, "height": 40} | changes


def region(image_id, bbox, category_id=1, **changes):
    return {"image_id": image_id, "category_id": category_id, "bbox": bbox, "iscrowd": 0} | changes


def write_coco(folder, images, annotations, name="a.json"):
    write_json(folder / name, {"images": images, "annotations": annotations, "categories": CATEGORIES})
    return folder


def test_real_article_pages(real_pages, datasets_cache):
    folder = real_pages / "publaynet_coco"
    records, reasons = read_folder(folder, "coco")
    assert (len(records), reasons) == (20, {})
    labels = Counter(label for record in records.values() for label in record.labels)
    assert labels == {"text": 137 + 7, "title": 34, "table": 6, "image": 9}
    annotations = json.loads((folder / "samples.json").read_text())["annotations"]
    first = [entry["bbox"] for entry in annotations if entry["image_id"] == 348952]
    rows = {row["id"]: row for row in build("articles", folder)}
    row = rows["PMC5491943_00004"]
    for box, (x, y, width, height) in zip(row["bboxes"], first, strict=True):
        assert box == pytest.approx([x, y, x + width, y + height], abs=1e-3)
    assert (row["text"], row["texts"], row["width"], row["height"]) == ("", [""] * 10, 596, 794)
    assert sum(len(row["bboxes"]) for row in rows.values()) == 193


def test_boxes_and_labels_of_each_image(tmp_path):
    write_images(tmp_path, "a.png", "scans/b.png")
    images = [image("x", "a.png"), image(7, "scans/b.png")]
    write_coco(tmp_path, images, [region(7, [1, 2, 3, 4], 2), region("x", [0, 0, 60, 40]), region(7, [5, 6, 7, 8], 3)])
    records, reasons = read_folder(tmp_path, "coco")
    assert not reasons
    assert (records["a"].bboxes, records["a"].labels) == ([[0, 0, 60, 40]], ["text"])
    assert records["scans/b"].bboxes == [[1, 2, 4, 6], [5, 6, 12, 14]]
    assert records["scans/b"].labels == ["sub_title", "stamp"]


def test_boxes_are_scaled_to_the_image(tmp_path):
    write_images(tmp_path, "a.png", size=(120, 80))
    write_coco(tmp_path, [image(1, "a.png")], [region(1, [1, 2, 3, 4])])
    assert read_folder(tmp_path, "coco")[0]["a"].bboxes == [[2, 4, 8, 12]]


def test_polygons_where_there_is_no_box_and_crowds(tmp_path):
    write_images(tmp_path, "a.png")
    polygon = {"image_id": 1, "category_id": 1, "segmentation": [[3, 4, 10, 5, 9, 30], [1, 20, 5, 21, 2, 22]]}
    crowd = region(1, [1, 1, 5, 5], iscrowd=1, segmentation={"counts": [1], "size": [40, 60]})
    write_coco(tmp_path, [image(1, "a.png")], [polygon, crowd])
    assert read_folder(tmp_path, "coco")[0]["a"].bboxes == [[1, 4, 10, 30], [1, 1, 6, 6]]


@pytest.mark.parametrize("place", [lambda order: {"order": order}, lambda order: {"attributes": {"order": order}}])
def test_an_explicit_order_is_the_reading_order(tmp_path, place):
    write_images(tmp_path, "a.png")
    regions = [region(1, [order, 0, 9, 9], **place(order)) for order in (3, 1, 2)]
    write_coco(tmp_path, [image(1, "a.png")], regions)
    assert [box[0] for box in read_folder(tmp_path, "coco")[0]["a"].bboxes] == [1, 2, 3]


@pytest.mark.parametrize(
    ("regions", "reason"),
    [
        ([], "image has no annotations"),
        ([region(1, [1, 2, 3])], r"annotations[0] of the image: bbox is [1, 2, 3], not a list of 4 numbers"),
        ([region(1, [1, 2, 0, 4])], "is empty or turned round"),
        ([region(1, [1, 2, 100, 4])], "leaves the page of 60x40 pixels"),
        ([region(1, None)], "bbox is None, not a list of 4 numbers"),
        ([{"image_id": 1, "category_id": 1}], "has neither bbox nor polygons"),
        ([{"image_id": 1, "category_id": 1, "segmentation": {"counts": []}}], "has neither bbox nor polygons"),
        ([{"image_id": 1, "category_id": 1, "segmentation": [[1, 2, 3]]}], "segmentation has the point [3]"),
        ([{"image_id": 1, "category_id": 1, "segmentation": [[1, "2"]]}], "segmentation is [1, '2'], not a list of 2"),
        ([{"image_id": 1, "category_id": 1, "segmentation": []}], "segmentation has no points"),
        ([region(1, [1, 2, 3, 4], 9)], "annotation is of the category_id 9, which categories does not have"),
        ([region(1, [1, 2, 3, 4], order=1), region(1, [1, 2, 3, 4])], "order of the image's annotations is [1, None]"),
    ],
)
def test_a_page_that_cannot_be_used_is_rejected_with_the_reason(tmp_path, regions, reason):
    write_images(tmp_path, "a.png", "b.png")
    write_coco(tmp_path, [image(1, "a.png"), image(2, "b.png")], [*regions, region(2, [1, 2, 3, 4])])
    records, reasons = read_folder(tmp_path, "coco")
    assert list(records) == ["b"] and list(reasons) == ["a"]
    assert reason in reasons["a"]


def test_images_and_annotations_that_do_not_belong_together_are_rejected(tmp_path):
    write_images(tmp_path, "a.png", "b.png", "c.png")
    images = [image(1, "a.png"), image(1, "b.png"), image(2, "c.png"), image(3, "gone.png"), image(4, "../c.png")]
    write_coco(tmp_path, images, [region(number, [1, 2, 3, 4]) for number in (1, 2, 3, 4, 5)])
    records, reasons = read_folder(tmp_path, "coco")
    assert list(records) == ["c"]
    assert reasons["a"] == reasons["b"] == "image has the id 1, which is no id or is that of another image too"
    assert reasons["a.json#4"] == f"no image 'gone.png' in {tmp_path}; --images names their folder"
    assert reasons["a.json#5"] == f"image '../c.png' leaves the image folder {tmp_path}"
    assert reasons["a.json#image_id=5"] == "1 annotations are of the image_id 5, which no one image has"


def test_an_image_in_two_files_is_rejected_twice(tmp_path):
    write_images(tmp_path, "a.png")
    for name in ("train.json", "val.json"):
        write_coco(tmp_path, [image(1, "a.png")], [region(1, [1, 2, 3, 4])], name)
    tree = list_files(tmp_path)
    pages = coco.list_pages(tree, tree)
    assert [page.annotation for page in pages] == [f"{tmp_path}/train.json", f"{tmp_path}/val.json"]
    assert read_folder(tmp_path, "coco") == ({}, {"a": "2 entries are of the image 'a': keep one of them"})


def test_the_image_folder_may_lie_elsewhere_than_when_it_was_annotated(tmp_path):
    write_images(tmp_path / "scans", "a.png", "x/b.png")
    images = [image(1, "/home/me/images/a.png"), image(2, "images/x/b.png")]
    write_coco(tmp_path / "coco", images, [region(1, [1, 2, 3, 4]), region(2, [1, 2, 3, 4])])
    records, reasons = read_folder(tmp_path / "coco", "coco", tmp_path / "scans")
    assert (list(records), reasons) == (["a", "x/b"], {})


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"images": [{"file_name": "a.png"}], "annotations": []}', "categories is no list of objects"),
        ('{"images": [{"file_name": "a.png", "file_name": ""}]', "annotation has the key 'file_name' twice"),
        ('{"images": [{"file_name": "a.png", "id": NaN}]', "annotation holds NaN"),
        ('{"images": [{"file_name": "a.png"}', "annotation is broken JSON"),
        ('{"images": [{"file_name": 1}], "x": ' + "[" * 10_000, "annotation is broken JSON"),
    ],
)
def test_a_broken_file_stops_the_build_and_is_named(tmp_path, content, message):
    (tmp_path / "a.json").write_text(content)
    tree = list_files(tmp_path)
    assert coco.recognise(tree)
    with pytest.raises(WorkError) as raised:
        coco.list_pages(tree, tree)
    assert str(raised.value).startswith(f"{tmp_path}/a.json: {message}")


def test_polygons_are_not_kept_where_there_are_boxes(tmp_path):
    """The memory of a large file is that of its boxes."""
    write_images(tmp_path, "a.png")
    regions = [region(1, [1, 2, 3, 4], segmentation=[[i + 0.25] * 400]) for i in range(500)]
    write_coco(tmp_path, [image(1, "a.png")], regions)
    tree = list_files(tmp_path)
    tracemalloc.start()
    pages = coco.list_pages(tree, tree)
    kept, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    size = (tmp_path / "a.json").stat().st_size
    assert len(pages) == 1 and size > 1_000_000
    assert kept < size / 2 and peak < 3 * size  # the polygons' floats would take 4 times the file and more
