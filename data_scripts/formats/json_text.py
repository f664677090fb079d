"""JSON that nobody vouches for: bounded in size, each key once, no NaN; every fault is a `RecordError`."""

import json
import os
from collections.abc import Callable
from typing import Any

from data_scripts.file_tree import annotation_read
from ocr2_hf.document.records import RecordError, shown
from ocr2_hf.errors import WorkError

# A page of 10,000 words with a box each takes 1 MB.
MAX_PAGE_BYTES = 16 * 2**20
# The largest known file of many pages, the COCO file of PubLayNet, has 1.7 GB.
MAX_FILE_BYTES = 2 * 2**30

_FARTHEST = 1e9


def parse_json(data: bytes, shrink: Callable[[dict], Any] | None = None) -> Any:
    """The JSON value in `data`; `shrink` makes of every object in it what is kept, while the rest is still parsed."""
    unique = _unique_keys if shrink is None else lambda pairs: shrink(_unique_keys(pairs))
    try:
        return json.loads(data, object_pairs_hook=unique, parse_constant=_refuse_constant)
    except RecordError:
        raise
    except (ValueError, RecursionError) as error:
        raise RecordError(f"annotation is broken JSON: {error}") from error


def parse_object(data: bytes) -> dict[str, Any]:
    """The JSON object in `data`."""
    annotation = parse_json(data)
    if not isinstance(annotation, dict):
        raise RecordError(f"annotation is a JSON {type(annotation).__name__}, not an object")
    return annotation


def read_bytes(path: str, limit: int = MAX_PAGE_BYTES) -> bytes:
    """The file's bytes; `RecordError` where it cannot be read or is too large."""
    with annotation_read(), open(path, "rb") as file:
        if (size := os.fstat(file.fileno()).st_size) > limit:
            raise RecordError(f"annotation of {size:,} bytes is over the limit of {limit:,} bytes")
        return file.read()


def read_shared_json(path: str, kind: type, shrink: Callable[[dict], Any] | None = None) -> Any:
    """The list or object, as `kind` says, in a file of many pages; `WorkError` naming the file where there is none."""
    try:
        value = parse_json(read_bytes(path, MAX_FILE_BYTES), shrink)
    except RecordError as error:
        raise WorkError(f"{path}: {error}") from None
    if not isinstance(value, kind):
        raise WorkError(f"{path}: annotation is a JSON {type(value).__name__}, not a {kind.__name__}")
    return value


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
        raise RecordError(f"annotation has the key {shown(twice)} twice")
    return found


def _refuse_constant(literal: str) -> float:
    raise RecordError(f"annotation holds {literal}, which is not JSON")
