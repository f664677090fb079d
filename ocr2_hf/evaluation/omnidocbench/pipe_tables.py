"""Pipe tables of markdown as HTML.

Every run from a bar to the next bar at a line's end is a table of its own, as a rule one row; tables whose lines
follow each other become one. Source: utils/extract.py and modules/table_utils.py of the official scorer
(`convert_markdown_to_html`, `replace_table_with_placeholder`, `merge_tables`), with what it loses on the way: a line
of text right above a table, and every cell with a colon or three hyphens in it.
"""

import re

_BARS = re.compile(r"\|.*?\|\n", re.DOTALL)
_FRAME = re.compile("</?t(?:able|head|body)>")
_COMMENT = re.compile("<!--.*?-->", re.DOTALL)
_TABLE = re.compile("<table>.*?</table>", re.DOTALL)


def has_pipe_table(text: str) -> bool:
    return len(_BARS.findall(text + "\n")) >= 2


def pipe_tables_to_html(text: str) -> str:
    """`text` with its pipe tables as `<table border="1" >`, each between blank lines."""
    text = text.replace("\r", "") + "\n"
    for bars in _BARS.findall(text):
        text = text.replace(bars, _row_table(bars), 1)
    text = "\n".join(_join_neighbours(text.split("\n")))
    return text.replace("<table>", '<table border="1" >').replace("<td>", '<td colspan="1" rowspan="1">')


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
        lines = [
            line.replace("<th>", "<td>").replace("</th>", "</td>") if "<th>" in line else line
            for line in table.split("\n")
        ]
        rows = [line for line in lines if not _FRAME.search(line)]
        if len(rows) > 2:
            kept += rows
    return "\n\n<table>\n" + "\n".join(kept) + "\n</table>\n\n"
