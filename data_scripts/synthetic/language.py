"""What pages say: the word lists of each language, single words, amounts, and sentences broken into lines.

The word lists are `english.yaml` and `chinese.yaml`, which have the same keys.
"""

import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import yaml
from PIL import ImageFont

Words = SimpleNamespace  # a language's word lists by their keys

LANGUAGES = {"en": "english", "zh": "chinese"}
SIGNS = "()[]%=*&'+"
CODE = "ABCDEFGHJKLMNPRSTUVWXYZ23456789"  # none that looks like another
CONSONANTS, VOWELS = "bcdfghklmnprstvw", "aeiou"

# A line neither begins with a closing sign nor ends with an opening one; numbers and Latin words stay whole.
_UNITS = re.compile(r"[（《“\[]?(?:[A-Za-z0-9.%\-]+|.)[，。、；：）》”\]]*")


@cache
def load_words(language: str) -> Words:
    """The word lists of one of `LANGUAGES`."""
    path = Path(__file__).with_name(f"{LANGUAGES[language]}.yaml")
    return Words(**yaml.safe_load(path.read_text(encoding="utf-8")))


def letters(words: Words) -> str:
    """Every letter and sign that pages of the language may hold, once."""
    texts = _texts([value for name, value in vars(words).items() if name != "face"])
    return "".join(dict.fromkeys(SIGNS + "".join(texts))).replace(" ", "")


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif not isinstance(value, float):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _texts(item)


def draw_word(rng: random.Random, words: Words) -> str:
    """One word that cannot be guessed from its place: listed, made up, a price, a date or a code."""
    kind = rng.choice((_listed, _made_up, _price, _date, _code))
    return _listed(rng, words) if kind is _listed else kind(rng)


def _listed(rng: random.Random, words: Words) -> str:
    return rng.choice(rng.choice((*words.items, *words.towns, *words.shops)).split())


def _made_up(rng: random.Random) -> str:
    """Syllables, sometimes with a capital."""
    word = "".join(rng.choice(CONSONANTS) + rng.choice(VOWELS) for _ in range(rng.randint(1, 3)))
    word += rng.choice(("", *CONSONANTS))
    return rng.choice((word, word.capitalize()))


def _price(rng: random.Random) -> str:
    return money(rng.randrange(10, 10000), rng.choice(".,"))


def _date(rng: random.Random) -> str:
    return f"{rng.randint(1, 28):02d}{rng.choice('.-/')}{rng.randint(1, 12):02d}"


def _code(rng: random.Random) -> str:
    return "".join(rng.choices(CODE, k=rng.randint(3, 6)))


def amount(value: int, mark: str) -> str:
    """A whole number with `mark` between thousands; one below zero in parentheses."""
    text = f"{abs(value):,}".replace(",", mark)
    return f"({text})" if value < 0 else text


def money(cents: int, mark: str) -> str:
    """A price with `mark` before the cents."""
    return f"{cents // 100}{mark}{cents % 100:02d}"


def fill(template: str, rng: random.Random, words: Words, **given: object) -> str:
    """A template with its slots filled; `given` come first."""
    ranges = {"number": (3, 60), "percent": (2, 95), "year": (1998, 2029), "reference": (1, 9), "reference2": (10, 25)}

    def slot(match: re.Match) -> str:
        name = match[1]
        if name in given:
            return str(given[name])
        if name in ranges:
            return str(rng.randint(*ranges[name])) + "%" * (name == "percent")
        return rng.choice(words.slots[name])

    text = re.sub(r"\{(\w+)\}", slot, template)
    return text[0].upper() + text[1:]


def units(text: str, words: Words) -> list[str]:
    """The pieces between which a line may end."""
    return text.split() if words.space else _UNITS.findall(text)


def paragraph(rng: random.Random, words: Words) -> str:
    """Three to six sentences, no two of one pattern."""
    templates = rng.sample(words.sentences, rng.randint(3, 6))
    return words.space.join(fill(template, rng, words) for template in templates)


@dataclass
class TextLine:
    """The pieces of a line, and where they start, in pixels from the left edge."""

    pieces: list[str]
    starts: list[float]


def break_lines(
    pieces: list[str], font: ImageFont.FreeTypeFont, width: float, words: Words, indent: float, justified: bool
) -> list[TextLine]:
    """Pieces in lines of at most `width`; the first is indented, all but the last are stretched where `justified`."""
    space = font.getlength(words.space) if words.space else 0.0
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


def _line(row: list[tuple[str, float]], width: float, space: float, indent: float, stretched: bool) -> TextLine:
    gaps = len(row) - 1
    if stretched and gaps:
        space = (width - indent - sum(length for _, length in row)) / gaps
    starts, x = [], indent
    for _, length in row:
        starts.append(x)
        x += length + space
    return TextLine([piece for piece, _ in row], starts)
