"""Writing a result so that the file is whole or not there."""

import json
import os
from pathlib import Path
from typing import Any


def write_whole(path: str | Path, text: str) -> None:
    """Write `text` beside `path` and move it into place. Folders are made; lone surrogates become "?"."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.partial")
    beside.write_bytes(text.encode("utf-8", "replace"))
    os.replace(beside, path)


def write_json(path: str | Path, value: Any) -> None:
    """`value` as indented JSON, whole; NaN and infinity are refused (ValueError)."""
    write_whole(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def drop_half_line(path: str | Path) -> None:
    """Cut off what a kill left of the last line of a file that is written line by line."""
    with open(path, "r+b") as file:
        file.truncate(file.read().rfind(b"\n") + 1)
