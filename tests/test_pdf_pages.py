"""PDFs and TIFFs of several pages as page images, and boxes drawn on a page of another size than the image's."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from data_scripts.build_dataset import main
from helpers.bad_pdfs import million_pages, nested_forms
from helpers.page_folders import image_bytes, write_page, write_tiff
from ocr2_hf.data.load import load_dataset
from ocr2_hf.document import page_process
from ocr2_hf.document.page_files import list_pages
from ocr2_hf.errors import run_command


def write_pdf(path: Path, *boxes: tuple[int, int, int, int]) -> None:
    """A PDF of 100x140 points with a page for each box, which is all its ink."""
    pages = []
    for box in boxes:
        page = Image.new("RGB", (100, 140), "white")
        ImageDraw.Draw(page).rectangle((box[0], box[1], box[2] - 1, box[3] - 1), fill="black")
        pages.append(page)
    path.parent.mkdir(parents=True, exist_ok=True)
    pages[0].save(path, save_all=True, append_images=pages[1:], resolution=72)


def build(folder: Path, *options: object) -> list[dict]:
    words = ["pdfs", "--annotations", str(folder), "--val", "0", "--test", "0", "--max_bad", "0.9"]
    assert run_command(main, [*words, *map(str, options)]) == 0
    return list(load_dataset("pdfs", split="train"))


def rejects(capsys: pytest.CaptureFixture) -> dict[str, str]:
    path = capsys.readouterr().out.split("reasons: ")[1].splitlines()[0]
    lines = map(json.loads, Path(path).read_text().splitlines())
    return {line["id"]: line["reason"] for line in lines}


def ink(image: Image.Image) -> list[int]:
    rows, columns = np.nonzero(np.asarray(image.convert("L")) < 128)
    return [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]


def test_a_pdf_of_one_page_pairs_by_name_and_its_boxes_are_scaled(tmp_path, datasets_cache):
    write_pdf(tmp_path / "pages" / "letter.pdf", (20, 30, 60, 50))
    write_page(tmp_path / "pages", "letter", None, bboxes=[[20, 30, 60, 50]], width=100, height=140)
    (row,) = build(tmp_path / "pages")
    assert (row["width"], row["height"]) == (200, 280)  # 144 dpi: two pixels a point
    assert row["bboxes"] == [[40, 60, 120, 100]]
    assert np.abs(np.subtract(ink(row["image"]), row["bboxes"][0])).max() <= 1
    source = list_pages(tmp_path / "pages" / "letter.pdf")[0]
    assert source.load().tobytes() == row["image"].convert("RGB").tobytes()  # as `ocr2 read` will see it


def test_a_page_of_a_pdf_by_its_number(tmp_path, datasets_cache):
    write_pdf(tmp_path / "pages" / "book" / "all.pdf", (10, 10, 30, 30), (40, 50, 90, 100))
    for number, box in ((1, [20, 20, 60, 60]), (2, [80, 100, 180, 200])):
        write_page(tmp_path / "pages", f"p{number}", None, image=f"book/all.pdf#page={number}", bboxes=[box])
    rows = build(tmp_path / "pages", "--num_proc", 2)
    assert [row["id"] for row in rows] == ["p1", "p2"]
    for row in rows:
        assert np.abs(np.subtract(ink(row["image"]), row["bboxes"][0])).max() <= 1


def test_pdfs_that_cannot_be_a_page_are_rejected_with_the_reason(tmp_path, datasets_cache, capsys, monkeypatch):
    pages = tmp_path / "pages"
    monkeypatch.setattr(page_process, "SECONDS", 1)
    write_page(pages, "endless", nested_forms(), suffix=".pdf")
    write_page(pages, "many", million_pages(), suffix=".pdf")
    write_page(pages, "good")
    write_pdf(pages / "two.pdf", (10, 10, 30, 30), (40, 50, 90, 100))
    write_page(pages, "two", None)
    write_page(pages, "absent", None, image="two.pdf#page=3")
    write_page(pages, "outside", None, image="../two.pdf#page=1")
    (pages / "broken.pdf").write_bytes((pages / "two.pdf").read_bytes()[:200])
    write_page(pages, "broken", None)
    (pages / "other.pdf").write_bytes(image_bytes())
    write_page(pages, "other", None)
    assert [row["id"] for row in build(pages)] == ["good"]
    reasons = rejects(capsys)
    assert "PDF has 2 pages: name the one that is annotated, as in doc.pdf#page=3" in reasons["two"]
    assert "PDF has 2 pages, no page 3" in reasons["absent"]
    assert "leaves the image folder" in reasons["outside"]
    assert "broken.pdf: broken PDF" in reasons["broken"]
    assert reasons["other"] == "file is no PDF"
    assert "endless.pdf: not opened within 1 s" in reasons["endless"]
    assert reasons["many"] == "PDF has 1000000 pages: name the one that is annotated, as in doc.pdf#page=3"


def drawn(box: tuple[int, int, int, int]) -> Image.Image:
    page = Image.new("L", (100, 140), "white")
    page.paste("black", box)
    return page


def test_pages_of_a_tiff_by_number_and_by_name(tmp_path, datasets_cache):
    pages, boxes = tmp_path / "pages", [(10, 10, 30, 30), (40, 50, 90, 100)]
    pages.mkdir()
    thumbnail = Image.new("L", (10, 14))
    write_tiff(pages / "all.TIFF", (drawn(boxes[0]), 2), (thumbnail, 1), (drawn(boxes[1]), 2))
    for number, box in enumerate(boxes, 1):
        write_page(pages, f"p{number}", None, image=f"all.TIFF#page={number}", bboxes=[box])
    write_tiff(pages / "q.tif", (thumbnail, 1), (drawn(boxes[1]), 0))
    write_page(pages, "q", None, bboxes=[boxes[1]])
    rows = build(pages, "--num_proc", 2)
    assert [row["id"] for row in rows] == ["p1", "p2", "q"]
    for row, box in zip(rows, (*boxes, boxes[1]), strict=True):
        assert (row["width"], row["height"]) == row["image"].size == (100, 140)
        assert ink(row["image"]) == row["bboxes"][0] == list(box)


def test_tiffs_that_cannot_be_a_page_are_rejected_with_the_reason(tmp_path, datasets_cache, capsys):
    pages, page = tmp_path / "pages", drawn((10, 10, 30, 30))
    write_page(pages, "good")
    for name, frames in {"two": [(page, 0), (page, 0)], "one": [(page, 0)]}.items():
        write_page(pages, name, None, image=f"{name}.tif" + ("#page=2" if name == "one" else ""))
        write_tiff(pages / f"{name}.tif", *frames)
    write_page(pages, "cut", (pages / "one.tif").read_bytes()[:9000], suffix=".tif")
    write_page(pages, "text", b"no image", suffix=".tif")
    write_page(pages, "lie", (pages / "two.tif").read_bytes())
    assert [row["id"] for row in build(pages)] == ["good"]
    reasons = rejects(capsys)
    assert reasons["two"] == "TIFF has 2 pages: name the one that is annotated, as in scan.tif#page=2"
    assert reasons["one"] == "TIFF has 1 page, no page 2"
    assert "TIFF" in reasons["cut"] and "text.tif: not a readable image" in reasons["text"]
    assert reasons["lie"] == "TIFF of several frames: its name must end in .tif for its page to be found"


def test_boxes_drawn_on_another_size_are_scaled_and_on_another_shape_refused(tmp_path, datasets_cache, capsys):
    pages = tmp_path / "pages"
    write_page(pages, "same", width=60, height=40)
    write_page(pages, "large", width=600, height=400, bboxes=[[50, 50, 500, 200]])
    write_page(pages, "rounded", width=31, height=21, bboxes=[[0, 0, 31, 21]])  # a thumbnail: 40 / 60 * 31 is 20.7
    write_page(pages, "turned", width=400, height=600)
    write_page(pages, "other", width=60, height=50)
    write_page(pages, "half", width=60)
    rows = {row["id"]: row["bboxes"] for row in build(pages)}
    assert rows == {"same": [[5, 5, 50, 20]], "large": [[5, 5, 50, 20]], "rounded": [[0, 0, 60, 40]]}
    reasons = rejects(capsys)
    assert reasons["turned"] == "boxes were drawn on a page of 400x600, the image has 60x40 pixels; it is turned"
    assert reasons["other"] == "boxes were drawn on a page of 60x50, the image has 60x40 pixels"
    assert "has the side None, not a number above 0" in reasons["half"]


def test_a_label_map_renames_and_leaves_out(tmp_path, datasets_cache, capsys):
    pages = tmp_path / "pages"
    boxes = [[5, 5, 50, 10], [5, 12, 50, 20], [5, 22, 50, 30]]
    write_page(pages, "p", bboxes=boxes, labels=["Kopf", "Stamp", "Text"], texts=["a", "b", "c"])
    table = tmp_path / "labels.yaml"
    table.write_text("Kopf: title\nstamp: null\n")
    (row,) = build(pages, "--label_map", table)
    assert (row["labels"], row["texts"], row["bboxes"]) == (["title", "text"], ["a", "c"], [boxes[0], boxes[2]])
    table.write_text("Kopf: header\n")  # another table is another dataset
    assert build(pages, "--label_map", table)[0]["labels"] == ["header", "Stamp", "text"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("- title", "is not a table of class: label"),
        ("", "is not a table of class: label"),
        ("Kopf: [title]", "the label of 'Kopf' is ['title'], not a string"),
        ("Kopf: ''", "the label of 'Kopf' is '', not a name on one line"),
        ("1: title", "the class 1 is not a string; put it in quotes"),
        ("Kopf: !!python/object/apply:os.getcwd []", "is no YAML"),
        ("{", "is no YAML"),
        (None, "cannot be read: No such file or directory"),
    ],
)
def test_a_wrong_label_map_is_refused(tmp_path, datasets_cache, capsys, content, message):
    write_page(tmp_path / "pages", "p")
    table = tmp_path / "labels.yaml"
    if content is not None:
        table.write_text(content)
    assert run_command(main, ["pdfs", "--annotations", str(tmp_path / "pages"), "--label_map", str(table)]) == 2
    error = capsys.readouterr().err
    assert f"--label_map: {table}" in error and message in error and "Traceback" not in error


def test_a_level_that_the_format_has_not_is_refused(tmp_path, datasets_cache, capsys):
    write_page(tmp_path / "pages", "p")
    assert run_command(main, ["pdfs", "--annotations", str(tmp_path / "pages"), "--level", "line"]) == 2
    told = "--level line: the format json does not have it; its files have one level only: leave --level away"
    assert told in capsys.readouterr().err
