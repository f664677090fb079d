"""What to do where the columns of rows have other names: which --columns to give, for messages."""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from data_scripts.formats.data_urls import is_data_url
from data_scripts.formats.images import names_image
from data_scripts.formats.json_files import list_rows, parse_json, read_bytes
from ocr2_hf.document.records import RecordError, shown

GENERAL = "--columns image=..., text=... says what they are called"


def image_advice(row: Mapping[str, Any]) -> str:
    """How to say which column of a row is its image, to put behind a message; "" where none looks like one."""
    key = _image_key(row)
    return "" if key is None else f"; --columns image={key} says which column is the image"


def columns_advice(path: str) -> str | None:
    """How to say what the columns of a JSON file are called; None where its first row cannot be a page.

    One that can is flat and has an image, or its path.
    """
    row = _first_row(path)
    if not isinstance(row, dict) or any(isinstance(value, dict) for value in row.values()):
        return None
    key = _image_key(row)
    return None if key is None else f"--columns image={key},text=... says what its columns are called"


def _image_key(row: Mapping[str, Any]) -> str | None:
    paths = ((key, value) for key, value in row.items() if isinstance(value, str))
    key = next((key for key, value in paths if is_data_url(value) or names_image(value)), None)
    return None if key is None else shown(key)[1:-1]


def _first_row(path: str) -> Any:
    if path.lower().endswith(".jsonl"):
        return next((row for _, _, row in list_rows(path)), None)
    with suppress(RecordError):
        parsed = parse_json(read_bytes(path))
        return parsed[0] if isinstance(parsed, list) and parsed else parsed
    return None
