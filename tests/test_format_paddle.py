"""PaddleOCR and PPOCRLabel: lines of an image's path, a tab, and its regions or its text."""

import json

import pytest

from helpers.format_folders import build, read_folder, write_images

TOP = [[5, 4], [50, 5], [51, 12], [4, 11]]
BOTTOM = [[6, 20], [40, 20], [40, 30], [20, 31], [6, 30]]


def region(text, points=TOP, **more):
    return {"transcription": text, "points": points, "difficult": False} | more


def labels(*lines, sep="\n"):
    return "".join(f"{image}\t{json.dumps(regions, ensure_ascii=False)}{sep}" for image, regions in lines)


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_the_regions_of_a_page_and_those_that_cannot_be_read(tmp_path, datasets_cache):
    folder = write_images(tmp_path / "scans", "a.png", "b.png")
    regions = [region("TOTAL, 9.00 "), region("###", BOTTOM), region("x", difficult=True), region("文字", BOTTOM)]
    write(folder / "Label.txt", "\ufeff" + labels(("scans/a.png", regions), ("scans/b.png", []), sep="\r\n"))
    write(folder / "fileState.txt", "C:\\scans\\a.png\t1\n")
    records, reasons = read_folder(folder, "paddle")
    record = records["a"]
    assert record.bboxes == [[4, 4, 51, 12], [6, 20, 40, 31], [4, 4, 51, 12], [6, 20, 40, 31]]
    assert (record.texts, record.text) == (["TOTAL, 9.00", "", "", "文字"], "TOTAL, 9.00\n文字")
    assert (record.labels, record.is_ordered, reasons) == (["text"] * 4, False, {})
    assert (records["b"].text, records["b"].bboxes) == ("", [])
    assert [row["id"] for row in build("labelled", folder)] == ["a", "b"]


def test_the_class_of_a_region_is_its_label(tmp_path):
    classes = [{"key_cls": "total"}, {"key_cls": "None"}, {"label": "question"}, {"label": 3}, {"key_cls": ""}]
    write(tmp_path / "Label.txt", labels(("a.png", [region("x", **more) for more in classes])))
    records, _ = read_folder(write_images(tmp_path, "a.png"), "paddle")
    assert records["a"].labels == ["total", "text", "question", "text", "text"]


@pytest.mark.parametrize("difficult", [True, "true", "True"])
def test_a_difficult_region_has_no_text_however_it_is_written(tmp_path, difficult):
    regions = [region("x", difficult=difficult), region("y", difficult="false")]
    write(tmp_path / "Label.txt", labels(("a.png", regions)))
    assert read_folder(write_images(tmp_path, "a.png"), "paddle")[0]["a"].texts == ["", "y"]


@pytest.mark.parametrize("name", ["train.txt", "det_gt.txt", "Cache.cach"])
def test_regions_are_found_under_other_names(tmp_path, name):
    write(tmp_path / name, labels(("/data/det/train/a.png", [region("x")])))
    assert read_folder(write_images(tmp_path, "a.png"), "paddle")[0]["a"].texts == ["x"]


def test_the_cache_and_the_crops_are_passed_over_where_there_are_labels(tmp_path):
    write_images(tmp_path, "a.png", "b.png", "crop_img/a_crop_0.png", "other/c.png")
    write(tmp_path / "Cache.cach", labels(("x/a.png", [region("guess")]), ("x/b.png", [region("guess")])))
    write(tmp_path / "Label.txt", labels(("x/a.png", [region("said")])))
    write(tmp_path / "rec_gt.txt", "crop_img/a_crop_0.png\tsaid\n")
    write(tmp_path / "other/Cache.cach", labels(("x/c.png", [region("guess")])))
    records, reasons = read_folder(tmp_path, "paddle")
    assert ({page: record.text for page, record in records.items()}, reasons) == ({"a": "said", "other/c": "guess"}, {})


def test_lists_of_crops_are_passed_over_where_a_list_of_another_folder_has_regions(tmp_path):
    """So PPOCRLabel's script parts a folder: det/ has the pages, rec/ crops of the same."""
    write_images(tmp_path, "det/train/a.png", "rec/train/a_crop_0.png")
    write(tmp_path / "det/train.txt", labels(("det/train/a.png", [region("said")])))
    write(tmp_path / "rec/train.txt", "rec/train/a_crop_0.png\tsaid\n")
    records, reasons = read_folder(tmp_path, "paddle")
    assert (list(records), reasons) == (["det/train/a"], {})


def test_regions_that_come_after_many_pages_without_any_are_regions(tmp_path):
    blank = labels(*((f"p/{n}.png", []) for n in range(400)))
    write(tmp_path / "train.txt", blank + labels(("p/a.png", [region("x")])))
    records, _ = read_folder(write_images(tmp_path, "p/0.png", "p/a.png"), "paddle")
    assert {page: (record.text, record.texts) for page, record in records.items()} == {
        "p/0": ("", []),
        "p/a": ("x", ["x"]),
    }


def test_a_list_of_pages_without_any_region_has_no_texts(tmp_path):
    write(tmp_path / "train.txt", labels(("a.png", [])))
    assert read_folder(write_images(tmp_path, "a.png"), "paddle")[0]["a"].text == ""


@pytest.mark.parametrize("name", ["rec_gt.txt", "rec_gt_train.txt", "train_list.txt"])
def test_a_list_of_crops_has_texts_alone(tmp_path, name, datasets_cache):
    write(tmp_path / name, 'crop_img/a.png\tone, [{"two"}]\tthree\r\n\r\ncrop_img\\b.png\t[]\n')
    folder = write_images(tmp_path, "crop_img/a.png", "crop_img/b.png")
    records, reasons = read_folder(folder, "paddle")
    assert {page: record.text for page, record in records.items()} == {
        "crop_img/a": 'one, [{"two"}]\tthree',
        "crop_img/b": "[]",
    }
    assert not reasons
    rows = build("crops", folder, "--split", "hash")
    assert [(row["id"], row["bboxes"]) for row in rows] == [("crop_img/a", []), ("crop_img/b", [])]


def test_bad_lines_are_rejected_each_with_its_reason(tmp_path):
    good = labels(("a.png", [region("x")]))
    lines = [
        "b.png\t[{",
        'c.png\t{"transcription": "x"}',
        labels(("d.png", [region(5)])).strip(),
        labels(("e.png", [region("x", points=[[1, 2], 3])])).strip(),
        labels(("f.png", [region("x", points=[[1, "2"]])])).strip(),
        'g.png\t[{"transcription": "x", "points": [[NaN, 1]]}]',
        "no tab",
        labels(("gone.png", [])).strip(),
        labels(("../a.png", [])).strip(),
    ]
    write(tmp_path / "Label.txt", good + "\n".join(lines))
    records, reasons = read_folder(write_images(tmp_path, *(f"{name}.png" for name in "abcdefg")), "paddle")
    assert list(records) == ["a"]
    told = {
        "b": "annotation is broken JSON",
        "c": "regions are {'transcription': 'x'}, not a list of objects",
        "d": "transcription is 5, not a string",
        "e": "points of a region are [[1, 2], 3], not a list of points x, y",
        "f": "points of a region has the point [1, '2'], not two numbers x, y",
        "g": "annotation holds NaN",
        "Label.txt#8": "line 8 is 'no tab', not the path of an image, a tab and what is on it",
        "Label.txt#9": "no image 'gone.png' in",
        "Label.txt#10": "image '../a.png' leaves the image folder",
    }
    assert reasons.keys() == told.keys()
    assert all(reasons[page].startswith(reason) for page, reason in told.items()), reasons


def test_crops_that_cannot_be_read_and_images_twice_are_rejected(tmp_path):
    write(tmp_path / "rec_gt.txt", "a.png\tA\nb.png\t###\nb.png\t \nc.png\tC\nc.png\tD\n")
    records, reasons = read_folder(write_images(tmp_path, "a.png", "b.png", "c.png"), "paddle")
    assert list(records) == ["a"]
    assert reasons == {
        "rec_gt.txt#2": "line 2 is of a text that cannot be read ('###'): leave it out",
        "rec_gt.txt#3": "line 3 is of a text that cannot be read (''): leave it out",
        "c": "2 entries are of the image 'c': keep one of them",
    }


@pytest.mark.parametrize("long", ["b.png\t" + "x" * 200, " " * 206])
def test_a_line_beyond_the_limit_is_rejected_and_the_next_is_read(tmp_path, monkeypatch, long):
    monkeypatch.setattr("data_scripts.formats.text_files.MAX_PAGE_BYTES", 100)
    write(tmp_path / "rec_gt.txt", f"a.png\tA\n{long}\n\nc.png\tC\n")
    records, reasons = read_folder(write_images(tmp_path, "a.png", "b.png", "c.png"), "paddle")
    assert {page_id: record.text for page_id, record in records.items()} == {"a": "A", "c": "C"}
    assert reasons == {"rec_gt.txt#2": "line 2 of 207 bytes is over the limit of 100 bytes"}


def test_a_line_that_is_not_utf_8_is_told(tmp_path):
    write(tmp_path / "rec_gt.txt", "a.png\tA\n")
    with open(tmp_path / "rec_gt.txt", "ab") as file:
        file.write(b"b.png\t\xe9t\xe9\n")
    records, reasons = read_folder(write_images(tmp_path, "a.png", "b.png"), "paddle")
    assert list(records) == ["a"]
    assert reasons == {"rec_gt.txt#2": "text is not UTF-8 at byte 6 (0xE9): save it as UTF-8"}
