"""Arrays that take long to make, kept in a file and found again by all that they depend on.

A file is whole or not there; one that is broken is made anew. Of several processes that want the same one makes it, and
the others wait for it. Where the disk takes no file, each makes its own: nothing but time is lost.
"""

import hashlib
import json
import logging
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import datasets
import numpy as np
from filelock import FileLock, Timeout

from ocr2_hf.document.atomic_files import whole_file

Arrays = dict[str, np.ndarray]

logger = logging.getLogger(__name__)

_CODE = ("data", "document")  # the rooms whose code says what stands in the arrays


def kept_arrays(kind: str, made_by: Mapping[str, Any], make: Callable[[], Arrays]) -> Arrays:
    """What `make` returned when it was first called for this `kind` and what it is `made_by` (ready for JSON), by this
    code."""
    known = json.dumps([made_by, _code_digest()], sort_keys=True)
    name = hashlib.blake2b(known.encode(), digest_size=16).hexdigest()
    path = Path(datasets.config.HF_DATASETS_CACHE) / kind / f"{name}.npz"
    if (found := _read(path)) is not None:
        return found
    with _one_at_a_time(path.with_suffix(".lock")):
        if (found := _read(path)) is None:
            found = make()
            _keep(path, found)
    return found


def _code_digest() -> str:
    """Another one after any change, so that nobody has to remember what may depend on it."""
    digest = hashlib.blake2b(digest_size=16)
    for path in sorted(path for room in _CODE for path in (Path(__file__).parents[1] / room).glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _read(path: Path) -> Arrays | None:
    try:
        with np.load(path) as file:
            return dict(file) if file.zip.testzip() is None else None
    except (OSError, ValueError, EOFError, KeyError, RuntimeError, zipfile.BadZipFile):  # of whatever is broken
        return None


def _keep(path: Path, arrays: Arrays) -> None:
    try:
        with whole_file(path) as beside, beside.open("wb") as file:
            np.savez(file, **arrays)
    except OSError as error:
        logger.warning("%s cannot be kept (%s): the pages are counted anew at every start", path, error.strerror)


@contextmanager
def _one_at_a_time(path: Path) -> Iterator[None]:
    """Wait while another process is inside; a disk that keeps no locks lets all in."""
    lock = FileLock(path, fallback_to_soft=False)
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            logger.info("another process counts the same pages: waiting for it")
            lock.acquire()
    try:
        yield
    finally:
        if lock.is_locked:
            with suppress(OSError):
                path.unlink(missing_ok=True)  # while it is held, as `folder_lock` does
            lock.release()
