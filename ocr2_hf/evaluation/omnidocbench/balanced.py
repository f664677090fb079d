r"""Tables cut out of a page's markdown: `<table>...</table>`, `\begin{table}` and `\begin{tabular}`.

Source: utils/extract.py of the official scorer (`extract_html_table`, `extract_tabular`, `extract_tex_table`).
"""

import re
from dataclasses import dataclass

Span = tuple[int, int]


@dataclass(frozen=True)
class _Marks:
    """Opening and closing mark of a table, and how far the search moves on after one.

    The official scorer moves by the length of a pattern, not of what matched: so an empty `<table></table>` is not
    seen, and a tabular has one character too many.
    """

    begin: re.Pattern[str]
    end: re.Pattern[str]
    step: int


_HTML = _Marks(re.compile("<table[^>]*>"), re.compile("</table>"), 8)
_TABULAR = _Marks(re.compile(r"\\begin\{tabular\}"), re.compile(r"\\end\{tabular\}"), 14)
_AFTER_UNCLOSED = 16
_LATEX_TABLE = re.compile(r"\\begin\{table\}.*?\\end\{table\}", re.DOTALL)


def html_tables(text: str) -> list[Span]:
    """Outermost HTML tables. One that is never closed is passed over, and what it holds is searched."""
    return _outermost(text, _HTML)


def latex_tables(text: str) -> list[Span]:
    """LaTeX tables, with their tabulars, and the tabulars outside them."""
    spans = [match.span() for match in _LATEX_TABLE.finditer(text)]
    for span in spans:
        text = blank(text, span)
    return sorted(spans + _outermost(text, _TABULAR), key=lambda span: span[0])


def blank(text: str, span: Span) -> str:
    """`text` with spaces in place of the span, so that what follows keeps its position."""
    start, end = span
    return text[:start] + " " * (end - start) + text[end:]


def _outermost(text: str, marks: _Marks) -> list[Span]:
    found: list[Span] = []
    start = 0
    while True:
        closed, unclosed = _scan(text, start, marks)
        found += closed
        if unclosed is None:
            return found
        start = unclosed + _AFTER_UNCLOSED


def _scan(text: str, position: int, marks: _Marks) -> tuple[list[Span], int | None]:
    """The tables from `position` on, and where the first that is never closed begins."""
    found, open_at = [], []
    begin, end = marks.begin.search(text, position), marks.end.search(text, position)
    while position < len(text) and (begin or end):
        if begin and (not end or begin.start() < end.start()):
            open_at.append(begin.start())
            position = begin.start() + marks.step
        else:
            position = end.start() + marks.step
            if open_at:
                first = open_at.pop()
                if not open_at:
                    found.append((first, min(position, len(text))))
        if begin and begin.start() < position:
            begin = marks.begin.search(text, position)
        if end and end.start() < position:
            end = marks.end.search(text, position)
    return found, open_at[0] if open_at else None
