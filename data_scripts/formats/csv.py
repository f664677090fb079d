"""CSV or TSV with a header, a row a page: a column with the image (`file_name`, `image`, ...) and one with the `text`.

A row has what a plain page has: also `prompt` and `target`, and as JSON `bboxes`, `labels`, `texts`, `width`, `height`.
An empty field is none: the text of a blank page cannot be told from one that is missing.
Fields are parted by the comma, semicolon, tab or | that parts these columns in the header.
"""

from collections import Counter
from collections.abc import Iterator
from functools import partial
from typing import Any

from data_scripts.file_tree import FileTree
from data_scripts.formats.columns import is_page_row
from data_scripts.formats.csv_files import TABLES, first_headers, list_table, read_table_row
from data_scripts.formats.format import Level, ListedPage
from data_scripts.formats.json_files import parse_json, told_keys
from data_scripts.formats.rows import ListedRow, row_pages, row_record
from ocr2_hf.document.records import PageRecord, RecordError, shown

FILES = "*.csv or *.tsv with file_name (or image) and text in the header; --columns names others"
LABELS: dict[str, str] = {}
LEVELS = ()
BOX_UNIT = None

_UNREAD = "\0\ufffd"  # what a header has in it that is not in UTF-8
_TEXTS, _NUMBER = 'a list of texts, as in ["title", "text"]', "a number"
_AS_JSON = {
    "bboxes": "a list of boxes, as in [[x0, y0, x1, y1]]",
    "labels": _TEXTS,
    "texts": _TEXTS,
    "width": _NUMBER,
    "height": _NUMBER,
}
_OPTIONAL = ("text", "prompt", "target")  # in a CSV no field is missing: an empty one is none


def recognise(annotations: FileTree) -> bool:
    """True where the header of one of the first files has an image and a text, or may have columns of other names."""
    is_header = partial(_is_header, annotations.columns)
    return any(
        is_header(header.names) for header in first_headers([path for _, path in _files(annotations)], is_header)
    )


def list_pages(annotations: FileTree, images: FileTree) -> list[ListedPage]:
    """Every row of every *.csv and *.tsv as a page."""
    return row_pages(annotations, images, _rows(annotations))


def read_page(page: ListedPage, level: Level = None) -> PageRecord:
    """The row's plain page."""
    row, columns = read_table_row(page), page.columns or {}
    for key in (*_AS_JSON, *_OPTIONAL):
        name = columns.get(key, key)
        if name in row:
            row[name] = _value(key, name, row[name]) if row[name].strip() else None
    return row_record(page, row)


def _value(key: str, name: str, text: str) -> Any:
    """The value of a field, in the column that is called `name`."""
    if key not in _AS_JSON:
        return text
    try:
        return parse_json(text.encode())
    except RecordError as error:
        what = f"column {shown(name)} is {shown(text)}: it needs {_AS_JSON[key]}, in JSON"
        raise RecordError(f"{what} ({error})") from None


def _files(annotations: FileTree) -> Iterator[tuple[str, str]]:
    """(name, path) of those that may be tables."""
    return ((name, f"{annotations.root}/{name}") for name in annotations.names(*TABLES))


def _is_header(columns: dict[str, str], names: tuple[str, ...]) -> bool:
    """Whether rows with these columns can be pages. Where `columns` names some, any may be meant: what is not there
    will be told."""
    is_read = not any(mark in name for name in names for mark in _UNREAD)
    is_named = bool(columns) and len(names) > 1 and is_read and not any(map(str.isdecimal, names))
    return is_named or is_page_row(names, {})


def _rows(annotations: FileTree) -> Iterator[ListedRow]:
    is_header = partial(_is_header, annotations.columns)
    for name, path in _files(annotations):
        for header in first_headers([path], is_header):
            if fault := _fault(header.names, is_header(header.names)):
                yield name, 1, None, RecordError(f"{fault}; {told_keys(dict.fromkeys(header.names))}")
            else:
                yield from ((name, *row) for row in list_table(path, header))


def _fault(names: tuple[str, ...], is_header: bool) -> str | None:
    """Why the rows below the header are not read; None where they are."""
    if twice := [name for name, times in Counter(filter(None, names)).items() if times > 1]:
        return f"header has the column {shown(twice[0])} twice"
    if not is_header:
        return "header has no file_name (or image) and text: name its columns by --columns, or move the file away"
    return None
