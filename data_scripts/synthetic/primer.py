"""Primer pages, to begin reading with: characters that nothing foretells, one in each cell of 16 pixels.

A model of one visual token per 16 pixels finds the next character one token further. From the primer, whose rows are
full, it learns what characters look like; from ragged pages, whose rows end anywhere, where the next row begins. Pages
of words would teach it to guess instead.
"""

import random
from types import ModuleType

from data_scripts.synthetic.fonts import LETTERS, Fonts
from data_scripts.synthetic.page import SyntheticPage, Word
from ocr2_hf.errors import UsageError

CELL = 16
SIZES = (12, 16)  # pixels; larger letters would reach into the next cell
SHIFT = 1  # pixels a character may stand off the middle of its cell
BASELINE = 12  # pixels from the top of the cell


def draw_primer(rng: random.Random, width: int, height: int, fonts: Fonts, _: ModuleType) -> SyntheticPage:
    """Full rows in a single region whose text runs on from row to row. Raises `UsageError` where no cell fits."""
    columns, rows = grid(width, height)
    page, font = SyntheticPage(width, height, stamp_words=()), fonts(rng.randint(*SIZES))
    words = []
    for row in range(rng.randint(max(1, rows // 4), rows)):
        words += cells(rng, "".join(rng.choices(LETTERS, k=columns)), row)
    page.write("text", words, font, separator="")
    return page


def draw_ragged(rng: random.Random, width: int, height: int, fonts: Fonts, _: ModuleType) -> SyntheticPage:
    """Rows of their own regions, of one page all nearly full, of another of any length, from the first row or a lower
    one. Raises `UsageError` where no cell fits."""
    columns, rows = grid(width, height)
    page, font = SyntheticPage(width, height, stamp_words=()), fonts(rng.randint(*SIZES))
    raggedness = rng.randrange(columns)
    start = rng.choice((0, 0, rng.randrange(1 + rows // 4)))
    for row in range(start, start + rng.randint(max(1, rows // 4), rows - start)):
        text = "".join(rng.choices(LETTERS, k=columns - rng.randint(0, raggedness)))
        page.write("text", cells(rng, text, row), font, separator="")
    return page


def grid(width: int, height: int) -> tuple[int, int]:
    """Columns and rows of cells; `UsageError` where the page has none."""
    if min(width, height) < CELL:
        raise UsageError(f"--size: {width}x{height} is too small for a cell of {CELL} pixels")
    return width // CELL, height // CELL


def cells(rng: random.Random, text: str, row: int, first_column: int = 0) -> list[Word]:
    """The characters of a row as words, each at about the middle of its cell."""
    words = []
    for column, character in enumerate(text, first_column):
        x = CELL * column + CELL // 2 + rng.randint(-SHIFT, SHIFT)
        y = CELL * row + BASELINE + rng.randint(-SHIFT, SHIFT)
        words.append((character, x, y, "ms"))
    return words
