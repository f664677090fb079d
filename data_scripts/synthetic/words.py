"""Single words of a page: listed, made up, prices, dates, codes; what stands there cannot be guessed."""

import random
from types import ModuleType

CODE = "ABCDEFGHJKLMNPRSTUVWXYZ23456789"  # none that looks like another
CONSONANTS, VOWELS = "bcdfghklmnprstvw", "aeiou"


def names(listed: str) -> list[str]:
    """What a language lists, with | between."""
    return listed.split("|")


def draw_word(rng: random.Random, words: ModuleType) -> str:
    """One word; those that are listed are of the language's `words`."""
    kind = rng.choice((_listed, _made_up, _price, _date, _code))
    return _listed(rng, words) if kind is _listed else kind(rng)


def _listed(rng: random.Random, words: ModuleType) -> str:
    return rng.choice(rng.choice((*words.ITEMS, *words.TOWNS, *words.SHOPS)).split())


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


def figure(value: int, mark: str) -> str:
    """A whole number with `mark` between thousands; one below zero in parentheses."""
    text = f"{abs(value):,}".replace(",", mark)
    return f"({text})" if value < 0 else text


def money(cents: int, mark: str) -> str:
    return f"{cents // 100}{mark}{cents % 100:02d}"
