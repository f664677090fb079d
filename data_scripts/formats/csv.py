"""CSV or TSV with a header, a row a page: a column with the image (`file_name`, `image`, ...) and one with the `text`.

A row has what a plain page has: also `prompt` and `target`, and as JSON `bboxes`, `labels`, `texts`, `width`, `height`.
Fields are parted by the comma, semicolon or tab that parts these columns in the header.
"""

from collections import Counter
from collections.abc import Iterator
from functools import partial

from data_scripts.file_tree import FileTree
from data_scripts.formats.columns import is_page_row
from data_scripts.formats.csv_files import first_headers, list_table, read_table_row
from data_scripts.formats.format import Level, ListedPage
from data_scripts.formats.json_files import parse_json, told_keys
from data_scripts.formats.rows import ListedRow, row_pages, row_record
from ocr2_hf.document.records import PageRecord, RecordError, shown

FILES = "*.csv or *.tsv with file_name (or image) and text in the header; --columns names others"
LABELS: dict[str, str] = {}
LEVELS = ()
BOX_UNIT = None

_SUFFIXES = (".csv", ".tsv")
_AS_JSON = ("bboxes", "labels", "texts", "width", "height")
_OPTIONAL = ("prompt", "target")  # in a CSV no field is missing: an empty one is none


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
    for name in {columns.get(key, key) for key in _AS_JSON} & row.keys():
        row[name] = parse_json(row[name].encode()) if row[name].strip() else None
    for name in {columns.get(key, key) for key in _OPTIONAL} & row.keys():
        row[name] = row[name] or None
    return row_record(page, row)


def _files(annotations: FileTree) -> Iterator[tuple[str, str]]:
    """(name, path) of those that may be tables."""
    return ((name, f"{annotations.root}/{name}") for name in annotations.names(*_SUFFIXES))


def _is_header(columns: dict[str, str], names: tuple[str, ...]) -> bool:
    """Whether rows with these columns can be pages. Where `columns` names some, any may be meant: what is not there
    will be told."""
    is_named = bool(columns) and len(names) > 1 and not any(map(str.isdecimal, names))
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
