"""Files and folders that are whole or not there: written beside their place, then moved into it.

Two processes may write into one folder: what each writes beside has a name of its own. It is hidden; what a kill leaves
of it goes when the output folder is held the next time (`folder_lock`).
"""

import json
import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

from ocr2_hf.document.folder_lock import PARTIAL, folder_lock
from ocr2_hf.errors import UsageError, writing_to


@contextmanager
def whole_file(path: str | Path) -> Iterator[Path]:
    """A path beside `path` to write to, moved into place at the end; removed where the work fails. Folders are made.

    An `OSError` names `path`.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{uuid4().hex}{PARTIAL}")  # its own name may be as long as names can be
    try:
        yield beside
        os.replace(beside, path)
    except OSError as error:  # a full disk tells no name, and nobody knows the one beside
        if error.errno is not None and error.filename in (None, str(beside)):
            error.filename, error.filename2 = str(path), None
        raise
    finally:
        beside.unlink(missing_ok=True)


def write_whole(path: str | Path, content: str | bytes) -> None:
    """Write a text or bytes, whole. Lone surrogates become "?"."""
    with whole_file(path) as beside:
        beside.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8", "replace"))


def write_json(path: str | Path, value: Any) -> None:
    """`value` as indented JSON, whole; NaN and infinity are refused (ValueError)."""
    write_whole(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def copy_whole(source: str | Path, path: str | Path) -> None:
    """Copy a file's content, whole."""
    with whole_file(path) as beside:
        shutil.copyfile(source, beside)


def drop_half_line(path: str | Path) -> None:
    """Cut off what a kill left of the last line of a file that is written line by line."""
    with open(path, "r+b") as file:
        file.truncate(file.read().rfind(b"\n") + 1)


def open_to_readers(folder: str | Path, pattern: str) -> None:
    """Give files in `folder` the mode that any new file gets there: safetensors writes them for their owner alone."""
    probe = Path(folder) / f".{uuid4().hex}{PARTIAL}"
    probe.touch()
    mode = probe.stat().st_mode
    probe.unlink()
    for path in Path(folder).glob(pattern):
        with suppress(PermissionError):  # not every disk has modes
            path.chmod(stat.S_IMODE(mode))


@contextmanager
def whole_folder(path: str | Path) -> Iterator[Path]:
    """A new folder beside `path` to write into, moved to `path` at the end; removed where the work fails.

    `path` is locked meanwhile (`folder_lock`); where it is a link, the folder comes to where that leads. What a killed
    run left there is removed first. Raises `UsageError` where `path` is there already and not an empty folder,
    `WorkError` where another process writes it or the disk fails.
    """
    path = Path(path)
    place = Path(os.path.realpath(path))
    beside = place.with_name(f".{place.name}{PARTIAL}")
    with folder_lock(place):
        if path.exists() and not (path.is_dir() and not any(path.iterdir())):
            raise UsageError(f"--output_dir {path} is there already: name a new folder, or remove it")
        shutil.rmtree(beside, ignore_errors=True)
        try:
            with writing_to(path):
                beside.mkdir(parents=True)
                yield beside
                beside.rename(place)  # an empty folder is replaced
        finally:
            shutil.rmtree(beside, ignore_errors=True)
