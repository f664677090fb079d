"""The JSON format, and the Arrow rows that are made of it."""

import json
import os
import unicodedata

import numpy as np
import pytest
from datasets import Image as Undecoded
from PIL import Image

from data_scripts import page_batches
from data_scripts.bench_build import build_pages, fresh
from data_scripts.build_dataset import main as build
from data_scripts.build_plan import PageOptions
from data_scripts.file_tree import list_files
from data_scripts.formats import choose_format
from data_scripts.formats import json as json_format
from data_scripts.page_batches import read_batches, read_reports, write_report
from helpers.page_folders import image_bytes, write_page, write_pages
from ocr2_hf.data.columns import FEATURES
from ocr2_hf.data.load import load_dataset
from ocr2_hf.document.records import RecordError
from ocr2_hf.errors import WorkError


def read_one(folder):
    tree = list_files(folder)
    (page,) = json_format.list_pages(tree, tree)
    return json_format.read_page(page)


def read_all(folder, **limits):
    tree = list_files(folder)
    return list(read_batches(json_format.list_pages(tree, tree), "train", PageOptions()))


@pytest.mark.parametrize(
    "suffix", [".png", ".jpg", ".jpeg", ".tif", ".tiff", ".webp", ".bmp", ".gif", ".PNG", ".jp2", ".j2k"]
)
def test_an_annotation_pairs_with_the_image_of_its_name(tmp_path, suffix):
    write_page(tmp_path, "a.b", suffix=suffix, prompt="Read.", target="{}")
    record = read_one(tmp_path)
    assert record.image_path == f"{tmp_path}/a.b{suffix}"
    assert (record.id, record.text, record.prompt, record.target) == ("a.b", "page a.b", "Read.", "{}")
    assert (record.bboxes, record.labels, record.texts) == ([[5, 5, 50, 20]], ["text"], ["a.b"])


def test_pages_in_sub_folders_are_named_by_their_path(tmp_path):
    write_page(tmp_path, "x/a")
    write_page(tmp_path, "y/a")
    tree = list_files(tmp_path)
    assert [page.id for page in json_format.list_pages(tree, tree)] == ["x/a", "y/a"]


def test_hidden_files_are_no_pages(tmp_path):
    write_page(tmp_path, "a")
    (tmp_path / "._b.json").write_text("x")
    assert read_one(tmp_path).id == "a"


def test_an_annotation_can_name_its_image(tmp_path):
    write_page(tmp_path, "a", None)
    (tmp_path / "scans").mkdir()
    (tmp_path / "scans/1.png").write_bytes(image_bytes())
    annotation = json.loads((tmp_path / "a.json").read_text()) | {"image": "scans/1.png"}
    (tmp_path / "a.json").write_text(json.dumps(annotation))
    assert read_one(tmp_path).image_path == f"{tmp_path}/scans/1.png"


@pytest.mark.parametrize(
    ("named", "message"),
    [
        ("../../x.png", "image '../../x.png' leaves the image folder"),
        ("a/../../x.png", "leaves the image folder"),
        ("/etc/x.png", "no image '/etc/x.png' in"),
        ("..\\x.png", "leaves the image folder"),
        ("c:/x.png", "no image 'c:/x.png' in"),
        ("x.png\0", "not the path of a file in the image folder"),
        (7, "image is 7, not the path of a file"),
        ("a.json", "image 'a.json' is none of .png"),
        ("b.png", "no image 'b.png' in"),
    ],
)
def test_an_image_outside_the_folder_or_missing_is_refused(tmp_path, named, message):
    path = write_page(tmp_path, "a")
    path.write_text(json.dumps(json.loads(path.read_text()) | {"image": named}))
    with pytest.raises(RecordError, match=message.replace("\\", "\\\\")):
        read_one(tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "annotation is broken JSON"),
        ('{"text": "a"', "annotation is broken JSON"),
        ("[1]", "annotation is a JSON list, not an object"),
        ('{"text": "a", "bboxes": [], "bboxes": []}', "annotation has the key 'bboxes' twice"),
        ('{"bboxes": [[NaN, 1, 2, 3]]}', "annotation holds NaN, which is not JSON"),
        ('{"text": "a", "bboxes": [[-Infinity, 1, 2, 3]]}', "annotation holds -Infinity, which is not JSON"),
        ('{"text": "a", "texts": ["a"]}', "annotation has no bboxes, labels; it needs text, or bboxes and labels"),
        ("[" * 100_000, "annotation is broken JSON"),
        (f'{{"text": {"1" * 5000}}}', "annotation is broken JSON"),
        (b'{"text": "\xff"}', "annotation is broken JSON"),
    ],
)
def test_a_broken_annotation_is_refused_with_the_reason(tmp_path, content, message):
    path = write_page(tmp_path, "a")
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(RecordError, match=message):
        read_one(tmp_path)


def test_an_image_that_is_not_read_is_named(tmp_path):
    write_page(tmp_path, "a", b"any", ".heic")
    with pytest.raises(RecordError, match=r"image 'a\.heic' is none of \.png .*: convert it"):
        read_one(tmp_path)


def test_a_missing_image_and_two_images_are_refused(tmp_path):
    write_page(tmp_path, "a", None)
    with pytest.raises(RecordError, match=r"no image a \(\.png .*\) in "):
        read_one(tmp_path)
    for suffix in (".png", ".jpg"):
        (tmp_path / f"a{suffix}").write_bytes(image_bytes())
    with pytest.raises(RecordError, match=r"several images: a.jpg, a.png; keep one"):
        read_one(tmp_path)


def test_a_folder_without_annotations_is_of_no_format(tmp_path):
    (tmp_path / "a.png").write_bytes(image_bytes())
    with pytest.raises(WorkError, match=r"(?s)no annotations in .*json +\*\.json"):
        choose_format("auto", [list_files(tmp_path)])


def test_a_folder_of_several_formats_is_refused(tmp_path):
    write_page(tmp_path, "a")
    (tmp_path / "b.xml").write_text('<alto xmlns="http://www.loc.gov/standards/alto/ns-v4#"/>')
    with pytest.raises(WorkError, match=r"has files of several formats \(alto, json\): name one with --format"):
        choose_format("auto", [list_files(tmp_path)])
    assert choose_format("json", [list_files(tmp_path)]) == "json"
    (tmp_path / "a.json").write_text('{"tool": "of someone else"}')
    assert choose_format("auto", [list_files(tmp_path)]) == "alto"


def test_rows_without_any_known_key_give_way(tmp_path):
    """Logs, and results of other programs, lie beside annotations; chats are annotations themselves."""
    write_page(tmp_path, "a")
    (tmp_path / "log.jsonl").write_text('{"event": 1}\n')
    assert choose_format("auto", [list_files(tmp_path)]) == "json"
    (tmp_path / "log.jsonl").write_text('{"messages": [], "images": []}\n')
    with pytest.raises(WorkError, match=r"files of several formats \(jsonl, json\)"):
        choose_format("auto", [list_files(tmp_path)])
    (tmp_path / "a.json").unlink()
    (tmp_path / "log.jsonl").write_text('{"event": 1}\n')
    assert choose_format("auto", [list_files(tmp_path)]) == "jsonl"


def test_a_folder_of_another_format_than_is_named_is_told_by_that(tmp_path):
    (tmp_path / "gt_a.txt").write_text("1,2,3,2,3,4,1,4,text\n")
    with pytest.raises(WorkError, match=r"no annotations in .*\n  sroie .*\nthe files look like icdar: name that"):
        choose_format("sroie", [list_files(tmp_path)])


def test_names_with_accents_pair_however_they_are_written(tmp_path):
    write_page(tmp_path, unicodedata.normalize("NFD", "café"), None)
    (tmp_path / unicodedata.normalize("NFC", "café.png")).write_bytes(image_bytes())
    assert read_one(tmp_path).image_path.endswith(unicodedata.normalize("NFC", "café.png"))


def test_rows_are_page_records_with_the_bytes_of_the_files(tmp_path):
    write_page(
        tmp_path,
        "a",
        image_bytes(60, 40),
        bboxes=[[1, 2, 3, 4.5], [0, 0, 60.3, 40]],
        labels=["x", "y"],
        texts=["", "e\u0301"],
    )
    write_page(tmp_path, "b", image_bytes(70, 50, "JPEG"), suffix=".jpg", bboxes=[], labels=[], texts=None)
    ((table, report),) = read_all(tmp_path)
    assert table.schema == FEATURES.arrow_schema
    first, second = table.to_pylist()
    assert first["image"] == {"bytes": (tmp_path / "a.png").read_bytes(), "path": None}
    assert second["image"] == {"bytes": (tmp_path / "b.jpg").read_bytes(), "path": None}
    assert (first["width"], first["height"], second["width"], second["height"]) == (60, 40, 70, 50)
    assert (first["bboxes"], first["texts"]) == ([[1, 2, 3, 4.5], [0, 0, 60, 40]], ["", "\u00e9"])
    assert (second["bboxes"], second["labels"], second["texts"]) == ([], [], [])
    assert (report.pages, report.regions, report.clamped, report.rejects) == (2, 2, 1, [])


def test_a_rejected_page_leaves_no_trace_in_the_rows(tmp_path):
    write_pages(tmp_path, 5)
    (tmp_path / "p001.png").write_bytes(image_bytes(seed=1)[:-20])
    write_page(tmp_path, "p003", bboxes=[["1", 2, 3, 4]])
    ((table, report),) = read_all(tmp_path)
    rows = table.to_pylist()
    assert [row["id"] for row in rows] == ["p000", "p002", "p004"]
    for row in rows:
        assert row["image"]["bytes"] == (tmp_path / f"{row['id']}.png").read_bytes()
    assert [reject["id"] for reject in report.rejects] == ["p001", "p003"]
    assert report.rejects[0]["file"] == f"{tmp_path}/p001.json"
    assert "PNG is cut off" in report.rejects[0]["reason"]


def test_batches_are_bounded_in_bytes(tmp_path, monkeypatch):
    write_pages(tmp_path, 10)
    size = max(path.stat().st_size for path in tmp_path.glob("*.png"))
    monkeypatch.setattr(page_batches, "BATCH_BYTES", 3 * size)
    batches = read_all(tmp_path)
    assert [table.num_rows for table, _ in batches] == [3, 3, 3, 1]
    monkeypatch.setattr(page_batches, "BATCH_BYTES", 1)
    assert [table.num_rows for table, _ in read_all(tmp_path)] == [1] * 10


def test_an_unreadable_or_oversized_image_is_rejected(tmp_path, monkeypatch):
    write_page(tmp_path, "a")
    write_page(tmp_path, "b")
    os.truncate(tmp_path / "b.png", page_batches.MAX_BYTES + 1)
    tree = list_files(tmp_path)
    os.remove(tmp_path / "a.png")  # after it was listed
    pages = json_format.list_pages(tree, tree)
    ((table, report),) = read_batches(pages, "train", PageOptions())
    assert table.num_rows == 0
    reasons = [reject["reason"] for reject in report.rejects]
    assert reasons[0] == "image cannot be read: No such file or directory"
    assert "is over the limit of 268,435,456 bytes" in reasons[1]


def test_reports_of_several_processes_add_up(tmp_path):
    write_pages(tmp_path / "pages", 4)
    (tmp_path / "pages/p002.png").write_bytes(b"")
    (tmp_path / "reports").mkdir()
    tree = list_files(tmp_path / "pages")
    pages = json_format.list_pages(tree, tree)
    for part in (pages[2:], pages[:2]):
        for _, report in read_batches(part, "train", PageOptions()):
            write_report(tmp_path / "reports", report)
    total = read_reports(tmp_path / "reports")["train"]
    assert (total.pages, total.regions, [reject["id"] for reject in total.rejects]) == (3, 3, ["p002"])


def large_pages(folder, count):
    """`count` pages that are one grey A4 scan of noise at 600 dpi: 33 MiB each, and linked, so that they are cheap."""
    folder.mkdir()
    pixels = np.random.default_rng(0).integers(0, 256, (7016, 4960), dtype=np.uint8)
    Image.fromarray(pixels).save(folder / "scan", "PNG", compress_level=1)
    for number in range(count):
        write_page(folder, f"p{number:03d}", None)
        (folder / f"p{number:03d}.png").hardlink_to(folder / "scan")
    assert (folder / "scan").stat().st_size > page_batches.BATCH_BYTES / 2
    (folder / "scan").unlink()
    return folder


def test_memory_does_not_grow_with_large_pages(tmp_path):
    """A batch of one page was gathered by `datasets` until there were a thousand."""
    _, one = fresh(build_pages, large_pages(tmp_path / "one", 1), tmp_path / "cache-one", 1)
    _, eight = fresh(build_pages, large_pages(tmp_path / "eight", 8), tmp_path / "cache-eight", 1)
    assert eight - one < 100 * 2**20  # 500 MiB before


@pytest.mark.slow
def test_more_large_pages_than_one_arrow_array_holds(tmp_path, datasets_cache):
    """They stopped with 'offset overflow while concatenating arrays'."""
    folder = large_pages(tmp_path / "pages", 66)
    assert build(["scans", "--annotations", str(folder), "--val", "0", "--test", "0"]) == 0
    scans = load_dataset("scans", "train").cast_column("image", Undecoded(decode=False))
    assert scans.num_rows == 66 and sum(len(row["bytes"]) for row in scans["image"]) > 2**31
    assert scans[65]["image"]["bytes"] == (folder / "p065.png").read_bytes()
