"""Read many files into a directory: batches across files, bad ones listed, what is done passed over."""

import logging
from collections.abc import Collection, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from itertools import groupby

from PIL import Image
from tqdm.auto import tqdm

from ocr2_hf.decoding import MAX_NEW_TOKENS
from ocr2_hf.document.page_files import LoadedPage, Pages, PageSource, list_pages
from ocr2_hf.errors import WorkError
from ocr2_hf.reading.inputs import Input
from ocr2_hf.reading.reader import DocumentReader, ReadBefore
from ocr2_hf.reading.results import Document, Page
from ocr2_hf.reading.resume_log import ResumeLog
from ocr2_hf.reading.started_pages import StartedPages
from ocr2_hf.reading.write_behind import WriteBehind

logger = logging.getLogger(__name__)


@dataclass
class FileResult:
    """What came of reading files. `done` counts files that were read before; `corrected` are files whose JSON someone
    changed; `failed` says which files and pages could not be read, and why; `cut_off` are pages that hit a limit,
    `empty` those that are not blank and were answered with nothing.
    """

    pages: int = 0
    done: int = 0
    corrected: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    cut_off: list[str] = field(default_factory=list)
    empty: list[str] = field(default_factory=list)


@dataclass
class FileReader:
    """Reads files with `reader` into the directory of `log`, `prompt` as `reader.prompt` gives it; `overlay` as
    `Document` takes it. Pages are loaded ahead of the model and written behind it."""

    reader: DocumentReader
    log: ResumeLog
    prompt: str
    pages: Pages | None = None
    max_new_tokens: int = MAX_NEW_TOKENS
    batch_size: int | None = None
    overlay: str | None = "jpeg"
    _open: dict[str, Document] = field(default_factory=dict, init=False)
    _started: StartedPages = field(init=False)
    _behind: WriteBehind = field(init=False)

    def __post_init__(self) -> None:
        self.batch_size = self.batch_size or self.reader.fitting_pages(self.max_new_tokens)
        self._behind = WriteBehind(self.batch_size)
        self._started = StartedPages(self.log.started_path, self._behind.settle)

    def read(self, files: Sequence[Input]) -> FileResult:
        """Read what is not done. A file or page that cannot be read does not keep the others from it."""
        result, before = FileResult(), set()
        files = self._started.suspects_last(files)
        for item in files:
            if self.log.is_done(item):
                result.done += 1
            elif self.log.is_corrected(item):
                result.corrected.append(str(self.log.json_path(item)))
            else:
                continue
            before.add(item.name)

        def failed(source: PageSource, error: WorkError) -> None:
            result.failed.append(str(error))
            self._behind.submit(self._fail, self._open[str(source.source)], source.number, str(error))
            progress.update()

        with tqdm(total=len(files) - len(before), desc="reading", unit="page") as progress, self._behind:
            sources = self._sources(files, before, result, progress)
            stream = self.reader.stream(sources, self.prompt, self.max_new_tokens, self.batch_size, failed)
            with closing(stream):
                for page, image in stream:
                    self._behind.submit(self._write, self._open[str(page.source.source)], page, image)
                    result.pages += 1
                    if not page.finished:
                        result.cut_off.append(f"{page.source.name} ({page.reason})")
                    if is_unanswered(page):
                        result.empty.append(page.source.name)
                    progress.update()
        return result

    def _sources(
        self, files: Sequence[Input], before: Collection[str], result: FileResult, progress: tqdm
    ) -> Iterator[PageSource | ReadBefore]:
        """All pages, in the order of the files; a document that is to be read is open from its first page on.

        `before`: names of files that were read. Their pages keep their places, so that a run which was stopped goes on
        with the batches that it would have had.
        """
        for item in files:
            if item.name in before:
                yield from self._read_before(item)
                continue
            try:
                pages = list_pages(item.path, self.pages)
            except WorkError as error:
                result.failed.append(str(error))
                progress.update()
                continue
            document = self._open[item.path] = Document(self.log, item, len(pages), self.overlay)
            progress.total += len(pages) - 1
            progress.update(len(document.done))
            done = dict(document.done)  # what is read meanwhile comes into the document's own
            if document.complete:
                self._behind.submit(self._finish_if_complete, document)
            for page in pages:
                known = page.number in done
                yield ReadBefore(page.load_for_reading, done[page.number]) if known else self._started.watch(page)

    def _read_before(self, item: Input) -> Iterator[ReadBefore]:
        """The pages of a file that is done. It is opened only where one of them is needed once more."""
        asked = self.log.asked(item)
        if asked is None:  # a log of an earlier version does not tell
            try:
                asked = [True] * len(list_pages(item.path, self.pages))
            except WorkError:
                asked = []
        for place, each in enumerate(asked):
            yield ReadBefore(partial(_load_page, item.path, self.pages, place), each)

    # What follows is called by the thread that writes.

    def _write(self, document: Document, page: Page, image: Image.Image) -> None:
        document.add(page, image)
        self._finish_if_complete(document)

    def _fail(self, document: Document, number: int, reason: str) -> None:
        document.fail(number, reason)
        self._finish_if_complete(document)

    def _finish_if_complete(self, document: Document) -> None:
        if document.complete:
            document.finish()
            del self._open[document.item.path]


def _load_page(path: str, pages: Pages | None, place: int) -> LoadedPage:
    return list_pages(path, pages)[place].load_for_reading()


def is_unanswered(page: Page) -> bool:
    """Whether something is on the page and nothing in its answer."""
    return not page.blank and not page.text.strip()


def read_markdown(
    reader: DocumentReader,
    files: Sequence[Input],
    prompt: str,
    failed: list[str],
    pages: Pages | None = None,
    max_new_tokens: int = MAX_NEW_TOKENS,
    batch_size: int | None = None,
) -> Iterator[str]:
    """The markdown of each file, nothing written; why files and pages could not be read goes to `failed`."""

    def sources() -> Iterator[PageSource]:
        for item in tqdm(files, desc="reading", unit="file"):
            try:
                yield from list_pages(item.path, pages)
            except WorkError as error:
                failed.append(str(error))

    stream = reader.stream(sources(), prompt, max_new_tokens, batch_size, lambda _, error: failed.append(str(error)))
    with closing(stream):
        for _, group in groupby((page for page, _ in stream), key=lambda page: page.source.source):
            answered = list(group)
            for page in filter(is_unanswered, answered):
                logger.warning("%s: the answer is empty", page.source.name)
            yield "\n\n".join(page.markdown for page in answered)
