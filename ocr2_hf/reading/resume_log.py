"""What of an output directory is done, and with which settings: so that a run that was stopped goes on.

`ocr2 read` and `ocr2 statements` keep a log of files, and see in it what a person has corrected since. An evaluation
has `evaluation.json` beside its predictions, so that those of two models are never mixed.
"""

import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ocr2_hf.document.atomic_files import drop_half_line, write_json
from ocr2_hf.errors import UsageError, WorkError, writing_to
from ocr2_hf.reading.inputs import Input

RESUME_FILE = ".ocr2_read.jsonl"
SETTINGS_FILE = "evaluation.json"
_BATCH = ""  # the name of the line that says how large batches are: no file's

_MODEL_SUFFIXES = (".safetensors", ".bin", ".onnx", ".onnx_data", ".json", ".yaml", ".jinja")


class ResumeLog:
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
        file: str = RESUME_FILE,
        suffix: str = ".json",
    ) -> None:
        self.output, self.settings, self.suffix = output, settings, suffix
        known = json.dumps([settings, model_files], sort_keys=True)
        self.digest = hashlib.sha256(known.encode()).hexdigest()
        self._path = output / file
        self.started_path = self._path.with_suffix(".started")
        self._lines = dict(self._read())

    def is_done(self, item: Input) -> bool:
        """Whether the file was read with the same settings, is as it was, and has its results."""
        line = self._lines.get(item.name)
        now = {"settings": self.digest, "source": stamp(item.path), "whole": True}
        return line is not None and line.items() >= now.items() and self.json_path(item).is_file()

    def is_corrected(self, item: Input) -> bool:
        """Whether someone changed the JSON since it was written."""
        line = self._lines.get(item.name)
        return line is not None and stamp(self.json_path(item)) not in (None, line.get("json"))

    def asked(self, item: Input) -> list[bool] | None:
        """Of each page of a file whether the model was asked about it; None where that is not known of this file and
        these settings."""
        line, now = self._lines[item.name], {"settings": self.digest, "source": stamp(item.path)}
        return line.get("asked") if line.items() >= now.items() else None

    def add(self, item: Input, whole: bool, asked: Sequence[bool] | None = None) -> None:
        """The file's results are in place; `whole`: of all its pages."""
        sources = {"source": stamp(item.path), "json": stamp(self.json_path(item))}
        line = {"name": item.name, "settings": self.digest, "whole": whole, "asked": asked} | sources
        self._append(line)

    def keep_batch_size(self, chosen: int) -> int:
        """The batch size that was chosen when reading with these settings began: now, where nothing was read yet."""
        line = self._lines.get(_BATCH, {})
        if line.get("settings") == self.digest:
            return line["batch_size"]
        with writing_to(self.output):
            self._append({"name": _BATCH, "settings": self.digest, "batch_size": chosen})
        return chosen

    def json_path(self, item: Input) -> Path:
        """Where the file's result lies."""
        return self.output / f"{item.name}{self.suffix}"

    def _append(self, line: dict[str, Any]) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with open(self._path, "ab") as file:
            file.write(json.dumps(line).encode() + b"\n")
        self._lines[line["name"]] = line

    def _read(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """The lines by name, the last of each name last."""
        if not self._path.is_file():
            return
        drop_half_line(self._path)
        for number, row in enumerate(self._path.read_bytes().splitlines(), 1):
            try:
                line = json.loads(row)
                yield line["name"], line
            except (ValueError, TypeError, KeyError):
                told = f"{self._path}, line {number}: broken; remove the file, and everything is read anew"
                raise WorkError(told) from None


def stamp(path: str | Path) -> list[int] | None:
    """Size and time of a file, by which a change is seen; None where there is none."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return [status.st_size, status.st_mtime_ns]


def start_or_resume(path: str | Path, settings: Mapping[str, Any]) -> str:
    """Make the predictions file at `path` belong to `settings`; returns "new", "resumed" or "anew".

    Where the settings it was made with differ, the old predictions are removed. Raises `UsageError` where it was made
    by no evaluation: there are no settings.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    found = [file for file in (path, *process_files(path)) if file.exists()]
    if found and not path.with_name(SETTINGS_FILE).exists():
        raise UsageError(f"{found[0]} was written by no evaluation of a model; name another --output_dir")
    if found and read_kept(path.parent) == json.loads(json.dumps(settings)):
        return "resumed"
    for file in found:
        file.unlink()
    write_json(path.with_name(SETTINGS_FILE), settings)
    return "anew" if found else "new"


def kept_batch_size(folder: Path) -> int | None:
    """The batch size of the evaluation in `folder`."""
    size = read_kept(folder).get("batch_size")
    return size if isinstance(size, int) and size > 0 else None


def process_file(path: Path, rank: int) -> Path:
    """The file that a process writes its predictions to: the first one's is the predictions file itself."""
    return path.with_name(f"{path.stem}.process-{rank}{path.suffix}") if rank else path


def process_files(path: Path) -> list[Path]:
    """What processes other than the first wrote and a kill left behind."""
    return sorted(path.parent.glob(f"{path.stem}.process-*{path.suffix}"))


def read_kept(folder: str | Path, file: str = SETTINGS_FILE) -> dict[str, Any]:
    """The settings of the evaluation in `folder`, or another JSON mapping there; {} where it is missing or broken."""
    try:
        kept = json.loads((Path(folder) / file).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return kept if isinstance(kept, dict) else {}


def fingerprint(model: str | Path) -> list[list[Any]] | None:
    """Name, size and time of the files a directory's answers depend on; None for a Hub id."""
    if not Path(model).is_dir():
        return None
    files = sorted(file for file in Path(model).iterdir() if file.suffix in _MODEL_SUFFIXES)
    return [[file.name, file.stat().st_size, file.stat().st_mtime_ns] for file in files]
