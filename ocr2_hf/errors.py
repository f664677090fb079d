"""The ways a command can end before it is done, and the one place that turns them into an exit status.

Exit status: 0 done; 1 the work failed (data, guard, a disk, some files of many); 2 the call or the recipe is wrong; 143
(128 + SIGTERM) stopped from outside, what was done is saved, not 0, as a scheduler would take the work for done; 130
(128 + SIGINT) interrupted; 141 (128 + SIGPIPE) nobody reads what is printed.
"""

import errno
import io
import os
import re
import select
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class UsageError(Exception):
    """The call or the recipe is wrong (status 2). The message says what, where, which value, what to do."""

    status = 2


class WorkError(Exception):
    """The call was right, the work failed (status 1)."""

    status = 1


class OwnError(WorkError):
    """Told by every process of a launch that meets it: the others may not."""


class DiskError(OwnError):
    """A disk refused something."""


class Preempted(Exception):
    """The work was told to stop by SIGTERM and is saved (status 143)."""

    status = 143


_ROOM = "make room, and run the same command again"
_ALLOWED = "see that this user may read and write there, or name another place"
# What a disk refuses, and what its user can do.
_REFUSALS = {
    errno.ENOSPC: _ROOM,
    errno.EDQUOT: _ROOM,
    errno.EFBIG: _ROOM,
    errno.EROFS: _ALLOWED,
    errno.EACCES: _ALLOWED,
    errno.EPERM: _ALLOWED,
    errno.ENOTDIR: "a part of its path is a file; name another place",
    errno.ENAMETOOLONG: "name it shorter",
    errno.EMFILE: "allow more open files (ulimit -n)",
    errno.EIO: "the disk is broken or gone; see what the system says of it",
    errno.ESTALE: "the disk is broken or gone; see what the system says of it",
}
_OTHERWISE = "see what is there, and run the same command again"
# What torch's loader says of its workers: one that a signal ended, and one that raised.
_TORCH_WORKER_GONE = re.compile(r"DataLoader worker \(pid.*? (?:is killed by signal: ([^.]*)|exited unexpectedly)")
_TORCH_WORKER_RAISED = re.compile(
    r"Caught (\w+) in DataLoader worker process.*^[\w.]*\.\1: (.*)", re.DOTALL | re.MULTILINE
)
_FEWER_LOADERS = "run the same command with a smaller --dataloader_num_workers, and it goes on"
_GLOO = "gloo/transport/"  # so torch tells a process that the one which it waits for is gone
_TORCH_WRITER = "inline_container.cc"  # torch says where in its code it failed, and not why


def run_command(main: Callable[[list[str] | None], int | None], argv: list[str] | None = None) -> int:
    """Run `main(argv)` and return the exit status.

    A `UsageError` or `WorkError` becomes one message on stderr, printed by rank 0 alone, without a traceback; so does
    what a disk refuses, whichever library met it. Any other exception is a defect of ours and keeps its traceback.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # for letters that the terminal lacks, as stderr has it
    try:
        try:
            return main(argv) or 0
        finally:
            _flush()  # here, where a full disk behind it is still told
    except (UsageError, WorkError) as error:
        if _is_main() or isinstance(error, OwnError):
            print(f"error: {_of_worker(error) or error}", file=sys.stderr)
        return error.status
    except Preempted as stopped:
        if _is_main():
            print(stopped, file=sys.stderr)
        return stopped.status
    except (Exception, KeyboardInterrupt) as error:
        if isinstance(error, BrokenPipeError) and _output_is_gone():
            _drop_output()
            return 141
        # Libraries that are interrupted may raise something else on their way out.
        if any(isinstance(each, KeyboardInterrupt) for each in _causes(error)):
            print("interrupted", file=sys.stderr)
            return 130
        if (told := _told(error)) is None:
            raise
        print(told, file=sys.stderr)
        _drop_output()
        return DiskError.status


def _told(error: BaseException) -> str | None:
    """What is told of what a disk, a killed worker or another process of the launch brought about."""
    if fault := _worker_fault(error) or _disk_fault(error):
        return f"error: {fault}"
    is_left = any(_GLOO in str(each) for each in _causes(error))
    return "stopped: another process of this launch ended first; see what it told" if is_left else None


def _causes(error: BaseException) -> Iterator[BaseException]:
    """An exception and those that it came from or that it came over."""
    each: BaseException | None = error
    seen: set[int] = set()
    while each is not None and id(each) not in seen:
        yield each
        seen.add(id(each))
        each = each.__cause__ or each.__context__


def worker_killed(number: int, remedy: str) -> str:
    """What is told where a signal (0 where it is not known which) has ended a worker process."""
    signalled = f" (signal {number})" if number else ""
    return f"a worker process was killed{signalled}, most often because memory ran out: {remedy}"


def _worker_fault(error: BaseException) -> str | None:
    """What is told where a worker of torch's loader is gone; None for any other exception."""
    told = [_TORCH_WORKER_GONE.match(str(each)) for each in _causes(error) if isinstance(each, RuntimeError)]
    if not any(told):
        return None
    names = {signal.strsignal(number): number for number in signal.valid_signals()}
    numbers = (names[found[1]] for found in told if found and found[1] in names)
    return worker_killed(next(numbers, 0), _FEWER_LOADERS)


def _of_worker(error: Exception) -> str | None:
    """The message of one of our exceptions that torch brought from a worker of its loader, traceback and all."""
    found = _TORCH_WORKER_RAISED.match(str(error))
    return found and found[2].strip()


def _disk_fault(error: BaseException, place: str = "") -> str | None:
    """What a disk refused, which file (`place`, where that is not told) and what to do, if that is what an exception
    comes from; None otherwise.

    Libraries that write by other languages tell it in their text alone.
    """
    for each in _causes(error):
        if (code := _refusal(each)) is not None:
            named = getattr(each, "filename2", None) or getattr(each, "filename", None) or place
            return f"{named}: " * bool(named) + f"{os.strerror(code)}; {_REFUSALS.get(code, _OTHERWISE)}"
        if _TORCH_WRITER in str(each):
            return f"{place}: " * bool(place) + f"a file cannot be written, most likely for want of room; {_ROOM}"
    return None


def _refusal(error: BaseException) -> int | None:
    """The number of what a disk refused; None for any other exception, errors of networks and programs too."""
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno if error.errno in _REFUSALS or error.filename is not None else None
    return next((code for code in _REFUSALS if os.strerror(code) in str(error)), None)


@contextmanager
def writing_to(place: str | os.PathLike) -> Iterator[None]:
    """Raise what a disk refuses inside as a `DiskError` that names the file, or `place` where nobody told it."""
    try:
        yield
    except (UsageError, WorkError):
        raise
    except Exception as error:
        if (fault := _disk_fault(error, str(place))) is None:
            raise
        raise DiskError(fault) from error


def _is_main() -> bool:
    return os.environ.get("RANK", "0") == "0"


def _flush() -> None:
    print(end="", flush=True)  # of which nothing comes where stdout was closed


def _output_is_gone() -> bool:
    """Whether stdout is a pipe that nobody reads, as behind `head`."""
    poll = select.poll()
    poll.register(sys.stdout, select.POLLOUT)
    return any(event & select.POLLERR for _, event in poll.poll(0))


def _drop_output() -> None:
    """Where what is printed goes nowhere, Python would say so once more at its end."""
    try:
        _flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
