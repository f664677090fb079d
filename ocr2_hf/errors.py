"""The ways a command can end before it is done, and the one place that turns them into an exit status.

Exit status: 0 done; 1 the work failed (data, guard, a disk, some files of many); 2 the call or the recipe is wrong; 143
(128 + SIGTERM) stopped from outside, what was done is saved, not 0, as a scheduler would take the work for done; 130
(128 + SIGINT) interrupted; 141 (128 + SIGPIPE) nobody reads what is printed.
"""

import errno
import os
import select
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class UsageError(Exception):
    """The call or the recipe is wrong (status 2). The message says what, where, which value, what to do."""

    status = 2


class WorkError(Exception):
    """The call was right, the work failed (status 1)."""

    status = 1


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
_TORCH_WRITER = "inline_container.cc"  # torch says where in its code it failed, and not why


def run_command(main: Callable[[list[str] | None], int | None], argv: list[str] | None = None) -> int:
    """Run `main(argv)` and return the exit status.

    A `UsageError` or `WorkError` becomes one message on stderr, printed by rank 0 alone, without a traceback; so does
    what a disk refuses, whichever library met it (`disk_fault`), printed by every process whose disk it is. Any other
    exception is a defect of ours and keeps its traceback.
    """
    try:
        status = main(argv) or 0
        sys.stdout.flush()  # here, where a full disk behind it is still told
        return status
    except (UsageError, WorkError) as error:
        if _is_main():
            print(f"error: {error}", file=sys.stderr)
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
        if any(isinstance(each, KeyboardInterrupt) for each in causes(error)):
            print("interrupted", file=sys.stderr)
            return 130
        if (fault := disk_fault(error)) is None:
            raise
        print(f"error: {fault}", file=sys.stderr)
        _drop_output()
        return WorkError.status


def causes(error: BaseException) -> Iterator[BaseException]:
    """An exception and those that it came from or that it came over."""
    each: BaseException | None = error
    seen: set[int] = set()
    while each is not None and id(each) not in seen:
        yield each
        seen.add(id(each))
        each = each.__cause__ or each.__context__


def disk_fault(error: BaseException, place: str = "") -> str | None:
    """What a disk refused, which file (`place`, where that is not told) and what to do, if that is what an exception
    comes from; None otherwise.

    Libraries that write by other languages tell it in their text alone.
    """
    for each in causes(error):
        if isinstance(each, OSError) and each.errno is not None:
            codes = [each.errno] if each.errno in _REFUSALS else []
        else:
            codes = [code for code in _REFUSALS if os.strerror(code) in str(each)]
        if codes:
            named = getattr(each, "filename2", None) or getattr(each, "filename", None) or place
            return f"{named}: " * bool(named) + f"{os.strerror(codes[0])}; {_REFUSALS[codes[0]]}"
        if _TORCH_WRITER in str(each):
            return f"{place}: " * bool(place) + f"a file cannot be written, most likely for want of room; {_ROOM}"
    return None


@contextmanager
def writing_to(place: str | os.PathLike) -> Iterator[None]:
    """Raise what a disk refuses inside as a `WorkError` that names the file, or `place` where nobody told it."""
    try:
        yield
    except (UsageError, WorkError):
        raise
    except Exception as error:
        fault = disk_fault(error, str(place)) or (f"{place}: {error}" if isinstance(error, OSError) else None)
        if fault is None:
            raise
        raise WorkError(f"cannot write {fault}") from error


def _is_main() -> bool:
    return os.environ.get("RANK", "0") == "0"


def _output_is_gone() -> bool:
    """Whether stdout is a pipe that nobody reads, as behind `head`."""
    poll = select.poll()
    poll.register(sys.stdout, select.POLLOUT)
    return any(event & select.POLLERR for _, event in poll.poll(0))


def _drop_output() -> None:
    """Where what is printed goes nowhere, Python would say so once more at its end."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
