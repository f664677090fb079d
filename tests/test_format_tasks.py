"""Which tasks the pages of each format train, as the README's table says."""

import json
import re

import pytest

from data_scripts.formats import FORMATS
from helpers.format_folders import build, read_folder, write_images
from helpers.xml_pages import alto, place
from ocr2_hf.data.tasks import PROMPTS, is_silent, suits

SIDES = {"width": 60, "height": 40}
TABLE = "<table><tr><td>1</td></tr></table>"
PAGE = "http://schema.primaresearch.org/PAGE/gts/pagecontent/2019-07-15"
PLAIN = {"text": "Word", "bboxes": [[5, 5, 50, 20]], "labels": ["text"], "image": "a.png"}
BOXES = {"bboxes": [[5, 5, 50, 20]], "labels": ["text"]}
CHAT = {"messages": [{"role": "user", "content": "Q"}, {"role": "assistant", "content": "A"}], "images": ["a.png"]}
REGIONS = [
    {"label": "text", "box": [5, 5, 50, 20], "text": "Word"},
    {"label": "table", "box": [5, 21, 50, 30], "text": TABLE},
]
READ = {"file": "a.png", "page": 1, "regions": REGIONS, "text": f"Word\n\n{TABLE}"} | SIDES
BLOCKS = [
    {"category_type": "text_block", "poly": [5, 5, 50, 5, 50, 20, 5, 20], "order": 1, "text": "Word"},
    {"category_type": "table", "poly": [5, 21, 50, 21, 50, 30, 5, 30], "order": 2, "html": TABLE},
]
PROV = {"page_no": 1, "bbox": {"l": 5, "t": 5, "r": 50, "b": 20, "coord_origin": "TOPLEFT"}}
CELL = {"start_row_offset_idx": 0, "end_row_offset_idx": 1, "start_col_offset_idx": 0, "end_col_offset_idx": 1}
DOCLING = {
    "schema_name": "DoclingDocument",
    "texts": [{"label": "text", "text": "Word", "prov": [PROV]}],
    "tables": [{"label": "table", "prov": [PROV], "data": {"table_cells": [CELL | {"text": "1"}]}}],
    "pages": {"1": {"size": SIDES}},
}
SPANS = [{"type": "text", "content": "Word"}], [{"type": "table", "html": TABLE}]
LINED = [{"bbox": [5, 5, 50, 20], "lines": [{"spans": spans}]} for spans in SPANS]
MINERU = {"para_blocks": [LINED[0] | {"type": "text"}, LINED[1] | {"type": "table_body"}]}
MINERU |= {"page_idx": 0, "page_size": list(SIDES.values())}
COCO = {
    "annotations": [{"image_id": 1, "category_id": 1, "bbox": [5, 5, 9, 9]}],
    "categories": [{"id": 1, "name": "x"}],
}
CELLS = {
    "structure": {"tokens": ["<tr>", "<td>", "</td>", "</tr>"]},
    "cells": [{"tokens": ["1"], "bbox": [5, 5, 9, 9]}],
}
SHAPE = {"x": 10, "y": 10, "width": 50, "height": 20}
LABEL = {"transcription": "Word", "points": [[5, 5], [50, 5], [50, 20], [5, 20]]}
COORDS = '<Coords points="5,5 50,5 50,20 5,20"/>'
REGION = f"<TextRegion>{COORDS}<TextEquiv><Unicode>Word</Unicode></TextEquiv></TextRegion>"
WORD = f'<TextLine {place(5, 5, 45, 15)}><String CONTENT="Word" {place(5, 5, 45, 15)}/></TextLine>'
BLOCK = f"<TextBlock {place(5, 5, 45, 15)}>{WORD}</TextBlock>"
OCR_LINE = '<span class="ocr_line" title="bbox 5 5 50 20">Word</span>'


def task(text):
    """A task of Label Studio with one region of this text."""
    shape = {"id": "r", "type": "rectanglelabels", "value": SHAPE | {"rectanglelabels": ["table"]}}
    written = {"id": "r", "type": "textarea", "value": {"text": [text]}}
    results = [shape | {"original_width": 60, "original_height": 40}, written]
    return {"data": {"image": "a.png"}, "annotations": [{"result": results}]}


def predicted(annotated):
    return {"data": annotated["data"], "predictions": annotated["annotations"]}


def cvat(text):
    attribute = f'<attribute name="text">{text}</attribute>' if text else ""
    box = f'<box label="text" xtl="5" ytl="5" xbr="50" ybr="20">{attribute}</box>'
    return f'<annotations><image name="a.png" width="60" height="40">{box}</image></annotations>'


# Format -> [(files of one page, options of the build, tasks that it trains)].
EVERY = {
    "json": [
        ({"a.json": PLAIN}, (), "ocr markdown"),
        ({"a.json": {"text": "Word"}}, (), "ocr markdown"),
        ({"a.json": BOXES}, (), "markdown"),
        ({"a.json": PLAIN | {"texts": ["Word"]}}, (), "ocr markdown locate"),
        ({"a.json": PLAIN | {"texts": [TABLE], "labels": ["table"]}}, (), "ocr markdown locate table"),
        ({"a.json": PLAIN | {"text": "", "bboxes": [], "labels": [], "prompt": "Q", "target": "A"}}, (), "custom"),
    ],
    "jsonl": [
        ({"a.jsonl": PLAIN | {"texts": ["Word"]}}, (), "ocr markdown locate"),
        ({"a.jsonl": {"text": "Word", "file_name": "a.png"}}, (), "ocr markdown"),
        ({"a.jsonl": BOXES | {"image": "a.png"}}, (), "markdown"),
        ({"a.jsonl": CHAT}, (), "custom"),
    ],
    "csv": [
        ({"a.csv": "file_name,text\na.png,Word\n"}, (), "ocr markdown"),
        ({"a.tsv": "scan\tsaid\na.png\tWord\n"}, ("--columns", "image=scan,text=said"), "ocr markdown"),
        ({"a.csv": "image;prompt;target\na.png;Q;A\n"}, (), "custom"),
    ],
    "ocr2": [({"a.json": {"file": "a.png", "pages": [READ]}}, (), "ocr markdown locate table")],
    "docling": [({"a.json": DOCLING}, (), "ocr markdown locate table")],
    "mineru": [({"a_middle.json": {"pdf_info": [MINERU]}}, (), "ocr markdown locate table")],
    "alto": [
        ({"a.xml": alto(BLOCK, size='WIDTH="60" HEIGHT="40"')}, (), "ocr markdown locate"),
    ],
    "page": [
        (
            {"a.xml": f'<PcGts xmlns="{PAGE}"><Page imageWidth="60" imageHeight="40">{REGION}</Page></PcGts>'},
            (),
            "ocr markdown locate",
        )
    ],
    "hocr": [({"a.html": f"<html><div class='ocr_page'>{OCR_LINE}</div></html>"}, (), "ocr markdown locate")],
    "coco": [({"a.json": {"images": [{"id": 1, "file_name": "a.png"} | SIDES]} | COCO}, (), "markdown")],
    "pubtabnet": [
        ({"a.jsonl": {"filename": "a.png", "html": CELLS}}, (), "ocr markdown locate"),
        ({"a.jsonl": {"filename": "a.png", "html": CELLS}}, ("--level", "region"), "ocr markdown locate table"),
    ],
    "sroie": [
        ({"a.txt": "5,5,50,5,50,20,5,20,Word\n"}, (), "ocr markdown locate"),
        ({"a.txt": "5,5,50,5,50,20,5,20,Word\n", "a.json": {"total": "9"}}, (), "ocr markdown locate custom"),
    ],
    "icdar": [
        ({"gt_a.txt": "5,5,50,5,50,20,5,20,Word\n"}, (), "ocr markdown locate"),
        ({"gt.txt": 'a.png, "Word"\n'}, (), "ocr markdown"),
    ],
    "paddle": [
        (
            {"Label.txt": f"a.png\t{json.dumps([LABEL])}"},
            (),
            "ocr markdown locate",
        ),
        ({"rec_gt.txt": "a.png\tWord"}, (), "ocr markdown"),
    ],
    "pairs": [({"a.txt": "Word"}, (), "ocr markdown"), ({"a.md": "# Word"}, (), "ocr markdown")],
    "omnidocbench": [
        (
            {"a.json": [{"layout_dets": BLOCKS, "page_info": {"image_path": "a.png"} | SIDES}]},
            (),
            "ocr markdown locate table",
        )
    ],
    "label_studio": [
        ({"a.json": [task("Word")]}, (), "ocr markdown locate"),
        ({"a.json": [task(TABLE)]}, (), "ocr markdown locate table"),
        (
            {"a.json": [{"data": {"image": "a.png"}, "predictions": task("Word")["annotations"]}]},
            (),
            "ocr markdown locate",
        ),
    ],
    "cvat": [
        ({"a.xml": cvat("Word")}, (), "ocr markdown locate"),
        ({"a.xml": cvat("")}, (), "markdown"),
    ],
}


@pytest.fixture
def rows_of_readme(repo):
    """Format -> what its row of the README's table says of tasks."""
    table = re.findall(r"^\| `(\w+)` \|.*\|([^|]*)\|$", (repo / "data_scripts/README.md").read_text(), re.MULTILINE)
    return {format: tasks for format, tasks in table if format in FORMATS}


def test_the_readme_says_of_every_format_which_tasks_it_trains(rows_of_readme):
    told = {format: set(re.findall(r"`(\w+)`", row)) & set(PROMPTS) for format, row in rows_of_readme.items()}
    assert set(told) == set(EVERY) == set(FORMATS)
    for format, cases in EVERY.items():
        trained = {task for _, _, tasks in cases for task in tasks.split()}
        if format == "jsonl":
            trained |= told["json"]
            told[format] |= told["json"]
        assert told[format] == trained, format


def test_the_readme_says_which_formats_may_have_boxes_alone(rows_of_readme):
    alone = {format for format, cases in EVERY.items() if any(tasks == "markdown" for _, _, tasks in cases)}
    assert alone == {format for format, row in rows_of_readme.items() if "`markdown` with a prompt of your own" in row}


def write_case(folder, files, named=str):
    """A folder of an image and these files, each under the name that `named` makes of its own."""
    write_images(folder, "a.png")
    for name, content in files.items():
        text = content if isinstance(content, str) else json.dumps(content, ensure_ascii=False)
        (folder / named(name)).write_text(text, encoding="utf-8")
    return folder


@pytest.mark.parametrize(("format", "case"), [(format, case) for format, cases in EVERY.items() for case in cases])
def test_pages_of_a_format_suit_these_tasks_and_no_others(tmp_path, datasets_cache, format, case):
    files, options, tasks = case
    (row,) = build("tasks", write_case(tmp_path / "pages", files), "--format", format, *options)
    assert {task for task in PROMPTS if suits(task, row)} == set(tasks.split())
    assert is_silent(row) == (tasks == "markdown")  # refused in training without a prompt of the recipe's own


def capitals(name):
    stem, suffix = name.rsplit(".", 1)
    return f"{stem}.{suffix.upper()}"


@pytest.mark.parametrize("format", EVERY)
def test_a_file_is_of_its_format_with_a_suffix_in_capitals_too(tmp_path, format):
    files, *_ = EVERY[format][0]
    small, large = (write_case(tmp_path / named.__name__, files, named) for named in (str, capitals))
    (wanted,), reasons = read_folder(small, format)
    assert list(read_folder(large, format)[0]) == [wanted] and not reasons


@pytest.mark.parametrize("format", ["json", "alto", "page", "hocr"])
def test_of_two_files_of_one_page_neither_is_taken(tmp_path, format):
    files, *_ = EVERY[format][0]
    for named in (str, capitals):
        write_case(tmp_path, files, named)
    assert read_folder(tmp_path, format) == ({}, {"a": "2 entries are of the image 'a': keep one of them"})
