"""Prose: sentences of a small grammar, and how they break into lines."""

import random
import re
from dataclasses import dataclass
from functools import lru_cache
from types import ModuleType

from PIL import ImageFont

# A line neither begins with a closing sign nor ends with an opening one; figures and Latin words stay whole.
_UNITS = re.compile(r"[（《“\[]?(?:[A-Za-z0-9.%\-]+|.)[，。、；：）》”\]]*")


def fill(template: str, rng: random.Random, words: ModuleType, **given: object) -> str:
    """A template with its slots filled; `given` come first."""
    ranges = {"number": (3, 60), "percent": (2, 95), "year": (1998, 2029), "reference": (1, 9), "reference2": (10, 25)}

    def slot(match: re.Match) -> str:
        name = match[1]
        if name in given:
            return str(given[name])
        if name in ranges:
            return str(rng.randint(*ranges[name])) + "%" * (name == "percent")
        return rng.choice(words.SLOTS[name])

    text = re.sub(r"\{(\w+)\}", slot, template)
    return text[0].upper() + text[1:]


def units(text: str, words: ModuleType) -> list[str]:
    """The pieces between which a line may end."""
    return text.split() if words.SPACE else _UNITS.findall(text)


def paragraph(rng: random.Random, words: ModuleType) -> str:
    """Three to six sentences, no two of one pattern."""
    templates = rng.sample(words.SENTENCES, rng.randint(3, 6))
    return words.SPACE.join(fill(template, rng, words) for template in templates)


@dataclass
class Line:
    """The pieces of a line, where they start (pixels from the left edge), and whether the paragraph ends with it."""

    pieces: list[str]
    starts: list[float]


def break_lines(
    pieces: list[str], font: ImageFont.FreeTypeFont, width: float, words: ModuleType, indent: float, justified: bool
) -> list[Line]:
    """Pieces in lines of at most `width`; the first is indented, all but the last are stretched where `justified`."""
    space = font.getlength(words.SPACE) if words.SPACE else 0.0
    rows: list[list[tuple[str, float]]] = [[]]
    used = indent
    for piece in pieces:
        length = _length(font, piece)
        if rows[-1] and used + space + length > width:
            rows.append([])
            used = 0.0
        used += length + (space if rows[-1] else 0.0)
        rows[-1].append((piece, length))
    return [
        _line(row, width, space, indent if i == 0 else 0.0, justified and i + 1 < len(rows))
        for i, row in enumerate(rows)
    ]


@lru_cache(maxsize=4096)
def _length(font: ImageFont.FreeTypeFont, piece: str) -> float:
    return font.getlength(piece)


def _line(row: list[tuple[str, float]], width: float, space: float, indent: float, stretched: bool) -> Line:
    gaps = len(row) - 1
    if stretched and gaps:
        space = (width - indent - sum(length for _, length in row)) / gaps
    starts, x = [], indent
    for _, length in row:
        starts.append(x)
        x += length + space
    return Line([piece for piece, _ in row], starts)
