"""CSV that nobody vouches for: its header, and its rows by their place in the file, so that a file of any size takes
little memory.

Fields are quoted as RFC 4180 says: a text with line breaks goes over several lines, quotes in it are doubled.
"""

import csv
import io
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

from data_scripts.file_tree import annotation_read, first_heads
from data_scripts.formats.entries import read_entry
from data_scripts.formats.file_lines import file_lines
from data_scripts.formats.format import ListedPage
from data_scripts.formats.json_files import HEAD_BYTES, MAX_PAGE_BYTES
from ocr2_hf.document.records import RecordError

TABLES = (".csv", ".tsv")  # the suffixes
_DELIMITERS = (",", ";", "\t", "|")


class TableHeader(NamedTuple):
    """What parts the fields of a file, and what its columns are called."""

    delimiter: str
    names: tuple[str, ...]


class TableLines:
    """The lines of a file, as `csv.reader` asks for them; a fault of one is raised, and the next is read after it.

    `number` of them are read, up to the byte `end`; the row that is being read begins at `start`.
    """

    def __init__(self, path: str):
        self._lines = file_lines(path, MAX_PAGE_BYTES)
        self.number = self.start = self.end = 0

    def __iter__(self) -> "TableLines":
        return self

    def __next__(self) -> str:
        line = next(self._lines)
        self.number, self.end = line.number, line.start + line.size
        if (size := self.end - self.start) > MAX_PAGE_BYTES:
            raise RecordError(f"{size:,} bytes are over the limit of {MAX_PAGE_BYTES:,} bytes")
        try:
            return line.data.decode("utf-8-sig" if self.number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            where = f"line {self.number} at byte {error.start}"
            raise RecordError(f"{where} is not UTF-8: save the file as UTF-8") from None


def first_headers(paths: list[str], is_header: Callable[[tuple[str, ...]], bool]) -> Iterator[TableHeader]:
    """The headers of the first of these files, parted so that they are what `is_header` takes, or else have most names.

    One without names of a file that has none.
    """
    for head in first_heads(paths, HEAD_BYTES):
        text = head.decode("utf-8-sig", errors="replace")
        headers = [TableHeader(delimiter, _names(text, delimiter)) for delimiter in _DELIMITERS]
        yield max(headers, key=lambda header: (is_header(header.names), len(header.names)))


def _names(text: str, delimiter: str) -> tuple[str, ...]:
    try:
        return tuple(name.strip() for name in next(_reader(io.StringIO(text, newline=""), delimiter), ()))
    except csv.Error:
        return ()


def _reader(lines: Iterable[str], delimiter: str) -> Iterator[list[str]]:
    csv.field_size_limit(MAX_PAGE_BYTES)  # of the process; the lines have it too
    return csv.reader(lines, delimiter=delimiter, strict=True)


def list_table(path: str, header: TableHeader) -> Iterator[tuple[int, Any, dict[str, str] | RecordError]]:
    """(its first line, what `read_table_row` finds it by, row or what is wrong with it) of every row below the header.

    Where quotes are wrong it is not known which of the lines were rows: each is a fault. `WorkError` where the file
    cannot be read.
    """
    lines = TableLines(path)
    reader = _reader(lines, header.delimiter)
    while True:
        first, lines.start = lines.number + 1, lines.end
        try:
            fields = next(reader, None)
        except (csv.Error, RecordError) as error:
            fault = RecordError(f"row of line {first}: {error}")
            yield from ((number, None, fault) for number in range(first, lines.number + 1))
            continue
        if fields is None:
            return
        if fields and first > 1:
            yield first, (lines.start, lines.end - lines.start, header), _row_or_fault(fields, header)


def _row_or_fault(fields: list[str], header: TableHeader) -> dict[str, str] | RecordError:
    if len(fields) == len(header.names):
        return dict(zip(header.names, fields))
    what = f"row has {len(fields)} fields, the header {len(header.names)}"
    return RecordError(f"{what}: a field with {header.delimiter!a} or a line break in it needs quotes")


def read_table_row(page: ListedPage) -> dict[str, str]:
    """The row that is the page's entry; `RecordError` where a fault is."""
    offset, size, header = read_entry(page)
    with annotation_read(), open(page.annotation, "rb") as file:
        file.seek(offset)
        return dict(zip(header.names, next(_reader([file.read(size).decode()], header.delimiter))))
