"""How annotations name their images: one rule for every format, however and wherever they were made."""

import json
from pathlib import Path

import pytest

from data_scripts.file_tree import list_files
from data_scripts.formats import FORMATS, choose_format
from data_scripts.formats.images import find_image
from helpers.format_folders import read_folder, write_images, write_json, write_rows
from helpers.xml_pages import alto
from ocr2_hf.document.records import RecordError

PLAIN = {"text": "x", "bboxes": [[5, 5, 50, 20]], "labels": ["text"]}
COCO = {
    "annotations": [{"image_id": 1, "category_id": 1, "bbox": [5, 5, 9, 9]}],
    "categories": [{"id": 1, "name": "x"}],
}
TASK = [{"result": [{"id": "r", "type": "textarea", "value": {"text": ["x"]}}]}]
CELL = {"structure": {"tokens": ["<tr>", "<td>", "</td>", "</tr>"]}, "cells": [{"tokens": ["x"]}]}
SIDES = {"width": 60, "height": 40}
READ = {"page": 1, "text": "x", "regions": []} | SIDES
DOCLING = {"schema_name": "DoclingDocument", "pages": {"1": {"size": SIDES}}}
BLOCK = {"category_type": "title", "poly": [5, 5, 50, 5, 50, 20, 5, 20], "order": 1, "text": "x"}
SOURCE = "<Description><sourceImageInformation><fileName>{}</fileName></sourceImageInformation></Description>"
CVAT = '<box label="x" xtl="5" ytl="5" xbr="50" ybr="20"/>'
PAGE = "http://schema.primaresearch.org/PAGE/gts/pagecontent/2019-07-15"


def hocr(named: str) -> str:
    paragraph = '<p class="ocr_par" title="bbox 5 5 50 20"><span class="ocr_line" title="bbox 5 5 50 20">x</span></p>'
    return (
        f"<html><body><div class='ocr_page' title='image \"{named}\"; bbox 0 0 60 40'>{paragraph}</div></body></html>"
    )


def page_xml(named: str) -> str:
    return f'<PcGts xmlns="{PAGE}"><Page imageFilename="{named}" imageWidth="60" imageHeight="40"></Page></PcGts>'


# What each format's file is called, and what is in it for the image of this name.
FILES = {
    "json": ("p.json", lambda named: json.dumps(PLAIN | {"image": named})),
    "jsonl": ("p.jsonl", lambda named: json.dumps(PLAIN | {"image": named})),
    "csv": ("p.csv", lambda named: f'file_name,text\n"{named}",x\n'),
    "ocr2": ("p.json", lambda named: json.dumps({"file": named, "pages": [{"file": named} | READ]})),
    "docling": ("p.json", lambda named: json.dumps(DOCLING | {"origin": {"filename": named}})),
    "coco": ("p.json", lambda named: json.dumps({"images": [{"id": 1, "file_name": named} | SIDES]} | COCO)),
    "omnidocbench": (
        "p.json",
        lambda named: json.dumps([{"layout_dets": [BLOCK], "page_info": {"image_path": named} | SIDES}]),
    ),
    "label_studio": ("p.json", lambda named: json.dumps([{"data": {"image": named}, "annotations": TASK}])),
    "pubtabnet": ("p.jsonl", lambda named: json.dumps({"filename": named, "html": CELL})),
    "cvat": (
        "p.xml",
        lambda named: f'<annotations><image name="{named}" width="60" height="40">{CVAT}</image></annotations>',
    ),
    "alto": ("p.xml", lambda named: alto("", SOURCE.format(named), size='WIDTH="60" HEIGHT="40"')),
    "page": ("p.xml", page_xml),
    "hocr": ("p.html", hocr),
    "paddle": ("p.txt", lambda named: f'{named}\t[{{"transcription": "x", "points": [[5, 5], [50, 20]]}}]'),
    "icdar": ("p.txt", lambda named: f'{named}, "x"'),
}


def test_every_format_but_those_that_name_no_image_is_tried():
    assert set(FILES) == set(FORMATS) - {"sroie", "pairs", "mineru"}


def read(tmp_path: Path, format: str, named: str, folder: str = "labels") -> tuple[dict[str, str], list[str]]:
    """(image below images/ by page, reasons of the rejected) of one annotation in `folder` that names this image."""
    name, content = FILES[format]
    (tmp_path / folder).mkdir(parents=True, exist_ok=True)
    (tmp_path / folder / name).write_text(content(named), encoding="utf-8")
    records, reasons = read_folder(tmp_path / folder, format, tmp_path / "images")
    root = f"{tmp_path}/images/"
    return {page: record.image_path.removeprefix(root) for page, record in records.items()}, list(reasons.values())


@pytest.mark.parametrize(
    ("named", "image"),
    [
        ("b.png", "b.png"),
        ("./train/a.png", "train/a.png"),
        (r"train\a.png", "train/a.png"),
        (r"C:\Users\me\scans\train\a.png", "train/a.png"),
        ("d:/scans/b.png", "b.png"),
        (r"\\server\share\images\b.png", "b.png"),
        ("/home/me/project/images/train/a.png", "train/a.png"),
        ("images/b.png", "b.png"),
        ("images/images/train/a.png", "train/a.png"),
        ("c.png", "deep/down/c.png"),
        ("/data/x/c.png", "deep/down/c.png"),
        ("images/c.png", "deep/down/c.png"),
        ("down/images/c.png", "deep/down/c.png"),
        (r"..\images\train\a.png", "train/a.png"),
        ("../images/b.png", "b.png"),
        ("train/../b.png", "b.png"),
        ("file:///C:/my%20scans/train/a.png", "train/a.png"),
        ("https://host/x/e%20f.png?size=full", "e f.png"),
    ],
)
@pytest.mark.parametrize("format", FILES)
def test_an_image_is_found_however_it_is_named(tmp_path, format, named, image):
    write_images(tmp_path / "images", "b.png", "train/a.png", "val/a.png", "deep/down/c.png", "e f.png")
    found, reasons = read(tmp_path, format, named)
    assert (list(found.values()), reasons) == ([image], [])


@pytest.mark.parametrize(
    ("named", "reason"),
    [
        ("a.png", "image 'a.png' could be any of 2: train/a.png, val/a.png; name its folder too"),
        (r"D:\x\a.png", "image 'a.png' could be any of 2"),
        ("val/c.png", "no image 'val/c.png' in"),
        ("gqa/images/c.png", "the image of that name, train/c.png, lies in another folder"),
        ("/home/me/val/c.png", "the image of that name, train/c.png, lies in another folder"),
        ("gone.png", "no image 'gone.png' in"),
        ("../secret.png", "leaves the image folder"),
        ("../../b.png", "leaves the image folder"),
        (r"..\..\b.png", "leaves the image folder"),
        ("train/../../../b.png", "leaves the image folder"),
    ],
)
@pytest.mark.parametrize("format", [name for name in FILES if name not in ("alto", "page", "hocr")])
def test_what_could_be_another_image_is_rejected(tmp_path, format, named, reason):
    write_images(tmp_path / "images", "b.png", "train/a.png", "val/a.png", "train/c.png")
    write_images(tmp_path, "secret.png", "b.png")
    found, (said,) = read(tmp_path, format, named)
    assert not found and reason in said


@pytest.mark.parametrize("named", ["a.png", "val/c.png", "../secret.png", "gone.png"])
@pytest.mark.parametrize("format", ["alto", "page", "hocr"])
def test_a_page_of_a_file_of_its_own_is_rejected_where_its_name_helps_no_further(tmp_path, format, named):
    write_images(tmp_path / "images", "train/a.png", "val/a.png", "train/c.png" if "c" in named else "val/d.png")
    write_images(tmp_path, "secret.png")
    found, (said,) = read(tmp_path, format, named)
    assert not found and said.startswith("no image p (") and f"; the annotation names {named!a}" in said
    assert ("could be any of 2: train/a.png, val/a.png" in said) == (named == "a.png")


@pytest.mark.parametrize("format", FILES)
def test_beside_the_annotation_comes_first(tmp_path, format):
    write_images(tmp_path / "images", "a.png", "train/a.png", "val/a.png")
    folder = tmp_path / "images/train"
    name, content = FILES[format]
    (folder / name).write_text(content("a.png"))
    records, reasons = read_folder(tmp_path / "images", format)
    assert ([record.image_path for record in records.values()], reasons) == ([f"{folder}/a.png"], {})


def test_names_with_accents_are_found_however_they_are_written(tmp_path):
    tree = list_files(write_images(tmp_path, "cafe\u0301/re\u0301sume\u0301.png"))
    assert find_image(tree, "/x/caf\u00e9/r\u00e9sum\u00e9.png", "/x/a.json") == "cafe\u0301/re\u0301sume\u0301.png"


def test_a_name_with_a_backslash_in_it_is_a_name(tmp_path):
    tree = list_files(write_images(tmp_path, r"a\b.png", "b.png"))
    assert find_image(tree, r"a\b.png", "/x/a.json") == r"a\b.png"


def test_an_image_that_is_not_read_is_not_missing(tmp_path):
    write_rows(tmp_path / "p.jsonl", PLAIN | {"image": "C:\\scans\\a.heic"})
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "a.heic").write_bytes(b"any")
    _, reasons = read_folder(tmp_path, "jsonl")
    assert reasons["deep/a"].startswith("image 'deep/a.heic' is none of .png ")


def test_a_folder_of_annotations_is_no_folder_of_images(tmp_path):
    write_json(tmp_path / "train/a.json", {})
    tree = list_files(write_images(tmp_path, "a.png"))
    assert find_image(tree, "train/a.png", "/x/a.json") == "a.png"


@pytest.mark.timeout(20)
def test_many_images_of_one_name_take_no_time(tmp_path):
    """Every page's is page.png in a folder of its own, and every row has its whole path: looked at once each."""
    write_images(tmp_path, "0/page.png")
    tree = list_files(tmp_path)
    tree.files.update({f"{number}/page.png": (1, 1) for number in range(50_000)})
    for number in range(50_000):
        assert find_image(tree, f"D:\\scans\\{number}\\page.png", "/x/rows.jsonl") == f"{number}/page.png"
    with pytest.raises(RecordError, match=r"could be any of 50000: 0/page\.png"):
        find_image(tree, "page.png", "/x/rows.jsonl")


def test_rows_that_name_one_image_by_the_paths_of_two_are_rejected(tmp_path):
    """Folders were thrown together: what is called 1.png in two of them is there once."""
    names = ["coco/1.png", "gqa/1.png", "coco/2.png", "./2.png", r"C:\x\coco\2.png", "2.png", "/data/x/3.png", "3.png"]
    write_rows(tmp_path / "rows.jsonl", *(PLAIN | {"image": name} for name in names))
    records, reasons = read_folder(write_images(tmp_path, "1.png", "2.png", "deep/3.png"), "jsonl")
    assert list(records) == ["2", "2#2", "2#3", "2#4", "deep/3", "deep/3#2"]
    assert reasons == {
        f"rows.jsonl#{row}": f"image '{name}' is found as 1.png, and so is another: name its folder too"
        for row, name in ((1, "coco/1.png"), (2, "gqa/1.png"))
    }


def test_of_rows_that_name_one_image_by_several_paths_those_with_its_own_stay(tmp_path):
    names = ["coco/1.png", "/data/gqa/1.png", "1.png"]
    write_rows(tmp_path / "rows.jsonl", *(PLAIN | {"image": name} for name in names))
    records, reasons = read_folder(write_images(tmp_path, "coco/1.png"), "jsonl")
    assert (list(records), list(reasons)) == (["coco/1", "coco/1#2"], ["rows.jsonl#2"])


def test_pages_of_a_file_keep_their_number(tmp_path):
    write_images(tmp_path, "book.png")
    (tmp_path / "book.pdf").write_bytes(b"")
    write_rows(tmp_path / "rows.jsonl", PLAIN | {"image": r"C:\books\book.pdf#page=3"})
    tree = list_files(tmp_path)
    assert choose_format("auto", [tree]) == "jsonl"
    assert [page.images for page in FORMATS["jsonl"].list_pages(tree, tree)] == [("book.pdf#page=3",)]


@pytest.mark.parametrize(
    ("annotation", "named", "image"),
    [
        ("page/0001.xml", "0001.png", "0001.png"),
        ("book/page/0001.xml", "0001.png", "book/0001.png"),
        ("book/page/0001.xml", "../0001.png", "book/0001.png"),
        ("page/0001.xml", "C:\\export\\0001.tif", None),
    ],
)
def test_pages_of_transkribus_lie_below_their_images(tmp_path, annotation, named, image):
    """Its folder `page` is below that of the images; of another book one may have the same name."""
    write_images(tmp_path, image or "0001.png", "other/9999.png")
    path = tmp_path / annotation
    path.parent.mkdir(parents=True)
    path.write_text(page_xml(named))
    records, reasons = read_folder(tmp_path, "page")
    if image:
        assert [record.image_path for record in records.values()] == [f"{tmp_path}/{image}"]
    else:
        assert not records and "no image page/0001 (" in reasons["page/0001"]


def test_of_two_books_each_page_has_the_image_of_its_own(tmp_path):
    for book in ("a", "b"):
        write_images(tmp_path, f"{book}/0001.png")
        (tmp_path / book / "page").mkdir()
        (tmp_path / book / "page/0001.xml").write_text(page_xml("0001.png"))
    records, reasons = read_folder(tmp_path, "page")
    assert ({page: record.image_path for page, record in records.items()}, reasons) == (
        {f"{book}/page/0001": f"{tmp_path}/{book}/0001.png" for book in ("a", "b")},
        {},
    )


@pytest.mark.parametrize("named", ["a", "scans/a", "C:\\x\\scans\\a"])
@pytest.mark.parametrize("image", ["scans/a.png", "scans/a.JPG"])
def test_a_name_without_its_suffix_is_told(tmp_path, named, image):
    tree = list_files(write_images(tmp_path, image))
    with pytest.raises(RecordError) as raised:
        find_image(tree, named, f"{tmp_path}/rows.jsonl")
    end = image if "scans" in named else image.removeprefix("scans/")
    assert str(raised.value) == f"no image {named!a} in {tmp_path}, but {end!a}: write the name with its suffix"
