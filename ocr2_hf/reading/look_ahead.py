"""What is loaded ahead of who takes it: in threads, in its order, and no more of it than memory allows."""

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from itertools import chain, islice
from typing import TypeVar

from ocr2_hf.document import page_process
from ocr2_hf.processors import usable_processors

MOST_THREADS = 4
MOST_BYTES = 2 * 2**30  # of what is loaded and not taken: 30 pages of six tiles in float32

S, L = TypeVar("S"), TypeVar("L")


def look_ahead(
    sources: Iterable[S],
    load: Callable[[S], L],
    size: Callable[[L], int],
    count: int,
    is_alone: Callable[[S], bool] = lambda source: False,
) -> Iterator[tuple[S, Callable[[], L]]]:
    """Each of `sources` in order, with a call that returns what `load` made of it, or raises what that raised.

    While one is worked on, the next `count` are loaded in threads, as long as those that wait are below `MOST_BYTES` by
    `size`. What `is_alone` is loaded by its call, when all before it were taken, and nothing beside it. `sources` are
    asked for by the thread that iterates. Close the iterator where it is not taken to its end.
    """
    sources = iter(sources)
    first = list(islice(sources, 2))
    if len(first) < 2:  # there is nothing to be ahead of
        yield from ((source, partial(load, source)) for source in first)
        return
    room, waiting = _Room(), deque()

    def taken() -> tuple[S, Callable[[], L]]:
        source, future = waiting.popleft()
        return source, partial(room.take, future, size)

    with _threads(room) as threads:
        for number, source in enumerate(chain(first, sources)):
            if is_alone(source):
                while waiting:
                    yield taken()
                room.skip()
                yield source, partial(load, source)
                continue
            waiting.append((source, threads.submit(room.fill, number, partial(load, source), size)))
            if len(waiting) > count:
                yield taken()
        while waiting:
            yield taken()


class _Room:
    """How much is loaded and waits. The next that is taken may always be loaded."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._held, self._next, self._is_closed = 0, 0, False

    def fill(self, number: int, load: Callable[[], L], size: Callable[[L], int]) -> L:
        """Load the one of this number, once there is room."""
        with self._changed:
            self._changed.wait_for(lambda: self._is_closed or self._held < MOST_BYTES or number == self._next)
        loaded = load()
        with self._changed:
            self._held += size(loaded)
        return loaded

    def take(self, future: "Future[L]", size: Callable[[L], int]) -> L:
        """What was loaded; its place is free."""
        try:
            loaded = future.result()
        except Exception:
            self.skip()
            raise
        self.skip(size(loaded))
        return loaded

    def skip(self, freed: int = 0) -> None:
        """Go on to the next."""
        with self._changed:
            self._held -= freed
            self._next += 1
            self._changed.notify_all()

    def close(self) -> None:
        """Let go of all that wait."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()


@contextmanager
def _threads(room: _Room) -> Iterator[ThreadPoolExecutor]:
    """Threads that end with what they have begun, at once where they open a file."""
    begun: list[threading.Thread] = []
    count = min(MOST_THREADS, usable_processors())
    pool = ThreadPoolExecutor(count, "ahead", initializer=lambda: begun.append(threading.current_thread()))
    try:
        yield pool
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        room.close()
        for thread in begun:
            while thread.is_alive():
                page_process.interrupt(thread.ident)
                thread.join(0.05)
