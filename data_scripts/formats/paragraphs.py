"""A paragraph of the pieces and lines that a reader found it in, as one text without line breaks."""

import unicodedata
from collections.abc import Iterable

_NO_BLANK_BEFORE, _NO_BLANK_AFTER = tuple(".,;:!?)]}"), tuple("([{")
_WIDE = ("W", "F")  # of Chinese and Japanese, which have no blanks between words


def join_pieces(pieces: Iterable[str]) -> str:
    """Pieces of one line, with blanks between them: none before a comma, behind an opening bracket, in Chinese."""
    joined: list[str] = []
    for piece in filter(None, (piece.strip() for piece in pieces)):
        is_close = not joined or piece.startswith(_NO_BLANK_BEFORE) or joined[-1].endswith(_NO_BLANK_AFTER)
        joined += [piece] if is_close or _are_wide(joined[-1][-1], piece[0]) else [" ", piece]
    return "".join(joined)


def join_lines(lines: Iterable[str]) -> str:
    """Lines of one paragraph; a word that is parted by a hyphen at the end of a line is one again."""
    joined: list[str] = []
    for line in filter(None, (line.strip() for line in lines)):
        if joined and joined[-1].endswith("-") and joined[-1][-2:-1].isalpha() and line[0].islower():
            joined[-1] = joined[-1][:-1]
        elif joined and not _are_wide(joined[-1][-1], line[0]):
            joined.append(" ")
        joined.append(line)
    return "".join(joined)


def _are_wide(*characters: str) -> bool:
    return all(unicodedata.east_asian_width(character) in _WIDE for character in characters)
