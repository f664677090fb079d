"""Images that no annotation is of are counted, told and listed by a build, and no others."""

import json
from pathlib import Path

import pytest

from data_scripts.build_dataset import main
from helpers.format_folders import write_images, write_json, write_pdf, write_rows
from helpers.page_folders import write_page, write_pages
from ocr2_hf.data.load import built_datasets
from ocr2_hf.errors import run_command

WHY = "no annotation is of this image"


@pytest.fixture
def folder(tmp_path, datasets_cache) -> Path:
    """A folder for annotations, and a datasets cache of its own."""
    return tmp_path / "pages"


def unannotated(folder: Path, *options: object) -> dict[str, str]:
    """Id -> reason of what a build lists; its summary has the number."""
    options = options or ("--val", 0, "--test", 0)
    assert run_command(main, ["letters", "--annotations", str(folder), *map(str, options)]) == 0
    built = built_datasets()["letters"]
    path = built / "unannotated.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    assert json.loads((built / "summary.json").read_text())["unannotated"] == len(rows)
    assert all(Path(row["file"]).is_file() for row in rows)
    assert path.exists() == bool(rows)
    return {row["id"]: row["reason"] for row in rows}


def write_texts(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(f"text of {name}")


def test_images_without_texts(folder, capsys):
    write_images(folder, "a.png", "b.png", "deep/c.PNG", "2026.01.png", "2026.02.png")
    write_pdf(folder / "book.pdf", (60, 40), (60, 40))
    write_texts(folder, "a.txt", "2026.01.txt")
    assert unannotated(folder) == dict.fromkeys(["2026.02", "b", "book", "deep/c"], WHY)
    listed = built_datasets()["letters"] / "unannotated.jsonl"
    told = f"unannotated         4   images that no annotation is of: {listed}\n"
    assert told in capsys.readouterr().out
    unannotated(folder)
    again = capsys.readouterr().out
    assert "unchanged" in again and told in again and "unread" not in again


@pytest.mark.parametrize("processes", [1, 2])
def test_annotations_that_were_deleted(folder, processes):
    write_pages(folder, 8)
    for number in (0, 2, 3, 5, 7):
        (folder / f"p{number:03d}.json").unlink()
    left = unannotated(folder, "--val", 0.3, "--test", 0, "--split", "rank", "--num_proc", processes)
    assert list(left) == ["p000", "p002", "p003", "p005", "p007"]


def test_every_image_has_an_annotation(folder, capsys):
    write_pages(folder, 3)
    write_page(folder, "bad", b"no image")
    assert unannotated(folder, "--max_bad", 1) == {}  # of the rejected page too
    assert "unannotated" not in capsys.readouterr().out


def test_texts_beside_annotations_of_another_format(folder, capsys):
    write_images(folder, "b.png", "c.png")
    write_page(folder, "a")
    write_texts(folder, "a.txt", "b.txt")
    assert unannotated(folder) == {"b": f"{folder}/b.txt is not read: the format is json", "c": WHY}
    out = capsys.readouterr().out
    assert "\nunannotated         2   " in out and "\nunread texts        1   " in out and "--format pairs" in out
    assert unannotated(folder, "--format", "pairs") == {"c": WHY}
    assert "unread texts" not in capsys.readouterr().out


def test_images_that_annotations_name(folder):
    """Which is known when the pages are read, or where they are rows when these are listed."""
    write_images(folder, "images/x.png", "images/y.png", "images/z.png")
    named = {"text": "t", "image": "x.png"}
    write_json(folder / "annotations" / "a.json", named)
    write_json(folder / "annotations" / "broken.json", named | {"image": "y.png", "text": 5})
    assert unannotated(folder, "--max_bad", 1) == {"z": WHY}

    rows = folder.parent / "rows"
    write_images(rows, "x.png", "y.png", "z.png")
    write_rows(rows / "rows.jsonl", {"file_name": "x.png", "text": "t"}, {"file_name": "y.png", "text": 5})
    assert unannotated(rows, "--max_bad", 1) == {"z": WHY}


def test_pages_of_a_file_are_of_that_file(folder):
    for name in ("book", "other"):
        write_pdf(folder / f"{name}.pdf", (60, 40), (60, 40))
    write_json(folder / "p1.json", {"text": "t", "image": "book.pdf#page=2"})
    assert unannotated(folder) == {"other": WHY}


def test_variants_of_an_annotated_image(folder):
    """As kraken and `ocr2 read` write them beside a page; those of a page without a text are told."""
    write_images(folder, "a.png", "a.bin.png", "a.nrm.png", "a.page-1.overlay.png", "b.bin.png", "b.nrm.png")
    write_images(folder, "c.png", "c.bin.png", "v1.a.png", "v1.b.png")
    write_texts(folder, "a.gt.txt", "b.gt.txt", "v1.a.gt.txt")
    assert unannotated(folder).keys() == {"c", "c.bin", "v1.b"}


def test_crops_of_an_annotated_image(folder):
    """As PPOCRLabel leaves them; those of a page that is not annotated are told with it."""
    write_images(folder, "a.png", "b.png", "crop_img/a_crop_0.jpg", "crop_img/a_crop_12.jpg", "crop_img/b_crop_0.jpg")
    regions = [{"transcription": "t", "points": [[1, 1], [9, 1], [9, 9], [1, 9]], "difficult": False}]
    (folder / "Label.txt").write_text(f"pages/a.png\t{json.dumps(regions)}\n")
    assert unannotated(folder) == {"b": WHY, "crop_img/b_crop_0": WHY}


def test_a_folder_under_two_names_counts_once(folder):
    write_images(folder, "images/real/x.png", "images/real/y.png")
    (folder / "images" / "same").symlink_to("real")
    write_rows(folder / "rows.jsonl", {"file_name": "images/same/x.png", "text": "t"})
    assert list(unannotated(folder)) == ["real/y"]


def test_splits_of_one_image_folder(folder):
    write_images(folder, "images/a.png", "images/b.png", "images/c.png")
    for split, name in (("train", "a"), ("test", "b")):
        write_json(folder / split / f"{name}.json", {"text": "t"})
    assert list(unannotated(folder, "--split", "folders")) == ["c"]


def test_an_image_folder_apart(folder):
    write_images(folder.parent / "scans", "a.png", "b.png")
    write_images(folder, "logo.png")
    write_json(folder / "a.json", {"text": "t"})
    assert list(unannotated(folder, "--images", folder.parent / "scans")) == ["b"]


def test_what_mineru_writes_is_no_page(folder):
    """Its pictures and PDFs lie beside its JSON; a folder of the PDFs alone is one of pages."""
    line = {"bbox": [1, 1, 9, 9], "spans": [{"bbox": [1, 1, 9, 9], "type": "text", "content": "words"}]}
    block = {"type": "text", "bbox": [1, 1, 9, 9], "lines": [line]}
    page = {"preproc_blocks": [block], "para_blocks": [block], "discarded_blocks": [], "page_idx": 0}
    write_json(folder / "a_middle.json", {"pdf_info": [page | {"page_size": [100, 50]}], "_backend": "pipeline"})
    for name in ("a_origin.pdf", "a_layout.pdf"):
        write_pdf(folder / name, (100, 50))
    write_images(folder, "pictures/1.jpg")
    assert unannotated(folder) == {}
    for name in ("a.pdf", "b.pdf"):
        write_pdf(folder.parent / "pdfs" / name, (100, 50))
    assert unannotated(folder, "--images", folder.parent / "pdfs") == {"b": WHY}
