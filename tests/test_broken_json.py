"""Broken annotation files of every JSON format: each page is accepted correctly or rejected, nothing else happens.

Good files are damaged at random: bytes changed, cut off, values replaced, keys dropped or doubled.
"""

import json
import pickle
import random
import tempfile
from base64 import b64encode
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from data_scripts.file_tree import FileTree, list_files
from data_scripts.formats import FORMATS, choose_format, page_reader
from data_scripts.formats.json_files import parse_json
from data_scripts.page_splits import split_by_hash
from helpers.format_folders import write_images
from helpers.page_folders import image_bytes
from ocr2_hf.document.records import PageRecord, RecordError, check_record
from ocr2_hf.errors import WorkError

WIDTH, HEIGHT = 60, 40

REGION = {"label": "title", "box": [1.5, 2, 30, 20], "text": "A title"}
READ_PAGE = {"file": "scans/a.png", "page": 1, "text": "A title", "markdown": "A title", "width": 60, "height": 40}
READ_PAGE |= {"raw": "<|ref|>text<|/ref|><|det|>[[1, 2, 3, 4]]<|/det|>\nx", "finished": True, "regions": [REGION]}
SHAPE = {"x": 10, "y": 10, "width": 50, "height": 25.5, "rotation": 10}
RESULT = {"id": "r", "original_width": 60, "original_height": 40, "image_rotation": 0}
TASK = {
    "id": 1,
    "annotations": [
        {
            "was_cancelled": False,
            "ground_truth": False,
            "updated_at": "2024-01-01",
            "result": [
                RESULT | {"type": "rectanglelabels", "value": SHAPE | {"rectanglelabels": ["Title"]}},
                RESULT | {"type": "textarea", "value": SHAPE | {"text": ["A title"]}},
                RESULT | {"id": "p", "type": "polygon", "value": {"points": [[1, 2], [30, 4], [5, 60]]}},
            ],
        }
    ],
    "data": {"image": "/data/upload/1/0a1b2c3d-a.png"},
}
COCO = {
    "images": [
        {"id": 1, "file_name": "a.png", "width": 60, "height": 40},
        {"id": 2, "file_name": "b.png", "width": 30, "height": 20},
    ],
    "annotations": [
        {"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 2, 30, 20.5], "order": 2},
        {"id": 2, "image_id": 1, "category_id": 1, "segmentation": [[1, 2, 30, 2, 5, 20]], "order": 1},
        {"id": 3, "image_id": 2, "category_id": 1, "bbox": [1, 2, 3, 4]},
    ],
    "categories": [{"id": 1, "name": "text"}],
}
BLOCK = {"category_type": "text_block", "poly": [1, 2, 30, 2, 30, 20, 1, 20], "order": 1, "text": "for $n$"}
BLOCK |= {"line_with_spans": [{"category_type": "equation_inline", "latex": "$n$"}]}
BENCH_PAGE = {
    "layout_dets": [
        BLOCK,
        {"category_type": "equation_isolated", "poly": [1] * 2 + [9, 1, 9, 9, 1, 9], "latex": "$x$"},
    ],
    "page_info": {"image_path": "a.png", "width": 60, "height": 40},
}
CELLS = [{"tokens": ["<b>", "A", "</b>"], "bbox": [5, 2, 40, 10]}, {"tokens": []}]
TOKENS = ["<tr>", "<td>", "</td>", "<td", ' colspan="2"', ">", "</td>", "</tr>"]
TABLE = {"filename": "a.png", "split": "train", "html": {"structure": {"tokens": TOKENS}, "cells": CELLS}}
PLAIN = {"text": "page", "bboxes": [[5, 5, 50, 20.5]], "labels": ["text"], "texts": ["page"], "width": 60, "height": 40}
PLAIN |= {"prompt": "Q", "target": "A"}
CHAT = {
    "messages": [{"role": "user", "content": "<image>Q"}, {"role": "assistant", "content": "A"}],
    "images": ["a.png"],
}
PARTS = [{"type": "image", "image": "b.png"}, {"type": "text", "text": "Q"}]
LLAVA = {"image": "b.png", "conversations": [{"from": "human", "value": PARTS}, {"from": "gpt", "value": "A"}]}
QUERY = {"query": "Q", "response": "A", "images": [{"path": "a.png"}], "history": [], "system": "S"}
DEEPSEEK = {"messages": [{"role": "<|User|>", "content": "<image>\nQ", "images": ["a.png"]}]}
DEEPSEEK["messages"].append({"role": "<|Assistant|>", "content": "A"})
EMBEDDED = {"image": f"data:image/png;base64,{b64encode(image_bytes(WIDTH, HEIGHT)).decode()}", "text": "page"}
PROV = {"page_no": 1, "bbox": {"l": 5, "t": 35, "r": 30, "b": 20, "coord_origin": "BOTTOMLEFT"}, "charspan": [0, 5]}
CELL = {"start_row_offset_idx": 0, "end_row_offset_idx": 1, "start_col_offset_idx": 0, "end_col_offset_idx": 1}
CAPTION = {"label": "caption", "prov": [PROV], "text": "Words", "orig": "Words"}
DOCLING = {
    "schema_name": "DoclingDocument",
    "origin": {"filename": "a.png"},
    "body": {"children": [{"$ref": "#/groups/0"}, {"$ref": "#/tables/0"}]},
    "groups": [{"label": "inline", "children": [{"$ref": "#/texts/0"}]}, {"label": "list", "children": []}],
    "texts": [CAPTION | {"label": "formula"}, CAPTION, CAPTION | {"prov": [PROV, PROV | {"charspan": [5, 6]}]}],
    "tables": [
        {
            "label": "table",
            "prov": [PROV],
            "captions": [{"$ref": "#/texts/1"}],
            "data": {"table_cells": [CELL | {"text": "x", "ref": {"$ref": "#/groups/1"}}]},
        }
    ],
    "form_items": [{"label": "form", "graph": {"cells": [CAPTION | {"label": "key", "prov": PROV, "item_ref": None}]}}],
    "pages": {"1": {"size": {"width": 60, "height": 40}, "image": {"uri": "b.png"}}},
}
LINES = [
    {"bbox": [5, 5, 30, 9], "spans": [{"type": "text", "content": "A"}, {"type": "inline_equation", "content": "x"}]}
]
LINES += [
    {"bbox": [5, 10, 30, 14], "is_list_start_line": True, "spans": [{"type": "table", "html": "<table></table>"}]}
]
MINERU_BLOCK = {"type": "title", "bbox": [5, 5, 30, 20], "lines": LINES, "level": 2}
MINERU_PAGE = {
    "preproc_blocks": [
        MINERU_BLOCK,
        {"type": "image", "bbox": [5, 5, 30, 20], "blocks": [MINERU_BLOCK | {"index": 1}]},
    ],
    "para_blocks": [MINERU_BLOCK],
    "discarded_blocks": [MINERU_BLOCK | {"type": "discarded"}],
    "page_idx": 0,
    "page_size": [60, 40],
}

# Format -> (name of its file, its rows or its one value).
GOOD: dict[str, tuple[str, list[Any]]] = {
    "json": ("a.json", [PLAIN | {"image": "b.png"}]),
    "coco": ("coco.json", [COCO]),
    "label_studio": ("tasks.json", [[TASK, TASK | {"data": {"ocr": "s3://x/b.png"}}]]),
    "omnidocbench": ("bench.json", [[BENCH_PAGE]]),
    "ocr2": ("a.json", [{"file": "scans/a.png", "pages": [READ_PAGE]}]),
    "docling": ("a.json", [DOCLING]),
    "mineru": ("a_middle.json", [{"pdf_info": [MINERU_PAGE]}]),
    "pubtabnet": ("tables.jsonl", [TABLE, TABLE | {"filename": "b.png"}]),
    "jsonl": ("rows.jsonl", [CHAT, LLAVA, QUERY, DEEPSEEK, EMBEDDED, PLAIN | {"image": "a.png"}]),
    "sroie": ("a.txt", ["1,2,30,2,30,20,1,20,TOTAL, 9.00", "5,5,50,5,50,30,5,30,x"]),
}
VALUES = [None, True, 0, -1, 1.5, 1e400, 10**400, -(10**20), "", "a", "\x00", "\ud800", "../b.png", "b.png", [], [[]]]
VALUES += [{}, {"a": 1}, [1, 2, 3], [1, 2, 3, 4], ["x", None], {"path": 5}, "<image>", "x" * 5000, [[[[[[1]]]]]]]
RAW = [
    "NaN",
    "-Infinity",
    "1" * 5000,
    "[" * 950 + "]" * 950,
    '{"a":' * 300 + "1" + "}" * 300,
    '{"a": 1, "a": 2}',
    "nul",
]


@pytest.fixture(scope="module")
def images(tmp_path_factory) -> FileTree:
    folder = write_images(tmp_path_factory.mktemp("images"), "a.png", "b.png", size=(WIDTH, HEIGHT))
    return list_files(folder)


def read_everything(format_name: str, content: bytes, images: FileTree) -> list[Any]:
    """The checked records and the `RecordError`s of every page of the file, at every level; or its `WorkError`."""
    module = FORMATS[format_name]
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / GOOD[format_name][0]).write_bytes(content)
        tree = list_files(Path(folder))
        for known in FORMATS.values():
            assert known.recognise(tree) in (True, False)
        try:
            choose_format("auto", [tree])
            pages = module.list_pages(tree, images)
        except WorkError as error:
            assert folder in str(error)
            return [error]
        assert sum(map(len, split_by_hash(pages, 0.2, 0.2).values())) == len(pages)
        pages = pickle.loads(pickle.dumps(pages))  # as they reach other processes
        return [read_one(page, format_name, level) for page in pages for level in module.LEVELS or [None]]


def read_one(page: Any, format_name: str, level: str | None) -> Any:
    try:
        record = page_reader(format_name, level, {})(page)
        checked, _ = check_record(record, WIDTH, HEIGHT)
    except RecordError as error:
        assert str(error)
        str(error).encode()
        return error
    assert checked.image_bytes or checked.image_path in (f"{page.image_root}/a.png", f"{page.image_root}/b.png")
    assert len(checked.bboxes) == len(checked.labels) == len(checked.texts)
    assert all(0 <= x0 < x1 <= WIDTH and 0 <= y0 < y1 <= HEIGHT for x0, y0, x1, y1 in checked.bboxes)
    texts = [checked.id, checked.text, *checked.labels, *checked.texts, checked.prompt or "", checked.target or ""]
    assert all("\x00" not in text.encode().decode() for text in texts)
    return checked


def encode(rows: list[Any]) -> bytes:
    texts = [row if isinstance(row, str) else json.dumps(row) for row in rows]
    return "\n".join(texts).encode()


def places(value: Any, path: tuple = ()) -> list[tuple]:
    """The path of every value in a JSON value."""
    found = [path]
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in items:
        found += places(child, (*path, key))
    return found


def damage_value(rows: list[Any], rng: random.Random) -> bytes:
    """One to three values of the JSON replaced, dropped or doubled."""
    rows = deepcopy(rows)
    raw: list[str] = []
    for _ in range(rng.randint(1, 3)):
        if not rows:
            break
        *path, last = rng.choice([place for place in places(rows) if place])
        parent = rows
        for key in path:
            parent = parent[key]
        action = rng.choice(["value", "value", "raw", "drop", "double", "key"])
        if action == "drop":
            del parent[last]
        elif action == "double" and isinstance(parent, list):
            parent.append(deepcopy(parent[last]))
        elif action == "key" and isinstance(parent, dict):
            parent[rng.choice(["x", "", "id", "bbox", "text", "image", "label"])] = parent.pop(last)
        elif action == "raw":
            raw.append(rng.choice(RAW))
            parent[last] = f"RAW{len(raw) - 1}"
        else:
            parent[last] = deepcopy(rng.choice(VALUES))
    content = "\n".join(json.dumps(row) for row in rows)
    for number, text in enumerate(raw):
        content = content.replace(f'"RAW{number}"', text)
    return content.encode()


def damage_bytes(content: bytes, rng: random.Random) -> bytes:
    """Cut off, or with bytes changed, dropped or repeated; sometimes a key doubled."""
    action = rng.choice(["cut", "flip", "drop", "repeat", "key", "swap"])
    start = rng.randrange(len(content))
    end = min(len(content), start + rng.randint(1, 30))
    if action == "cut":
        return content[:start]
    if action == "flip":
        return content[:start] + bytes([rng.randrange(256)]) + content[start + 1 :]
    if action == "drop":
        return content[:start] + content[end:]
    if action == "repeat":
        return content[:end] + content[start:]
    if action == "key":
        return content.replace(b'"text"', b'"image"', 1).replace(b'"id"', b'"width"', 1)
    return content[:start] + rng.choice([b"\xff", b"\x00", b'"', b"[", b"}", b"9" * 400, b"e999"]) + content[start:]


@pytest.mark.parametrize("format_name", GOOD)
def test_the_good_file_is_accepted(format_name, images):
    found = read_everything(format_name, encode(GOOD[format_name][1]), images)
    assert found and not [error for error in found if isinstance(error, Exception)]


@pytest.mark.parametrize("format_name", GOOD)
@settings(max_examples=140, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32), in_values=st.booleans())
def test_a_damaged_file_is_read_or_refused(format_name, images, seed, in_values):
    rng, rows = random.Random(seed), GOOD[format_name][1]
    if in_values and format_name != "sroie":
        content = damage_value(rows, rng)
    else:
        content = damage_bytes(encode(rows), rng)
    read_everything(format_name, content, images)


def test_a_value_too_deep_to_print_is_a_reason_too():
    """What was parsed high up on the stack is judged further down."""
    value = parse_json(b"[" * 900 + b"]" * 900)

    def judged(depth: int) -> None:
        if depth:
            judged(depth - 1)
        else:
            check_record(PageRecord("a", "a.png", text=value), WIDTH, HEIGHT)

    with pytest.raises(RecordError, match="text is a list nested hundreds of times, not a string"):
        judged(100)


@pytest.mark.parametrize("format_name", GOOD)
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=200))
@example(content=b"")
@example(content=b"\xef\xbb\xbf[]")
@example(content=b"[" * 100_000)
@example(content=b'{"images": ' * 50_000)
@example(content=b'"' * 1_000)
@example(content=b'\\"' * 40_000)
@example(content=b"1,2,3,4,5,6,7,8,")
@example(content="[]".encode("utf-16"))
def test_any_bytes_are_read_or_refused(format_name, images, content):
    read_everything(format_name, content, images)
