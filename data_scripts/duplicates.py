"""Near-duplicate pages across splits: the same page scanned, saved or typed again, which would make a test lie.

Pages are compared by their text (how often each run of three characters occurs, then edit distance) and by how they
look (a thumbnail of 32x32 grey values). Thresholds were set on real pages: copies as JPEG of quality 30, at half size,
blurred or turned by a degree correlate by 0.93 or more with their page, different pages of one book by 0.95 or less.

Two receipts of one shop, or one form filled in twice, are as alike. What tells them from copies are the words and
numbers that few pages have: of a copy most are on both pages, of a form filled in twice most are not.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from datasets import Dataset
from PIL import Image
from rapidfuzz import process
from rapidfuzz.distance import Indel
from tqdm import tqdm

from ocr2_hf.data.page_rows import page_rows

SIMILAR_TEXT = 0.9
SIMILAR_LOOK = 0.97
OTHER_TEXT = 0.5  # pages that look alike with texts as different as that are one form filled in twice
SHORTEST_TEXT = 50  # characters; shorter texts are alike by chance
COPY, FORM, ALIKE = "copy", "form", "alike"  # one page twice; one form filled in twice; no text to tell the two apart

_SIDE = 32
_BUCKETS = 1024
_ROWS = 1024  # pages compared at once with all of another split
_FEW = 3  # pages that share a word which is not the form's
_SAME_WORD = 0.6  # misread words are as similar as that to what they are
_COPIED = 0.5  # share of its rare words, and of its rare numbers, that a copy has
_SHORTEST_WORD = 3  # characters; shorter ones are like any other


@dataclass(frozen=True)
class Pair:
    """Two pages of two splits and how alike they are: COPY, FORM or ALIKE.

    `text` is the share of the characters of both that they have in common, in order, by edit distance; None where one
    page has too little. `look` is the correlation of their thumbnails. 1 is the same.
    """

    first_split: str
    first_id: str
    second_split: str
    second_id: str
    text: float | None
    look: float
    kind: str


@dataclass
class _Signatures:
    ids: list[str]
    texts: list[str]
    trigrams: np.ndarray  # [N, _BUCKETS] float32, rows of length 1; 0 where the text is too short
    looks: np.ndarray  # [N, _SIDE * _SIDE] float32, rows of length 1


def near_duplicates(splits: Mapping[str, Dataset]) -> list[Pair]:
    """The pairs of pages in two of the `splits` (page records) that are copies, forms filled in twice, or alike."""
    if len(splits) < 2:
        return []
    signed = {name: _sign(dataset, name) for name, dataset in splits.items()}
    usage = Counter(word for part in signed.values() for text in part.texts for word in set(_words(text)))
    return [pair for first, second in combinations(signed, 2) for pair in _compare(signed, first, second, usage)]


def _sign(dataset: Dataset, name: str) -> _Signatures:
    count = len(dataset)
    signatures = _Signatures([], [], np.zeros((count, _BUCKETS), "f4"), np.zeros((count, _SIDE * _SIDE), "f4"))
    pages = dataset.select_columns(["id", "text", "image"])
    for row, page in enumerate(tqdm(page_rows(pages), total=count, desc=f"comparing {name}", unit=" pages")):
        text = " ".join(page["text"].split())
        signatures.ids.append(page["id"])
        signatures.texts.append(text)
        signatures.trigrams[row] = _trigrams(text) if len(text) >= SHORTEST_TEXT else 0
        signatures.looks[row] = _look(page["image"])
    return signatures


def _trigrams(text: str) -> np.ndarray:
    codes = np.frombuffer(text.encode("utf-32-le"), "u4").astype("u8")
    hashed = (codes[:-2] * 961_748_927 + codes[1:-1] * 31_337 + codes[2:]) * 2_654_435_761 >> 7
    return _unit(np.bincount((hashed % _BUCKETS).astype(int), minlength=_BUCKETS))


def _look(image: Image.Image) -> np.ndarray:
    grey = np.asarray(image.convert("L").resize((_SIDE, _SIDE), Image.Resampling.BOX), "f4").ravel()
    return _unit(grey - grey.mean())


def _unit(vector: np.ndarray) -> np.ndarray:
    length = np.linalg.norm(vector)
    return vector / length if length else vector


def _compare(signed: Mapping[str, _Signatures], first: str, second: str, usage: Counter[str]) -> Iterator[Pair]:
    one, other = signed[first], signed[second]
    for start in range(0, len(one.ids), _ROWS):
        rows = slice(start, start + _ROWS)
        looks = one.looks[rows] @ other.looks.T
        # Edits change up to three runs each: the bound is loose, edit distance decides.
        candidates = (one.trigrams[rows] @ other.trigrams.T > SIMILAR_TEXT - 0.1) | (looks >= SIMILAR_LOOK)
        for row, column in np.argwhere(candidates).tolist():
            look, texts = float(looks[row, column]), (one.texts[start + row], other.texts[column])
            text = _text_similarity(*texts)
            if _is_pair(text, look):
                kind = ALIKE if text is None else FORM if _is_form(*texts, usage) else COPY
                yield Pair(first, one.ids[start + row], second, other.ids[column], text, look, kind)


def _text_similarity(one: str, other: str) -> float | None:
    if min(len(one), len(other)) < SHORTEST_TEXT:
        return None
    return Indel.normalized_similarity(one, other)


def _is_pair(text: float | None, look: float) -> bool:
    if text is None:
        return look >= SIMILAR_LOOK
    return text >= SIMILAR_TEXT or (look >= SIMILAR_LOOK and text >= OTHER_TEXT)


def _is_form(one: str, other: str, usage: Counter[str]) -> bool:
    """Are the two alike only in what is printed on every page? `usage` counts the pages that have a word."""
    sides = set(_words(one)), set(_words(other))
    rare = [
        (word, words) for side, words in (sides, sides[::-1]) for word in side if usage[word] <= _FEW and _counts(word)
    ]
    numbers = [word in words for word, words in rare if word.isdigit()]
    others = [_is_there(word, words) for word, words in rare if not word.isdigit()]
    return any(len(found) - sum(found) > 1 and sum(found) <= _COPIED * len(found) for found in (numbers, others))


def _counts(word: str) -> bool:
    return word.isdigit() or len(word) >= _SHORTEST_WORD


def _is_there(word: str, words: set[str]) -> bool:
    if word in words:
        return True
    return process.extractOne(word, words, scorer=Indel.normalized_similarity, score_cutoff=_SAME_WORD) is not None


def _words(text: str) -> list[str]:
    """The words in small letters; of those that are mostly digits the digits, whatever parts or surrounds them."""
    return [_digits(word) or word for word in text.casefold().split()]


def _digits(word: str) -> str:
    digits = "".join(filter(str.isdecimal, word))
    return digits if 2 * len(digits) > sum(map(str.isalnum, word)) else ""
