"""Boxes in other units than pixels, from the annotation to the rows."""

import json
import re

import pytest

from helpers.format_folders import build, write_images, write_json, write_rows
from helpers.page_folders import image_bytes, write_page
from ocr2_hf.data.load import built_datasets
from ocr2_hf.errors import UsageError, WorkError

# One box at (6, 4) to (30, 20) of a page of 60x40.
BOXES = {
    "pixel": [6, 4, 30, 20],
    "relative": [0.1, 0.1, 0.5, 0.5],
    "percent": [10, 10, 50, 50],
    "thousand": [100, 100, 500, 500],
}


@pytest.fixture
def pages(tmp_path, datasets_cache):
    """The folder of the annotations, beside the cache."""
    return tmp_path / "pages"


def coco(folder, box):
    x0, y0, x1, y1 = box
    image = {"id": 1, "file_name": "a.png", "width": 60, "height": 40}
    region = {"image_id": 1, "category_id": 1, "bbox": [x0, y0, x1 - x0, y1 - y0]}
    write_json(folder / "a.json", {"images": [image], "annotations": [region], "categories": [{"id": 1, "name": "x"}]})


def plain(folder, box):
    write_json(folder / "a.json", {"text": "x", "bboxes": [box], "labels": ["text"]})


def row(folder, box):
    write_rows(folder / "a.jsonl", {"image": "a.png", "text": "x", "bboxes": [box], "labels": ["text"]})


def cells(folder, box):
    html = {"structure": {"tokens": ["<td>", "</td>"]}, "cells": [{"tokens": ["x"], "bbox": box}]}
    write_rows(folder / "a.jsonl", {"filename": "a.png", "html": html})


def sroie(folder, box):
    x0, y0, x1, y1 = box
    (folder / "a.txt").write_text(f"{x0},{y0},{x1},{y0},{x1},{y1},{x0},{y1},x\n")


@pytest.mark.parametrize("unit", BOXES)
@pytest.mark.parametrize("write", [coco, plain, row, cells, sroie])
def test_every_format_that_leaves_the_unit_open_is_built_in_it(pages, write, unit):
    write(write_images(pages, "a.png"), BOXES[unit])
    (row,) = build("units", pages, "--box_unit", unit)
    assert row["bboxes"] == [pytest.approx(BOXES["pixel"], abs=1e-5)]


def test_boxes_in_shares_are_sorted_and_bad_ones_dropped_like_others(pages):
    boxes = [[0.1, 0.5, 0.5, 0.9], [0.5, 0.5, 0.4, 0.6], [0.1, 0.1, 0.5, 0.3]]
    regions = {"bboxes": boxes, "labels": ["text"] * 3, "texts": ["low", "bad", "high"], "text": "low\nbad\nhigh"}
    write_page(pages, "a", image_bytes(100, 100), **regions)
    (row,) = build("units", pages, "--box_unit", "relative", "--order", "position")
    assert (row["text"], row["texts"]) == ("high\nlow\nbad", ["high", "low"])
    assert row["bboxes"] == [pytest.approx(box, abs=1e-4) for box in ([10, 10, 50, 30], [10, 50, 50, 90])]
    counted = json.loads((built_datasets()["units"] / "summary.json").read_text())
    assert [counted[name] for name in ("upward", "sorted", "dropped", "clamped")] == [1, 1, 1, 0]


@pytest.mark.parametrize("write", [coco, plain, row, cells, sroie])
def test_shares_of_the_page_are_not_built_as_pixels(pages, write):
    write(write_images(pages, "a.png"), BOXES["relative"])
    with pytest.raises(WorkError, match=r"all bboxes are within 0 and 1, .* build with --box_unit relative"):
        build("units", pages)


def test_lines_of_sroie_in_shares_have_as_many_digits_as_a_float(pages):
    x0, y0, x1, y1 = (value / side for value, side in zip(BOXES["pixel"], (60, 40, 66, 44)))
    sroie(write_images(pages, "a.png"), [x0 / 3, y0 / 3, x1 / 3, y1 / 3])
    (row,) = build("units", pages, "--box_unit", "relative")
    assert row["bboxes"] == [pytest.approx([2, 4 / 3, 30 / 3.3, 20 / 3.3], abs=1e-5)]


def test_a_unit_that_is_fixed_stays(pages):
    write_images(pages, "a.png")
    box = {"id": "r", "type": "rectangle", "value": {"x": 10, "y": 10, "width": 40, "height": 40}}
    task = {
        "data": {"image": "a.png"},
        "annotations": [{"result": [box | {"original_width": 60, "original_height": 40}]}],
    }
    write_json(pages / "a.json", [task])
    with pytest.raises(UsageError, match="--box_unit pixel: boxes of the format label_studio are in percent"):
        build("units", pages, "--box_unit", "pixel")
    for options in ([], ["--box_unit", "percent"]):
        (row,) = build("units", pages, *options)
        assert row["bboxes"] == [BOXES["pixel"]]


@pytest.mark.parametrize(
    ("box", "size", "hint"),
    [
        ([100, 100, 990, 950], (1600, 1300), "within 0 and 1000, .* --box_unit thousand"),
        ([10, 10, 99, 95], (1600, 1300), "within 0 and 100, .* --box_unit percent"),
        ([100, 100, 990, 950], (1600, 1200), None),
        ([100, 100, 990, 1001], (1600, 1300), None),
    ],
)
def test_boxes_that_fill_only_a_corner_of_every_page_are_told(pages, capsys, box, size, hint):
    for name in ("a", "b"):
        write_page(pages, name, image_bytes(*size), bboxes=[box, [1, 1, 5, 5]], labels=["x", "x"], texts=None)
    write_page(pages, "c", image_bytes(*size), bboxes=[], labels=[], texts=None)
    build("units", pages)
    said = capsys.readouterr().err
    if hint:
        start = r"warning: the boxes of all pages that have some \(2\) lie "
        assert re.search(start + hint, said)
        build("units", pages, "--box_unit", "pixel")
        assert "--box_unit" not in capsys.readouterr().err
    else:
        assert "--box_unit" not in said


def test_one_page_that_reaches_farther_says_that_boxes_are_pixels(pages, capsys):
    write_page(pages, "a", image_bytes(1600, 1300), bboxes=[[100, 100, 990, 950]])
    write_page(pages, "b", image_bytes(1600, 1300), bboxes=[[100, 100, 1500, 950]])
    build("units", pages)
    assert "--box_unit" not in capsys.readouterr().err
