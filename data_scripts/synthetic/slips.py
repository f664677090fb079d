"""Slips: pages of a few short lines, the domain of the tiny model that reads.

Half are short receipts (a shop, items with prices, a total that adds up), half are loose lines of words, made-up words,
prices, dates and codes, so that what stands there cannot be guessed.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass

from PIL import ImageFont

from ocr2_hf.errors import UsageError
from synthetic.page import Fonts, SyntheticPage, Word
from synthetic.receipts import FOOTERS, ITEMS, SHOPS
from synthetic.words import draw_word, money

SIZES = (13, 17)  # font sizes in pixels
PITCH = (1.25, 1.6)  # from line to line, in font sizes
MARGIN = 6
FEWEST_LINES, MOST_LINES = 3, 7

Fits = Callable[[str], bool]  # whether a text fits in a line


@dataclass(frozen=True)
class Line:
    """A line: `left`, and where it has one, a price at the right margin."""

    label: str
    left: str
    price: str = ""


def draw_slip(rng: random.Random, width: int, height: int, fonts: Fonts) -> SyntheticPage:
    """One slip. Raises `UsageError` where the page is too small for one."""
    font = fonts(rng.randint(*SIZES))
    pitch = font.size * rng.uniform(*PITCH)
    room = height - 2 * MARGIN
    most = min(MOST_LINES, int(room / pitch))
    if most < FEWEST_LINES or width - 2 * MARGIN < 10 * font.size:
        raise UsageError(f"--size: {width}x{height} is too small for a slip; 192x192 is its size")
    compose = rng.choice((_receipt, _loose_lines))
    lines = compose(rng, rng.randint(FEWEST_LINES, most), lambda text: font.getlength(text) <= width - 2 * MARGIN)
    return _lay_out(rng, lines, SyntheticPage(width, height), font, pitch)


def _lay_out(
    rng: random.Random, lines: list[Line], page: SyntheticPage, font: ImageFont.FreeTypeFont, pitch: float
) -> SyntheticPage:
    """Write the lines somewhere on the page, at the left, in the middle, or, with prices, between the margins."""
    widest = max(font.getlength(line.left) for line in lines)
    indent = MARGIN + rng.uniform(0, page.width - 2 * MARGIN - widest)
    is_centred = rng.random() < 0.3
    y = MARGIN + 0.8 * font.size + rng.uniform(0, page.height - 2 * MARGIN - len(lines) * pitch)
    for line in lines:
        if line.price:
            words: list[Word] = [(line.left, MARGIN, y, "ls"), (line.price, page.width - MARGIN, y, "rs")]
        elif is_centred or line.label != "text":
            words = [(line.left, page.width / 2, y, "ms")]
        else:
            words = [(line.left, indent, y, "ls")]
        page.write(line.label, words, font)
        y += pitch
    return page


def _receipt(rng: random.Random, count: int, fits: Fits) -> list[Line]:
    """Title, items, total, and, where there is room beside one item, sometimes a footer."""
    mark = rng.choice(".,")
    footer = [Line("footer", rng.choice([text for text in FOOTERS if fits(text)]))] if rng.random() < 0.5 else []
    items, total = [], 0
    for _ in range(max(1, count - 2 - len(footer))):
        cents = rng.randrange(40, 2000, 5)
        price = money(cents, mark)
        name = rng.choice([text for text in ITEMS if fits(f"{text}  {price}")])
        items.append(Line("text", name, price))
        total += cents
    title = Line("title", rng.choice([text for text in SHOPS if fits(text)]))
    return [title, *items, Line("text", "Total", money(total, mark)), *footer][:count]


def _loose_lines(rng: random.Random, count: int, fits: Fits) -> list[Line]:
    lines = []
    for _ in range(count):
        text = draw_word(rng)
        for _ in range(rng.randint(0, 3)):
            longer = f"{text} {draw_word(rng)}"
            text = longer if fits(longer) else text
        lines.append(Line("text", text))
    return lines
