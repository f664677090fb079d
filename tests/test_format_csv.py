"""CSV and TSV: a row a page, its image and its text in columns."""

import random

import pytest

from data_scripts.file_tree import list_files
from data_scripts.formats import choose_format, csv_files
from data_scripts.formats import csv as csv_format
from data_scripts.formats.plain_pages import NEEDED
from helpers.format_folders import build, read_folder, write_images, write_json
from ocr2_hf.errors import WorkError


def folder_with(tmp_path, table, name="metadata.csv"):
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).write_bytes(table if isinstance(table, bytes) else table.encode())
    return write_images(tmp_path, "a.png", "b.png", "scans/c.png")


def read(tmp_path, table, name="metadata.csv"):
    return read_folder(folder_with(tmp_path, table, name), "csv")


TEXT = 'Dear "Sir",\n\n1;2, 3\té'
FIELD = '"Dear ""Sir"",\n\n1;2, 3\té"'
TABLES = {
    "comma": f"file_name,text\na.png,{FIELD}\nscans/c.png,C\n",
    "semicolon": f"file_name;text\na.png;{FIELD}\nscans/c.png;C\n",
    "tab": f"file_name\ttext\na.png\t{FIELD}\nscans/c.png\tC\n",
    "image": f"text,image\n{FIELD},a.png\nC,scans/c.png\n",
    "a name of imagefolder": f"scan_file_name,text\na.png,{FIELD}\nscans/c.png,C\n",
    "other columns": f'id,"file_name", text,mask,\n1,a.png,{FIELD},m.png,\n2,scans/c.png,C,,\n',
    "a comma in a name": f'file_name;"a, b";text\na.png;1;{FIELD}\nscans/c.png;2;C\n',
    "byte order mark": f"\ufefffile_name,text\na.png,{FIELD}\nscans/c.png,C\n",
    "quoted header after it": f'\ufeff"file_name","text"\na.png,{FIELD}\nscans/c.png,C\n',
    "no end, blank lines": f"file_name,text\n\na.png,{FIELD}\n\n\nscans/c.png,C",
    "of another system": f"file_name,text\na.png,{FIELD}\nscans/c.png,C\n".replace("\n", "\r\n"),
    "paths of another system": f'file_name,text\n"D:\\x\\a.png",{FIELD}\n/home/x/scans/c.png,C\n',
}


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
@pytest.mark.parametrize("name", ["metadata.csv", "pages.TSV"])
def test_rows_are_pages(tmp_path, table, name):
    records, reasons = read(tmp_path, table, name)
    assert not reasons
    assert {page: record.text for page, record in records.items()} == {"a": TEXT, "scans/c": "C"}
    assert all(record.bboxes == [] and record.prompt is None for record in records.values())


def test_questions_and_answers_and_regions(tmp_path):
    rows = [
        "image,text,bboxes,labels,texts,width,height,prompt,target",
        'a.png,A,"[[10, 10, 100, 40]]","[""title""]","[""A""]",120,80,,',
        "b.png,,,,,,,Q,A",
    ]
    records, reasons = read(tmp_path, "\n".join(rows))
    assert not reasons
    boxed, asked = records["a"], records["b"]
    assert (boxed.bboxes, boxed.labels, boxed.texts, boxed.prompt) == ([[5, 5, 50, 20]], ["title"], ["A"], None)
    assert (asked.text, asked.bboxes, asked.prompt, asked.target) == ("", [], "Q", "A")


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (b"a.png", "row has 1 fields, the header 3: a field with ',' or a line break in it needs quotes"),
        (b"a.png,x,[],y", "row has 4 fields, the header 3"),
        (b"gone.png,x,", "no image 'gone.png' in "),
        (b"../a.png,x,", "leaves the image folder"),
        (b",x,", "no image '' in "),
        (
            b"a.png,,",
            f"annotation has no text; {NEEDED}; its text is empty; its keys are 'file_name', 'text', 'bboxes'",
        ),
        (b"a.png, ,", "its text is empty"),
        (b"scans/c,x,", "but 'scans/c.png': write the name with its suffix"),
        (b'a.png,"x"y,', "row of line 3: ',' expected after '\"'"),
        (b"a.png,x\xe9,", "row of line 3: line 3 at byte 7 is not UTF-8: save the file as UTF-8"),
        (b"a.png,x\ry,", "row of line 3: new-line character seen in unquoted field"),
        (b"a.png,x\x00,", "text has the control character U+0000 at offset 1"),
        (b"a.png,<image>,", "text holds <image>, a token of the model's own"),
        (b"a.png,x,[[1", "annotation is broken JSON"),
        (b'a.png,x,"[[1, 2, 3, 4]]"', "annotation has no labels"),
    ],
)
def test_a_bad_row_is_rejected_with_its_line_and_the_others_are_read(tmp_path, row, reason):
    records, reasons = read(tmp_path, b"file_name,text,bboxes\nb.png,B,\n" + row + b"\nscans/c.png,C,\n")
    assert list(records) == ["b", "scans/c"] and list(reasons) in (["metadata.csv#3"], ["a"])
    assert reason in next(iter(reasons.values()))


@pytest.mark.parametrize(
    ("column", "value", "needed"),
    [
        ("labels", "cat", "column 'labels' is 'cat': it needs a list of texts, as in [\"title\", \"text\"], in JSON"),
        ("lines", "['cat']", "column 'lines' is \"['cat']\": it needs a list of texts"),
        ("height", "x", "column 'height' is 'x': it needs a number, in JSON"),
        (
            "bboxes",
            "(1, 2, 3, 4)",
            "column 'bboxes' is '(1, 2, 3, 4)': it needs a list of boxes, as in [[x0, y0, x1, y1]]",
        ),
    ],
)
def test_a_column_that_is_no_json_is_told_by_its_name(tmp_path, column, value, needed):
    folder = folder_with(tmp_path, f'file_name,text,{column}\na.png,x,"{value}"\nb.png,x,\n')
    columns = {"texts": "lines"} if column == "lines" else {}
    _, reasons = read_folder(folder, "csv", columns=columns)
    assert reasons["a"].startswith(needed)


UNREAD = {
    b"scan,transcription\na.png,A\n": "its columns are 'scan', 'transcription'; --columns image=..., text=... says",
    b"a.png,A\nb.png,B\n": "its first line is 'a.png', 'A', no header: put one above it",
    b"scan said\na.png A\n": "its header has one column, 'scan said': part the fields by a comma, a",
    "file_name,text\na.png,A\n".encode("utf-16"): "it is in UTF-16, or no text at all: save it as UTF-8",
    "file_name,text\na.png,A\n".encode("utf-16-le"): "it is in UTF-16, or no text at all: save it as UTF-8",
    "scan,gr\u00f6\u00dfe\n".encode("cp1252"): "it is not UTF-8 at byte 7 (0xF6): save it as UTF-8",
}


@pytest.mark.parametrize(("table", "told"), UNREAD.items(), ids=range(len(UNREAD)))
@pytest.mark.parametrize("format", ["auto", "csv"])
def test_a_table_that_is_not_read_is_told_and_no_list_of_formats(tmp_path, table, told, format):
    tree = list_files(folder_with(tmp_path, table))
    with pytest.raises(WorkError) as raised:
        choose_format(format, [tree])
    assert str(raised.value).startswith(f"no annotations in {tmp_path}: {tmp_path}/metadata.csv: {told}")


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "cp1252"])
def test_named_columns_of_a_table_that_is_not_utf_8_are_not_told_to_be_missing(tmp_path, datasets_cache, encoding):
    folder = folder_with(tmp_path / "pages", "scan,gr\u00f6\u00dfe\na.png,A\n".encode(encoding))
    with pytest.raises(WorkError, match="save it as UTF-8"):
        build("odd", folder, "--columns", "image=scan,text=gr\u00f6\u00dfe")


def test_every_line_that_a_missing_quote_swallows_is_counted(tmp_path):
    lines = ["file_name,text", "b.png,B", 'a.png,"A', "a.png,x", 'a.png,"y"', "scans/c.png,C", 'a.png,"z', "b.png,B"]
    records, reasons = read(tmp_path, "\n".join(lines))
    assert list(records) == ["b", "scans/c"]
    assert list(reasons) == [f"metadata.csv#{line}" for line in (3, 4, 5, 7, 8)]
    assert reasons["metadata.csv#5"] == "row of line 3: ',' expected after '\"'"
    assert reasons["metadata.csv#8"] == "row of line 7: unexpected end of data"


def test_a_row_beyond_the_limit_is_rejected_and_the_next_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr(csv_files, "MAX_PAGE_BYTES", 100)
    monkeypatch.setattr("csv.field_size_limit", lambda limit: None)  # it is the process's
    records, reasons = read(tmp_path, f'file_name,text\na.png,{"x" * 250}\na.png,"{"y" * 80}\n{"z" * 80}"\nb.png,B\n')
    assert list(records) == ["b"]
    assert reasons["metadata.csv#2"] == "row of line 2: 257 bytes are over the limit of 100 bytes"
    assert reasons["metadata.csv#4"] == "row of line 3: 170 bytes are over the limit of 100 bytes"


def test_two_questions_about_an_image_are_numbered(tmp_path):
    records, _ = read(tmp_path, "image,prompt,target\na.png,Q,A\nb.png,Q,A\n./a.png,R,B\n")
    assert {page: record.target for page, record in records.items()} == {"a": "A", "a#2": "B", "b": "A"}


def test_a_text_may_be_long(tmp_path):
    text = "0123456789\n" * 30_000  # Python's own limit is 128 KiB
    assert read(tmp_path, f'file_name,text\na.png,"{text}"\n')[0]["a"].text == text


def test_another_table_among_them_is_told(tmp_path):
    folder = folder_with(tmp_path, "file_name,text\na.png,A\n")
    (folder / "counts.csv").write_text("word,times\nthe,9\nof,7\n")
    (folder / "empty.csv").write_text("")
    (folder / "twice.csv").write_text("file_name,text,text\na.png,A,B\n")
    records, reasons = read_folder(folder, "csv")
    assert list(records) == ["a"]
    what = "header has no file_name (or image) and text: name its columns by --columns, or move the file away"
    assert reasons == {
        "counts.csv#1": f"{what}; its keys are 'word', 'times'",
        "empty.csv#1": f"{what}; it is {{}}",
        "twice.csv#1": "header has the column 'text' twice; its keys are 'file_name', 'text'",
    }


@pytest.mark.parametrize(
    ("table", "is_one"),
    [
        ("file_name,text\n", True),
        ("image,target,prompt\n", True),
        ('image\ttext\na.png\t"x', True),
        ("name,text\n", False),
        ("file_name,label\na.png,3\n", False),
        ("5,5,50,5,50,20,5,20,text\n", False),
        ('"file_name,text\n', False),
        ("file_name|text\n", True),
        ("", False),
    ],
)
def test_it_is_known_by_its_header(tmp_path, table, is_one):
    (tmp_path / "a.csv").write_text(table)
    tree = list_files(tmp_path)
    assert csv_format.recognise(tree) is is_one
    if not is_one:
        with pytest.raises(WorkError, match=r"a\.csv: its (columns are|first line is|header has one column,) "):
            choose_format("csv", [tree])


def test_other_formats_with_csv_files_are_what_they_were(tmp_path):
    write_images(tmp_path, "a.png")
    (tmp_path / "a.csv").write_text("5,5,50,5,50,20,5,20,Word, text\n")
    write_json(tmp_path / "a.json", {"total": "9"})
    assert choose_format("auto", [list_files(tmp_path)]) == "sroie"
    (tmp_path / "a.csv").write_text("word,times\n")
    assert choose_format("auto", [list_files(tmp_path)]) == "json"


def test_a_build_by_two_processes_is_the_build_by_one(tmp_path, datasets_cache):
    table = "".join(f'{"abb"[i % 3]}.png,{i},"{i}\n{i}"\n' for i in range(30))
    folder = folder_with(tmp_path / "pages", f"file_name,number,text\n{table}scans/c.png,1,C\n")
    rows = build("one", folder)
    assert len(rows) == 31 and {row["text"] for row in rows} == {"C"} | {f"{i}\n{i}" for i in range(30)}
    assert build("two", folder, "--num_proc", 2) == rows


@pytest.mark.timeout(60)
@pytest.mark.parametrize("line", ['a",",', '"', "x", '"""', 'a.png,"x'])
def test_hostile_lines_take_no_time(tmp_path, line):
    """Each opens a quote anew, whichever it is in."""
    count = 20_000
    folder = folder_with(tmp_path, "file_name,text\n" + f"{line}\n" * count)
    tree = list_files(folder)
    assert count / 2 <= len(csv_format.list_pages(tree, tree)) <= count


def test_broken_tables_give_pages_or_reasons(tmp_path):
    """Bytes of a good table changed at random: every line is in a page or has a reason, and nothing else is raised."""
    good = f"file_name,text\na.png,{FIELD}\nb.png,B\nscans/c.png,C\n".encode()
    folder, chance = folder_with(tmp_path, good), random.Random(1)
    for _ in range(200):
        damaged = bytearray(good)
        for _ in range(chance.randint(1, 4)):
            place = chance.randrange(15, len(damaged))
            damaged[place : place + chance.randint(0, 2)] = bytes(chance.choices(b'",\n\r\x00\xff;a', k=1))
        (folder / "metadata.csv").write_bytes(damaged)
        records, reasons = read_folder(folder, "csv")
        assert records.keys().isdisjoint(reasons) and len(records) + len(reasons) >= 1
