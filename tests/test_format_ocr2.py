"""Read, correct, train: what `ocr2 read` wrote, corrected, is an annotation."""

import json
import os
from functools import partial

import datasets
import pytest
from PIL import ExifTags, Image, TiffImagePlugin

from helpers.format_folders import build, read_folder, write_images
from helpers.page_folders import turned, write_tiff
from helpers.parrot import Parrot
from helpers.tiny_pages import noise
from ocr2_hf import load_dataset
from ocr2_hf.commands import read
from ocr2_hf.data.tasks import build_example, suits
from ocr2_hf.document.page_files import to_rgb
from ocr2_hf.errors import run_command
from ocr2_hf.reading.reader import DocumentReader

ANSWER = (
    "<|ref|>title<|/ref|><|det|>[[100, 100, 500, 200]]<|/det|>\n# A tittle\n\n"
    "<|ref|>text<|/ref|><|det|>[[100, 300, 900, 800]]<|/det|>\nSome text."
)


@pytest.fixture
def read_files(tmp_path, monkeypatch):
    """Run `ocr2 read` with a given answer on files of tmp_path/scans, and options; the folder of its output."""

    def run(*files, answer=ANSWER):
        monkeypatch.setattr(DocumentReader, "from_pretrained", lambda *args, **options: Parrot(answer))
        paths = [str(tmp_path / "scans" / file) if "." in str(file) else str(file) for file in files]
        output = str(tmp_path / "out")
        assert run_command(read.main, [*paths, "--model", "tiny", "--output_dir", output]) == 0
        return tmp_path / "out"

    return run


@pytest.fixture
def scans(tmp_path):
    write_images(tmp_path / "scans", "one.png", "two.png", size=(200, 100))
    pages = [noise(size, 80) for size in ((100, 50), (60, 60))]
    pages[0].save(tmp_path / "scans" / "book.pdf", save_all=True, append_images=pages[1:])
    return tmp_path / "scans"


def correct(path, change):
    document = json.loads(path.read_text(encoding="utf-8"))
    change(document["pages"])
    path.write_text(json.dumps(document, ensure_ascii=False, indent=2), encoding="utf-8")


def test_a_corrected_page_is_the_row_that_is_trained_on(scans, read_files, datasets_cache):
    out = read_files("one.png", "two.png")

    def change(pages):
        pages[0]["regions"][0]["text"] = "A title"
        pages[0]["regions"][1]["label"] = "table"
        pages[0]["regions"][1]["box"] = [20, 30, 180, 90]
        pages[0]["regions"].append({"label": "footer", "box": [1, 95, 20, 99], "text": "7"})

    correct(out / "one.json", change)
    one, two = build("read", out, "--images", scans)
    assert (one["id"], two["id"]) == ("one", "two")
    assert one["labels"] == ["title", "table", "footer"] and one["texts"] == ["A title", "Some text.", "7"]
    assert one["text"] == "A title\n\nSome text.\n\n7"
    x, y = 200 / 999, 100 / 999
    title = pytest.approx([100 * x, 100 * y, 500 * x, 200 * y], abs=1e-4)
    assert one["bboxes"] == [title, [20, 30, 180, 90], [1, 95, 20, 99]]
    # What was not touched is trained on as the model said it.
    assert build_example("markdown", two)[1] == ANSWER


def test_a_captioned_table_keeps_its_task(scans, read_files, datasets_cache):
    """As the first DeepSeek-OCR writes it: the caption between the table's tag and its HTML."""
    answer = (
        "<|ref|>table<|/ref|><|det|>[[100, 300, 900, 800]]<|/det|>\n"
        "<|ref|>table_caption<|/ref|><|det|>[[100, 100, 500, 200]]<|/det|>\nBills   \n\n"
        "<table><tr><td>Rent</td><td>1,234</td></tr></table>"
    )
    (row,) = build("read", read_files("one.png", answer=answer), "--images", scans)
    assert row["labels"] == ["table_caption", "table"] and suits("table", row)
    assert build_example("table", row)[1] == "<table><tr><td>Rent</td><td>1,234</td></tr></table>"


def test_pages_of_a_pdf_are_drawn_as_they_were_read(scans, read_files, datasets_cache):
    out = read_files("book.pdf")
    correct(out / "book.json", lambda pages: pages[1]["regions"][0].update(text="Page two"))
    first, second = build("read", out, "--images", scans)
    assert (first["id"], second["id"]) == ("book#page=1", "book#page=2")
    assert [(row["width"], row["height"]) for row in (first, second)] == [(200, 100), (120, 120)]
    assert second["texts"][0] == "Page two" and build_example("markdown", first)[1] == ANSWER


def frames(*sizes):
    return [noise(size, 80, seed) for seed, size in enumerate(sizes)]


PAGE, OTHER, SMALL = frames((200, 100), (120, 140), (40, 20))


def two_turned(path):
    with TiffImagePlugin.AppendingTiffWriter(str(path), new=True) as file:
        for image, orientation in ((PAGE, 6), (OTHER, 8)):
            image.save(file, "TIFF", tiffinfo={ExifTags.Base.Orientation: orientation})
            file.newFrame()


UPRIGHT = {6: Image.Transpose.ROTATE_270, 8: Image.Transpose.ROTATE_90}
# A file's name, how it is written, and the pages that a person sees in it.
FILES = {
    "bmp": ("scan.bmp", PAGE.save, [PAGE]),
    "gif": ("scan.gif", PAGE.save, [PAGE]),
    "animation": ("scan.gif", partial(PAGE.save, save_all=True, append_images=[PAGE.rotate(180)]), [PAGE]),
    "moving webp": (
        "scan.webp",
        partial(PAGE.save, save_all=True, append_images=[PAGE.rotate(180)], lossless=True),
        [PAGE],
    ),
    "one page": ("scan.tif", PAGE.save, [PAGE]),
    "two pages": ("scan.tif", partial(PAGE.save, save_all=True, append_images=[OTHER]), [PAGE, OTHER]),
    "thumbnail first": ("scan.tiff", lambda path: write_tiff(path, (SMALL, 1), (PAGE, 0)), [PAGE]),
    "thumbnail between": (
        "scan.tif",
        lambda path: write_tiff(path, (PAGE, 2), (SMALL, 1), (OTHER, 2)),
        [PAGE, OTHER],
    ),
    "pyramid": (
        "scan.tif",
        lambda path: write_tiff(path, (PAGE, 0), (SMALL, 1), (SMALL, 1), compression="tiff_lzw"),
        [PAGE],
    ),
    "turned png": ("scan.png", partial(PAGE.save, exif=turned(6)), [PAGE.transpose(UPRIGHT[6])]),
    "turned tiff": ("scan.tif", partial(PAGE.save, exif=turned(8)), [PAGE.transpose(UPRIGHT[8])]),
    "turned pages": ("scan.tif", two_turned, [PAGE.transpose(UPRIGHT[6]), OTHER.transpose(UPRIGHT[8])]),
}


@pytest.mark.parametrize("kind", FILES)
def test_what_was_read_is_built_with_the_same_pixels(tmp_path, read_files, datasets_cache, kind):
    name, write, pages = FILES[kind]
    (tmp_path / "scans").mkdir()
    write(tmp_path / "scans" / name)
    read = []
    out = read_files(name, answer=lambda image: read.append(image) or ANSWER)
    rows = build("read", out, "--images", tmp_path / "scans")
    written = json.loads((out / "scan.json").read_text())["pages"]
    ids = [f"scan#page={number}" for number in range(1, len(pages) + 1)] if len(pages) > 1 else ["scan"]
    assert [row["id"] for row in rows] == ids
    loaded = load_dataset("read", split="train")
    stored = loaded.cast_column("image", datasets.Image(decode=False))["image"]
    is_first_frame = len(pages) == 1 and kind != "thumbnail first"
    for number, (row, page) in enumerate(zip(rows, pages, strict=True)):
        pixels = to_rgb(loaded[number]["image"])
        assert pixels.tobytes() == read[number].tobytes() == page.convert("RGB").tobytes()
        assert (row["width"], row["height"]) == pixels.size == page.size
        boxes = [region["box"] for region in written[number]["regions"]]
        assert row["bboxes"] == [pytest.approx(box, abs=1e-4) for box in boxes]
        assert (stored[number]["bytes"] == (tmp_path / "scans" / name).read_bytes()) == is_first_frame


def test_one_page_of_a_tiff_of_two_is_that_page(tmp_path, read_files, datasets_cache):
    (tmp_path / "scans").mkdir()
    PAGE.save(tmp_path / "scans" / "scan.tif", save_all=True, append_images=[OTHER])
    for number, (page_id, image) in enumerate((("scan", PAGE), ("scan#page=2", OTHER)), 1):
        out = read_files("scan.tif", "--pages", number)
        (row,) = build("read", out, "--images", tmp_path / "scans")
        assert (row["id"], row["width"], row["height"]) == (page_id, *image.size)
        shown = to_rgb(load_dataset("read", split="train")[0]["image"])
        assert shown.tobytes() == image.convert("RGB").tobytes()


def test_a_page_beside_a_corrected_one_is_kept(scans, read_files, datasets_cache):
    """NAME.md is one for all pages: that it is not what a corrected page says is no correction of another."""
    out = read_files("book.pdf", answer="Some tekst.")
    correct(out / "book.json", lambda pages: pages[0].update(text="Some text.", markdown="Some text."))
    assert [row["text"] for row in build("read", out, "--images", scans)] == ["Some text.", "Some tekst."]


def test_a_page_read_without_boxes_is_its_text(scans, read_files):
    out = read_files("one.png", answer="Some tekst.")
    correct(out / "one.json", lambda pages: pages[0].update(text="Some text."))
    records, reasons = read_folder(out, "ocr2", scans)
    assert not reasons
    assert (records["one"].text, records["one"].bboxes) == ("Some text.", [])


def test_the_scans_may_have_moved_and_may_be_scaled(scans, read_files, tmp_path):
    out = read_files("one.png")
    write_images(tmp_path / "elsewhere", "one.png", size=(400, 200))
    records, _ = read_folder(out, "ocr2", tmp_path / "elsewhere")
    assert records["one"].bboxes[0] == pytest.approx(
        [100 * 400 / 999, 100 * 200 / 999, 500 * 400 / 999, 400 * 100 / 999]
    )


def test_without_the_scans_the_overlays_are_not_taken_for_them(scans, read_files):
    out = read_files("one.png")
    records, reasons = read_folder(out, "ocr2")
    assert not records
    reason = reasons["one.json#1"]
    assert reason.startswith("no image '") and reason.endswith(f"in {out}; --images names their folder")


def test_a_correction_in_the_wrong_place_is_not_lost(scans, read_files):
    out = read_files("one.png", "two.png")
    correct(out / "one.json", lambda pages: pages[0].update(text="A title\nSome text."))
    (out / "two.md").write_text("A title\n\nSome text.\n")
    records, reasons = read_folder(out, "ocr2", scans)
    assert not records
    assert reasons["one"] == "text was corrected, but not the regions, which count: correct their texts"
    assert reasons["two"] == "the markdown was corrected, but not the regions, which count: correct their texts"
    for name in ("one.json", "two.json"):
        correct(out / name, lambda pages: pages[0]["regions"][0].update(text="A title"))
    assert list(read_folder(out, "ocr2", scans)[0]) == ["one", "two"]


def test_a_corrected_markdown_of_a_page_without_boxes_is_not_lost(scans, read_files):
    out = read_files("one.png", answer="Some tekst.")
    (out / "one.md").write_text("Some text.\n")
    reasons = read_folder(out, "ocr2", scans)[1]
    assert reasons == {"one": "the markdown was corrected, but not the text, which counts: correct it"}
    os.remove(out / "one.md")
    assert read_folder(out, "ocr2", scans)[0]["one"].text == "Some tekst."


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda page: page.update(regions=None), "regions is None, not a list of objects"),
        (lambda page: page["regions"].append(5), "regions is [{"),
        (lambda page: page["regions"][0].pop("box"), "box of regions[0] is None, not a list of 4 numbers"),
        (lambda page: page["regions"][1].update(text=None), "text of regions[1] is None, not a string"),
        (lambda page: page["regions"][1].pop("label"), "label of regions[1] is None, not a string"),
        (lambda page: page["regions"][1].update(box=[50, 2, 5, 9]), "is empty or turned round"),
        (lambda page: page.update(width="200"), "width and height is ['200', 100]"),
        (lambda page: page.update(width=100, height=200), "it is turned"),
        (lambda page: page.update(regions=[], text=None), "text is None, not a string"),
        (lambda page: page.update(file=None), "image is None, not the path"),
        (lambda page: page.update(file="../one.png"), "leaves the image folder"),
        (lambda page: page.update(file="scans/two.png"), "2 entries are of the image 'two'"),
    ],
)
def test_a_page_that_was_broken_is_rejected_and_the_others_are_read(scans, read_files, change, reason):
    out = read_files("one.png", "two.png")
    correct(out / "one.json", lambda pages: change(pages[0]))
    records, reasons = read_folder(out, "ocr2", scans)
    assert reason in next(iter(reasons.values()))
    assert list(records) == ([] if "2 entries" in reason else ["two"])


@pytest.mark.parametrize(
    "content", ["{", "[]", '{"pages": [1]}', '{"pages": []}', '{"file": "a", "pages": {"file": 1}}', '{"a": NaN}']
)
def test_a_file_that_cannot_be_read_is_one_rejected_page(scans, read_files, content):
    out = read_files("one.png", "two.png")
    (out / "two.json").write_text(content)
    records, reasons = read_folder(out, "ocr2", scans)
    assert (list(records), list(reasons)) == (["one"], ["two"])
