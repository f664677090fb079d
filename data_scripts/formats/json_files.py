"""JSON and JSONL that nobody vouches for: bounded in size, each key once, no NaN; every fault is a `RecordError`.

What a file is, is told from its head, without parsing it. Rows of a JSONL file are found by their place in the file, so
that a file of any size takes little memory.
"""

import json
import os
import re
from collections.abc import Iterator
from typing import Any, BinaryIO

from data_scripts.file_tree import annotation_read, first_heads
from data_scripts.formats.entries import read_entry
from data_scripts.formats.file_lines import file_lines
from data_scripts.formats.format import ListedPage
from ocr2_hf.document.records import RecordError, shown

# Where a row of a JSONL file, or an entry of a list in a JSON file, is: its first byte and how many it has.
Place = tuple[int, int]

# A page of 10,000 words with a box each takes 1 MB.
MAX_PAGE_BYTES = 16 * 2**20
# A row of a page may have its image in itself: one of 36 MiB in base64, more than an uncompressed A4 page of 300 dpi.
MAX_ROW_BYTES = 64 * 2**20
# The largest known file of many pages, the COCO file of PubLayNet, has 1.7 GB.
MAX_FILE_BYTES = 2 * 2**30

_FARTHEST = 1e9

HEAD_BYTES = 2**16
_DEEPEST = 6

SHOWN_KEYS = 12

# A string may be cut off by the end of the head: it is taken whole, or every quote in it would be tried again.
_TOKEN = re.compile(r'"((?:[^"\\]|\\.)*+)(?:"(\s*+:)?|\\?\Z)|[{}\[\]]', re.DOTALL)

# An image in a row; JSON may write a / as \/.
_BASE64 = re.compile(rb";base64,[A-Za-z0-9+/=\\]+")


class TooLargeError(RecordError):
    """An annotation has more bytes than are read."""


class UnknownFormatError(RecordError):
    """An annotation has none of the keys of its format; the message says which it has."""


def told_keys(value: Any) -> str:
    """What a JSON value has in it, for a message: its keys, or those of the first entry of a list."""
    if isinstance(value, list) and value:
        return f"of its {len(value):,} entries the first is: {told_keys(value[0])}"
    if not isinstance(value, dict) or not value:
        return f"it is {shown(value)}"
    more = f" and {len(value) - SHOWN_KEYS} more" if len(value) > SHOWN_KEYS else ""
    return f"its keys are {', '.join(map(shown, list(value)[:SHOWN_KEYS]))}{more}"


def head_keys(path: str) -> str:
    """`told_keys` of a file that is not parsed, as far as its head has them."""
    found = sorted(keys for paths in first_key_paths([path]) for keys in paths)
    first = [keys[1:] for keys in found if keys.count(".") == 1 and keys.startswith(".")]
    of_entries = [keys[3:] for keys in found if keys.count(".") == 1 and keys.startswith("[].")]
    return told_keys(dict.fromkeys(first or of_entries)) if first or of_entries else "its beginning has no keys"


def parse_json(data: bytes | str) -> Any:
    """The JSON value in `data`."""
    try:
        text = data if isinstance(data, str) else data.decode(json.detect_encoding(data), "surrogatepass")
        return DECODER.decode(text)
    except RecordError:
        raise
    except (ValueError, RecursionError) as error:
        raise broken_json(error) from error


def broken_json(why: object) -> RecordError:
    """The fault of a text that is no JSON."""
    return RecordError(f"annotation is broken JSON: {why}")


def parse_object(data: bytes) -> dict[str, Any]:
    """The JSON object in `data`."""
    annotation = parse_json(data)
    if not isinstance(annotation, dict):
        raise RecordError(f"annotation is a JSON {type(annotation).__name__}, not an object")
    return annotation


def read_bytes(path: str, limit: int = MAX_PAGE_BYTES) -> bytes:
    """The file's bytes; `RecordError` where it cannot be read or is too large."""
    with annotation_read(), open(path, "rb") as file:
        check_size(file, limit)
        return file.read()


def check_size(file: BinaryIO, limit: int) -> None:
    """`TooLargeError` where the file has more bytes than that."""
    if (size := os.fstat(file.fileno()).st_size) > limit:
        raise TooLargeError(f"annotation of {size:,} bytes is over the limit of {limit:,} bytes")


def numbers(values: Any, count: int, where: str) -> list[float]:
    """`values` if it is a list of `count` numbers that one can calculate with; `RecordError` beginning with `where`."""
    if isinstance(values, list) and len(values) == count and all(map(_is_number, values)):
        return values
    raise RecordError(f"{where} is {shown(values)}, not a list of {count} numbers")


def are_all(kind: type, values: Any) -> bool:
    """Is it a list of that kind alone?"""
    return isinstance(values, list) and all(isinstance(value, kind) for value in values)


def string(value: Any, where: str) -> str:
    """`value` if it is a string; `RecordError` beginning with `where`."""
    if isinstance(value, str):
        return value
    raise RecordError(f"{where} is {shown(value)}, not a string")


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and -_FARTHEST < value < _FARTHEST


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise member_twice(twice)
    return found


def member_twice(key: str) -> RecordError:
    """The fault of an object that has the key twice."""
    return RecordError(f"annotation has the key {shown(key)} twice")


def _refuse_constant(literal: str) -> float:
    raise RecordError(f"annotation holds {literal}, which is not JSON")


# Whatever parses JSON here: every fault that the `json` module lets pass is one.
DECODER = json.JSONDecoder(object_pairs_hook=_unique_keys, parse_constant=_refuse_constant)


def first_key_paths(paths: list[str]) -> Iterator[set[str]]:
    """The key paths in the heads of the first of these files; none of a file that cannot be read."""
    return (key_paths(head.decode(errors="replace")) for head in first_heads(paths, HEAD_BYTES))


def key_paths(head: str) -> set[str]:
    """Where the keys in the beginning of a JSON text stand: `{"images": [{"id": 1` has .images and .images[].id."""
    found = set()
    open_parts: list[str] = []  # of every open bracket: its key read last, or [] in a list
    for token in _TOKEN.finditer(head):
        if token[0] in "{[":
            open_parts.append("[]" if token[0] == "[" else "")
        elif token[0] in "}]":
            del open_parts[-1:]
        elif token[2] and open_parts:
            open_parts[-1] = f".{token[1]}"
            if len(open_parts) <= _DEEPEST:
                found.add("".join(open_parts))
    return found


def list_rows(path: str) -> Iterator[tuple[int, Place, dict[str, Any] | RecordError]]:
    """(line number from 1, place, row or what is wrong with it) of every line that is not blank.

    `WorkError` where the file cannot be read.
    """
    for line in file_lines(path, MAX_ROW_BYTES):
        if not line.is_blank:
            yield line.number, (line.start, line.size), _row_or_fault(line.data, line.size)


def _row_fault(line: bytes, size: int) -> RecordError | None:
    """Why a row of `size` bytes, which begins with `line`, is too large for a page."""
    if size > len(line):
        return RecordError(f"row of {size:,} bytes is over the limit of {MAX_ROW_BYTES:,} bytes")
    if size > MAX_PAGE_BYTES:  # bytes of an image are one string, other bytes may be millions of objects
        size -= sum(found.end() - found.start() for found in _BASE64.finditer(line))
        if size > MAX_PAGE_BYTES:
            return RecordError(f"row of {size:,} bytes is over the limit of {MAX_PAGE_BYTES:,} bytes")
    return None


def entry_fault(entry: Any, size: int) -> RecordError | None:
    """Why an entry of a list, which takes `size` bytes in its file, is too large for a page."""
    text = json.dumps(entry).encode() if size > MAX_PAGE_BYTES else b""
    return _row_fault(text, len(text))


def _row_or_fault(line: bytes, size: int) -> dict[str, Any] | RecordError:
    if fault := _row_fault(line, size):
        return fault
    try:
        return parse_object(line)
    except RecordError as error:
        return error


def read_row(page: ListedPage) -> dict[str, Any]:
    """The row or entry at the place that is the page's entry; `RecordError` where a fault is."""
    offset, size = read_entry(page)
    with annotation_read(), open(page.annotation, "rb") as file:
        file.seek(offset)
        return parse_object(file.read(size))
