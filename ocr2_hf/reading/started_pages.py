"""Which pages a run was opening when it was killed. One at which that happened three times is not opened any more.

Several are opened at once, so a kill falls on all of them. Afterwards each is opened alone, when all before it are
written: of the next kill it is known which page it was.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from ocr2_hf.document.atomic_files import write_json
from ocr2_hf.document.page_files import LoadedPage, PageSource
from ocr2_hf.errors import WorkError
from ocr2_hf.reading.inputs import Input
from ocr2_hf.reading.resume_log import read_kept, stamp

# One kill may come at any page, and batches are then to be formed as they were.
LAST_AFTER = 2
LISTED_AFTER = 3


class StartedPages:
    """How often each page was begun to be opened and never ended, in a file that is there while there are some.

    `settle` is called before a page that was begun before is opened: what was read until then must be kept.
    """

    def __init__(self, path: Path, settle: Callable[[], None]) -> None:
        self._path, self._settle = path, settle
        self._lock = threading.Lock()
        self._starts = read_kept(path.parent, path.name)
        self._before = dict(self._starts)

    def suspects_last(self, files: Sequence[Input]) -> list[Input]:
        """The files in their order, but those last at which runs were killed twice."""
        suspects = {key.split("\n")[0] for key, starts in self._starts.items() if starts >= LAST_AFTER}
        return sorted(files, key=lambda item: item.path in suspects)

    def watch(self, page: PageSource) -> "WatchedPage":
        """The page; opening it is known to the next run where this one is killed meanwhile."""
        is_suspect = bool(self._before) and _key(page) in self._before
        return WatchedPage(page.source, page.number, page.frame, self, is_suspect)

    @contextmanager
    def opening(self, page: PageSource) -> Iterator[None]:
        """While a page is opened; `WorkError` where that went wrong too often."""
        key = _key(page)
        starts = self._before.get(key, 0)
        if starts >= LISTED_AFTER:
            why = f"the run was killed {starts} times while it was opened"
            raise WorkError(f"{page.name}: not opened: {why}; remove {self._path} to try it again")
        if starts:
            self._settle()
        self._write({key: starts + 1})
        try:
            yield
        finally:
            self._write({key: 0})

    def _write(self, change: dict[str, int]) -> None:
        with self._lock, suppress(OSError):  # a full disk is told where results are written
            self._starts = {key: starts for key, starts in (self._starts | change).items() if starts}
            if self._starts:
                write_json(self._path, self._starts)
            else:
                self._path.unlink(missing_ok=True)


def _key(page: PageSource) -> str:
    return f"{page.source}\n{stamp(page.source)}\n{page.number}"


@dataclass(frozen=True)
class WatchedPage(PageSource):
    """A page of which `started` knows when it is opened; a run was killed at one that `is_suspect`."""

    started: StartedPages | None = None
    is_suspect: bool = False

    def load_for_reading(self) -> LoadedPage:
        """As of any page."""
        with self.started.opening(self):
            return super().load_for_reading()
