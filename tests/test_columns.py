"""Columns under other names: `--columns image=scan,text=transcription`."""

import json

import pytest

from data_scripts import build_dataset
from helpers.format_folders import build, read_folder, write_images, write_json, write_rows
from helpers.xml_pages import alto
from ocr2_hf.data.column_names import COLUMNS, parse_columns
from ocr2_hf.data.columns import FEATURES
from ocr2_hf.errors import UsageError, WorkError

RENAMED = "image=scan,text=transcription"
ROW = {"scan": "a.png", "transcription": "A", "text": "no", "file_name": "b.png"}


def test_they_are_parsed():
    assert parse_columns(RENAMED) == {"image": "scan", "text": "transcription"}
    assert parse_columns(" bboxes = my boxes , labels=a=b") == {"bboxes": "my boxes", "labels": "a=b"}
    assert parse_columns("text=target,target=text") == {"text": "target", "target": "text"}


def test_they_are_those_of_a_dataset_that_are_not_found_out():
    assert set(COLUMNS) == set(FEATURES) - {"id", "width", "height"}


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("", "'' is not KEY=NAME, as in image=scan"),
        ("image", "'image' is not KEY=NAME"),
        ("image=", "'image=' is not KEY=NAME"),
        ("image=scan,", "'' is not KEY=NAME"),
        ("width=w", "'width' is none of image, text, bboxes, labels, texts, prompt, target"),
        ("=scan", "'' is none of image"),
        ("image=scan,image=photo", "'image=photo' names a column that is named before"),
        ("text=a,target=a", "'target=a' names a column that is named before"),
    ],
)
def test_what_is_no_such_table_is_refused(value, told):
    with pytest.raises(UsageError) as raised:
        parse_columns(value)
    assert str(raised.value).startswith("columns: ") and told in str(raised.value)


FILES = {
    "jsonl": {"rows.jsonl": json.dumps(ROW)},
    "jsonl, a list": {"rows.json": json.dumps([ROW])},
    "csv": {"rows.csv": "scan,transcription,text,file_name\na.png,A,no,b.png\n"},
    "json": {"page.json": json.dumps(ROW)},
}


def folder_with(tmp_path, files):
    folder = write_images(tmp_path / "pages", "a.png", "b.png", "page.png")
    for name, content in files.items():
        (folder / name).write_text(content)
    return folder


@pytest.mark.parametrize("files", FILES.values(), ids=FILES)
def test_a_build_takes_them_and_no_others(tmp_path, datasets_cache, files):
    folder = folder_with(tmp_path, files)
    (row,) = build("renamed", folder, "--columns", RENAMED)
    assert (row["id"], row["text"]) == ("page" if "page.json" in files else "a", "A")
    (row,) = build("renamed", folder, "--columns", "text=transcription,image=file_name")  # another build
    assert (row["id"], row["text"]) == ("page" if "page.json" in files else "b", "A")


@pytest.mark.parametrize("files", FILES.values(), ids=FILES)
@pytest.mark.parametrize("columns", ["image=scan,text=said", "image=picture,text=said"])
def test_a_name_that_nothing_has_is_told_with_those_that_are_there(tmp_path, datasets_cache, files, columns):
    name = columns.split(",")[columns.startswith("image=scan")]
    with pytest.raises(UsageError) as raised:
        build("renamed", folder_with(tmp_path, files), "--columns", columns)
    told = f"--columns {name}: no row has the column '{name.partition('=')[2]}'; the columns are: 'scan', 'transc"
    assert str(raised.value).startswith(told)


def test_the_keys_that_are_told_are_those_of_the_file(tmp_path):
    columns = parse_columns(RENAMED)
    write_rows(tmp_path / "rows.jsonl", {"scan": "a.png", "transcription": None, "text": "no"}, {"text": "x", "n": 1})
    reasons = read_folder(write_images(tmp_path, "a.png"), "jsonl", columns=columns)[1]
    assert reasons["a"].endswith("; its text is empty; its keys are 'scan', 'transcription', 'text'")
    assert "its keys are 'text', 'n'" in reasons["rows.jsonl#2"]
    (tmp_path / "rows.jsonl").unlink()
    write_json(tmp_path / "a.json", {"scan": "a.png", "text": "x"})
    write_json(tmp_path / "b.json", {"scan": "a.png", "transcription": "A"})
    reasons = read_folder(tmp_path, "json", columns=columns)[1]
    assert "its keys are 'scan', 'text'" in reasons["a"]


def test_a_name_that_some_rows_have_is_no_mistake(tmp_path):
    write_rows(
        tmp_path / "rows.jsonl", {"scan": "a.png", "text": "A"}, {"scan": "b.png", "question": "Q", "target": "B"}
    )
    columns = parse_columns("image=scan,prompt=question")
    records, _ = read_folder(write_images(tmp_path, "a.png", "b.png"), "jsonl", columns=columns)
    assert [(record.text, record.prompt, record.target) for record in records.values()] == [
        ("A", None, None),
        ("", "Q", "B"),
    ]


def test_files_of_one_page_are_looked_through_until_all_names_are_found(tmp_path, datasets_cache):
    folder = write_images(tmp_path / "pages", "a.png", "b.png")
    write_json(folder / "a.json", {"text": "A"})
    write_json(folder / "b.json", {"text": "B", "question": "Q", "target": "C"})
    rows = build("renamed", folder, "--columns", "prompt=question")
    assert [(row["text"], row["prompt"]) for row in rows] == [("A", None), ("B", "Q")]


def test_lists_of_regions_have_other_names_too(tmp_path):
    regions = {"boxes": [[5, 5, 50, 20]], "classes": ["title"], "lines": ["A"], "text": "A"}
    columns = parse_columns("bboxes=boxes,labels=classes,texts=lines")
    write_json(tmp_path / "a.json", regions)
    write_images(tmp_path, "a.png")
    of_file = read_folder(tmp_path, "json", columns=columns)[0]["a"]
    (tmp_path / "a.json").unlink()
    table = ["file_name;text;boxes;classes;lines", 'a.png;A;[[5, 5, 50, 20]];["title"];"[""A""]"']
    (tmp_path / "a.csv").write_text("\n".join(table))
    assert read_folder(tmp_path, "csv", columns=columns)[0]["a"] == of_file
    assert (of_file.bboxes, of_file.labels, of_file.texts) == ([[5, 5, 50, 20]], ["title"], ["A"])


def test_a_format_without_columns_refuses_them(tmp_path, datasets_cache):
    folder = write_images(tmp_path / "pages", "a.png")
    (folder / "a.xml").write_text(alto(""))
    with pytest.raises(UsageError, match="--columns: files of the format alto have no columns; csv, jsonl, json have"):
        build("renamed", folder, "--columns", RENAMED)


def test_the_command_says_what_is_wrong_before_it_reads(tmp_path):
    with pytest.raises(UsageError, match="columns: 'scan' is none of image"):
        build_dataset.main(["x", "--annotations", str(tmp_path / "gone"), "--columns", "scan=image"])
    with pytest.raises(WorkError, match="no annotations"):
        build_dataset.main(["x", "--annotations", str(tmp_path), "--columns", RENAMED])
