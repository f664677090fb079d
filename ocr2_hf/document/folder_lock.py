"""One command at a time writes into an output folder: a lock in a hidden file beside it says who does, and since when.

Whoever is killed holds nothing any more, and leaves an empty claim at most. A disk that keeps no locks gets the next
best: a file with the process's number, which another machine cannot check.
"""

import errno
import json
import os
import platform
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import datetime
from pathlib import Path

from filelock import BaseFileLock, FileLock, SoftFileLock, Timeout

from ocr2_hf.document.file_names import short_name
from ocr2_hf.errors import UsageError, WorkError, writing_to

PARTIAL = ".partial"  # the suffix of what is being written
LEFTOVER = f".{'[0-9a-f]' * 32}{PARTIAL}"  # what a kill leaves of a file that was to be whole
_FIND_OUT = 0.5  # seconds; that a process on this machine is gone is found out meanwhile
_WITHOUT_LOCKS = (errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOLCK)


@contextmanager
def folder_lock(folder: str | Path) -> Iterator[None]:
    """Hold the output folder `folder`, whether it is there yet or not; half files of whoever was killed are removed.

    Raises `UsageError` where it is a link that leads nowhere, `WorkError` where another process holds it, and where the
    disk refuses the lock's file.
    """
    if os.path.islink(folder) and not os.path.exists(folder):
        gone = f"a link to {os.readlink(folder)}, which is not there"
        raise UsageError(f"{folder} is {gone}; make that, or name another place")
    path = lock_file(Path(folder))
    try:
        with writing_to(folder):
            path.parent.mkdir(parents=True, exist_ok=True)
            lock = _taken(path)
    except Timeout:
        told = f"{folder} is in use: {_holder(path)} writes into it; wait until it is done, or name another folder"
        gone = f"; where that process is gone, remove {_marker(path)}" if _marker(path).exists() else ""
        raise WorkError(told + gone) from None
    try:
        _remove_leftovers(Path(folder))
        yield
    finally:
        with suppress(OSError):
            path.unlink(missing_ok=True)  # while it is held: who opened it before sees that it is gone, and tries again
        lock.release()


@contextmanager
def launch_lock(folder: str | Path) -> Iterator[str | None]:
    """`folder_lock` for the processes of one launch, which are one holder: the first takes it for all.

    Yields why it is refused, which the first must tell the others before anything is written; a process that was
    launched alone raises it.
    """
    with ExitStack() as held:
        refusal = None
        try:
            if os.environ.get("RANK", "0") == "0":
                held.enter_context(folder_lock(folder))
        except (UsageError, WorkError) as error:
            if os.environ.get("WORLD_SIZE", "1") == "1":
                raise
            refusal = str(error)
        yield refusal


def lock_file(folder: Path) -> Path:
    """Beside the folder, which need not be there yet; within it where it is a disk of its own, which others may see at
    another place, and where nothing can be written beside it."""
    folder = Path(os.path.realpath(folder))  # `resolve` fails at a link to itself
    above = folder.parent
    if folder.is_dir() and (os.path.ismount(folder) or not os.access(above, os.W_OK)):
        return folder / ".lock"
    return above / f".{short_name(folder.name)}.lock"


def _taken(path: Path) -> BaseFileLock:
    """Raises `Timeout` where another has it."""
    lock: BaseFileLock = FileLock(path, timeout=0, on_acquired=_sign, fallback_to_soft=False)
    try:
        lock.acquire()
    except OSError as error:
        if error.errno not in _WITHOUT_LOCKS:
            raise
        print(f"warning: {path.parent} is on a disk without locks: start one command a folder", file=sys.stderr)
        lock = SoftFileLock(_marker(path), timeout=_FIND_OUT)
        lock.acquire()
        path.write_bytes(_signature())
    return lock


def _remove_leftovers(folder: Path) -> None:
    with suppress(OSError):  # whoever may not write there is told when he does
        for path in folder.rglob(LEFTOVER):
            path.unlink(missing_ok=True)


def _marker(path: Path) -> Path:
    """What stands for the lock where a disk keeps none."""
    return path.with_name(f"{path.name}.process")


def _sign(descriptor: int) -> None:
    """Say in the lock's file who holds it; a full disk takes the lock, but no word."""
    with suppress(OSError):
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, _signature(), 0)


def _signature() -> bytes:
    since = datetime.now().astimezone().isoformat(" ", "seconds")
    return json.dumps({"process": os.getpid(), "machine": platform.node(), "since": since}).encode()


def _holder(path: Path) -> str:
    try:
        held = json.loads(path.read_bytes())
        return f"process {held['process']} on {held['machine']}, since {held['since']},"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"
