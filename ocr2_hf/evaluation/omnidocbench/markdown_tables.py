r"""Tables of a page's markdown: HTML and LaTeX cut out, pipe tables turned into HTML.

Source: utils/extract.py (`extract_html_table`, `extract_tabular`, `extract_tex_table`, `convert_markdown_to_html`,
`replace_table_with_placeholder`) and modules/table_utils.py (`merge_tables`) of the official scorer.
"""

import re
from collections.abc import Sequence

Span = tuple[int, int]

# Opening and closing mark of a table, and how far the search moves on after one. The official scorer moves by the
# length of a pattern, not of what matched: so an empty `<table></table>` is not seen, and a tabular has one character
# too many.
_Marks = tuple[re.Pattern[str], re.Pattern[str], int]
_HTML: _Marks = (re.compile("<table[^>]*>"), re.compile("</table>"), 8)
_TABULAR: _Marks = (re.compile(r"\\begin\{tabular\}"), re.compile(r"\\end\{tabular\}"), 14)
_AFTER_UNCLOSED = 16
_LATEX_TABLE = re.compile(r"\\begin\{table\}.*?\\end\{table\}", re.DOTALL)

_BARS = re.compile(r"\|.*?\|\n", re.DOTALL)
_FRAME = re.compile("</?t(?:able|head|body)>")
_COMMENT = re.compile("<!--.*?-->", re.DOTALL)
_TABLE = re.compile("<table>.*?</table>", re.DOTALL)


def html_tables(text: str) -> list[Span]:
    """Outermost HTML tables. One that is never closed is passed over, and what it holds is searched."""
    return _outermost(text, _HTML)


def latex_tables(text: str) -> list[Span]:
    """LaTeX tables, with their tabulars, and the tabulars outside them."""
    spans = [match.span() for match in _LATEX_TABLE.finditer(text)]
    return sorted(spans + _outermost(blank(text, spans), _TABULAR))


def blank(text: str, spans: Sequence[Span]) -> str:
    """`text` with spaces in place of the spans, so that what follows keeps its position."""
    for start, end in spans:
        text = text[:start] + " " * (end - start) + text[end:]
    return text


def has_pipe_table(text: str) -> bool:
    """Whether there are two runs from a bar to the next bar at a line's end."""
    return len(_BARS.findall(text + "\n")) >= 2


def pipe_tables_to_html(text: str) -> str:
    """`text` with its pipe tables as `<table border="1" >`, each between blank lines.

    Every run from a bar to the next bar at a line's end is a table of its own, as a rule one row; tables whose lines
    follow each other become one. What the official scorer loses on the way is lost here: a line of text right above a
    table, and every cell with a colon or three hyphens in it.
    """
    text = text.replace("\r", "") + "\n"
    for bars in _BARS.findall(text):
        text = text.replace(bars, _row_table(bars), 1)
    text = "\n".join(_join_neighbours(text.split("\n")))
    return text.replace("<table>", '<table border="1" >').replace("<td>", '<td colspan="1" rowspan="1">')


def _outermost(text: str, marks: _Marks) -> list[Span]:
    found: list[Span] = []
    start: int | None = 0
    while start is not None:
        closed, unclosed = _scan(text, start, *marks)
        found += closed
        start = None if unclosed is None else unclosed + _AFTER_UNCLOSED
    return found


def _scan(
    text: str, position: int, begins: re.Pattern[str], ends: re.Pattern[str], step: int
) -> tuple[list[Span], int | None]:
    """The tables from `position` on, and where the first that is never closed begins."""
    found, open_at = [], []
    begin, end = begins.search(text, position), ends.search(text, position)
    while position < len(text) and (begin or end):
        if begin and (not end or begin.start() < end.start()):
            open_at.append(begin.start())
            position = begin.start() + step
        else:
            position = end.start() + step
            if open_at:
                first = open_at.pop()
                if not open_at:
                    found.append((first, min(position, len(text))))
        if begin and begin.start() < position:
            begin = begins.search(text, position)
        if end and end.start() < position:
            end = ends.search(text, position)
    return found, open_at[0] if open_at else None


def _row_table(bars: str) -> str:
    """One match as a table: the first line is its head, the second is passed over."""
    head, *rest = [_cells(line) for line in bars.strip().split("\n")]
    lines = ["<table>", "  <thead>", "    <tr>", *_cell_lines("th", head), "    </tr>", "  </thead>", "  <tbody>"]
    for cells in rest[1:]:
        lines += ["    <tr>", *_cell_lines("td", cells), "    </tr>"]
    return "\n".join([*lines, "  </tbody>", "</table>", ""])


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip().split("|")[1:-1]]


def _cell_lines(tag: str, cells: list[str]) -> list[str]:
    return [f"      <{tag}>{cell}</{tag}>" for cell in cells]


def _join_neighbours(lines: list[str]) -> list[str]:
    """The lines with each run of tables in one piece. A run swallows the line before it."""
    joined: list[str] = []
    run: str | None = None
    previous = ""
    for line in lines:
        if "<table>" in line:
            run = (run or "") + previous
        elif run is None:
            joined.append(previous)
        else:
            if not _is_dropped(previous):
                run += "\n" + previous
            if "</table>" in previous:
                joined.append(_one_table(run))
                run = None
        previous = line
    if run is not None or "</table>" in previous:
        return [*joined, _one_table(f"{run or ''}\n{previous}")] if previous else joined
    return [*joined, previous] if previous else joined


def _is_dropped(line: str) -> bool:
    return ":" in line or "---" in line or "</thead>" in line


def _one_table(run: str) -> str:
    kept: list[str] = []
    for table in _TABLE.findall(_COMMENT.sub("", run)):
        rows = [line for line in table.split("\n") if not _FRAME.search(line)]
        if len(rows) > 2:
            kept += [row.replace("<th>", "<td>").replace("</th>", "</td>") if "<th>" in row else row for row in rows]
    return "\n\n<table>\n" + "\n".join(kept) + "\n</table>\n\n"
