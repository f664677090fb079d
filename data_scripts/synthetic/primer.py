"""Primer pages, to begin reading with: rows full of characters, one in each cell of 16 pixels, without a gap.

A model that sees one visual token per 16 pixels finds the next character always one token further. What it learns from
these pages is what characters look like; where to look it learns from boxes, on other pages.
"""

import random

from ocr2_hf.errors import UsageError
from synthetic.page import LETTERS, Fonts, SyntheticPage

CELL = 16
SIZES = (12, 16)  # pixels; larger letters would reach into the next cell
SHIFT = 1  # pixels a character may stand off the middle of its cell
BASELINE = 12  # pixels from the top of the cell


def draw_primer(rng: random.Random, width: int, height: int, fonts: Fonts) -> SyntheticPage:
    """One page: a single region whose text runs on from row to row. Raises `UsageError` where no cell fits."""
    columns, rows = width // CELL, height // CELL
    if not columns or not rows:
        raise UsageError(f"--size: {width}x{height} is too small for a cell of {CELL} pixels")
    page = SyntheticPage(width, height)
    words = []
    for row in range(rng.randint(max(1, rows // 4), rows)):
        for column in range(columns):
            x = CELL * column + CELL // 2 + rng.randint(-SHIFT, SHIFT)
            y = CELL * row + BASELINE + rng.randint(-SHIFT, SHIFT)
            words.append((rng.choice(LETTERS), x, y, "ms"))
    page.write("text", words, fonts(rng.randint(*SIZES)), separator="")
    return page
