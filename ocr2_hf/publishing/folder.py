"""An output folder that is whole or not there."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ocr2_hf.errors import UsageError, WorkError


@contextmanager
def whole_folder(path: str | Path) -> Iterator[Path]:
    """A new folder beside `path` to write into, moved to `path` at the end; removed where the work fails.

    What a killed run left there is removed first. Raises `UsageError` where `path` is there already and not an empty
    folder, `WorkError` where the disk fails.
    """
    path = Path(path)
    if path.is_dir() and not any(path.iterdir()):
        path.rmdir()
    if path.exists():
        raise UsageError(f"--output_dir {path} is there already: name a new folder, or remove it")
    beside = path.with_name(f".{path.name}.partial")
    shutil.rmtree(beside, ignore_errors=True)
    try:
        beside.mkdir(parents=True)
        yield beside
        beside.rename(path)
    except OSError as error:
        raise WorkError(f"cannot write {path}: {error}") from error
    finally:
        shutil.rmtree(beside, ignore_errors=True)
