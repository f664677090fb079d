"""How often generation goes wrong as a whole: a page ends in a loop, never ends, or says what is not there."""

import re
from collections.abc import Sequence

from rapidfuzz import fuzz
from rapidfuzz.distance import Postfix

from ocr2_hf.evaluation.text import normalize_text

# A piece of predicted text is at most so long; it is on the page when some stretch of the reference is that similar
# (100 is equal). Measured on 22 pages in English, French and German: pieces of other pages come to 54, of the page
# itself with every fifth character wrong to 67 and more.
PIECE_LENGTH = 64
MIN_SIMILARITY = 60
_PIECE = re.compile(rf"\S(?:.{{0,{PIECE_LENGTH - 2}}}\S)?(?=\s|\Z)|\S{{1,{PIECE_LENGTH}}}")
_MARKUP = re.compile(r"</?[a-zA-Z][^<>]{0,200}>")


def repetition_rate(predictions: Sequence[str]) -> float:
    """Share of pages whose text ends in a loop (see `ends_in_loop`). Raises ValueError on no pages."""
    if isinstance(predictions, str) or not len(predictions):
        raise ValueError("repetition_rate takes a list of at least one predicted text")
    return sum(map(ends_in_loop, predictions)) / len(predictions)


def invented_characters(prediction: str, reference: str) -> tuple[int, int]:
    """(invented, all) predicted characters of a page, spaces between pieces and HTML tags left out.

    The prediction is cut at spaces into pieces of up to 64 characters; a piece is invented when no stretch of the
    reference is 60% like it (2 x common characters in order / both lengths). So a misread word, a block in another
    place or one that comes twice is not invented, and all of a text is where the reference is empty.
    """
    predicted, page = (normalize_text(_MARKUP.sub(" ", text)) for text in (prediction, reference))
    pieces = _PIECE.findall(predicted)
    found = {piece: _is_on(page, piece) for piece in set(pieces)}  # a loop has the same pieces over and over
    return sum(len(piece) for piece in pieces if not found[piece]), sum(map(len, pieces))


def _is_on(page: str, piece: str) -> bool:
    if piece in page:
        return True
    # A page shorter than the piece must not be found inside it.
    score = fuzz.partial_ratio if len(page) >= len(piece) else fuzz.ratio
    return score(piece, page, score_cutoff=MIN_SIMILARITY) > 0


def ends_in_loop(text: str) -> bool:
    """Whether the tail of `text` is one unit repeated to the end, the last copy maybe cut short.

    A unit must come at least 6 times and cover 200 characters; one with a letter in it is also a loop when
    it comes 10 times and covers 60. Printed pages have long runs of digits, rules, dotted leaders, blanks
    and empty cells, but seldom that long, and a finished table breaks the run by its closing tag.
    """
    return any(map(_has_periodic_tail, {text, text.rstrip()}))


def _has_periodic_tail(text: str) -> bool:
    # A unit that comes 6 times is at most a sixth of the text.
    for period in range(1, len(text) // 6 + 1):
        if text[-1] != text[-1 - period]:
            continue
        # Of the longest suffix in which every character equals the one `period` before it.
        length = period + Postfix.similarity(text, text[:-period])
        repeats = length / period
        has_letter = any(character.isalpha() for character in text[-period:])
        if (repeats >= 6 and length >= 200) or (has_letter and repeats >= 10 and length >= 60):
            return True
    return False
