"""Read many files into a directory: batches across files, bad ones listed, what is done passed over."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby

from tqdm.auto import tqdm

from ocr2_hf.document.page_files import Pages, PageSource, list_pages
from ocr2_hf.errors import WorkError
from ocr2_hf.reading.inputs import Input
from ocr2_hf.reading.reader import MAX_NEW_TOKENS, DocumentReader
from ocr2_hf.reading.results import Document
from ocr2_hf.reading.resume_log import Ledger


@dataclass
class Outcome:
    """What came of a run. `done` counts files that were read before; `corrected` are files whose JSON someone changed;
    `failed` says which files and pages could not be read, and why; `cut_off` are pages whose answer hit a limit."""

    pages: int = 0
    done: int = 0
    corrected: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    cut_off: list[str] = field(default_factory=list)


class FileReader:
    """Reads files with `reader` into the directory of `ledger`, `prompt` as `reader.prompt` gives it."""

    def __init__(
        self,
        reader: DocumentReader,
        ledger: Ledger,
        prompt: str,
        pages: Pages | None = None,
        max_new_tokens: int = MAX_NEW_TOKENS,
        batch_size: int = 8,
    ) -> None:
        self._reader, self._ledger, self._prompt, self._pages = reader, ledger, prompt, pages
        self._max_new_tokens, self._batch_size = max_new_tokens, batch_size
        self._open: dict[str, Document] = {}

    def read(self, files: Sequence[Input]) -> Outcome:
        """Read what is not done. A file or page that cannot be read does not keep the others from it."""
        outcome = Outcome()
        pending = [item for item in files if self._is_pending(item, outcome)]

        def failed(source: PageSource, error: WorkError) -> None:
            outcome.failed.append(str(error))
            document = self._open[str(source.source)]
            document.fail(source.number, str(error))
            self._finish_if_complete(document)
            progress.update()

        with tqdm(total=len(pending), desc="reading", unit="page") as progress:
            sources = self._sources(pending, outcome, progress)
            for page in self._reader.stream(sources, self._prompt, self._max_new_tokens, self._batch_size, failed):
                try:
                    image = page.source.load_for_reading().image
                except WorkError as error:  # the file has gone meanwhile
                    failed(page.source, error)
                    continue
                document = self._open[str(page.source.source)]
                document.add(page, image)
                self._finish_if_complete(document)
                outcome.pages += 1
                if not page.finished:
                    outcome.cut_off.append(f"{page.source.name} ({page.reason})")
                progress.update()
        return outcome

    def _is_pending(self, item: Input, outcome: Outcome) -> bool:
        if self._ledger.is_done(item):
            outcome.done += 1
            return False
        if self._ledger.is_corrected(item):
            outcome.corrected.append(str(self._ledger.json_path(item)))
            return False
        return True

    def _sources(self, files: Sequence[Input], outcome: Outcome, progress: tqdm) -> Iterator[PageSource]:
        """The pages that are to be read; a document is open from its first page on."""
        for item in files:
            try:
                pages = list_pages(item.path, self._pages)
            except WorkError as error:
                outcome.failed.append(str(error))
                progress.update()
                continue
            document = self._open[item.path] = Document(self._ledger, item, len(pages))
            progress.total += len(pages) - 1
            progress.update(len(document.done))
            self._finish_if_complete(document)
            yield from (page for page in pages if page.number not in document.done)

    def _finish_if_complete(self, document: Document) -> None:
        if document.complete:
            document.finish()
            del self._open[document.item.path]


def read_markdown(
    reader: DocumentReader,
    files: Sequence[Input],
    prompt: str,
    failed: list[str],
    pages: Pages | None = None,
    max_new_tokens: int = MAX_NEW_TOKENS,
    batch_size: int = 8,
) -> Iterator[str]:
    """The markdown of each file, nothing written; why files and pages could not be read goes to `failed`."""

    def sources() -> Iterator[PageSource]:
        for item in tqdm(files, desc="reading", unit="file"):
            try:
                yield from list_pages(item.path, pages)
            except WorkError as error:
                failed.append(str(error))

    read = reader.stream(sources(), prompt, max_new_tokens, batch_size, lambda _, error: failed.append(str(error)))
    for _, group in groupby(read, key=lambda page: page.source.source):
        yield "\n\n".join(page.markdown for page in group)
