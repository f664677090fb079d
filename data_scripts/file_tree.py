"""Files: those of a folder with their sizes and times, so what pages there are and what changed; their heads, names."""

import hashlib
import json
import os
import re
import unicodedata
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from pathlib import Path
from stat import S_ISDIR, S_ISLNK, S_ISREG
from typing import Any

from ocr2_hf.document.file_names import short_name
from ocr2_hf.document.page_files import PAGE_SUFFIXES, UNREAD_SUFFIXES
from ocr2_hf.document.records import RecordError
from ocr2_hf.errors import UsageError

# Files of another kind may lie beside the annotations; a whole folder of them is not looked through.
_FIRST_FILES = 8

# What tells a folder from all others, whatever its name: device and inode.
_Identity = tuple[int, int]


@dataclass(frozen=True)
class FileTree:
    """`files`, sorted, maps a path below `root` to (size in bytes, modification time in ns).

    `again` are the sub-folders, each with a / behind it, that are links to a folder listed under another name too; what
    is below one of them is not named once more. `columns` are those of pages that have another name in these files.
    """

    root: str
    files: dict[str, tuple[int, int]]
    again: tuple[str, ...] = ()
    columns: dict[str, str] = field(default_factory=dict)

    def names(self, *suffixes: str) -> list[str]:
        """The files that end in one of these suffixes, in capitals or not."""
        return [name for name in self.files if name.lower().endswith(suffixes)]

    def paths(self, *suffixes: str) -> list[str]:
        """The paths of these files, with the root."""
        return [f"{self.root}/{name}" for name in self.names(*suffixes)]

    def once(self) -> "FileTree":
        """The tree without the folders of `again`: every file once."""
        files = {name: stat for name, stat in self.files.items() if not name.startswith(self.again)}
        return FileTree(self.root, files) if self.again else self

    @cached_property
    def image_ends(self) -> dict[str, list[str]]:
        """Every end of an image's path, as `same_name` has it -> the paths that end so.

        Of an image in a folder of `again` these are only the ends with the folder's name: the others are those of the
        same image where it is listed first, and would make it two.
        """
        ends: dict[str, list[str]] = {}
        for name in self._images():
            again = next((folder for folder in self.again if name.startswith(folder)), None)
            for end in islice(path_ends(same_name(name)), again and again.count("/")):
                ends.setdefault(end, []).append(name)
        return ends

    @cached_property
    def image_folders(self) -> set[str]:
        """The names of the folders below `root` that have an image in them."""
        return {same_name(name).split("/")[-2] for name in self._images() if "/" in name}

    def _images(self) -> Iterator[str]:
        """Also those that are not read: whoever names one is told so, not that it is missing."""
        return (name for name in self.files if name.lower().endswith(PAGE_SUFFIXES + UNREAD_SUFFIXES))


def list_files(folder: Path) -> FileTree:
    """Every file below `folder` but hidden ones, also behind links; `UsageError` where there is no such folder.

    A link that leads nowhere is a file too: whoever reads it says that it cannot be read. A link to a folder around it
    is passed over, as all that it leads to is listed.
    """
    if not folder.is_dir():
        raise UsageError(f"no folder {folder}")
    places: dict[_Identity, list[tuple[int, str]]] = {}
    found = dict(_walk(str(folder), "", 0, frozenset({_identity(folder.stat())}), places))
    again: list[str] = []
    for prefix in sorted(prefix for where in places.values() for _, prefix in sorted(where)[1:]):
        if not (again and prefix.startswith(again[-1])):
            again.append(prefix)
    return FileTree(str(folder.resolve()), dict(sorted(found.items())), tuple(again))


def _walk(
    folder: str, prefix: str, links: int, around: frozenset[_Identity], places: dict[_Identity, list[tuple[int, str]]]
) -> Iterator[tuple[str, tuple[int, int]]]:
    """The files of a folder reached through so many links, `around` being itself and those it lies in; `places` takes
    where each of its sub-folders is, with its number of links: one with fewer is its own place."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith("."):
                continue
            found = _stat(entry)
            if S_ISDIR(found.st_mode):
                identity, inner = _identity(found), f"{prefix}{entry.name}/"
                if identity not in around:
                    through = links + entry.is_symlink()
                    places.setdefault(identity, []).append((through, inner))
                    yield from _walk(entry.path, inner, through, around | {identity}, places)
            elif S_ISREG(found.st_mode) or S_ISLNK(found.st_mode):
                yield prefix + entry.name, (found.st_size, found.st_mtime_ns)


def _stat(entry: os.DirEntry) -> os.stat_result:
    """Of what a link leads to; of the link itself where that is nowhere."""
    try:
        return entry.stat()
    except OSError:
        return entry.stat(follow_symlinks=False)


def _identity(found: os.stat_result) -> _Identity:
    return found.st_dev, found.st_ino


def path_ends(path: str) -> Iterator[str]:
    """Every end of a path, the longest first: of "/x/a.png" these are "x/a.png" and "a.png"."""
    parts = [part for part in path.split("/") if part]
    return ("/".join(parts[start:]) for start in range(len(parts)))


def same_name(path: str) -> str:
    """The path as it is compared with others, in NFC: macOS writes accents apart, others do not."""
    return unicodedata.normalize("NFC", path)


def file_name(page_id: str) -> str:
    """A page's id as a file may be called, without a suffix."""
    return short_name(re.sub(r"[^\w.-]+", "_", page_id))


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
