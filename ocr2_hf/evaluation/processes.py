"""Work on many pages spread over processes of this machine; the results are those of one process, in its order."""

import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context, parent_process
from typing import TypeVar

from ocr2_hf.errors import WorkError

MAX_PROCESSES = 8  # each takes 100 MB, and one has to hand the pages out

Part = TypeVar("Part")
Result = TypeVar("Result")


def process_count(pages: int, few: int) -> int:
    """How many processes pay: a core each, and one alone where fewer pages than `few` are done before others start."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(cores, MAX_PROCESSES) if pages >= few else 1


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
        yield from pool.map(function, parts)
    except BrokenProcessPool:
        raise WorkError(
            f"one of {processes} processes that measure pages was ended from outside, as the system does where memory "
            "runs out; run the same command again, with fewer of them: --num_proc 1"
        ) from None
    finally:
        pool.shutdown(cancel_futures=True)


def _follow_owner() -> None:
    """Leave Ctrl-C to the process that asked for this one, and end where that does, whatever ends it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_owner, daemon=True).start()


def _end_with_owner() -> None:
    parent_process().join()
    os._exit(1)
