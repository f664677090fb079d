"""Near-duplicate pages across splits: the same page scanned, saved or typed again, which would make a test lie.

Pages are compared by their text (how often each run of three characters occurs, then edit distance) and by how they
look (a thumbnail of 32x32 grey values). Thresholds were set on real pages: copies as JPEG of quality 30, at half size,
blurred or turned by a degree correlate by 0.93 or more with their page, different pages of one book by 0.95 or less.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from datasets import Dataset
from PIL import Image
from rapidfuzz.distance import Indel
from tqdm import tqdm

SIMILAR_TEXT = 0.9
SIMILAR_LOOK = 0.97
OTHER_TEXT = 0.5  # pages that look alike with texts as different as that are one form filled in twice
SHORTEST_TEXT = 50  # characters; shorter texts are alike by chance

_SIDE = 32
_BUCKETS = 1024
_ROWS = 1024  # pages compared at once with all of another split


@dataclass(frozen=True)
class Pair:
    """Two pages of two splits and how alike they are, 0 to 1; `text` is None where one has too little of it."""

    first_split: str
    first_id: str
    second_split: str
    second_id: str
    text: float | None
    look: float


@dataclass
class _Signatures:
    ids: list[str]
    texts: list[str]
    trigrams: np.ndarray  # [N, _BUCKETS] float32, rows of length 1; 0 where the text is too short
    looks: np.ndarray  # [N, _SIDE * _SIDE] float32, rows of length 1


def near_duplicates(splits: Mapping[str, Dataset]) -> list[Pair]:
    """The pairs of near-duplicate pages that stand in two of the `splits` (page records)."""
    if len(splits) < 2:
        return []
    signed = {name: _sign(dataset, name) for name, dataset in splits.items()}
    return [pair for first, second in combinations(signed, 2) for pair in _compare(signed, first, second)]


def _sign(dataset: Dataset, name: str) -> _Signatures:
    count = len(dataset)
    signatures = _Signatures([], [], np.zeros((count, _BUCKETS), "f4"), np.zeros((count, _SIDE * _SIDE), "f4"))
    pages = dataset.select_columns(["id", "text", "image"])
    for row, page in enumerate(tqdm(pages, desc=f"comparing {name}", unit=" pages")):
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
    image.draft("L", (_SIDE * 8, _SIDE * 8))  # a JPEG is decoded small
    grey = np.asarray(image.convert("L").resize((_SIDE, _SIDE), Image.Resampling.BOX), "f4").ravel()
    return _unit(grey - grey.mean())


def _unit(vector: np.ndarray) -> np.ndarray:
    length = np.linalg.norm(vector)
    return vector / length if length else vector


def _compare(signed: Mapping[str, _Signatures], first: str, second: str) -> Iterator[Pair]:
    one, other = signed[first], signed[second]
    for start in range(0, len(one.ids), _ROWS):
        rows = slice(start, start + _ROWS)
        looks = one.looks[rows] @ other.looks.T
        # Edits change up to three runs each: the bound is loose, edit distance decides.
        candidates = (one.trigrams[rows] @ other.trigrams.T > SIMILAR_TEXT - 0.1) | (looks >= SIMILAR_LOOK)
        for row, column in np.argwhere(candidates).tolist():
            look = float(looks[row, column])
            text = _text_similarity(one.texts[start + row], other.texts[column])
            if _is_pair(text, look):
                yield Pair(first, one.ids[start + row], second, other.ids[column], text, look)


def _text_similarity(one: str, other: str) -> float | None:
    if min(len(one), len(other)) < SHORTEST_TEXT:
        return None
    return Indel.normalized_similarity(one, other)


def _is_pair(text: float | None, look: float) -> bool:
    if text is None:
        return look >= SIMILAR_LOOK
    return text >= SIMILAR_TEXT or (look >= SIMILAR_LOOK and text >= OTHER_TEXT)
