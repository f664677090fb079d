"""A page with its regions drawn on it, for a person to look at: boxes, labels and reading order."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from zlib import crc32

from PIL import Image, ImageColor, ImageDraw, ImageFont

from ocr2_hf.document.chips import Box, ChipPlaces
from ocr2_hf.document.dialect import CAPTION, EQUATION, IMAGES, TABLE, TABLE_CAPTION
from ocr2_hf.document.grounding import Region

# Okabe and Ito's palette without its yellow, which white paper swallows: colour-blind readers can tell these apart.
BLUE, RED, GREEN, PINK, ORANGE, SKY = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9"
PALETTE = (BLUE, RED, GREEN, PINK, ORANGE, SKY)
# Those that are often on one page differ.
_COLORS = {"text": BLUE, "title": RED, "sub_title": ORANGE, TABLE: GREEN, CAPTION: SKY, TABLE_CAPTION: SKY}
_COLORS |= dict.fromkeys(IMAGES, PINK) | {EQUATION: GREEN}

_FILL = 26  # of 255: the ink stays readable
_SMALLEST_FONT = 9
_TIGHT = 0.7  # of the usual font, where there is little room
# Sides of a picture for people, in pixels: between them text can be read, and it is no heavy file.
_SMALLEST_PICTURE, _LARGEST_PICTURE = 800, 1600


def draw_overlay(image: Image.Image, regions: Sequence[Region]) -> Image.Image:
    """A copy of `image` in RGB with every region's box, numbered in reading order; a label has one colour everywhere.

    Boxes are in pixels of the image. Labels are written where there are several and room. A number that would hide
    text is left out.
    """
    page = image.convert("RGB")
    layer = Image.new("RGBA", page.size, (0, 0, 0, 0))
    draw = ImageDraw.Draw(layer)
    line = max(1, round(max(page.size) / 600))
    frames = []
    for region in regions:
        left, top, right, bottom = map(round, region.box)
        frames.append((left - line, top - line, right + line, bottom + line))  # around the ink, not over it
        if left <= right and top <= bottom:  # what a model writes may be turned round
            color = label_color(region.label)
            draw.rectangle(frames[-1], fill=(*ImageColor.getrgb(color), _FILL), outline=color, width=line)
    places = ChipPlaces(page, frames)
    has_labels = len({region.label for region in regions}) > 1
    for number, (region, frame) in enumerate(zip(regions, frames, strict=True)):
        chips = _chips(number + 1, region.label if has_labels else "", frame[2] - frame[0], max(page.size))
        taken = places.take(number, [chip.size for chip in chips])
        if taken is not None:
            _draw_chip(draw, chips[taken[0]], taken[1], label_color(region.label))
    page.paste(layer, mask=layer.getchannel("A"))
    return page


def label_color(label: str) -> str:
    """The colour of a label, the same in every picture."""
    others = PALETTE[1:]  # most of a page is text
    return _COLORS.get(label) or others[crc32(label.encode(errors="replace")) % len(others)]


def example_picture(image: Image.Image, regions: Sequence[Region]) -> Image.Image:
    """`draw_overlay` at a size that people can look at: small pages are enlarged first, large ones reduced."""
    factor = -(-_SMALLEST_PICTURE // max(image.size)) if max(image.size) < _SMALLEST_PICTURE else 1
    enlarged = image.resize((image.width * factor, image.height * factor), Image.Resampling.NEAREST)
    moved = [replace(region, box=tuple(factor * side for side in region.box)) for region in regions]
    picture = draw_overlay(enlarged, moved)
    picture.thumbnail((_LARGEST_PICTURE, _LARGEST_PICTURE))
    return picture


@dataclass(frozen=True)
class _Chip:
    """A text on a plate of a `size` in pixels."""

    text: str
    font: ImageFont.FreeTypeFont
    size: tuple[float, float]


def _chips(number: int, label: str, room: int, side: int) -> list[_Chip]:
    """The chips that a region may have on a page so long, the best first: with its label where `room` is as wide."""
    font = max(_SMALLEST_FONT, round(side / 110))
    named = [_chip(f"{number} {label}", font)] if label else []
    numbered = [_chip(str(number), size) for size in (font, max(_SMALLEST_FONT, round(font * _TIGHT)))]
    return [chip for chip in named if chip.size[0] <= room] + numbered


def _chip(text: str, font_size: int) -> _Chip:
    font = _font(font_size)
    pad = max(2, round(font_size / 5))
    return _Chip(text, font, (font.getlength(text) + 2 * pad, font_size + pad))


@cache
def _font(size: int) -> ImageFont.FreeTypeFont:
    """Loading one takes as long as drawing many chips with it."""
    return ImageFont.load_default(size)


def _draw_chip(draw: ImageDraw.ImageDraw, chip: _Chip, place: Box, color: str) -> None:
    left, top, right, bottom = place
    draw.rectangle((left, top, right - 1, bottom - 1), fill=color)
    draw.text(((left + right) / 2, (top + bottom) / 2), chip.text, fill="white", font=chip.font, anchor="mm")
