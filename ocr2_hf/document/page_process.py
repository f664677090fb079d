"""Files of strangers are opened in a process of their own: one that never ends, or takes all memory, costs one page.

The process is a new interpreter, without torch, that is started for the first file and kept for the next ones. A
thread has one: threads that load pages ahead do not wait for each other.
"""

import os
import resource
import select
import signal
import subprocess
import sys
import threading
import weakref
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection, Pipe
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from typing import Any

from ocr2_hf.errors import WorkError

SECONDS = 60
MEMORY = 6 * 2**30  # bytes; the largest page that is read, of 16 bits, takes between 3 and 4 GiB
MAX_LOST = 3  # calls on one file that may end the process; its other pages are then not tried

_NICE_VICTIM = Path("/proc/self/oom_score_adj")  # of Linux: whom the kernel kills first where memory runs out
_here = threading.local()  # .process: this thread's
_running: "weakref.WeakValueDictionary[int, PageProcess]" = weakref.WeakValueDictionary()  # by thread
_lost: Counter[tuple] = Counter()  # a file as it was -> calls that ended the process
_is_apart = False  # true in the process itself


def open_apart(function: Callable[..., Any], path: str | Path, name: str, *arguments: Any) -> Any:
    """What `function(path, name, *arguments)` returns, called in the process; it and its values are pickled.

    Raises the function's `WorkError`; one that begins with `name` where the call fails otherwise, takes too long or
    ends the process.
    """
    path = os.path.abspath(path)  # the process may be in another folder
    if _is_apart:
        return function(path, name, *arguments)
    file = _as_it_is(path)
    if _lost[file] >= MAX_LOST:
        raise WorkError(f"{name}: not opened: {MAX_LOST} of its pages took too long or too much memory")
    try:
        value, error = _process(name).call(function, path, name, *arguments)
    except EOFError:
        if _here.process.is_interrupted:
            raise WorkError(f"{name}: not opened: the run was interrupted") from None
        _lost[file] += 1
        raise WorkError(f"{name}: {_here.process.end()}") from None
    if error is not None:
        told = WorkError(f"{name}: cannot be read ({str(error) or type(error).__name__})")
        raise error if isinstance(error, WorkError) else told
    return value


def _as_it_is(path: str) -> tuple:
    try:
        found = os.stat(path)
    except OSError:
        return (path,)
    return path, found.st_size, found.st_mtime_ns


def _process(name: str) -> "PageProcess":
    """This thread's, started where there is none: the last one ended, or is that of a process forked from."""
    process = getattr(_here, "process", None)
    if process is None or not process.is_ours:
        try:
            process = _here.process = _running[threading.get_ident()] = PageProcess()
        except OSError as error:
            raise WorkError(f"{name}: no process can be started to open it ({error.strerror or error})") from None
    return process


def interrupt(thread: int) -> None:
    """End the process of another thread, by the thread's number: what that opens is not opened."""
    if (process := _running.get(thread)) is not None:
        process.interrupt()


class PageProcess:
    """One such process. It ends with its owner, whatever ends that."""

    def __init__(self) -> None:
        self.is_interrupted = False
        self._connection, theirs = Pipe()
        start = f"import sys; sys.path[:] = {sys.path!r}; from {__name__} import serve; serve({theirs.fileno()})"
        threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
        with theirs:
            # In a session of its own: Ctrl-C is for the command, which then ends this process.
            self._process = subprocess.Popen(
                [sys.executable, "-c", start],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                env=os.environ | threads,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )
        self._owner = os.getpid()
        self._close = weakref.finalize(self, _close, self._process, self._connection, self._owner)

    @property
    def is_ours(self) -> bool:
        """Whether it runs, and was started by this process."""
        return self._close.alive and self._owner == os.getpid() and self._process.poll() is None

    def call(self, function: Callable[..., Any], *arguments: Any) -> tuple[Any, Exception | None]:
        """(what it returns, what it raises), one of them None; `EOFError` where the process ended instead."""
        try:
            self._connection.send((SECONDS, MEMORY, function, arguments))
            return self._connection.recv()
        except (EOFError, BrokenPipeError, ConnectionResetError):
            raise EOFError from None
        except BaseException:  # interrupted: the answer would come to the next call
            self._close()
            raise

    def interrupt(self) -> None:
        """End it from another thread; a call comes to nothing."""
        self.is_interrupted = True
        self._process.kill()

    def end(self) -> str:
        """Wait for a process that ended a call; returns why it did."""
        status = self._process.wait()
        self._close()
        if status == -signal.SIGALRM:
            return f"not opened within {SECONDS} s: it is broken or has too much on it; save its pages as images"
        how = f"was ended by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"
        return f"the process that opened it {how}: it is broken, or takes more than {MEMORY >> 20:,} MiB of memory"


def _close(process: subprocess.Popen, connection: Connection, owner: int) -> None:
    connection.close()
    if os.getpid() == owner:  # and not a fork of it
        process.kill()
        process.wait()


def serve(file: int) -> None:
    """Answer the calls that come through a connection until it is closed."""
    global _is_apart
    _is_apart = True
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with suppress(OSError):
        _NICE_VICTIM.write_text("1000")
    signal.signal(signal.SIGALRM, signal.SIG_DFL)  # ends the process, also inside of a library
    threading.Thread(target=_end_with, args=(file,), daemon=True).start()
    connection = Connection(file)
    with suppress(EOFError, BrokenPipeError, ConnectionResetError):  # the other end is closed
        while True:
            seconds, memory, function, arguments = connection.recv()
            signal.alarm(seconds)
            _limit_memory(memory)
            answer = ForkingPickler.dumps(_outcome(function, arguments))
            signal.alarm(0)
            connection.send_bytes(answer)


def _end_with(file: int) -> None:
    """End this process, whatever it does, as soon as the other end of the connection is closed."""
    poll = select.poll()
    poll.register(file, 0)  # what is asked for: nothing but the end, which is told unasked
    poll.poll()
    os._exit(0)


def _limit_memory(size: int) -> None:
    _, most = resource.getrlimit(resource.RLIMIT_AS)
    with suppress(ValueError):  # macOS knows no such limit
        resource.setrlimit(resource.RLIMIT_AS, (size if most == resource.RLIM_INFINITY else min(size, most), most))


def _outcome(function: Callable[..., Any], arguments: tuple) -> tuple[Any, Exception | None]:
    try:
        return function(*arguments), None
    except (WorkError, OSError, MemoryError) as error:
        return None, error
