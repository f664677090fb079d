"""The files that `ocr2 read` is given, by name or in folders, and the name that the results of each get."""

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

from ocr2_hf.document.file_names import short_name
from ocr2_hf.document.page_files import PAGE_SUFFIXES
from ocr2_hf.errors import UsageError


@dataclass(frozen=True)
class Input:
    """A file to read. Its results are `name` with suffixes, below the output directory."""

    path: str
    name: str


@dataclass(frozen=True)
class Inputs:
    """What there is to read, files of folders in the order of their names; `left_out` counts files of folders that
    are no images or PDFs, `failed` says which folders could not be listed."""

    files: list[Input]
    left_out: int
    failed: list[str]


def find_inputs(paths: Sequence[str], output: Path | None = None) -> Inputs:
    """Files by name, and every image and PDF in folders, at any depth; what is hidden and `output` are passed over.

    A file's results are named by its stem, in folders below the folder's own where several paths are given; files of
    one stem keep their suffix (`scan.pdf` beside `scan.png`), and long names are cut (`short_name`). Raises
    `UsageError` where two would still be one, where nothing is found, and where `output` is a folder to read.
    """
    found: dict[str, PurePath] = {}  # path -> name with its suffix
    left_out, failed = 0, []
    for path in dict.fromkeys(paths):
        if not os.path.isdir(path):
            found.setdefault(os.path.normpath(path), PurePath(os.path.basename(path)))
            continue
        if output is not None and output.resolve() == Path(path).resolve():
            raise UsageError(f"--output_dir {output} is what is to be read; name another directory")
        above = PurePath(Path(path).resolve().name if len(paths) > 1 else "")
        for file in _walk(path, output, failed):
            if file.lower().endswith(PAGE_SUFFIXES):
                found.setdefault(os.path.normpath(file), above / os.path.relpath(file, path))
            else:
                left_out += 1
    if not found and not failed:
        raise UsageError(f"{', '.join(paths)}: no images or PDFs in it ({' '.join(PAGE_SUFFIXES)})")
    return Inputs(_named(found), left_out, failed)


def _walk(folder: str, output: Path | None, failed: list[str]) -> Iterator[str]:
    own = output and output.resolve()
    walk = os.walk(folder, onerror=lambda error: failed.append(f"{error.filename}: {error.strerror}"))
    for parent, folders, files in walk:
        folders[:] = sorted(
            name for name in folders if not name.startswith(".") and Path(parent, name).resolve() != own
        )
        yield from (os.path.join(parent, name) for name in sorted(files) if not name.startswith("."))


def _named(found: dict[str, PurePath]) -> list[Input]:
    stems = Counter(name.with_suffix("") for name in found.values())
    taken: dict[str, str] = {}
    for path, name in found.items():
        whole = name if stems[name.with_suffix("")] > 1 else name.with_suffix("")
        chosen = whole.with_name(short_name(whole.name)).as_posix()
        other = taken.setdefault(chosen, path)
        if other != path:
            raise UsageError(f"{other} and {path} would both give {chosen}.md; read them apart")
    return [Input(path, name) for name, path in taken.items()]
