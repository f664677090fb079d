"""Lines of text from rigid to loose, to go on reading with after the primer.

Each page draws how loose it is, from 0 to 1, and all of its layout follows from that. At 0 there are full rows of
characters, one in each cell of 16 pixels, as in the primer. Towards 1 lines become shorter and stand anywhere at any
distance, characters come as close as they do in print, and words, prices and codes take the place of random characters.
So every step of the way is on some page, and what is learned on rigid pages carries over to those a little looser.
"""

import random
from dataclasses import dataclass

from PIL import ImageFont

from ocr2_hf.errors import UsageError
from synthetic.page import LETTERS, Fonts, SyntheticPage
from synthetic.primer import CELL
from synthetic.words import draw_word

SIZES = (14, 16)  # font sizes in pixels
FIRST_BASELINE = 13
MOST_ROWS, MOST_LINES = 12, 8  # of a rigid page, of a loose one
LOOSE = 0.5  # from here on a page is no longer a grid


@dataclass
class _Layout:
    """`spread`: 1 where a character fills a cell, 0 where it takes its own width; places and distances in pixels."""

    font: ImageFont.FreeTypeFont
    looseness: float
    spread: float
    left: float
    top: float
    pitch: float
    align: str

    def advance(self, character: str) -> float:
        own = self.font.getlength(character)
        return own + self.spread * max(0.0, CELL - own)

    def width(self, text: str) -> float:
        return sum(map(self.advance, text))


def draw_lines(rng: random.Random, width: int, height: int, fonts: Fonts) -> SyntheticPage:
    """One page. Raises `UsageError` where it is too small."""
    if width < 6 * CELL or height < 6 * CELL:
        raise UsageError(f"--size: {width}x{height} is too small for lines; {6 * CELL}x{6 * CELL} is enough")
    layout = _choose_layout(rng, fonts)
    page = SyntheticPage(width, height)
    y = layout.top
    for _ in range(rng.randint(3, MOST_ROWS if layout.looseness < LOOSE else MOST_LINES)):
        if y > height - 4:
            break
        _write_line(rng, page, layout, y)
        y += layout.pitch
    return page


def _choose_layout(rng: random.Random, fonts: Fonts) -> _Layout:
    looseness = rng.random()
    closeness = max(0.0, (looseness - 0.3) / 0.7) * rng.random()
    return _Layout(
        font=fonts(rng.randint(*SIZES)),
        looseness=looseness,
        spread=1 - closeness,
        left=looseness * rng.uniform(0, 50),
        top=FIRST_BASELINE + looseness * rng.uniform(0, 30),
        pitch=CELL + looseness * rng.uniform(0, 8),
        align=rng.choice("lllcr") if looseness > LOOSE else "l",
    )


def _write_line(rng: random.Random, page: SyntheticPage, layout: _Layout, y: float) -> None:
    """One line at about the baseline `y`; characters of a rigid page stand a little off the middle of their cells."""
    loose = layout.looseness
    room = page.width - layout.left
    text = _choose_text(rng, layout, room * (1 - 0.8 * rng.uniform(0, loose)))
    width = layout.width(text)
    x = {"l": layout.left, "c": (page.width - width) / 2, "r": page.width - 2 - width}[layout.align]
    x, y = x + loose * rng.uniform(-1, 1), y + loose * rng.uniform(-1, 1)
    shift = 1 if layout.spread > 0.7 else 0
    words = []
    for character in text:
        advance = layout.advance(character)
        words.append((character, x + advance / 2 + rng.uniform(-shift, shift), y, "ms"))
        x += advance
    page.write("text", words, layout.font, separator="")


def _choose_text(rng: random.Random, layout: _Layout, room: float) -> str:
    """Words, or on rigid pages more often random characters, as many as fit into `room` pixels; at least one."""
    if rng.random() >= layout.looseness:
        return "".join(rng.choices(LETTERS, k=max(1, int((room + 0.5) / CELL))))
    text = draw_word(rng)
    for _ in range(3):
        longer = f"{text} {draw_word(rng)}"
        text = longer if layout.width(longer) <= room else text
    while layout.width(text) > room and len(text) > 1:
        text = text[:-1]
    return text.strip()
