"""Which writing system a text is in."""

import unicodedata
from collections import Counter
from functools import lru_cache

# Where Unicode's names of characters begin otherwise than the script is called.
_NAMES = {"Cjk": "Han", "Ideographic": "Han", "Hiragana": "Kana", "Katakana": "Kana", "Bopomofo": "Han"}
# Japanese mixes Han and Kana; a text with this share of Kana is Japanese.
_KANA_SHARE = 0.1


def dominant_script(text: str) -> str | None:
    """The script of most letters: "Latin", "Arabic", "Devanagari", "Han", "Cyrillic", "Japanese" (Han with Kana), ...

    By the first word of the characters' Unicode names; None for a text without letters.
    """
    letters = Counter()
    for character, count in Counter(text).items():
        if script := _script(character):
            letters[script] += count
    if not letters:
        return None
    if letters["Kana"] >= _KANA_SHARE * letters.total():
        return "Japanese"
    return letters.most_common(1)[0][0]


@lru_cache(maxsize=20_000)
def _script(character: str) -> str | None:
    # Full-width and mathematical letters are read as the letters they stand for.
    plain = unicodedata.normalize("NFKC", character)[:1]
    if not unicodedata.category(plain).startswith("L"):
        return None
    name = unicodedata.name(plain, "").split(" ")[0].split("-")[0].capitalize()
    return _NAMES.get(name, name) or None
