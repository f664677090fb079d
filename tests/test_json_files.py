"""JSON that nobody vouches for: limits, and what a file is by its head."""

import json

import pytest

from data_scripts.file_tree import list_files
from data_scripts.formats import choose_format, coco, json_files
from data_scripts.formats import json as json_format
from data_scripts.formats.json_files import HEAD_BYTES, first_key_paths, key_paths
from helpers.page_folders import write_page
from ocr2_hf.document.records import RecordError
from ocr2_hf.errors import WorkError


@pytest.mark.parametrize(
    ("head", "paths"),
    [
        (
            '{"images": [{"id": 1, "size": {"w": 2}}, {"name": "a"',
            {".images[].id", ".images[].size.w", ".images[].name"},
        ),
        ('[{"a": {"b": [[{"c": 1', {"[].a", "[].a.b", "[].a.b[][].c"}),
        ('{"a": 1}\n{"b": {"c": ""}}\n', {".a", ".b", ".b.c"}),
        ('{"a": "\\"{[\\\\", "b" : 1, "c": "cut off \\', {".a", ".b", ".c"}),
        (']]}}{"a": 1', {".a"}),
        ("", set()),
        ('"a": 1, [1, "b": 2', {".b"}),
    ],
)
def test_keys_of_a_head_that_is_cut_off(head, paths):
    assert paths <= key_paths(head)


@pytest.mark.timeout(60)
@pytest.mark.parametrize("unit", ["[", '{"a":', '"', '\\"', '"a":', '"\\', " ", '{"":['])
def test_a_hostile_head_takes_no_time(unit):
    key_paths((unit * HEAD_BYTES)[:HEAD_BYTES])


@pytest.mark.timeout(60)
def test_only_the_heads_of_the_first_files_are_read(tmp_path):
    head = json.dumps({"images": [{"id": 1, "file_name": "a.png"}]})[:-2]
    (tmp_path / "big.json").write_text(head)
    with open(tmp_path / "big.json", "r+b") as file:
        file.truncate(10 * 2**30)  # 10 GB of nothing
    for i in range(20):
        (tmp_path / f"small{i:02d}.json").write_text("{}")
    tree = list_files(tmp_path)
    assert len(list(first_key_paths(tree.paths(".json")))) < 20
    assert coco.recognise(tree)
    assert choose_format("auto", [tree]) == "coco"
    with pytest.raises(WorkError, match=r"big.json: annotation of 10,737,418,240 bytes is over the limit of"):
        coco.list_pages(tree, tree)


def test_a_file_that_vanished_is_of_no_format(tmp_path):
    write_page(tmp_path, "a")
    tree = list_files(tmp_path)
    (tmp_path / "a.json").unlink()
    assert choose_format("auto", [tree]) == "json"  # the plain format looks at names only
    (page,) = json_format.list_pages(tree, tree)
    with pytest.raises(RecordError, match="annotation cannot be read: No such file"):
        json_format.read_page(page)


def test_a_page_file_beyond_the_limit_is_refused(tmp_path, monkeypatch):
    write_page(tmp_path, "a", text="x" * 300)
    monkeypatch.setattr(json_files.read_bytes, "__defaults__", (200,))
    tree = list_files(tmp_path)
    (page,) = json_format.list_pages(tree, tree)
    with pytest.raises(RecordError, match="bytes is over the limit of 200 bytes"):
        json_format.read_page(page)


@pytest.mark.parametrize(
    ("values", "shown"),
    [
        ([1, "2"], "[1, '2']"),
        ([1, True], "[1, True]"),
        ([1, 1e400], "[1, inf]"),
        ([1, 10**12], "[1, 1000000000000]"),
        ([1], "[1]"),
        ((1, 2), "(1, 2)"),
        (None, "None"),
        ([1, 10**5000], "a number of thousands of digits"),
        ("x" * 100, "'" + "x" * 56 + "..."),
    ],
)
def test_what_are_no_two_numbers(values, shown):
    assert json_files.numbers([1, -2.5], 2, "pair") == [1, -2.5]
    with pytest.raises(RecordError) as raised:
        json_files.numbers(values, 2, "pair")
    assert str(raised.value) == f"pair is {shown}, not a list of 2 numbers"
