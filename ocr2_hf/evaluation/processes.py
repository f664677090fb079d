"""Work on many pages spread over processes of this machine; the results are those of one process, in its order."""

import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import get_context, parent_process
from typing import TypeVar

from ocr2_hf.errors import WorkError, worker_killed
from ocr2_hf.processors import usable_processors

MAX_PROCESSES = 8  # each takes 100 MB, and one has to hand the pages out

Part = TypeVar("Part")
Result = TypeVar("Result")


def process_count(pages: int, few: int) -> int:
    """How many processes pay: a core each, and one alone where fewer pages than `few` are done before others start."""
    return min(usable_processors(), MAX_PROCESSES) if pages >= few else 1


def spread(function: Callable[[Part], Result], parts: Sequence[Part], processes: int) -> Iterator[Result]:
    """`map(function, parts)`, by so many processes where that is more than one.

    They start anew, so a program that asks for them needs its `if __name__ == "__main__"`; they end with this one.
    Raises what the function raises, and `WorkError` where a process is ended from outside.
    """
    if processes == 1:
        yield from map(function, parts)
        return
    pool = ProcessPoolExecutor(processes, mp_context=get_context("spawn"), initializer=_follow_owner)
    try:
        with _interrupts_held():  # as the processes inherit it: Ctrl-C is for the one that asked for them
            results = pool.map(function, parts)
        yield from results
    except BrokenProcessPool:
        raise WorkError(worker_killed(0, "run the same command with --num_proc 1")) from None
    finally:
        pool.shutdown(cancel_futures=True)


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """Whatever this thread starts meanwhile gets no SIGINT, itself it gets it after."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _follow_owner() -> None:
    """End where the process that asked for this one ends, whatever ends it."""
    threading.Thread(target=_end_with_owner, daemon=True).start()


def _end_with_owner() -> None:
    parent_process().join()
    os._exit(1)
