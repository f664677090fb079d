"""The text of an element of hOCR. One that it holds itself and once more in the lines or words in it counts once."""

from typing import Any, NamedTuple

from rapidfuzz.distance import Levenshtein

from data_scripts.formats.hocr_elements import kind_of
from data_scripts.formats.layout import letters_of

# So alike is a text that was corrected to what it was, in texts of so many letters: shorter ones are alike by chance.
_ALIKE, _ALIKE_LETTERS = 0.8, range(10, 10_000)


class WrittenText(NamedTuple):
    """The text of an element; its own, where `is_repeated` by the hOCR elements in it, of which it `has` some."""

    text: str
    has: bool
    is_repeated: bool


def text_of(element: Any) -> str:
    """The element's text in one line."""
    text = written(element).text if len(element) else element.text or ""
    return " ".join(text.split())


def written(element: Any) -> WrittenText:
    """What is written in the element, with its blanks and line breaks."""
    own, inner, whole, has = [element.text or ""], [], [element.text or ""], False
    for child in element:
        text, has_more, _ = written(child)
        text = " " if child.tag == "br" else text
        is_inner = has_more or bool(kind_of(child))
        inner.append(text if is_inner else "")
        own += [" " if is_inner else text, child.tail or ""]
        whole += [text, child.tail or ""]
        has = has or is_inner
    is_repeated = has and _repeats(letters_of("".join(own)), letters_of("".join(inner)))
    return WrittenText("".join(own if is_repeated else whole), has, is_repeated)


def _repeats(own: str, inner: str) -> bool:
    """Are these the letters of one text, the second perhaps as it was before it was corrected?"""
    if own == inner:
        return bool(own)
    if len(own) not in _ALIKE_LETTERS or len(inner) not in _ALIKE_LETTERS:
        return False
    return Levenshtein.normalized_similarity(own, inner, score_cutoff=_ALIKE) > 0
