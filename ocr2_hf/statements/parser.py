"""`FinancialStatementParser`: pages -> tables -> typed statements with checks."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path

from PIL import Image

from ocr2_hf.data.images import Crop, crop_table
from ocr2_hf.decoding import MAX_NEW_TOKENS
from ocr2_hf.document.grounding import Box, Region, parse_regions, plain_text
from ocr2_hf.document.model_tokens import find_model_token
from ocr2_hf.document.page_files import Pages, PageSource, Source, list_pages
from ocr2_hf.document.tables import parse_tables
from ocr2_hf.errors import WorkError
from ocr2_hf.modeling.generation import Generation
from ocr2_hf.reading.reader import DocumentReader, is_blank
from ocr2_hf.statements.joining import ReadTable, join_tables, table_context
from ocr2_hf.statements.statement import PageSummary, Place, StatementDocument, StatementLine
from ocr2_hf.statements.table_detector import LayoutTables, TableBox, TableFinder
from ocr2_hf.statements.table_lines import read_table

MAX_TABLES = 40  # of a page; more are a layout gone wrong, and each is a question that takes its time
MAX_LOCATE_TOKENS = 64  # a text and four numbers
NOT_READ = Generation("", 0, False, 0.0)  # where the memory was too small


@dataclass
class _StatementPage:
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
    that the layout calls tables, or a `TableTransformer`. With `locate` the model is asked where every value stands
    (one more question each); else values have the box of their table.
    """

    def __init__(
        self,
        model: str | Path | DocumentReader,
        finder: TableFinder | None = None,
        locate: bool = False,
        prompt: str | None = None,
        max_new_tokens: int = MAX_NEW_TOKENS,
        batch_size: int | None = None,
    ) -> None:
        if isinstance(model, str | Path):
            model = DocumentReader.from_pretrained(model)
        self.reader = model
        self.finder, self.locate = finder or LayoutTables(), locate
        self.prompt = self.reader.prompt("table", prompt)
        self.max_new_tokens = max_new_tokens
        self.batch_size = batch_size or self.reader.fitting_pages(max_new_tokens)

    def parse_statement(self, source: Source, pages: Pages | None = None) -> StatementDocument:
        """Read an image (PIL or a file), a multi-page TIFF or a PDF; of several pages those that `pages` names.

        A blank page is not shown to the model. A page without a table has none in its summary; one that cannot be read,
        or whose answer was cut off, says so there. Raises `WorkError` where the file, or every page of it, cannot be
        read.
        """
        summaries: list[PageSummary] = []
        tables: list[ReadTable] = []
        loaded = self._load(list_pages(source, pages), summaries)
        while batch := list(islice(loaded, self.batch_size)):
            for page in self._read(batch):
                tables += self._tables(page)
        if all(summary.width == 0 for summary in summaries):
            raise WorkError("; ".join(dict.fromkeys(summary.problem for summary in summaries)))
        file = None if isinstance(source, Image.Image) else str(source)
        return StatementDocument(file, summaries, join_tables(tables))

    def _load(self, sources: Iterable[PageSource], summaries: list[PageSummary]) -> Iterator[_StatementPage]:
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
                yield _StatementPage(loaded.image, summary)

    def _read(self, pages: list[_StatementPage]) -> list[_StatementPage]:
        """Ask for the layout of every page, then for the content of every table."""
        prompts = [self.reader.prompt("markdown")] * len(pages)
        layout = self._answer([page.image for page in pages], prompts, self.max_new_tokens)
        for page, answer in zip(pages, layout, strict=True):
            page.layout, page.regions = answer, parse_regions(answer.text, *page.image.size)
            found = self.finder.find(page.image, page.regions) or _unplaced(page)
            page.summary.tables_found, page.boxes = len(found), found[:MAX_TABLES]
            page.crops = [crop_table(page.image, table.box, self.reader.image_settings) for table in page.boxes]
        images = [image for page in pages for image, _ in page.crops]
        answers = iter(self._answer(images, [self.prompt] * len(images), self.max_new_tokens))
        for page in pages:
            page.answers = list(islice(answers, len(page.boxes)))
            page.summary.problem = _cut_off(page)
        return pages

    def _answer(self, images: list[Image.Image], prompts: list[str], max_new_tokens: int) -> list[Generation]:
        answers: list[Generation | None] = []
        for start in range(0, len(images), self.batch_size):
            batch = slice(start, start + self.batch_size)
            answers += self.reader.answer_batch(images[batch], prompts[batch], max_new_tokens)
        return [answer or NOT_READ for answer in answers]

    def _tables(self, page: _StatementPage) -> list[ReadTable]:
        """The tables of a page that are statements."""
        found = [
            (box, crop, table)
            for box, crop, answer in zip(page.boxes, page.crops, page.answers, strict=True)
            for table in parse_tables(answer.text) or parse_tables(box.text)
        ]
        tables = []
        for index, (box, crop, table) in enumerate(found):
            place = Place(page.summary.page, page.on_page(box.box), "page" if box.somewhere else "table")
            context = table_context(page.regions, box.box)
            content = read_table(table, place, context.unit)
            if content is None:
                continue
            if self.locate:
                content = replace(content, lines=self._locate(page, crop, content.lines))
            first, last = index == 0, index == len(found) - 1
            tables.append(ReadTable(content, context, place, table.to_html(), first, last))
        page.summary.tables_read = len(tables)
        return tables

    def _locate(
        self, page: _StatementPage, crop: tuple[Image.Image, Crop], lines: Sequence[StatementLine]
    ) -> list[StatementLine]:
        """The lines of the table in `crop`, with a box of its own for every value that the model could point at.

        A text that stands in the table twice is not asked for, nor one with a token of the model's own, and an answer
        with no box or several is not believed.
        """
        image, (left, top, *_) = crop
        counts = Counter(value.printed.text for line in lines for value in line.values if value)
        once = [text for text, count in counts.items() if count == 1 and any(map(str.isdigit, text))]
        texts = [text for text in once if not find_model_token(text)]
        prompts = [self.reader.prompt("locate", text) for text in texts]
        answers = self._answer([image] * len(texts), prompts, MAX_LOCATE_TOKENS)
        places: dict[str, Place] = {}
        for text, answer in zip(texts, answers, strict=True):
            found = [region.box for region in parse_regions(answer.text, *image.size) if region.label == text]
            if len(found) == 1:
                x0, y0, x1, y1 = found[0]
                box = page.on_page((x0 + left, y0 + top, x1 + left, y1 + top))
                places[text] = Place(page.summary.page, box, "value")
        placed = (
            tuple(value and replace(value, place=places.get(value.printed.text, value.place)) for value in line.values)
            for line in lines
        )
        return [replace(line, values=values) for line, values in zip(lines, placed, strict=True)]


def _unplaced(page: _StatementPage) -> list[TableBox]:
    """An answer without boxes may have tables all the same: they are somewhere on the page, below the lines before."""
    text = plain_text(page.layout.text)
    if page.regions or not parse_tables(text):
        return []
    whole = (0.0, 0.0, *map(float, page.image.size))
    before = [line for line in text.split("<table", 1)[0].split("\n") if "|" not in line]
    page.regions = [Region("text", whole, line) for line in before] + [Region("table", whole, text)]
    return [TableBox(whole, text=text, somewhere=True)]


def _cut_off(page: _StatementPage) -> str:
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
