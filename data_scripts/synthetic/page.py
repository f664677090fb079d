"""A page being drawn: its regions as text and ink, so that every box is measured from the ink itself."""

import string
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFont

from ocr2_hf.errors import UsageError

# Fainter edges of anti-aliased letters do not count as ink.
INK_THRESHOLD = 32

LETTERS = string.ascii_letters + string.digits + ".,:-/"

Fonts = Callable[[int], ImageFont.FreeTypeFont]  # size in pixels -> font
Word = tuple[str, float, float, str]  # text, x, y, what (x, y) is the place of in the text (Pillow's anchor)


@dataclass
class Region:
    """One region: its class, its text, and its ink as a page-sized mask ("L", 0 where there is none)."""

    label: str
    text: str
    ink: Image.Image

    def box(self) -> tuple[int, int, int, int]:
        """Pixel xyxy around the ink."""
        return self.ink.point(lambda value: 255 if value >= INK_THRESHOLD else 0).getbbox()


@dataclass
class SyntheticPage:
    """A page of `width` x `height` pixels and its regions in reading order."""

    width: int
    height: int
    regions: list[Region] = field(default_factory=list)
    paper: tuple[int, int, int] = (255, 255, 255)
    ink: tuple[int, int, int] = (0, 0, 0)

    def write(self, label: str, words: list[Word], font: ImageFont.FreeTypeFont, separator: str = " ") -> None:
        """Add a region of words in reading order; its text has `separator` between them."""
        ink = Image.new("L", (self.width, self.height), 0)
        draw = ImageDraw.Draw(ink)
        for text, x, y, anchor in words:
            draw.text((x, y), text, fill=255, font=font, anchor=anchor)
        self.regions.append(Region(label, separator.join(word[0] for word in words), ink))

    def image(self) -> Image.Image:
        """The page in RGB: every region's ink on the paper."""
        page = Image.new("RGB", (self.width, self.height), self.paper)
        for region in self.regions:
            page.paste(self.ink, mask=region.ink)
        return page

    def annotation(self) -> dict[str, Any]:
        """The page as the plain annotation folder has it."""
        return {
            "text": "\n".join(region.text for region in self.regions),
            "bboxes": [list(region.box()) for region in self.regions],
            "labels": [region.label for region in self.regions],
            "texts": [region.text for region in self.regions],
        }


def load_fonts(path: Path | None) -> Fonts:
    """The font of a file, or Pillow's own (None), by size.

    Raises `UsageError` where the file is no font, or one without the letters and digits that are drawn.
    """
    if path is None:
        return cache(ImageFont.load_default)
    try:
        font = ImageFont.truetype(path, 16)
    except OSError as error:
        raise UsageError(f"--font: {path} cannot be read as a font: {error}") from error
    unknown = bytes(font.getmask("\uffff"))
    if missing := [letter for letter in LETTERS if bytes(font.getmask(letter)) in (unknown, b"")]:
        raise UsageError(f"--font: {path} has no {' '.join(missing)}")
    return cache(partial(ImageFont.truetype, path))
