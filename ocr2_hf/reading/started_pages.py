"""At which page a run was when it was killed: such a page is put last, and is no more tried when it happens again."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ocr2_hf.document.atomic_files import write_json
from ocr2_hf.document.page_files import PageSource
from ocr2_hf.errors import WorkError
from ocr2_hf.reading.resume_log import read_kept, stamp

MAX_STARTS = 2


class StartedPages:
    """The pages that were started and never ended, in a file that is there as long as there are some."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._starts = read_kept(path.parent, path.name)

    def has(self, file: str) -> bool:
        """Whether a page of this file was started and never ended."""
        return any(key.startswith(f"{file}\n") for key in self._starts)

    def check(self, source: PageSource) -> None:
        """`WorkError` where the page ended too many runs."""
        if self._starts.get(_key(source), 0) >= MAX_STARTS:
            why = f"the run was killed {MAX_STARTS} times while it was read"
            raise WorkError(f"{source.name}: not tried: {why}; remove {self._path} to try it again")

    @contextmanager
    def at(self, source: PageSource) -> Iterator[None]:
        """While a page is read; whatever else ends that than a kill counts for nothing."""
        key = _key(source)
        self._starts[key] = self._starts.get(key, 0) + 1
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


def _key(source: PageSource) -> str:
    """The page of a file as it is now."""
    return f"{source.source}\n{stamp(source.source)}\n{source.number}"
