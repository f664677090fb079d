"""Which page a run was opening when it was killed. At the third time it is not opened any more."""

from collections.abc import Iterator, Sequence
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
    """How often each page was begun to be opened and never ended, in a file that is there while there are some."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._starts = read_kept(path.parent, path.name)

    def suspects_last(self, files: Sequence[Input]) -> list[Input]:
        """The files in their order, but those last at which runs were killed twice."""
        suspects = {key.split("\n")[0] for key, starts in self._starts.items() if starts >= LAST_AFTER}
        return sorted(files, key=lambda item: item.path in suspects)

    def watch(self, page: PageSource) -> "WatchedPage":
        """The page; opening it is known to the next run where this one is killed meanwhile."""
        return WatchedPage(page.source, page.number, page.frame, self)

    @contextmanager
    def opening(self, page: PageSource) -> Iterator[None]:
        """While a page is opened; `WorkError` where that went wrong too often."""
        key = f"{page.source}\n{stamp(page.source)}\n{page.number}"
        starts = self._starts.get(key, 0)
        if starts >= LISTED_AFTER:
            why = f"the run was killed {starts} times while it was opened"
            raise WorkError(f"{page.name}: not opened: {why}; remove {self._path} to try it again")
        self._starts[key] = starts + 1
        self._write()
        try:
            yield
        finally:
            del self._starts[key]
            self._write()

    def _write(self) -> None:
        with suppress(OSError):  # a full disk is told where results are written
            if self._starts:
                write_json(self._path, self._starts)
            else:
                self._path.unlink(missing_ok=True)


@dataclass(frozen=True)
class WatchedPage(PageSource):
    """A page of which `started` knows when it is opened."""

    started: StartedPages | None = None

    def load_for_reading(self) -> LoadedPage:
        """As of any page."""
        with self.started.opening(self):
            return super().load_for_reading()
