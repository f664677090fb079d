"""Articles: a title over two columns of headings, paragraphs, formulas, a table and a chart with their captions."""

import random
from collections.abc import Callable
from dataclasses import dataclass

from data_scripts.synthetic.article_parts import choose_formula, draw_chart, draw_formula, measurement_table
from data_scripts.synthetic.fonts import Fonts
from data_scripts.synthetic.language import Words, break_lines, fill, paragraph, units
from data_scripts.synthetic.page import DrawnRegion, Mark, SyntheticPage, write_mark
from data_scripts.synthetic.tables import GAP, TableLayout, draw_table, natural_widths
from ocr2_hf.document.dialect import CAPTION
from ocr2_hf.errors import UsageError

SMALLEST_FONT = 9
FEWEST_LINES = 40  # of body text, that the height must hold
CHART_SHAPE = (0.5, 0.72)  # height to width
FEWEST_SPLIT = 2  # lines of a paragraph that may be alone at the end of a column, or at the start of the next


@dataclass
class ArticleBlock:
    """A part of a column that is not divided: its height, and what draws it with its top left corner at a place."""

    height: float
    draw: Callable[[float, float], None]


@dataclass
class TextColumn:
    """A column being filled; `y` moves down to `bottom`."""

    x: float
    width: float
    y: float
    bottom: float


def draw_article(rng: random.Random, width: int, height: int, fonts: Fonts, words: Words) -> SyntheticPage:
    """One page. Raises `UsageError` where it is too small."""
    page = SyntheticPage(width, height, between="\n\n", fonts=fonts, stamp_words=words.stamps)
    return _Article(rng, page, words).draw()


class _Article:
    """A page while it is set; lengths in pixels."""

    def __init__(self, rng: random.Random, page: SyntheticPage, words: Words):
        self.rng, self.page, self.words = rng, page, words
        self.margin = round(0.075 * min(page.width, page.height))
        self.size = round(page.width * rng.uniform(0.0142, 0.016))  # of the paragraphs' letters
        pitch = max(round(page.width * 0.016), SMALLEST_FONT) * 1.5
        if self.size < SMALLEST_FONT or (page.height - 2 * self.margin) / pitch < FEWEST_LINES:
            raise UsageError(
                f"--size: a page of {page.width}x{page.height} is too small for an article of two columns in letters "
                f"of {SMALLEST_FONT} pixels; about 640x800 is the least, and it must not be much wider than high"
            )
        self.font = page.fonts(self.size)
        self.pitch = self.size * rng.uniform(1.36, 1.5)
        self.justified = rng.random() < 0.75
        self.accent = rng.choice((None, None, (25, 60, 120), (120, 30, 30)))
        self.indented = rng.random() < 0.5
        self.section = (rng.randint(0, 3), 0)  # the last number, and that of its part
        self.headings = rng.sample(words.headings, len(words.headings))
        self.rest: list[str] = []  # of a paragraph, for the next column

    def draw(self) -> SyntheticPage:
        """Set the page from top to bottom."""
        top = self._write_top()
        gutter = 1.9 * self.size
        width = (self.page.width - 2 * self.margin - gutter) / 2
        bottom = self.page.height - self.margin - 2.2 * self.pitch
        chart, table = self._chart, self._table
        first, second = (chart, table) if self.rng.random() < 0.5 else (table, chart)
        equations = self.rng.choice(((1, 0), (0, 1), (1, 1)))
        for i, special in enumerate((first, second)):
            makers = [special] + [self._equation] * equations[i]
            self.rng.shuffle(makers)
            column = TextColumn(self.margin + i * (width + gutter), width, top, bottom)
            self._fill(column, makers)
        number = str(self.rng.randint(2, 198))
        place = (number, self.page.width / 2, self.page.height - self.margin, "ms")
        self.page.write("footer", [place], self.page.fonts(round(0.9 * self.size)))
        return self.page

    # --- the top of the page, over both columns

    def _write_top(self) -> float:
        """Header, title and authors; returns where the columns begin."""
        rng, words = self.rng, self.words
        year, volume = rng.randint(2004, 2029), rng.randint(1, 12)
        head = words.running_head.format(journal=rng.choice(words.journals), volume=volume, year=year)
        y = self.margin + 0.8 * self.pitch
        self.page.write("header", [(head, self.margin, y, "ls")], self.page.fonts(round(0.85 * self.size)))
        y += 1.2 * self.pitch
        room = self.page.width - 2 * self.margin
        title = fill(rng.choice(words.titles), rng, words)
        y = self._write_centred("title", title, y, room, 1.75, bold=True)
        names = rng.sample(words.surnames, rng.randint(2, 4))
        authors = (", " if words.space else "，").join(names[:-1]) + words.conjunction + names[-1]
        return self._write_centred("text", authors, y + 0.3 * self.pitch, room, 1.0) + 1.3 * self.pitch

    def _write_centred(self, label: str, text: str, y: float, room: float, scale: float, bold: bool = False) -> float:
        font = self.page.fonts(round(self.size * scale))
        marks = []
        for line in break_lines(units(text, self.words), font, 0.85 * room, self.words, 0.0, justified=False):
            y += 1.25 * font.size
            written = self.words.space.join(line.pieces)
            marks.append(write_mark(written, self.page.width / 2, y, "ms", font, bold))
        self._add(label, text, marks, self.accent if bold else None)
        return y

    # --- a column

    def _fill(self, column: TextColumn, makers: list[Callable[[float], ArticleBlock]]) -> None:
        """The rest of the column before; then special blocks, paragraphs between them; then paragraphs to the end."""
        blocks = [make(column.width) for make in makers]
        gap = 0.9 * self.pitch
        for i, block in enumerate(blocks):
            needed = sum(block.height + 2 * gap for block in blocks[i:])
            self._write_text(column, (column.bottom - column.y - needed) * self.rng.uniform(0.3, 0.6), whole=True)
            column.y += gap
            block.draw(column.x, column.y)
            column.y += block.height + gap
        self._write_text(column, column.bottom - column.y, whole=False)

    def _write_text(self, column: TextColumn, height: float, whole: bool) -> None:
        """Paragraphs, some under a heading, over at most `height`; unless `whole`, the last may go on elsewhere."""
        end = column.y + height
        if self.rest:
            self._write_lines(column, self.rest, end, continued=True)
        while end - column.y >= 4 * self.pitch:
            pieces = units(paragraph(self.rng, self.words), self.words)
            is_headed = self.rng.random() < 0.35 and end - column.y >= 7 * self.pitch
            if whole and self._height(column, pieces) + 2 * self.pitch * is_headed > end - column.y:
                break
            if is_headed:
                self._write_heading(column)
            self._write_lines(column, pieces, end)
            if self.rest:
                break

    def _height(self, column: TextColumn, pieces: list[str]) -> float:
        lines = break_lines(pieces, self.font, column.width, self.words, 0.0, justified=False)
        return (len(lines) + 1) * self.pitch

    def _write_heading(self, column: TextColumn) -> None:
        section, part = self.section
        self.section = (section, part + 1) if section and self.rng.random() < 0.4 else (section + 1, 0)
        number = ".".join(str(n) for n in self.section if n)
        text = f"{number} {self.headings.pop()}"
        column.y += 1.5 * self.pitch
        mark = write_mark(text, column.x, column.y, "ls", self.page.fonts(round(1.12 * self.size)), bold=True)
        self._add("sub_title", text, [mark], self.accent)
        column.y += 0.35 * self.pitch

    def _write_lines(self, column: TextColumn, pieces: list[str], end: float, continued: bool = False) -> None:
        """The lines of a paragraph that fit above `end`; what does not becomes the rest."""
        indent = self.words.indent * self.size if self.indented and not continued else 0.0
        lines = break_lines(pieces, self.font, column.width, self.words, indent, self.justified)
        room = int((end - column.y) / self.pitch)
        if room < min(len(lines), FEWEST_SPLIT):
            self.rest = pieces
            return
        if 0 < len(lines) - room < FEWEST_SPLIT:
            room = max(FEWEST_SPLIT, len(lines) - FEWEST_SPLIT)
        shown = lines[:room]
        self.rest = [piece for line in lines[room:] for piece in line.pieces]
        marks = []
        for line in shown:
            column.y += self.pitch
            marks += [
                write_mark(piece, column.x + start, column.y, "ls", self.font)
                for piece, start in zip(line.pieces, line.starts, strict=True)
            ]
        text = self.words.space.join(piece for line in shown for piece in line.pieces)
        self._add("text", text, marks)
        column.y += 0.0 if self.indented else 0.5 * self.pitch

    def _add(self, label: str, text: str, marks: list[Mark], colour: tuple[int, int, int] | None = None) -> None:
        for mark in marks:
            mark.colour = mark.colour or colour
        self.page.regions.append(DrawnRegion(label, text, marks))

    # --- parts that are not divided

    def _equation(self, width: float) -> ArticleBlock:
        latex = choose_formula(self.rng)
        mask = draw_formula(latex, round(1.15 * self.size))
        number = self.rng.randint(1, 12) if self.rng.random() < 0.6 else None

        def draw(x: float, y: float) -> None:
            marks = [Mark(mask, round(x + (width - mask.width) / 2), round(y))]
            if number:
                marks.append(write_mark(f"({number})", x + width, y + mask.height / 2, "rm", self.font))
            tag = rf" \tag{{{number}}}" if number else ""
            self._add("equation", rf"\[ {latex}{tag} \]", marks)

        return ArticleBlock(mask.height, draw)

    def _chart(self, width: float) -> ArticleBlock:
        height = width * self.rng.uniform(*CHART_SHAPE)
        caption = self._caption(self.words.figure_captions, width)
        inset = 0.05 * width

        def draw(x: float, y: float) -> None:
            box = (x + inset, y, x + width - inset, y + height)
            marks = draw_chart(self.rng, box, self.page.fonts, round(0.8 * self.size), self.words)
            self._add("image", "", marks)
            caption.draw(x, y + height + 0.3 * self.pitch)

        return ArticleBlock(height + 0.3 * self.pitch + caption.height, draw)

    def _table(self, width: float) -> ArticleBlock:
        table = measurement_table(self.rng, self.words)
        size = round(0.92 * self.size)
        widths = [natural + GAP * size for natural in natural_widths(table, self.page.fonts(size))]
        if sum(widths) < width:
            widths = [own + (width - sum(widths)) / len(widths) for own in widths]
        caption = self._caption(self.words.table_captions, width)
        look = self.rng.choice(("rules", "rules", "grid"))
        pitch = self.rng.uniform(1.5, 1.8) * size
        above = caption.height + 0.5 * self.pitch

        def draw(x: float, y: float) -> None:
            caption.draw(x, y)
            edges = [x + sum(widths[:i]) for i in range(len(widths) + 1)]
            layout = TableLayout(self.page.fonts, size, edges, y + above, pitch, look)
            self.page.regions.append(draw_table(table, layout))

        return ArticleBlock(above + pitch * len(table.kinds), draw)

    def _caption(self, templates: list[str], width: float) -> ArticleBlock:
        """One or more lines, centred where it is one."""
        text = fill(self.rng.choice(templates), self.rng, self.words, n=1)
        font = self.page.fonts(round(0.9 * self.size))
        lines = break_lines(units(text, self.words), font, width, self.words, 0.0, justified=False)

        def draw(x: float, y: float) -> None:
            marks = []
            for line in lines:
                y += 1.3 * font.size
                place = (x + width / 2, y, "ms") if len(lines) == 1 else (x, y, "ls")
                marks.append(write_mark(self.words.space.join(line.pieces), *place, font))
            self._add(CAPTION, text, marks)

        return ArticleBlock(len(lines) * 1.35 * font.size, draw)
