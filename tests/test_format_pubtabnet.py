"""PubTabNet: table HTML from tokens, cells with boxes."""

import json
from html.parser import HTMLParser

import pytest

from helpers.format_folders import build, read_folder, write_images, write_rows

STRUCTURE = ["<thead>", "<tr>", "<td", ' colspan="2"', ">", "</td>", "</tr>", "</thead>"]
STRUCTURE += ["<tbody>", "<tr>", "<td>", "</td>", "<td>", "</td>", "</tr>", "</tbody>"]
CELLS = [
    {"tokens": ["<b>", "A", " ", "<", "</b>"], "bbox": [5, 2, 40, 10]},
    {"tokens": []},
    {"tokens": ["1", "<sup>", "2", "</sup>"], "bbox": [30, 20, 50, 30]},
]
HTML = (
    '<table><thead><tr><td colspan="2"><b>A &lt;</b></td></tr></thead>'
    "<tbody><tr><td></td><td>1<sup>2</sup></td></tr></tbody></table>"
)


def row(filename="a.png", structure=STRUCTURE, cells=CELLS, **changes):
    html = {"structure": {"tokens": structure}, "cells": cells}
    return {"imgid": 1, "split": "train", "filename": filename, "html": html} | changes


def folder_with(tmp_path, *rows):
    write_rows(tmp_path / "tables.jsonl", *rows)
    return write_images(tmp_path, "a.png", "b.png")


class Cells(HTMLParser):
    """The text of every cell of a table."""

    def __init__(self, html):
        super().__init__()
        self.texts = []
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        if tag == "td":
            self.texts.append("")

    def handle_data(self, data):
        self.texts[-1] += data


def test_real_tables(real_pages, datasets_cache):
    folder = real_pages / "pubtabnet"
    records, reasons = read_folder(folder, "pubtabnet")
    assert (len(records), reasons) == (20, {})
    assert sum(len(record.bboxes) for record in records.values()) == 1230
    assert {label for record in records.values() for label in record.labels} == {"table_cell"}
    for line in (folder / "PubTabNet_Examples.jsonl").read_text(encoding="utf-8").splitlines():
        annotation = json.loads(line)
        record = records[annotation["filename"].removesuffix(".png")]
        cells = Cells(record.text).texts
        assert len(cells) == len(annotation["html"]["cells"])
        assert [text.strip() for text in cells if text.strip()] == [text for text in record.texts if text]
        assert record.bboxes == [c["bbox"] for c in annotation["html"]["cells"] if "bbox" in c]
    rows = build("tables", folder, "--level", "region")
    assert len(rows) == 20
    for built in rows:
        assert (built["labels"], built["texts"]) == (["table"], [built["text"]])
        assert built["text"] == records[built["id"]].text
    (first,) = [built for built in rows if built["id"] == "PMC2753619_002_00"]
    assert first["bboxes"] == [[11, 5, 486, 35]] and first["text"].startswith("<table><thead><tr><td>")


def test_the_text_is_the_table_and_the_regions_are_its_cells(tmp_path):
    records, reasons = read_folder(folder_with(tmp_path, row()), "pubtabnet")
    assert not reasons
    record = records["a"]
    assert record.text == HTML
    assert (record.bboxes, record.labels) == ([[5, 2, 40, 10], [30, 20, 50, 30]], ["table_cell", "table_cell"])
    assert record.texts == ["A <", "12"]


def test_at_the_level_region_there_is_one_table(tmp_path):
    record = read_folder(folder_with(tmp_path, row()), "pubtabnet", level="region")[0]["a"]
    assert (record.text, record.bboxes, record.labels, record.texts) == (HTML, [[5, 2, 50, 30]], ["table"], [HTML])


@pytest.mark.parametrize("level", ["cell", "region"])
def test_a_table_of_empty_cells_has_no_regions(tmp_path, level):
    empty = row(structure=["<tr>", "<td>", "</td>", "</tr>"], cells=[{"tokens": []}])
    record = read_folder(folder_with(tmp_path, empty), "pubtabnet", level=level)[0]["a"]
    assert (record.text, record.bboxes) == ("<table><tr><td></td></tr></table>", [])


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (row("gone.png"), "no image 'gone.png' in "),
        (row("../a.png"), "image '../a.png' leaves the image folder"),
        (row(None), "image is None, not the path of a file"),
        ([1], "annotation is a JSON list, not an object"),
        (row(cells=CELLS[:2]), "html has 3 cells in its structure and 2 in cells"),
        (row(cells=[CELLS[0], {}, CELLS[2]]), "cells[1] has no tokens, a list of strings"),
        (row(cells=[CELLS[0], {"tokens": [1]}, CELLS[2]]), "cells[1] has no tokens, a list of strings"),
        (row(cells=[CELLS[0], CELLS[1], {"tokens": [], "bbox": [1, 2, 3]}]), "cells[2]: bbox is [1, 2, 3], not a list"),
        (row(cells=[CELLS[0], CELLS[1], {"tokens": [], "bbox": [1, 2, 90, 3]}]), "leaves the page of 60x40 pixels"),
        (row(html={"structure": []}), "row has no html with structure.tokens"),
        (row(html=None), "row has no html with structure.tokens"),
    ],
)
def test_a_bad_row_is_rejected_and_the_others_are_read(tmp_path, bad, reason):
    records, reasons = read_folder(folder_with(tmp_path, row("b.png"), bad), "pubtabnet")
    assert list(records) == ["b"]
    (found,) = reasons.values()
    assert reason in found


def test_rows_that_are_no_json_are_named_by_their_line(tmp_path):
    folder = folder_with(tmp_path, row("b.png"))
    with open(folder / "tables.jsonl", "a") as file:
        file.write('\n{"filename": "a.png"\n\n{"filename": "a.png", "filename": ""}\n')
    records, reasons = read_folder(folder, "pubtabnet")
    assert list(records) == ["b"]
    assert sorted(reasons) == ["tables.jsonl#3", "tables.jsonl#5"]
    assert "broken JSON" in reasons["tables.jsonl#3"] and "'filename' twice" in reasons["tables.jsonl#5"]


def test_one_image_in_two_rows_is_rejected(tmp_path):
    records, reasons = read_folder(folder_with(tmp_path, row(), row("b.png"), row()), "pubtabnet")
    assert list(records) == ["b"]
    assert reasons == {"a": "2 entries are of the image 'a': keep one of them"}


def test_boxes_in_points_of_a_pdf_are_refused(tmp_path):
    """FinTabNet has the same keys, but its boxes are PDF points counted from the lower edge."""
    folder = folder_with(tmp_path, row("a.pdf"))
    (folder / "a.pdf").write_bytes(b"%PDF-1.4")
    assert "FinTabNet" in read_folder(folder, "pubtabnet")[1]["a"]
