"""Typed slips: short receipts and lines on a grid of 16-pixel cells, one character in each, as old tills print them.

They are what a model of one visual token per 16 pixels and two million weights can learn to read on a CPU.
"""

import random
from types import ModuleType

from data_scripts.synthetic.fonts import Fonts
from data_scripts.synthetic.page import SyntheticPage
from data_scripts.synthetic.primer import CELL, SIZES, cells, grid
from data_scripts.synthetic.words import draw_word, money
from ocr2_hf.errors import UsageError

FEWEST_ROWS = 4
LOWEST_START = 2  # rows left empty above, at most
Line = tuple[str, str]  # label, text


def draw_typed(rng: random.Random, width: int, height: int, fonts: Fonts, words: ModuleType) -> SyntheticPage:
    """One slip, in half of the cases a receipt. Raises `UsageError` where the page is too small for one."""
    columns, rows = grid(width, height)
    if columns < 10 or rows < FEWEST_ROWS + LOWEST_START:
        raise UsageError(f"--size: {width}x{height} is too small; 10 columns and 6 rows of {CELL} pixels are enough")
    start = rng.randint(0, LOWEST_START)
    count = rng.randint(FEWEST_ROWS, rows - start)
    lines = rng.choice((_receipt, _loose_lines))(rng, count, columns, words)
    page, font = SyntheticPage(width, height, stamp_words=()), fonts(rng.randint(*SIZES))
    for row, (label, text) in enumerate(lines, start):
        page.write(label, cells(rng, text, row), font, separator="")
    return page


def _receipt(rng: random.Random, count: int, columns: int, words: ModuleType) -> list[Line]:
    """A shop, items with their prices at the right edge, the total, a footer; what is too long is cut off."""
    mark = rng.choice(".,")
    lines, total = [("title", rng.choice(words.SHOPS)[:columns].rstrip())], 0
    for _ in range(count - 3):
        cents = rng.randrange(40, 2000, 5)
        total += cents
        lines.append(("text", _row(rng.choice(words.ITEMS), money(cents, mark), columns)))
    lines.append(("text", _row("Total", money(total, mark), columns)))
    return [*lines, ("footer", rng.choice(words.FOOTERS)[:columns].rstrip())]


def _row(name: str, price: str, columns: int) -> str:
    room = columns - len(price) - 1
    return f"{name[:room]:<{room}} {price}"


def _loose_lines(rng: random.Random, count: int, columns: int, words: ModuleType) -> list[Line]:
    lines = []
    for _ in range(count):
        text = draw_word(rng, words)
        for _ in range(rng.randint(0, 2)):
            longer = f"{text} {draw_word(rng, words)}"
            text = longer if len(longer) <= columns else text
        lines.append(("text", text[:columns]))
    return lines
