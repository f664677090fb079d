"""What of an output directory is done: so that a run that was stopped goes on, and corrections are kept."""

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ocr2_hf.document.atomic_files import drop_half_line
from ocr2_hf.errors import WorkError
from ocr2_hf.reading.inputs import Input

LEDGER_FILE = ".ocr2_read.jsonl"

Stamp = list[int] | None


class Ledger:
    """A line for every file that was read: with which settings, and how the file and its JSON looked then.

    Answers depend on `settings` and on the files of the model (`fingerprint`). A line is written when all results of
    the file are in place; half a line, left by a kill, counts for nothing. Its own name in `output` is `file`; a
    result's is its input's with `suffix`.
    """

    def __init__(
        self,
        output: Path,
        settings: Mapping[str, Any],
        model_files: list | None = None,
        file: str = LEDGER_FILE,
        suffix: str = ".json",
    ) -> None:
        self.output, self.settings, self.suffix = output, settings, suffix
        known = json.dumps([settings, model_files], sort_keys=True)
        self.digest = hashlib.sha256(known.encode()).hexdigest()
        self._path = output / file
        self._lines = dict(_read(self._path))

    def is_done(self, item: Input) -> bool:
        """Whether the file was read with the same settings, is as it was, and has its results."""
        line = self._lines.get(item.name)
        now = {"settings": self.digest, "source": stamp(item.path), "whole": True}
        return line is not None and line.items() >= now.items() and self.json_path(item).is_file()

    def is_corrected(self, item: Input) -> bool:
        """Whether someone changed the JSON since it was written."""
        line = self._lines.get(item.name)
        return line is not None and stamp(self.json_path(item)) not in (None, line.get("json"))

    def add(self, item: Input, whole: bool) -> None:
        """The file's results are in place; `whole`: of all its pages."""
        sources = {"source": stamp(item.path), "json": stamp(self.json_path(item))}
        line = {"name": item.name, "settings": self.digest, "whole": whole} | sources
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with open(self._path, "ab") as file:
            file.write(json.dumps(line).encode() + b"\n")
        self._lines[item.name] = line

    def json_path(self, item: Input) -> Path:
        return self.output / f"{item.name}{self.suffix}"


def stamp(path: str | Path) -> Stamp:
    """Size and time of a file, by which a change is seen; None where there is none."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return [status.st_size, status.st_mtime_ns]


def _read(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """The lines by name, the last of each name last."""
    if not path.is_file():
        return
    drop_half_line(path)
    for number, row in enumerate(path.read_bytes().splitlines(), 1):
        try:
            line = json.loads(row)
            yield line["name"], line
        except (ValueError, TypeError, KeyError):
            raise WorkError(f"{path}, line {number}: broken; remove the file, and everything is read anew") from None
