"""Calls that write results behind who has them: in one thread, in their order."""

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any


class WriteBehind:
    """Calls made one after the other in a thread; `most` of them may wait.

    What one raises is raised by a later `submit` or `settle`, or at the end, and those behind it are not made. At the
    end, whatever brought it, all are made that were submitted.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._calls: deque[Future] = deque()
        self._has_failed = False

    def __enter__(self) -> "WriteBehind":
        self._thread = ThreadPoolExecutor(1, "write")
        return self

    def __exit__(self, *_) -> None:
        try:
            self.settle()
        finally:
            self._thread.shutdown()

    def submit(self, function: Callable[..., None], *arguments: Any) -> None:
        """Let `function(*arguments)` be called; waits where too many wait already."""
        while self._calls and (len(self._calls) >= self._most or self._calls[0].done()):
            self._calls.popleft().result()
        self._calls.append(self._thread.submit(self._call, function, *arguments))

    def settle(self) -> None:
        """Wait until all calls were made."""
        while self._calls:
            self._calls.popleft().result()

    def _call(self, function: Callable[..., None], *arguments: Any) -> None:
        if self._has_failed:
            return
        try:
            function(*arguments)
        except BaseException:
            self._has_failed = True
            raise
