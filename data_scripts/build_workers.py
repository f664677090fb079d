"""The processes of a build: none outlives it, and none of them ends without its end being told.

`datasets` starts them and waits for them. Where one is killed, it may wait for ever for a lock that the dead one held.
"""

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import multiprocess

from ocr2_hf.errors import WorkError, worker_killed

_PAUSE, _AGAIN = 0.1, 2.0  # seconds between two looks at the processes, and between two interruptions
_ENDED = (None, 0, -signal.SIGTERM)  # it runs, is done, or was ended by the pool it is of
_INTERRUPT = signal.SIGUSR1  # not SIGINT, which programs in the background ignore
_building = 0  # the process that builds now


@contextmanager
def watched_workers() -> Iterator[None]:
    """What forks inside are workers. Raises `WorkError` where one of them is killed; no wait is longer than seconds."""
    global _building
    _building = os.getpid()
    watch = _Watch()
    try:
        with _interruptible(), watch:
            yield
    except (Exception, _Interrupted) as error:
        watch.look()  # what was raised may have come before the last look
        if not (watch.dead or _tells_of_death(error)):
            raise
        raise WorkError(worker_killed(max(-watch.dead, 0), "run the same command with a smaller --num_proc")) from error
    finally:
        _building = 0


class _Interrupted(BaseException):
    """A wait is given up; no library takes it for an error of its own."""


@contextmanager
def _interruptible() -> Iterator[None]:
    """`_INTERRUPT` raises `_Interrupted` inside; nothing in a thread, to which no signal comes."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(_INTERRUPT, _give_up)
    try:
        yield
    finally:
        signal.signal(_INTERRUPT, before or signal.SIG_DFL)


def _give_up(number: int, frame: FrameType | None) -> None:
    raise _Interrupted


class _Watch(threading.Thread):
    """Looks for workers that were killed, and interrupts the main thread, whatever it waits for, until it is left."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.dead = 0  # the exit status of the first that was killed
        self._seen: dict[int, multiprocess.Process] = {}
        self._left = threading.Event()
        self._interrupts = threading.current_thread() is threading.main_thread()

    def __enter__(self) -> None:
        self.start()

    def __exit__(self, *raised: object) -> None:
        self._left.set()
        self.join()

    def run(self) -> None:
        while not self._left.wait(_AGAIN if self.dead else _PAUSE):
            self.look()
            if self.dead:
                self._end_all()

    def look(self) -> None:
        """See which workers there are, and whether one was killed."""
        self._seen |= {worker.pid: worker for worker in multiprocess.active_children()}
        ends = (worker.exitcode for worker in self._seen.values())
        self.dead = self.dead or next((end for end in ends if end not in _ENDED), 0)

    def _end_all(self) -> None:
        """The others first: they would tell, each in its way, that they are left alone."""
        for worker in self._seen.values():
            worker.kill()
        if self._interrupts:
            signal.pthread_kill(threading.main_thread().ident, _INTERRUPT)


def _tells_of_death(error: BaseException) -> bool:
    """Whether `datasets` itself has seen that a worker is gone."""
    return isinstance(error, RuntimeError) and "abruptly died" in str(error)


def _begin_worker() -> None:
    """In a process that was forked: Ctrl-C is for the build, which ends its workers, and so is any other end."""
    if _building == 0 or os.getppid() != _building:  # another's, or a worker's own child
        return
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.unraisablehook = _say_nothing
    threading.Thread(target=_end_with, args=(_building,), daemon=True).start()


def _say_nothing(what: object) -> None:
    """Of what goes wrong while a build that ends takes its workers down."""


def _end_with(parent: int) -> None:
    """End this process soon after its parent: the workers of a killed build would stay for ever."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)


os.register_at_fork(after_in_child=_begin_worker)
