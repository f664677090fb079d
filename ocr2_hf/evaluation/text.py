"""Text metrics over a set of pages: character error rate, word error rate, normalised edit distance, exact match; and
which writing system a text is in.

Both sides are normalised first: Unicode NFC, every run of whitespace becomes one space, ends stripped. So a line break
is a space, and a composed and a decomposed accent are equal; case and punctuation count. With `strict` nothing is
normalised: the characters are compared as they are.

A character is a Unicode code point: an Arabic or Devanagari vowel sign and a tatweel count each as one. A word is what
whitespace parts, as in jiwer: in a script without spaces (Chinese, Japanese, Thai) a line is one word, so judge it by
the characters.
"""

import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence
from functools import lru_cache

from rapidfuzz.distance import Levenshtein

# Where Unicode's names of characters begin otherwise than the script is called.
_SCRIPT_NAMES = {"Cjk": "Han", "Ideographic": "Han", "Hiragana": "Kana", "Katakana": "Kana", "Bopomofo": "Han"}
# Japanese mixes Han and Kana; a text with this share of Kana is Japanese.
_KANA_SHARE = 0.1


def normalize_text(text: str) -> str:
    """NFC, whitespace runs to one space, stripped."""
    return " ".join(unicodedata.normalize("NFC", text).split())


def character_error_rate(predictions: Sequence[str], references: Sequence[str], strict: bool = False) -> float:
    """Character edits of all pages divided by the characters of all references.

    0 is perfect; it passes 1 when a prediction is much longer than its reference. When every reference is empty it is
    0.0 if every prediction is empty too, else 1.0. Raises ValueError on no pages or on lists of different lengths.
    """
    return _error_rate(_pairs(predictions, references, strict), str)


def word_error_rate(predictions: Sequence[str], references: Sequence[str], strict: bool = False) -> float:
    """Like `character_error_rate`, over words parted by whitespace."""
    return _error_rate(_pairs(predictions, references, strict), str.split)


def normalized_edit_distance(predictions: Sequence[str], references: Sequence[str], strict: bool = False) -> float:
    """Mean over pages of character edits / the longer text's length: 0 is perfect, 1 shares nothing.

    Two empty texts have distance 0. Raises ValueError on no pages or on lists of different lengths.
    """
    pairs = _pairs(predictions, references, strict)
    return sum(Levenshtein.normalized_distance(*pair) for pair in pairs) / len(pairs)


def exact_match(predictions: Sequence[str], references: Sequence[str], strict: bool = False) -> float:
    """Share of pages whose text is its reference. Raises ValueError on no pages or on lists of different lengths."""
    pairs = _pairs(predictions, references, strict)
    return sum(prediction == reference for prediction, reference in pairs) / len(pairs)


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


def _error_rate(pairs: Sequence[tuple[str, str]], split: Callable[[str], Sequence[str]]) -> float:
    edits = sum(Levenshtein.distance(split(prediction), split(reference)) for prediction, reference in pairs)
    length = sum(len(split(reference)) for _, reference in pairs)
    return edits / length if length else float(edits > 0)


def _pairs(predictions: Sequence[str], references: Sequence[str], strict: bool) -> list[tuple[str, str]]:
    if isinstance(predictions, str) or isinstance(references, str):
        raise ValueError("predictions and references are lists of texts, one per page, not one text")
    if len(predictions) != len(references):
        raise ValueError(f"{len(predictions)} predictions for {len(references)} references: give one per page")
    if not len(predictions):
        raise ValueError("no pages to score: predictions and references are empty")
    pairs = list(zip(predictions, references, strict=True))
    return pairs if strict else [(normalize_text(p), normalize_text(r)) for p, r in pairs]


@lru_cache(maxsize=20_000)
def _script(character: str) -> str | None:
    # Full-width and mathematical letters are read as the letters they stand for.
    plain = unicodedata.normalize("NFKC", character)[:1]
    if not unicodedata.category(plain).startswith("L"):
        return None
    name = unicodedata.name(plain, "").split(" ")[0].split("-")[0].capitalize()
    return _SCRIPT_NAMES.get(name, name) or None
