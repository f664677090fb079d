"""Text files that nobody vouches for: bounded in size, in an encoding that is sure; every fault is a `RecordError`."""

import codecs
from collections.abc import Iterator

from data_scripts.file_tree import first_heads
from data_scripts.formats.file_lines import FileLine, file_lines
from data_scripts.formats.json_files import MAX_PAGE_BYTES, read_bytes
from ocr2_hf.document.records import RecordError

_HEAD_BYTES = 4096

_MARKS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}


def marked_encoding(data: bytes) -> str | None:
    """The encoding that a byte order mark at the beginning names; None where there is no mark."""
    return next((encoding for mark, encoding in _MARKS.items() if data.startswith(mark)), None)


def read_text(path: str) -> str:
    """The file's text with Unix line ends: UTF-8, or UTF-16 with a byte order mark; `RecordError` for any other."""
    data = read_bytes(path)
    return _unix_lines(_decoded(data, marked_encoding(data) or "utf-8"))


def list_lines(path: str) -> Iterator[tuple[int, str | RecordError]]:
    """(number from 1, the line or what is wrong with it) of every line that is not blank; the file is in UTF-8.

    `WorkError` where the file cannot be read.
    """
    for line in file_lines(path, MAX_PAGE_BYTES):
        if not line.is_blank:
            yield line.number, _line_or_fault(line)


def _line_or_fault(line: FileLine) -> str | RecordError:
    if line.size > MAX_PAGE_BYTES:
        return RecordError(f"line {line.number} of {line.size:,} bytes is over the limit of {MAX_PAGE_BYTES:,} bytes")
    try:
        return _decoded(line.data, "utf-8-sig").rstrip("\r\n")
    except RecordError as error:
        return error


def _decoded(data: bytes, encoding: str) -> str:
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        name = "UTF-16" if encoding == "utf-16" else "UTF-8"
        place = f"byte {error.start} (0x{data[error.start]:02X})"
        raise RecordError(f"text is not {name} at {place}: save it as UTF-8") from None


def _unix_lines(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")


def text_heads(paths: list[str]) -> Iterator[str]:
    """The beginnings of the first few files, as `read_text` has them; of those that cannot be read, nothing."""
    for head in first_heads(paths, _HEAD_BYTES):
        yield _unix_lines(head.decode(marked_encoding(head) or "utf-8", "replace"))


def first_line(text: str) -> str:
    """Its first line that is not blank; "" where there is none."""
    return text.lstrip().partition("\n")[0].rstrip()
