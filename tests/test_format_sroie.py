"""SROIE: lines with eight-point boxes, and what is to be extracted."""

import json

import pytest

from helpers.format_folders import build, read_folder, write_images, write_json

LINES = "5,4,50,5,51,12,4,11,TOTAL, RM 9.00\r\n\r\n 6, 20, 40, 20, 40, 30, 6, 30 ,Caf\u00e9\r\n"
FACTS = {"company": "BOOK TA .K", "date": "25/12/2018", "total": "9.00"}


def write_lines(path, lines=LINES):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(lines if isinstance(lines, bytes) else lines.encode())
    return path


def test_lines_are_regions_and_the_text(tmp_path):
    write_images(tmp_path, "X1.png")
    write_lines(tmp_path / "X1.txt", b"\xef\xbb\xbf" + LINES.encode())
    records, reasons = read_folder(tmp_path, "sroie")
    assert not reasons
    record = records["X1"]
    assert record.text == "TOTAL, RM 9.00\nCaf\u00e9"
    assert (record.bboxes, record.labels) == ([[4, 4, 51, 12], [6, 20, 40, 30]], ["text", "text"])
    assert record.texts == ["TOTAL, RM 9.00", "Caf\u00e9"]
    assert (record.prompt, record.target) == (None, None)


def test_facts_beside_the_lines_are_the_answer(tmp_path):
    write_images(tmp_path, "X1.png", "X2.png")
    write_lines(tmp_path / "X1.txt")
    write_lines(tmp_path / "X2.txt")
    write_json(tmp_path / "X1.json", FACTS)
    records, _ = read_folder(tmp_path, "sroie")
    assert records["X1"].prompt == "Extract as JSON: company, date, total."
    assert json.loads(records["X1"].target) == FACTS
    assert records["X2"].prompt is None


def test_files_put_apart_as_the_challenge_has_them(tmp_path, datasets_cache):
    for split, name in (("train", "X1"), ("test", "X2")):
        write_images(tmp_path / split / "img", f"{name}.png")
        write_lines(tmp_path / split / "box" / f"{name}.txt")
        write_lines(tmp_path / split / "entities" / f"{name}.txt", json.dumps(FACTS, indent=4))
    records, reasons = read_folder(tmp_path, "sroie")
    assert (list(records), reasons) == (["test/X2", "train/X1"], {})
    (row,) = build("receipts", tmp_path / "train")
    assert row["id"] == "X1" and json.loads(row["target"]) == FACTS


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        (LINES + "1,2,3,4,5,6,7,text", "line 4 is '1,2,3,4,5,6,7,text', not x1,y1,x2,y2,x3,y3,x4,y4,text"),
        (LINES + "1,2,3,4,5,6,7,8", "line 4 is '1,2,3,4,5,6,7,8', not x1,y1"),
        (LINES + "1,2,3,4,5,6,7,NaN,text", "line 4 is"),
        (LINES + "1,2,3,4,5,6,7," + "9" * 5000 + ",text", "line 4 is"),
        (LINES + "1,2,3,4,5,6,7,8,9,10,####text", "line 4 is '1,2,3,4,5,6,7,8,9,10,####text', not x1,y1"),
        (LINES + "1,2,1,2,1,2,1,2,text", "bboxes[2] [1.0, 2.0, 1.0, 2.0] is empty"),
        (LINES + "1,2,100,2,100,9,1,9,text", "leaves the page"),
        (LINES.encode() + b"1,2,30,2,30,9,1,9,caf\xe9", "is not UTF-8 at byte"),
        (LINES + "1,2,30,2,30,9,1,9,<image>", "text holds <image>"),
    ],
)
def test_a_broken_line_rejects_the_page(tmp_path, lines, reason):
    write_images(tmp_path, "X1.png", "X2.png")
    write_lines(tmp_path / "X1.txt")
    write_lines(tmp_path / "X2.txt", lines)
    records, reasons = read_folder(tmp_path, "sroie")
    assert list(records) == ["X1"] and reason in reasons["X2"]


@pytest.mark.parametrize("facts", ["{}", "[]", '{"total": 9}', "{", '{"a": "1", "a": "2"}'])
def test_broken_facts_reject_the_page(tmp_path, facts):
    write_images(tmp_path, "X1.png")
    write_lines(tmp_path / "X1.txt")
    (tmp_path / "X1.json").write_text(facts)
    assert list(read_folder(tmp_path, "sroie")[1]) == ["X1"]


def test_facts_without_lines_and_lines_twice_are_rejected(tmp_path):
    write_images(tmp_path, "X1.png", "X2.png", "X3.png")
    write_lines(tmp_path / "X1.txt")
    write_json(tmp_path / "X2.json", FACTS)
    write_lines(tmp_path / "X3.txt")
    write_lines(tmp_path / "box/X3.txt")
    records, reasons = read_folder(tmp_path, "sroie")
    assert list(records) == ["X1"]
    assert reasons == {
        "X2": "no X2.txt with the lines and boxes",
        "X3": "2 entries are of the image 'X3': keep one of them",
    }
