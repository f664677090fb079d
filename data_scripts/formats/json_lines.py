"""JSONL files: rows found by their place in the file, so that a file of any size takes little memory."""

from collections.abc import Iterator
from itertools import count
from typing import Any, BinaryIO

from data_scripts.file_tree import annotation_read
from data_scripts.formats.entries import read_entry
from data_scripts.formats.json_text import MAX_PAGE_BYTES, parse_object
from data_scripts.formats.page import Page
from ocr2_hf.document.records import RecordError
from ocr2_hf.errors import WorkError

# Where a row stands: its first byte and how many it has.
Place = tuple[int, int]


def list_rows(path: str) -> Iterator[tuple[int, Place, dict[str, Any] | RecordError]]:
    """(line number from 1, place, row or what is wrong with it) of every line that is not blank.

    `WorkError` where the file cannot be read.
    """
    offset = 0
    try:
        with open(path, "rb") as file:
            for number in count(1):
                line = file.readline(MAX_PAGE_BYTES)
                if not line:
                    return
                size = len(line) + _skip_rest(file, line)
                if line.strip():
                    yield number, (offset, size), _row_or_fault(line, size)
                offset += size
    except OSError as error:
        raise WorkError(f"{path} cannot be read: {error.strerror}") from error


def _skip_rest(file: BinaryIO, line: bytes) -> int:
    """Go to the end of a line of which `line` is the beginning; how many bytes that are."""
    skipped = 0
    while not line.endswith(b"\n") and (line := file.readline(MAX_PAGE_BYTES)):
        skipped += len(line)
    return skipped


def _row_or_fault(line: bytes, size: int) -> dict[str, Any] | RecordError:
    if size > len(line):
        return RecordError(f"row of {size:,} bytes is over the limit of {MAX_PAGE_BYTES:,} bytes")
    try:
        return parse_object(line)
    except RecordError as error:
        return error


def read_row(page: Page) -> dict[str, Any]:
    """The row at the place that is the page's entry; `RecordError` where a fault is."""
    offset, size = read_entry(page)
    with annotation_read(), open(page.annotation, "rb") as file:
        file.seek(offset)
        return parse_object(file.read(size))
