"""`crop_regions.py`: crops show what their annotation says, in the split of their page; what is left out is counted."""

import json

import numpy as np
import pytest
from PIL import Image

from data_scripts import build_dataset, crop_regions
from helpers.page_folders import write_page, write_pages
from ocr2_hf.data.load import load_dataset
from ocr2_hf.errors import run_command


def build(name: str, *options: object) -> int:
    return run_command(build_dataset.main, [name, *map(str, options)])


def crop(*options: object) -> int:
    return run_command(crop_regions.main, [*map(str, options)])


@pytest.fixture
def pages(tmp_path, datasets_cache):
    """A page whose two lines are a dark and a grey block, one region without text and one too thin; and nine more."""
    folder = write_pages(tmp_path / "pages", 9)
    image = Image.new("RGB", (200, 100), "white")
    image.paste((10, 10, 10), (20, 10, 180, 30))
    image.paste((120, 120, 120), (20, 50, 100, 80))
    path = write_page(
        folder,
        "blocks",
        None,
        text="dark grey",
        bboxes=[[20, 10, 180, 30], [20, 50, 100, 80], [0, 0, 9, 9], [100, 90, 190, 93]],
        labels=["title", "text", "figure", "text"],
        texts=["dark", "grey", "", "thin"],
    )
    image.save(path.with_suffix(".png"))
    assert build("blocks", "--annotations", folder, "--val", 0, "--test", 0.2, "--max_bad", 0) == 0
    return tmp_path


def test_crops_show_the_region_and_say_where_it_is(pages, capsys):
    assert crop("blocks", pages / "crops", "--margin", 0.1) == 0
    assert "11 crops" in capsys.readouterr().out
    found = {}
    for path in (pages / "crops" / "annotations").rglob("*.json"):
        record = json.loads(path.read_text())
        image = path.parent.parent.parent / "images" / path.parent.name / f"{path.stem}.png"
        found[record["text"]] = (record, np.asarray(Image.open(image).convert("L")))
    assert "thin" not in found
    for text, shade, box in (("dark", 10, [2, 2, 162, 22]), ("grey", 120, [3, 3, 83, 33])):
        record, pixels = found[text]
        assert record["bboxes"] == [box]
        assert record["texts"] == [text]
        x0, y0, x1, y1 = box
        assert set(pixels[y0:y1, x0:x1].flat) == {shade}
        assert pixels.shape == (y1 + y0, x1 + x0)  # the margin on all sides
        assert set(pixels[0]) == {255}


def test_what_is_left_out_is_counted_and_splits_are_kept(pages, capsys):
    assert crop("blocks", pages / "crops") == 0
    assert "1 below 8 pixels, 1 without text" in capsys.readouterr().out
    assert build("lines", "--annotations", pages / "crops", "--split", "folders", "--max_bad", 0) == 0
    before, after = load_dataset("blocks"), load_dataset("lines")
    assert set(before) == set(after) == {"train", "test"}
    wanted = {s: {text for texts in rows["texts"] for text in texts} - {"", "thin"} for s, rows in before.items()}
    assert {split: set(rows["text"]) for split, rows in after.items()} == wanted


def test_refusals(pages, capsys):
    (pages / "there").mkdir()
    assert crop("blocks", pages / "there") == 2
    assert "name a new folder" in capsys.readouterr().err
    write_page(pages / "empty", "a", texts=[""])
    assert build("empty", "--annotations", pages / "empty", "--val", 0, "--test", 0) == 0
    assert crop("empty", pages / "none") == 1
    assert "no region with text to cut out; left out: 1 without text" in capsys.readouterr().err
    assert not (pages / "none").exists()


def test_a_crop_that_was_killed_at_its_very_end_is_known_as_finished(pages, capsys):
    assert crop("blocks", pages / "crops") == 0
    before = {path: path.stat().st_mtime_ns for path in (pages / "crops").rglob("*")}
    first = capsys.readouterr().out
    assert crop("blocks", pages / "crops") == 0  # as after a kill between its rename and its end
    assert capsys.readouterr().out == f"{pages / 'crops'} is finished already\n{first}"
    assert before == {path: path.stat().st_mtime_ns for path in (pages / "crops").rglob("*")}


def test_another_crop_into_the_folder_is_refused(pages, capsys):
    assert crop("blocks", pages / "crops") == 0
    assert crop("blocks", pages / "crops", "--margin", 0.2) == 2
    write_page(pages / "pages", "more")
    assert build("blocks", "--annotations", pages / "pages", "--val", 0, "--test", 0.2, "--max_bad", 0) == 0
    assert crop("blocks", pages / "crops") == 2
    assert capsys.readouterr().err.count("is there already: name a new folder") == 2
