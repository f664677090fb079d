"""Synthetic predictions: pages of text, boxes and tables, and what a model might have read; nothing to learn from.

A page is drawn from its number and the seed alone, so the first pages of two files are the same.
"""

import random
from collections.abc import Iterator

from ocr2_hf.document.grounding import Region, encode_regions, parse_regions
from ocr2_hf.document.predictions import Prediction

WIDTH, HEIGHT = 1240, 1754  # A4 at 150 dpi
MARGIN = 100
WORDS = 4000
LANGUAGES = ("en", "de", "fr", "es")
_SYLLABLES = [first + vowel + last for first in "bcdfghklmnprst" for vowel in "aeiou" for last in ("", "n", "r", "s")]
# Shares of pages: with a table, with a formula, that a model did not end, that it repeats to the end, not read at all.
TABLES, FORMULAS, UNFINISHED, LOOPS, MISSING = 0.25, 0.1, 0.01, 0.01, 0.005
# Shares of regions that are not found, found elsewhere, and found where there are none.
LOST, MOVED, INVENTED = 0.03, 0.02, 0.02
SWAPPED = 0.05  # of pages: two regions in the wrong order
MEAN_ERRORS = 0.03  # of characters; pages differ


def make_predictions(pages: int, seed: int = 0) -> Iterator[Prediction]:
    """The pages one after the other, as `ocr2 evaluate` writes them: about 2,800 characters in 11 regions."""
    words = _vocabulary(random.Random(seed))
    return (_page(number, words, random.Random(f"{seed}/{number}")) for number in range(pages))


def _page(number: int, words: list[str], rng: random.Random) -> Prediction:
    wanted = list(_regions(words, rng))
    read = [] if (missing := rng.random() < MISSING) else list(_misread(wanted, words, rng))
    reference, prediction = (encode_regions(side, WIDTH, HEIGHT) for side in (wanted, read))
    if looping := rng.random() < LOOPS and bool(read):
        prediction += "\n\n" + f"{rng.choice(words)} " * 100
    return Prediction(
        f"page-{number:06}",
        prediction,
        reference,
        prompt="<image>\n<|grounding|>Convert the document to markdown.",
        width=WIDTH,
        height=HEIGHT,
        regions=parse_regions(prediction, WIDTH, HEIGHT),
        reference_regions=parse_regions(reference, WIDTH, HEIGHT),
        seconds=round(rng.uniform(0.5, 4), 3),
        tokens=len(prediction) // 3,
        finished=not (looping or rng.random() < UNFINISHED),
        task="markdown",
        language=rng.choice(LANGUAGES),
        missing=missing or None,
    )


def _vocabulary(rng: random.Random) -> list[str]:
    """Words as often as the list has them: the first by far the most, as in any language."""
    kinds = ["".join(rng.choices(_SYLLABLES, k=rng.choice((1, 1, 2, 2, 2, 3)))) for _ in range(WORDS)]
    return rng.choices(kinds, [1 / rank for rank in range(1, WORDS + 1)], k=20 * WORDS)


def _sentence(words: list[str], rng: random.Random, count: int) -> str:
    return " ".join(rng.choices(words, k=count)).capitalize()


def _regions(words: list[str], rng: random.Random) -> Iterator[Region]:
    """From the top of a page down, one below the other."""
    kinds = ["header", "title", *rng.choices(("text", "sub_title", "image"), (8, 2, 1), k=rng.randint(5, 12))]
    if rng.random() < TABLES:
        kinds.insert(rng.randrange(2, len(kinds)), "table")
    if rng.random() < FORMULAS:
        kinds.insert(rng.randrange(2, len(kinds)), "equation")
    top, step = MARGIN, (HEIGHT - 2 * MARGIN) / len(kinds)
    for kind in kinds:
        right = WIDTH - MARGIN - (rng.randint(0, 500) if kind in ("header", "title", "sub_title") else 0)
        box = (MARGIN, top, right, top + step * rng.uniform(0.6, 0.95))
        yield Region(kind, tuple(map(float, box)), _content(kind, words, rng))
        top += step


def _content(kind: str, words: list[str], rng: random.Random) -> str:
    if kind == "text":
        sentences = (_sentence(words, rng, rng.randint(8, 20)) for _ in range(rng.randint(2, 5)))
        return ". ".join(sentences) + "."
    if kind == "table":
        return _table(words, rng)
    if kind == "equation":
        a, b, n = (rng.choice("abcfgxyz") for _ in range(3))
        return rf"\[ {a}_{{{n}}} = \frac{{{b}^2 + {rng.randint(2, 99)}}}{{\sqrt{{{n}}}}} \]"
    if kind == "image":
        return ""
    marks = {"title": "# ", "sub_title": "## "}.get(kind, "")
    return marks + _sentence(words, rng, rng.randint(2, 6))


def _table(words: list[str], rng: random.Random) -> str:
    columns = rng.randint(3, 7)
    head = "".join(f"<th>{_sentence(words, rng, 1)}</th>" for _ in range(columns))
    rows = [f"<tr>{head}</tr>"]
    for _ in range(rng.randint(4, 14)):
        cells = "".join(f"<td>{rng.randint(0, 99999):,}</td>" for _ in range(columns - 1))
        rows.append(f"<tr><td>{_sentence(words, rng, rng.randint(1, 3))}</td>{cells}</tr>")
    return f"<table>{''.join(rows)}</table>"


def _misread(wanted: list[Region], words: list[str], rng: random.Random) -> Iterator[Region]:
    """The regions as a model has them: wrong characters, boxes that are a little off, some lost and some invented."""
    errors = min(rng.expovariate(1 / MEAN_ERRORS), 0.5)
    if rng.random() < SWAPPED:
        at = rng.randrange(len(wanted) - 1)
        wanted = [*wanted[:at], wanted[at + 1], wanted[at], *wanted[at + 2 :]]
    for region in wanted:
        if rng.random() < LOST:
            continue
        spread = 120 if rng.random() < MOVED else 6
        box = tuple(value + rng.gauss(0, spread) for value in region.box)
        yield Region(region.label, box, _misspelt(region.text, errors, rng))
        if rng.random() < INVENTED:
            yield Region("text", box, _sentence(words, rng, 12))


def _misspelt(text: str, errors: float, rng: random.Random) -> str:
    """Letters and digits exchanged, lost or doubled; marks and tags stay."""
    made = []
    in_tag = False
    for character in text:
        in_tag = character == "<" or (in_tag and character != ">")
        if in_tag or not character.isalnum() or rng.random() >= errors:
            made.append(character)
        else:
            made.append(rng.choice((rng.choice("aeiolnrt1507"), "", character * 2)))
    return "".join(made)
