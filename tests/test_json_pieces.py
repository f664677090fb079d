"""Big JSON files in pieces: the same entries, places that give them again, the same faults, and little memory."""

import json
import random
import re
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from data_scripts.file_tree import list_files
from data_scripts.formats import FORMATS, json_pieces, page_reader
from data_scripts.formats.json_files import parse_json
from data_scripts.formats.json_pieces import list_entries, list_members, read_pieces
from helpers.format_folders import build, read_folder, write_images, write_json
from ocr2_hf.document.records import RecordError
from ocr2_hf.errors import WorkError

TEXTS = st.text(st.characters(exclude_categories=()), max_size=8)  # single surrogates too, as JSON may have them
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4))
ENCODINGS = st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-be"])
FORMS = st.fixed_dictionaries({"indent": st.sampled_from([None, 1]), "ensure_ascii": st.booleans()})
hard = settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def file(tmp_path, monkeypatch):
    """Writes a file that is read in chunks of so many bytes."""

    def write(content: bytes, chunk: int = 2**20) -> str:
        monkeypatch.setattr(json_pieces, "CHUNK_BYTES", chunk)
        (tmp_path / "a.json").write_bytes(content)
        return str(tmp_path / "a.json")

    return write


@hard
@given(st.lists(VALUES, max_size=6), ENCODINGS, FORMS, st.integers(1, 40))
def test_entries_of_a_list_and_their_places(file, values, encoding, form, chunk):
    path = file(json.dumps(values, **form).encode(encoding, "surrogatepass"), chunk)
    found = list(list_entries(path))
    assert [(number, value) for number, _, value in found] == list(enumerate(values, 1))
    assert read_pieces(path, [place for _, place, _ in found]) == values


@hard
@given(st.dictionaries(TEXTS, VALUES, max_size=5), ENCODINGS, FORMS, st.integers(1, 40), st.randoms())
def test_members_of_an_object_and_the_entries_of_their_lists(file, values, encoding, form, chunk, rng):
    path = file(json.dumps(values, **form).encode(encoding, "surrogatepass"), chunk)
    names = [name for name in values if rng.random() < 0.6]
    found: dict[str, Any] = {}
    for key, place, value in list_members(path, names):
        if place is None:
            assert key not in found
            found[key] = value
        else:
            assert read_pieces(path, [place]) == [value]
            found[key].append(value)
    assert found == values and list(found) == list(values)


@hard
@given(st.lists(VALUES, min_size=1, max_size=4), FORMS, st.integers(1, 40), st.integers(0, 2**32))
def test_what_is_wrong_is_told_as_if_the_file_were_parsed_whole(file, values, form, chunk, seed):
    """Cut off, or with something else in it."""
    rng, text = random.Random(seed), json.dumps(values, **form)
    at = rng.randrange(1, len(text) + 1)
    wrong = ["", *(text[:at] + piece + text[at:] for piece in ("}", "]", ",", ":", "x", '"', "1", "\\", "NaN"))]
    content = (rng.choice(wrong) or text[:at]).encode(errors="surrogatepass")
    path = file(content, chunk)
    try:
        parsed = parse_json(content)
    except RecordError as error:
        with pytest.raises(WorkError, match=re.escape(f"{path}: {error}") + r"\Z"):
            list(list_entries(path))
    else:
        assert [value for _, _, value in list_entries(path)] == parsed


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"a": [1], "a": 2}', "annotation has the key 'a' twice"),
        (b'{"a": [1],\n "b" 2}', "annotation is broken JSON: Expecting ':' delimiter: line 2 column 6 (char 16)"),
        (b'{"a": [1], b: 2}', "annotation is broken JSON: Expecting property name enclosed in double quotes: line 1"),
        (b'{"a": [1]} {}', "annotation is broken JSON: Extra data: line 1 column 12 (char 11)"),
        (b'{"a": [1, Infinity', "annotation holds Infinity, which is not JSON"),
        (b'{"a": ["\xff"]}', "annotation is broken JSON: it is not utf-8 behind its byte 0"),
        (b'{"a": [' + b"[" * 100_000, "annotation is broken JSON: maximum recursion depth exceeded"),
        (b'{"a": [' + b"9" * 5000 + b"]}", "annotation is broken JSON: Exceeds the limit (4300 digits) for integer"),
        (b"", "annotation is broken JSON: Expecting value: line 1 column 1 (char 0)"),
        (
            b"[1]",
            "annotation is a JSON list, not a dict; its beginning has no keys; move it to another folder, or name",
        ),
        (b'"a"', "annotation is a JSON str, not a dict"),
    ],
)
def test_one_message_says_what_is_wrong(file, content, message):
    path = file(content)
    with pytest.raises(WorkError) as raised:
        list(list_members(path, ["a"]))
    assert str(raised.value).startswith(f"{path}: {message}")


def peak_bytes(work) -> int:
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("start", [b'["x" 1', b'["x", nul', b'["x", {"a" "b"', b'["x", "\n'])
def test_what_is_broken_early_in_a_large_file_is_told_without_reading_it(file, start):
    path = file(start + b" " * 40_000_000)

    def refused() -> None:
        with pytest.raises(WorkError, match=r"annotation is broken JSON: .*: line 1 column"):
            list(list_entries(path))

    assert peak_bytes(refused) < 15_000_000


def pages_of(folder: Path, format_name: str) -> list:
    tree = list_files(folder)
    _ = tree.image_ends  # of the images, not of the file
    return FORMATS[format_name].list_pages(tree, tree)


BOX = [1.25, 2.5, 30.75, 20.5]
RESULT = {"id": "r", "original_width": 60, "original_height": 40, "type": "rectanglelabels"}
RESULT |= {"value": {"x": 10.5, "y": 10.5, "width": 50.5, "height": 25.5, "rectanglelabels": ["Title"]}}
BLOCK = {"category_type": "text_block", "poly": [1, 2, 30, 2, 30, 20, 1, 20], "order": 1, "text": "a b c d"}


def coco(pages: int) -> Any:
    images = [{"id": n, "file_name": f"{n}.png", "width": 60, "height": 40} for n in range(pages)]
    regions = [{"id": n, "image_id": n % pages, "category_id": 1, "bbox": BOX, "area": 1.5} for n in range(12 * pages)]
    return {"images": images, "annotations": regions, "categories": [{"id": 1, "name": "Text"}]}


def tasks(pages: int) -> Any:
    return [{"data": {"image": f"{n}.png"}, "annotations": [{"result": [RESULT] * 8}]} for n in range(pages)]


def bench_pages(pages: int) -> Any:
    info = [{"image_path": f"{n}.png", "width": 60, "height": 40} for n in range(pages)]
    return [{"layout_dets": [BLOCK] * 10, "page_info": page} for page in info]


def chats(pages: int) -> Any:
    rows = [{"image": f"{n}.png", "text": "x", "bboxes": [BOX] * 20, "labels": ["text"] * 20} for n in range(pages)]
    return [row | {"texts": ["some text"] * 20} for row in rows]


KINDS = {"coco": coco, "label_studio": tasks, "omnidocbench": bench_pages, "jsonl": chats}


@pytest.mark.parametrize("format_name", KINDS)
def test_listing_a_file_of_many_pages_takes_the_memory_of_the_file(tmp_path, monkeypatch, format_name):
    """Of small entries, that is; COCO took 9 times as much."""
    monkeypatch.setattr(json_pieces, "CHUNK_BYTES", 2**14)  # the file is small for a test
    for number in range(500):
        (tmp_path / f"{number}.png").touch()
    file = write_json(tmp_path / "all.json", KINDS[format_name](500))
    assert peak_bytes(lambda: pages_of(tmp_path, format_name)) < 1.5 * file.stat().st_size


@pytest.mark.parametrize("format_name", KINDS)
def test_two_processes_build_what_one_builds(tmp_path, datasets_cache, format_name):
    """Each reads its pages' pieces of the file; those of COCO's annotations lie apart."""
    folder = write_images(tmp_path / "pages", *(f"{number}.png" for number in range(7)))
    write_json(folder / "all.json", KINDS[format_name](7))
    one = build(f"{format_name}_one", folder)
    assert len(one) == 7 and one == build(f"{format_name}_two", folder, "--num_proc", 2)
    records, _ = read_folder(folder, format_name)
    for row in one:
        assert np.array(row["bboxes"]) == pytest.approx(np.array(records[row["id"]].bboxes), rel=1e-6)


@pytest.mark.parametrize("format_name", ["coco", "label_studio"])
@pytest.mark.parametrize("tail", [b"", b"\xff" * 200])
def test_a_file_that_changed_while_it_was_built_costs_its_pages_alone(tmp_path, format_name, tail):
    write_images(tmp_path, "0.png", "1.png")
    file = write_json(tmp_path / "all.json", KINDS[format_name](2))
    pages = pages_of(tmp_path, format_name)
    kept = max(sum(place) for place in places_of(pages[0]))
    file.write_bytes(file.read_bytes()[:kept] + tail)
    read = page_reader(format_name, None, {})
    assert set(read(pages[0]).labels) <= {"text", "title"}
    with pytest.raises(RecordError, match="annotation is broken JSON"):
        read(pages[1])


def places_of(page) -> list:
    places = getattr(page.entry, "places", page.entry)
    return list(zip(places[::2], places[1::2], strict=True))
