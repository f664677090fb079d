"""Tickets: named fields in the cells of the typed slips, but another layout and other words than theirs.

The quickstart's new domain: the tiny base was not trained on a line of it.
"""

import random
from types import ModuleType

from data_scripts.synthetic.fonts import Fonts
from data_scripts.synthetic.page import SyntheticPage
from data_scripts.synthetic.primer import SIZES, cells, grid
from ocr2_hf.errors import UsageError

LINES = ("CITY BUS", "NIGHT TRAIN", "RIVER FERRY", "AIR COACH")
FEWEST_FIELDS, MOST_FIELDS = 3, 5


def draw_ticket(rng: random.Random, width: int, height: int, fonts: Fonts, words: ModuleType) -> SyntheticPage:
    """One ticket: who runs it, then fields one column in, every second row empty. Raises `UsageError` where the page is
    too small for one."""
    columns, rows = grid(width, height)
    if columns < 12 or rows < 2 * MOST_FIELDS + 2:
        raise UsageError(f"--size: {width}x{height} is too small for a ticket; 192x192 is its size")
    page, font = SyntheticPage(width, height, stamp_words=()), fonts(rng.randint(*SIZES))
    page.write("title", cells(rng, rng.choice(LINES), 0), font, separator="")
    for number, text in enumerate(_fields(rng, words), 1):
        page.write("text", cells(rng, text, 2 * number, first_column=1), font, separator="")
    return page


def _fields(rng: random.Random, words: ModuleType) -> list[str]:
    values = {
        "FROM": rng.choice(words.TOWNS).upper()[:6],
        "TO": rng.choice(words.TOWNS).upper()[:8],
        "SEAT": f"{rng.randint(1, 60)}{rng.choice('ABCDEF')}",
        "GATE": f"{rng.choice('ABCDEF')}{rng.randint(1, 40)}",
        "DATE": f"{rng.randint(1, 28):02d}-{rng.randint(1, 12):02d}",
        "TIME": f"{rng.randint(5, 23):02d}:{rng.randrange(60):02d}",
        "FARE": f"{rng.randint(2, 90)}.{rng.randrange(100):02d}",
    }
    names = rng.sample(list(values), rng.randint(FEWEST_FIELDS, MOST_FIELDS))
    return [f"{name} {values[name]}" for name in names]
