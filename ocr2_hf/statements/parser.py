"""`FinancialStatementParser`: pages -> tables -> typed statements with checks."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path

from PIL import Image

from ocr2_hf.data.images import Crop, crop_table
from ocr2_hf.document.grounding import Box, Region, parse_regions, plain_text
from ocr2_hf.document.page_files import Pages, PageSource, Source, list_pages
from ocr2_hf.document.tables import Table, parse_tables
from ocr2_hf.errors import WorkError
from ocr2_hf.modeling.generation import Generation
from ocr2_hf.reading.reader import MAX_NEW_TOKENS, DocumentReader, is_blank
from ocr2_hf.statements.context import table_context
from ocr2_hf.statements.joining import ReadTable, join_tables
from ocr2_hf.statements.page_reader import PageReader
from ocr2_hf.statements.statement import PageSummary, Place, StatementDocument, place_values
from ocr2_hf.statements.table_detector import LayoutTables, TableBox, TableFinder
from ocr2_hf.statements.table_lines import read_table
from ocr2_hf.statements.value_boxes import locate_values

MAX_TABLES = 40  # of a page; more are a layout gone wrong, and each is a question that takes its time
NOT_READ = Generation("", 0, False, 0.0)  # where the memory was too small


@dataclass
class _Page:
    """A page on its way: its layout's answer and regions, the tables found and what the model read in each; boxes in
    pixels of `image`, which may be smaller than the page."""

    image: Image.Image
    summary: PageSummary
    layout: Generation | None = None
    regions: list[Region] = field(default_factory=list)
    boxes: list[TableBox] = field(default_factory=list)
    crops: list[tuple[Image.Image, Crop]] = field(default_factory=list)
    answers: list[Generation] = field(default_factory=list)

    def on_page(self, box: Sequence[float]) -> Box:
        """A box of the image in pixels of the whole page."""
        x, y = self.summary.width / self.image.width, self.summary.height / self.image.height
        return (box[0] * x, box[1] * y, box[2] * x, box[3] * y)


class FinancialStatementParser:
    """Reads financial statements: `FinancialStatementParser("runs/statements").parse_statement("report.pdf")`.

    `model` is a directory, a Hub id or a `DocumentReader`. Each page is read once for its layout (task `markdown`),
    then each table alone, cut out of the page with a margin, by the task `table`, whose prompt the model's recipe sets;
    what the layout itself read of a table counts where that answer has no table. `finder` finds the tables: the regions
    that the layout calls tables, or a `TableTransformer`. With `locate` the model is asked where every figure stands
    (one more question each); else values have the box of their table.
    """

    def __init__(
        self,
        model: str | Path | PageReader,
        finder: TableFinder | None = None,
        locate: bool = False,
        prompt: str | None = None,
        max_new_tokens: int = MAX_NEW_TOKENS,
        batch_size: int = 8,
    ) -> None:
        if isinstance(model, str | Path):
            model = DocumentReader.from_pretrained(model)
        self.reader: PageReader = model
        self.finder, self.locate = finder or LayoutTables(), locate
        self.prompt = self.reader.prompt("table", prompt)
        self.max_new_tokens, self.batch_size = max_new_tokens, batch_size

    def parse_statement(self, source: Source, pages: Pages | None = None) -> StatementDocument:
        """Read an image (PIL or a file), a multi-page TIFF or a PDF; of several pages those that `pages` names.

        A blank page is not shown to the model. A page without a table has none in its summary; one that cannot be read,
        or whose answer was cut off, says so there. Raises `WorkError` where the file, or every page of it, cannot be
        read.
        """
        sources = list_pages(source, pages)
        summaries: list[PageSummary] = []
        tables: list[ReadTable] = []
        images = self._load(sources, summaries)
        while batch := list(islice(images, self.batch_size)):
            for page in self._read(batch):
                tables += self._tables(page)
        if all(summary.width == 0 for summary in summaries):
            raise WorkError("; ".join(dict.fromkeys(summary.problem for summary in summaries)))
        file = None if isinstance(source, Image.Image) else str(source)
        return StatementDocument(file, summaries, join_tables(tables))

    def _load(self, sources: Iterable[PageSource], summaries: list[PageSummary]) -> Iterator[_Page]:
        """The pages that can be read; all get a summary."""
        for source in sources:
            summary = PageSummary(source.number + 1)
            summaries.append(summary)
            try:
                loaded = source.load_for_reading()
            except WorkError as error:
                summary.problem = str(error)
                continue
            summary.width, summary.height, summary.blank = loaded.width, loaded.height, is_blank(loaded.image)
            if not summary.blank:
                yield _Page(loaded.image, summary)

    def _read(self, pages: list[_Page]) -> list[_Page]:
        """Ask for the layout of every page, then for the content of every table."""
        layout = self._answer([page.image for page in pages], self.reader.prompt("markdown"))
        for page, answer in zip(pages, layout, strict=True):
            page.layout, page.regions = answer, parse_regions(answer.text, *page.image.size)
            found = self.finder.find(page.image, page.regions) or _unplaced(page)
            page.summary.tables_found, page.boxes = len(found), found[:MAX_TABLES]
            settings = self.reader.image_settings
            page.crops = [crop_table(page.image, table.box, settings) for table in page.boxes]
        answers = iter(self._answer([image for page in pages for image, _ in page.crops], self.prompt))
        for page in pages:
            page.answers = list(islice(answers, len(page.boxes)))
            page.summary.problem = _cut_off(page)
        return pages

    def _answer(self, images: list[Image.Image], prompt: str) -> list[Generation]:
        answers: list[Generation | None] = []
        for start in range(0, len(images), self.batch_size):
            batch = images[start : start + self.batch_size]
            answers += self.reader.answer_batch(batch, [prompt] * len(batch), self.max_new_tokens)
        return [answer or NOT_READ for answer in answers]

    def _tables(self, page: _Page) -> list[ReadTable]:
        """The tables of a page that are statements."""
        found = [
            (number, table)
            for number, (answer, box) in enumerate(zip(page.answers, page.boxes, strict=True))
            for table in parse_tables(answer.text) or parse_tables(box.text)
        ]
        read = [self._table(page, number, table) for number, table in found]
        last = len(read) - 1
        tables = [
            replace(table, first=index == 0, last=index == last)
            for index, table in enumerate(read)
            if table is not None
        ]
        page.summary.tables_read = len(tables)
        return tables

    def _table(self, page: _Page, number: int, table: Table) -> ReadTable | None:
        box = page.boxes[number]
        place = Place(page.summary.page, page.on_page(box.box), "page" if box.somewhere else "table")
        context = table_context(page.regions, box.box)
        content = read_table(table, place, context.unit)
        if content is None:
            return None
        if self.locate:
            found = locate_values(self.reader, *page.crops[number], content.lines, self.batch_size)
            boxes = {text: page.on_page(box) for text, box in found.items()}
            content = replace(content, lines=place_values(content.lines, boxes))
        return ReadTable(content, context, place, table.to_html(), first=False, last=False)


def _unplaced(page: _Page) -> list[TableBox]:
    """An answer without boxes may have tables all the same: they are somewhere on the page, below the lines before."""
    text = plain_text(page.layout.text)
    if page.regions or not parse_tables(text):
        return []
    whole = (0.0, 0.0, *map(float, page.image.size))
    before = [line for line in text.split("<table", 1)[0].split("\n") if "|" not in line]
    page.regions = [Region("text", whole, line) for line in before] + [Region("table", whole, text)]
    return [TableBox(whole, text=text, somewhere=True)]


def _cut_off(page: _Page) -> str:
    """Which answers on a page never came to an end, or to a beginning."""
    named = {"its layout": page.layout} | {f"table {number}": answer for number, answer in enumerate(page.answers, 1)}
    limits = {
        "was cut off at the limit of time": lambda answer: answer.timed_out,
        "is missing: too little GPU memory": lambda answer: answer is NOT_READ,
        "was cut off at the limit of tokens": lambda answer: not answer.finished,
    }
    found = page.summary.tables_found
    told = [f"{found} tables were found, the first {MAX_TABLES} are read"] if found > MAX_TABLES else []
    for limit, hit in limits.items():
        names = [name for name in named if hit(named[name])]
        told += [f"the answer for {', '.join(names)} {limit}"] if names else []
        named = {name: answer for name, answer in named.items() if name not in names}
    return "; ".join(told)
