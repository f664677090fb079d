"""Where markdown's pipe tables stand in a text, and their cells as written."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate

_DELIMITER = re.compile(r"[ \t]*\|?[ \t]*:?-+:?[ \t]*(?:\|[ \t]*:?-+:?[ \t]*)*\|?[ \t]*")
_UNESCAPED_PIPE = re.compile(r"(?<!\\)\|")
_OUTER_PIPE = re.compile(r"^\||(?<!\\)\|$")


@dataclass(frozen=True)
class PipeTable:
    """`start` is the offset of its first line. `rows`: cells as written, pipes unescaped; the head is the first row,
    the line of dashes is left out; rows may differ in length."""

    start: int
    rows: tuple[tuple[str, ...], ...]


def find_pipe_tables(text: str) -> Iterator[PipeTable]:
    """The pipe tables of a text in order: a head, a line of dashes, and lines with pipes; outer pipes may be missing.

    Source: the tables of GitHub Flavored Markdown, but the line of dashes may be shorter or longer than the head.
    """
    lines = text.split("\n")
    offsets = [0, *accumulate(len(line) + 1 for line in lines)]
    at = 0
    while at < len(lines) - 1:
        if "|" not in lines[at] or "|" not in lines[at + 1] or not _DELIMITER.fullmatch(lines[at + 1]):
            at += 1
            continue
        start, at = at, at + 2
        while at < len(lines) and "|" in lines[at]:
            at += 1
        yield PipeTable(offsets[start], tuple(map(_cells, (lines[start], *lines[start + 2 : at]))))


def escape_stray_brackets(text: str) -> str:
    """What is no tag is text: "a < b"."""
    return re.sub(r"<(?![a-zA-Z/])", "&lt;", text)


def _cells(row: str) -> tuple[str, ...]:
    return tuple(cell.strip().replace("\\|", "|") for cell in _UNESCAPED_PIPE.split(_OUTER_PIPE.sub("", row.strip())))
