"""Files: those of a folder with their sizes and times, so what pages there are and what changed; their heads, names."""

import hashlib
import json
import os
import re
import unicodedata
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from ocr2_hf.document.page_files import PAGE_SUFFIXES
from ocr2_hf.document.records import RecordError
from ocr2_hf.errors import UsageError

# Files of another kind may lie beside the annotations; a whole folder of them is not looked through.
_FIRST_FILES = 8


@dataclass(frozen=True)
class FileTree:
    """`files`, sorted, maps a path below `root` to (size in bytes, modification time in ns)."""

    root: str
    files: dict[str, tuple[int, int]]

    def paths(self, suffix: str) -> list[str]:
        """The paths of the files that end in `suffix`."""
        return [f"{self.root}/{name}" for name in self.files if name.endswith(suffix)]

    @cached_property
    def image_ends(self) -> dict[str, list[str]]:
        """Every end of an image's path, as `same_name` has it -> the paths that end so."""
        ends: dict[str, list[str]] = {}
        for name in self._images():
            for end in path_ends(same_name(name)):
                ends.setdefault(end, []).append(name)
        return ends

    @cached_property
    def image_folders(self) -> set[str]:
        """The names of the folders below `root` that have an image in them."""
        return {same_name(name).split("/")[-2] for name in self._images() if "/" in name}

    def _images(self) -> Iterator[str]:
        return (name for name in self.files if name.lower().endswith(PAGE_SUFFIXES))


def list_files(folder: Path) -> FileTree:
    """Every file below `folder` but hidden ones; `UsageError` where there is no such folder."""
    if not folder.is_dir():
        raise UsageError(f"no folder {folder}")
    found = dict(_walk(str(folder), ""))
    return FileTree(str(folder.resolve()), dict(sorted(found.items())))


def _walk(folder: str, prefix: str) -> Iterable[tuple[str, tuple[int, int]]]:
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith("."):
                continue
            if entry.is_dir(follow_symlinks=False):
                yield from _walk(entry.path, f"{prefix}{entry.name}/")
            elif entry.is_file():
                stat = entry.stat()
                yield prefix + entry.name, (stat.st_size, stat.st_mtime_ns)


def path_ends(path: str) -> Iterator[str]:
    """Every end of a path, the longest first: of "/x/a.png" these are "x/a.png" and "a.png"."""
    parts = [part for part in path.split("/") if part]
    return ("/".join(parts[start:]) for start in range(len(parts)))


def same_name(path: str) -> str:
    """The path as it is compared with others, in NFC: macOS writes accents apart, others do not."""
    return unicodedata.normalize("NFC", path)


def file_name(page_id: str) -> str:
    """A page's id as a file may be called, without a suffix."""
    return re.sub(r"[^\w.-]+", "_", page_id)[:120]


def first_heads(paths: list[str], size: int) -> Iterator[bytes]:
    """The first `size` bytes of each of the first few files; one that cannot be read has none."""
    for path in paths[:_FIRST_FILES]:
        try:
            with open(path, "rb") as file:
                head = file.read(size)
        except OSError:  # the page is rejected with the reason when it is read
            continue
        yield head


@contextmanager
def annotation_read() -> Iterator[None]:
    """Turns an `OSError` into the fault of the one page that the file annotates (`RecordError`)."""
    try:
        yield
    except OSError as error:
        raise RecordError(f"annotation cannot be read: {error.strerror}") from error


def digest_trees(trees: Iterable[FileTree], options: dict[str, Any]) -> str:
    """16 hex digits that change when a file's name, size or time, a folder or an option changes."""
    digest = hashlib.sha256(json.dumps(options, sort_keys=True).encode())
    for tree in trees:
        digest.update(os.fsencode(f"\n{tree.root}\n"))
        for name, (size, time) in tree.files.items():
            digest.update(os.fsencode(f"{name}\0{size}\0{time}\n"))
    return digest.hexdigest()[:16]
