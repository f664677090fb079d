"""Where markdown's pipe tables stand in a text, and their cells as written."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate

_DELIMITER = re.compile(r"[ \t]*\|?[ \t]*:?-+:?[ \t]*(?:\|[ \t]*:?-+:?[ \t]*)*\|?[ \t]*")
_LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+")
_UNESCAPED_PIPE = re.compile(r"(?<!\\)\|")
_OUTER_PIPE = re.compile(r"^\||(?<!\\)\|$")


@dataclass(frozen=True)
class PipeTable:
    """`start` is the offset of its first line. `rows`: cells as written, pipes unescaped; the head is the first row and
    the line of dashes is left out. Shorter rows are filled up with empty cells, longer ones keep theirs."""

    start: int
    rows: tuple[tuple[str, ...], ...]


def find_pipe_tables(text: str) -> Iterator[PipeTable]:
    """The pipe tables of a text in order: a head, a line of dashes, and lines with pipes; outer pipes may be missing.

    Source: the tables of GitHub Flavored Markdown, but the line of dashes may be shorter or longer than the head.
    """
    found = _LINE.findall(text)
    offsets = [0, *accumulate(map(len, found))]
    lines, at = [line.rstrip("\r\n") for line in found], 0
    while at < len(lines) - 1:
        if "|" not in lines[at] or "|" not in lines[at + 1] or not _DELIMITER.fullmatch(lines[at + 1]):
            at += 1
            continue
        start, at = at, at + 2
        while at < len(lines) and "|" in lines[at]:
            at += 1
        head, *rows = map(_cells, (lines[start], *lines[start + 2 : at]))
        yield PipeTable(offsets[start], (head, *(row + ("",) * (len(head) - len(row)) for row in rows)))


def _cells(row: str) -> tuple[str, ...]:
    return tuple(cell.strip().replace("\\|", "|") for cell in _UNESCAPED_PIPE.split(_OUTER_PIPE.sub("", row.strip())))
