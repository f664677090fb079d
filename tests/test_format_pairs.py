"""Pairs: an image and its text, without boxes."""

import unicodedata

import pytest
from PIL import Image

from data_scripts.file_tree import list_files
from data_scripts.formats import choose_format
from helpers.format_folders import build, read_folder, write_images, write_json, write_rows
from helpers.page_folders import write_tiff
from helpers.xml_pages import alto

MARKDOWN = "# A *title*  \n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n$x^2$\n    code\n"


def write(folder, **texts):
    """NAME.txt for NAME, NAME.gt.txt for NAME__gt, NAME.md for NAME__md."""
    for name, text in texts.items():
        stem, _, kind = name.partition("__")
        suffix = {"": ".txt", "gt": ".gt.txt", "md": ".md"}[kind]
        (folder / f"{stem}{suffix}").write_bytes(text if isinstance(text, bytes) else text.encode())
    return folder


def texts_of(folder, images=None):
    records, reasons = read_folder(folder, "pairs", images)
    assert all((record.bboxes, record.labels, record.texts) == ([], [], []) for record in records.values())
    return {page: record.text for page, record in records.items()}, reasons


def test_text_and_markdown_are_taken_as_they_are(tmp_path):
    folder = write_images(tmp_path, "a.png", "b.jpg.png", "c.png", "d.png", "e.png")
    write(folder, a="one\r\n two \r\n", b="no image", c__md=MARKDOWN, d="\n \n\n", e="end\n\n\f")
    texts, reasons = texts_of(folder)
    assert texts == {"a": "one\n two ", "c": MARKDOWN[:-1], "d": "", "e": "end\n"}
    assert list(reasons) == ["b"] and reasons["b"].startswith("no image b (.png")


@pytest.mark.parametrize("end", ["", "\n", "\r\n", "\r", "\n\f", "\f", "\n\f\n"])
def test_one_line_break_at_the_end_and_a_page_break_are_no_text(tmp_path, end):
    folder = write(write_images(tmp_path, "a.png"), a=f"x\n{end}")
    assert texts_of(folder)[0] == {"a": "x\n" if end.strip("\f") else "x"}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_encodings_that_are_sure_are_read_and_the_text_is_in_nfc(tmp_path, encoding):
    text = unicodedata.normalize("NFD", "Café 文字\n")
    folder = write(write_images(tmp_path, "a.png"), a=text.encode(encoding))
    assert texts_of(folder)[0] == {"a": "Café 文字"}


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"caf\xe9 ole", "text is not UTF-8 at byte 3 (0xE9): save it as UTF-8"),
        ("Zürich".encode("utf-16-le"), "is not UTF-8 at byte 2 (0xFC)"),
        (b"\xff\xfea", "text is not UTF-16 at byte 2 (0x61)"),
        (b"a\0b\0", "text has the control character U+0000 at offset 1"),
        (b"one\x0ctwo", "text has the control character U+000C at offset 3"),
        (b"an <image> here", "text holds <image>"),
        (b"0 0.5 0.5 0.25 0.1\n1 0.1 .2 0.3 1\n", "the text looks like YOLO, which is not read: export COCO"),
        (b"1,2,30,4,30,9,1,9,9,9,####Hello, you\n1,2,3,4,####\n", "the text looks like CTW1500, which is not read"),
        (b"imagesource:GoogleEarth\ngsd:0.14\n1.0 2.0 9 2 9 8 1 8 small-vehicle 0\n", "the text looks like DOTA"),
        (b"1 2 9 2 9 8 1 8 plane 1\n", "the text looks like DOTA, which is not read: export COCO"),
        (b"x: [[1 9 9 1]], y: [[2 2 8 8]], ornt: [u'h'], transcriptions: [u'A']\n", "the text looks like Total-Text"),
        (b'{"company": "X", "total": "9.00"}', "the text looks like key facts as JSON, which is not read"),
    ],
)
def test_what_is_no_text_is_rejected_with_the_reason(tmp_path, data, reason):
    folder = write(write_images(tmp_path, "a.png", "b.png"), a=data, b="good")
    texts, reasons = texts_of(folder)
    assert texts == {"b": "good"} and reason in reasons["a"]


@pytest.mark.parametrize(
    "text", ["12 0.5 and more", "1 2 3 4 5", "# 1", "{not json}", "[1, 2]", "3 0.5 0.5 0.2 7", "1,2,####"]
)
def test_a_text_that_only_begins_like_something_else_is_a_text(tmp_path, text):
    assert texts_of(write(write_images(tmp_path, "a.png"), a=text))[0] == {"a": text}


def test_the_ground_truth_goes_before_what_an_engine_read(tmp_path):
    folder = write_images(tmp_path, "a.png", "b.png", "c.png", "d.png", "other/e.png")
    write(folder, a="engine", a__gt="truth", b__gt="b", b__md="# engine", c="engine", d__md="engine")
    (folder / "a.pred.txt").write_text("engine")
    write(folder / "other", e="e")
    assert texts_of(folder) == ({"a": "truth", "b": "b", "other/e": "e"}, {})


def test_text_and_markdown_of_one_image_are_refused(tmp_path):
    folder = write(write_images(tmp_path, "a.png", "b.png"), a="a", a__md="# a", b="b")
    texts, reasons = texts_of(folder)
    assert texts == {"b": "b"}
    assert reasons == {"a": "a.md and a.txt are texts of one page: keep the one that it is to be read as"}


@pytest.mark.parametrize(
    ("images", "text", "taken"),
    [
        (["l.bin.png"], "l__gt", "l.bin.png"),
        (["l.nrm.png", "l.bin.png"], "l__gt", "l.nrm.png"),
        (["l.png", "l.nrm.png", "l.bin.png"], "l__gt", "l.png"),
        (["l.exp0.tif"], "l__gt", "l.exp0.tif"),
        (["l.exp0.tif"], "l.exp0__gt", "l.exp0.tif"),
        (["l.tif"], "l__gt", "l.tif"),
    ],
)
def test_lines_as_kraken_and_tesseract_have_them(tmp_path, images, text, taken):
    write_images(tmp_path, *images)
    if taken.endswith(".tif"):
        Image.new("RGB", (60, 40)).save(tmp_path / taken)
    for other in ("l.box", "l.lstmf", "l.exp0.box"):
        (tmp_path / other).write_text("L 1 2 3 4 0\n")
    records, reasons = read_folder(write(tmp_path, **{text: "line\n"}), "pairs")
    ((record,), _) = records.values(), reasons
    assert (record.text, record.image_path, reasons) == ("line", f"{tmp_path}/{taken}", {})


def test_files_of_every_project_are_no_pages(tmp_path):
    folder = write(write_images(tmp_path, "a.png", "sourced.png"), a="a", README__md="# x", LICENSE="MIT", sourced="b")
    (folder / "SOURCE.md").write_text("from")
    (folder / "Readme.zh.md").write_text("from")
    (folder / "NOTICE.txt").write_text("of")
    (folder / "LICENSE-2.0.txt").write_text("of")
    (folder / "sub").mkdir()
    (folder / "sub/COPYING.txt").write_text("of")
    assert texts_of(folder) == ({"a": "a", "sourced": "b"}, {})
    write_images(folder, "README.png")
    assert texts_of(folder)[0]["README"] == "# x"
    for name in ("source_12.txt", "changes2.md"):
        (folder / name).write_text("a page without its image")
    assert list(texts_of(folder)[1]) == ["changes2", "source_12"]


@pytest.mark.parametrize("names", [("texts/p/a", "images/p/a"), ("p/gt/a", "p/img/a"), ("p/a", "p/Images/a")])
def test_texts_and_images_may_lie_apart(tmp_path, names):
    text, image = names
    write_images(tmp_path, f"{image}.png", "images/p/b.png")
    (tmp_path / text).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / f"{text}.txt").write_text("apart")
    assert texts_of(tmp_path) == ({"p/a": "apart"}, {})


def test_the_image_folder_may_be_elsewhere(tmp_path, datasets_cache):
    write_images(tmp_path / "scans", "p/a.png", "p/b.png")
    (tmp_path / "labels/p").mkdir(parents=True)
    write(tmp_path / "labels/p", a="a", b__md="# b")
    assert texts_of(tmp_path / "labels", tmp_path / "scans")[0] == {"p/a": "a", "p/b": "# b"}
    rows = build("pairs", tmp_path / "labels", "--images", tmp_path / "scans")
    assert [(row["id"], row["text"], row["bboxes"]) for row in rows] == [("p/a", "a", []), ("p/b", "# b", [])]


def test_texts_of_several_folders_for_one_image_are_rejected(tmp_path):
    write_images(tmp_path, "images/a.png")
    for folder in ("gt", "texts"):
        (tmp_path / folder).mkdir()
        write(tmp_path / folder, a=folder)
    assert texts_of(tmp_path) == ({}, {"a": "2 entries are of the image 'a': keep one of them"})


@pytest.mark.parametrize("kind", ["pdf", "tif"])
def test_one_text_of_several_pages_is_refused(tmp_path, kind):
    pages = [Image.new("RGB", (60, 40), color) for color in ("white", "black")]
    if kind == "pdf":
        pages[0].save(tmp_path / "a.pdf", save_all=True, append_images=pages[1:])
    else:
        write_tiff(tmp_path / "a.tif", *((page, 0) for page in pages))
    _, reasons = texts_of(write(tmp_path, a="whose?"))
    wanted = f"a.{kind} has 2 pages and a.txt is one text: give every page an image and a text of its own"
    assert reasons == {"a": wanted}


def test_a_pdf_of_one_page_is_a_page(tmp_path, datasets_cache):
    Image.new("RGB", (60, 40), "white").save(tmp_path / "pages.pdf")
    (row,) = build("pdf", write(tmp_path, pages="one page"))
    assert row["text"] == "one page"


def test_what_else_lies_there_does_not_disturb(tmp_path):
    folder = write(write_images(tmp_path, "a.png"), a="a")
    write_json(folder / "a.json", {"tool": "of someone else"})
    write_rows(folder / "log.jsonl", {"event": 1})
    assert texts_of(folder) == ({"a": "a"}, {})


BOX = "5,5,50,5,50,20,5,20,Word\n"
PLAIN = {"text": "x", "bboxes": [], "labels": []}
COCO = {"images": [{"file_name": "a.png", "id": 1}], "annotations": [], "categories": [{"id": 1, "name": "x"}]}


@pytest.mark.parametrize(
    ("files", "format"),
    [
        ({"a.json": {"file": "a.png", "pages": [{"file": "a.png", "page": 1}]}, "a.md": "# a"}, "ocr2"),
        ({"a.json": COCO, "README.md": "# a", "a.txt": "a"}, "coco"),
        ({"a.json": PLAIN, "a.txt": "a"}, "json"),
        ({"a.json": {"text": "x", "bboxes": []}, "a.md": "a"}, "json"),
        ({"rows.jsonl": PLAIN | {"image": "a.png"}, "a.txt": "a"}, "jsonl"),
        ({"b.txt": BOX, "a.txt": "a"}, "sroie"),
        ({"gt_a.txt": BOX, "a.txt": "a"}, "icdar"),
        ({"box/a.txt": BOX, "entities/a.txt": '{"total": "9"}'}, "sroie"),
        ({"a.xml": alto("", size='WIDTH="60" HEIGHT="40"'), "a.txt": "a"}, "alto"),
        ({"Label.txt": "x/a.png\t[]\n", "a.txt": "a"}, "paddle"),
        ({"a.json": {"tool": "of someone else"}, "README.md": "# a"}, "json"),
    ],
)
def test_every_other_format_goes_first(tmp_path, files, format):
    folder = write_images(tmp_path, "a.png")
    for name, content in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        if isinstance(content, str):
            (folder / name).write_text(content)
        else:
            write_json(folder / name, content)
    assert choose_format("auto", [list_files(folder)]) == format


def test_json_without_its_images_is_not_taken_for_pairs(tmp_path):
    write_json(tmp_path / "a.json", {"tool": "of someone else"})
    assert choose_format("auto", [list_files(write(tmp_path, notes="some"))]) == "json"
