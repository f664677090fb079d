"""A page being drawn: its regions as text and ink, so that every box is measured from the ink itself."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Literal

from PIL import Image, ImageChops, ImageDraw, ImageFont

from data_scripts.synthetic.fonts import Fonts
from ocr2_hf.document.dialect import is_heading

# Fainter edges of anti-aliased letters do not count as ink.
INK_THRESHOLD = 32
_IS_INK = [0] * INK_THRESHOLD + [255] * (256 - INK_THRESHOLD)

BOLD = 0.045  # how much wider a bold stroke is, in font sizes: fonts named by a file have one weight

Word = tuple[str, float, float, str]  # text, x, y, what (x, y) is the place of in the text (Pillow's anchor)
Colour = tuple[int, int, int]
Box = tuple[int, int, int, int]


@dataclass
class Mark:
    """Ink on the page: a mask ("L", 0 where there is none) whose corner lies at `left`, `top`.

    `colour` None is the ink of the page.
    """

    mask: Image.Image
    left: int
    top: int
    colour: Colour | None = None

    def box(self) -> Box | None:
        """Pixel xyxy around the ink; None where all of it is faint (the shade behind a row)."""
        found = self.mask.point(_IS_INK).getbbox()
        return found and (found[0] + self.left, found[1] + self.top, found[2] + self.left, found[3] + self.top)


@dataclass
class TableCell:
    """A cell of a table, its first row and column counted from 0: `indent` is in steps, `align` of its text.

    `mark` is its ink; None before it is drawn, or where it is empty.
    """

    row: int
    column: int
    text: str
    rowspan: int = 1
    colspan: int = 1
    align: Literal["left", "centre", "right"] = "left"
    indent: int = 0
    mark: Mark | None = None


@dataclass
class DrawnRegion:
    """One region: its class, its text, and its ink. A table has its cells too; their ink is among its marks."""

    label: str
    text: str
    marks: list[Mark]
    cells: list[TableCell] = field(default_factory=list)

    def box(self) -> Box:
        """Pixel xyxy around the ink."""
        return union(mark.box() for mark in self.marks)


@dataclass
class SyntheticPage:
    """A page of `width` x `height` pixels and its regions in reading order.

    `between` parts the regions in the page's text, headings apart: they have a blank line around them. `stamps` lie
    over the regions and are none themselves; `stamp_words` and `fonts` are what such a stamp says and how; without
    words there are none.
    """

    width: int
    height: int
    regions: list[DrawnRegion] = field(default_factory=list)
    between: str = "\n"
    fonts: Fonts = ImageFont.load_default
    stamp_words: Sequence[str] = ("COPY", "PAID", "RECEIVED")
    stamps: list[Mark] = field(default_factory=list)
    paper: Colour = (255, 255, 255)
    ink: Colour = (0, 0, 0)

    def write(
        self, label: str, words: list[Word], font: ImageFont.FreeTypeFont, bold: bool = False, separator: str = " "
    ) -> None:
        """Add a region of words in reading order; its text has `separator` between them."""
        marks = [write_mark(*word, font, bold) for word in words]
        self.regions.append(DrawnRegion(label, separator.join(word[0] for word in words), marks))

    def marks(self) -> Iterator[Mark]:
        """The ink of all regions."""
        for region in self.regions:
            yield from region.marks

    def image(self) -> Image.Image:
        """The page in RGB: every region's ink on the paper, and stamps, under which the ink stays dark."""
        page = Image.new("RGB", (self.width, self.height), self.paper)
        for mark in self.marks():
            page.paste(mark.colour or self.ink, (mark.left, mark.top), mask=mark.mask)
        for mark in self.stamps:
            layer = Image.new("RGB", page.size, "white")
            layer.paste(mark.colour, (mark.left, mark.top), mask=mark.mask)
            page = ImageChops.multiply(page, layer)
        return page

    def _text(self) -> str:
        shown = [region for region in self.regions if region.text]
        by_heading = [is_heading(before.label) or is_heading(behind.label) for before, behind in pairwise(shown)]
        gaps = ["\n\n" if beside else self.between for beside in by_heading]
        return "".join(region.text + gap for region, gap in zip(shown, [*gaps, ""]))

    def _on_page(self, box: Box) -> list[int]:
        """The part of a box that is on the page: ink beyond its edge is not to be seen."""
        left, top, right, bottom = box
        return [max(left, 0), max(top, 0), min(right, self.width), min(bottom, self.height)]

    def annotation(self) -> dict[str, Any]:
        """The page as the plain annotation folder has it, with two keys more where there is something to say:

        `cells`: every cell of its tables, `region` being the table's place in `bboxes`; `box` is around the ink of the
        cell's text, null where it is empty. `stamps`: the boxes of stamps, which are no regions.
        """
        annotation = {
            "text": self._text(),
            "bboxes": [self._on_page(region.box()) for region in self.regions],
            "labels": [region.label for region in self.regions],
            "texts": [region.text for region in self.regions],
        }
        cells = [_cell(i, cell) for i, region in enumerate(self.regions) for cell in region.cells]
        stamps = [list(mark.box()) for mark in self.stamps]
        return annotation | ({"cells": cells} if cells else {}) | ({"stamps": stamps} if stamps else {})


def _cell(region: int, cell: TableCell) -> dict[str, Any]:
    place = {name: getattr(cell, name) for name in ("row", "column", "rowspan", "colspan", "text")}
    return {"region": region, **place, "box": cell.mark and list(cell.mark.box())}


def union(boxes: Iterator[Box | None]) -> Box:
    """The box around all boxes."""
    left, top, right, bottom = zip(*filter(None, boxes), strict=True)
    return min(left), min(top), max(right), max(bottom)


def write_mark(text: str, x: float, y: float, anchor: str, font: ImageFont.FreeTypeFont, bold: bool = False) -> Mark:
    """A text as ink at (x, y)."""
    x0, y0, x1, y1 = font.getbbox(text, anchor=anchor)
    spread = max(1, round(BOLD * font.size)) if bold else 0
    left, top = math.floor(x + x0) - 2, math.floor(y + y0) - 2
    mask = Image.new("L", (math.ceil(x1 - x0 + spread) + 5, math.ceil(y1 - y0) + 5), 0)
    draw = ImageDraw.Draw(mask)
    for shift in range(spread + 1):
        draw.text((x - left + shift, y - top), text, fill=255, font=font, anchor=anchor)
    return Mark(mask, left, top)


def line_mark(lines: list[tuple[float, float, float, float]]) -> Mark:
    """Rules as ink: filled rectangles x0, y0, x1, y1, on whole pixels, at least one thick."""
    boxes = [
        (round(x0), round(y0), max(round(x1), round(x0) + 1), max(round(y1), round(y0) + 1)) for x0, y0, x1, y1 in lines
    ]
    left, top, right, bottom = union(iter(boxes))
    mask = Image.new("L", (right - left, bottom - top), 0)
    for x0, y0, x1, y1 in boxes:
        mask.paste(255, (x0 - left, y0 - top, x1 - left, y1 - top))
    return Mark(mask, left, top)
