"""Folders that commands write into: never among the user's own files."""

from collections.abc import Collection
from pathlib import Path

from ocr2_hf.errors import UsageError


def check_own_folder(folder: Path, marks: Collection[str], known: Collection[str], work: str) -> None:
    """Raise `UsageError` where a folder holds something and is none of this work's.

    It is known by any of `marks` (patterns of names). Without one it may hold the files `known`, and hidden ones.
    """
    if any(any(folder.glob(mark)) for mark in marks):
        return
    if found := sorted(path.name for path in folder.glob("[!.]*") if path.name not in known):
        raise UsageError(f"{folder} holds files that no {work} wrote, e.g. {found[0]}; name a new or empty folder")
