r"""A predicted page: its file, and its markdown taken apart into tables, formulas, code and paragraphs, each with its
place on the page.

Images and the fences of whole pages are dropped; then come out, in this order, LaTeX tables, HTML tables, formulas,
pipe tables and code; what is left is split at blank lines, or at line ends where there is none. A formula inside a
line is a block of its own and stays in its paragraph too. Headings and lists are paragraphs with their marks.

Source: dataset/end2end_dataset.py of the official scorer (`get_matched_elements`) for the names that are looked for,
utils/extract.py (`md_tex_filter`, `extract_html_table`, `extract_tabular`, `extract_tex_table`,
`convert_markdown_to_html`, `replace_table_with_placeholder`), modules/table_utils.py (`merge_tables`),
utils/match_quick.py (`split_equation_arrays`, `split_gt_equation_arrays`, `is_all_l`) and utils/data_preprocess.py
(`remove_markdown_fences`, `replace_repeated_chars`). Places count characters
of the text as it stands at that step, so those of paragraphs fall short by their blank lines: the reading order is
affected.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from ocr2_hf.errors import UsageError, WorkError
from ocr2_hf.evaluation.omnidocbench.ground_truth import BenchmarkPage

Span = tuple[int, int]


class Kind(Enum):
    """What a predicted block is. A formula inside a line is `INLINE_FORMULA`."""

    TEXT = "text"
    FORMULA = "formula"
    INLINE_FORMULA = "inline_formula"
    HTML_TABLE = "html_table"
    LATEX_TABLE = "latex_table"


@dataclass(frozen=True)
class PredictedBlock:
    """One block of the prediction; `position` is where it begins."""

    kind: Kind
    content: str
    position: int

    @property
    def is_formula(self) -> bool:
        """Whether its content is LaTeX, in a line or between lines."""
        return self.kind in (Kind.FORMULA, Kind.INLINE_FORMULA)


_IMAGE = re.compile(r"!\[.*?\]\(.*?\)")
_OPENING_FENCES = [re.compile(rf"^```{language}\n?", re.MULTILINE) for language in ("markdown", "html", "latex")]
_CLOSING_FENCE = re.compile(r"```\n?$", re.MULTILINE)
_FORMULA = re.compile(r"\$\$.*?\$\$|\\\[.*?\\\]|\$.*?\$|\\\(.*?\\\)", re.DOTALL)
_DELIMITED = re.compile(r"\$\$(?P<display>.*?)\$\$|\$(?P<dollar>.*?)\$|\\\((?P<bracket>.*?)\\\)", re.DOTALL)
_CONVERTED_TABLE = re.compile("<table.*?</table>", re.DOTALL)
_CODE = re.compile(r"```\w+\n(.*?)```", re.DOTALL)
# The first of each pair keeps the blanks at the ends of its argument.
_ON_ONE_LINE = re.compile(r"\\title\{([^}\n]*)\}"), re.compile(r"\\section\*?\{([^}\n]*)\}")
_TITLE, _TEXT = re.compile(r"\\title\s*\{([^}]*)\}"), re.compile(r"\\text\s*\{([^}]*)\}")
_SECTION = re.compile(r"\\section\*?\{([^}]*)\}")
_ARRAY = re.compile(r"\\begin\{array\}\{([^}]*)\}(.*?)\\end\{array\}", re.DOTALL)
_BLANKS_AND_RULES = re.compile(r"[\s|]+")
# Every place where a table opens or closes, and how far the search moves on after one. The official scorer moves by the
# length of a pattern, not of what matched: so an empty `<table></table>` is not seen, and a tabular has one character
# too many.
_HTML = re.compile("(?P<opens>(?=<table[^>]*>))|(?=</table>)"), 8
_TABULAR = re.compile(r"(?P<opens>(?=\\begin\{tabular\}))|(?=\\end\{tabular\})"), 14
_AFTER_UNCLOSED = 16
_LATEX_TABLE = re.compile(r"\\begin\{table\}.*?\\end\{table\}", re.DOTALL)

_PIPE_TABLE = re.compile(r"\|.*?\|\n", re.DOTALL)
_PIPE_FRAME = re.compile("</?t(?:able|head|body)>")
_COMMENT = re.compile("<!--.*?-->", re.DOTALL)
_PIPE_CONVERTED = re.compile("<table>.*?</table>", re.DOTALL)


def prediction_files(pages: Sequence[BenchmarkPage], directory: Path) -> list[Path | None]:
    """The file of each page: STEM.md, STEM without ".pdf" as .mmd or .md, or IMAGE.md; None where there is none.

    `UsageError` when the directory is none, `WorkError` when it has no page at all.
    """
    if not directory.is_dir():
        what = "is a file; with --omnidocbench it" if directory.exists() else "does not exist; it"
        raise UsageError(f"--predictions {directory} {what} is the directory of the predicted .md files")
    names = {file.name for file in directory.iterdir() if file.is_file()}
    files = [_file_of(page, directory, names) for page in pages]
    if not any(files):
        markdown = sorted(name for name in names if name.endswith((".md", ".mmd")))
        found = f"{len(markdown)} .md files, {markdown[0]} the first," if markdown else "no .md file"
        first = pages[0].image
        raise WorkError(f"{directory} has {found} and none is of a page; that of {first} is {Path(first).stem}.md")
    return files


def read_markdown(file: Path) -> str:
    """The predicted page. `WorkError` when it is no UTF-8."""
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise WorkError(f"{file} cannot be read as UTF-8: {error}") from error


def parse_markdown(text: str) -> list[PredictedBlock]:
    """The blocks of a predicted page, by position."""
    text = _without_wrapping(text)
    blocks: list[PredictedBlock] = []
    for kind, find in ((Kind.LATEX_TABLE, latex_tables), (Kind.HTML_TABLE, html_tables)):
        spans = find(text)
        blocks += [PredictedBlock(kind, text[start:end], start) for start, end in spans]
        text = blank(text, spans)
    formulas = [(_formula(match), match.span()) for match in _FORMULA.finditer(text)]
    blocks += [formula for formula, _ in formulas]
    text = blank(text, [span for formula, span in formulas if formula.kind is Kind.FORMULA])
    if len(_PIPE_TABLE.findall(text + "\n")) >= 2:
        text = pipe_tables_to_html(text)
        text = _take_out(text, _CONVERTED_TABLE, Kind.HTML_TABLE, blocks)
    text = _take_out(text, _CODE, Kind.TEXT, blocks)
    blocks += _paragraphs(_without_commands(text))
    return sorted(blocks, key=lambda block: block.position)


def blocks_to_match(blocks: Sequence[PredictedBlock]) -> list[PredictedBlock]:
    """Everything but the tables; the kind, text or formula, that comes first on the page goes first."""
    rest = [block for block in blocks if block.kind not in (Kind.HTML_TABLE, Kind.LATEX_TABLE)]
    return sorted(rest, key=lambda block: block.is_formula != rest[0].is_formula)


def matching_order(blocks: Sequence[PredictedBlock]) -> list[PredictedBlock]:
    """By position, but the formulas inside lines last; an array of one column is one formula a row."""
    by_place = sorted(blocks, key=lambda block: (block.kind is Kind.INLINE_FORMULA, block.position))
    return [row for block in by_place for row in _rows(block)]


def array_rows(latex: str) -> list[tuple[str, int]] | None:
    r"""Each row of the first array as `\[row\]`, with its place in `latex`; None without an array of one column."""
    array = _ARRAY.search(latex)
    if array is None or _BLANKS_AND_RULES.sub("", array.group(1)) not in ("l", "c", "r"):
        return None
    body, rows, position = array.group(2), [], 0
    for row in body.split(r"\\"):
        row = row.strip()
        if row:
            position = body.find(row, position)
            rows.append((rf"\[{row}\]", array.start(2) + position))
            position += len(row)
    return rows


def html_tables(text: str) -> list[Span]:
    """Outermost HTML tables. One that is never closed is passed over, and what it holds is searched."""
    return _outermost(text, *_HTML)


def latex_tables(text: str) -> list[Span]:
    """LaTeX tables, with their tabulars, and the tabulars outside them."""
    spans = [match.span() for match in _LATEX_TABLE.finditer(text)]
    return sorted(spans + _outermost(blank(text, spans), *_TABULAR))


def blank(text: str, spans: Sequence[Span]) -> str:
    """`text` with spaces in place of the spans, so that what follows keeps its position."""
    for start, end in spans:
        text = text[:start] + " " * (end - start) + text[end:]
    return text


def pipe_tables_to_html(text: str) -> str:
    """`text` with its pipe tables as `<table border="1" >`, each between blank lines.

    Every run from a bar to the next bar at a line's end is a table of its own, as a rule one row; tables whose lines
    follow each other become one. What the official scorer loses on the way is lost here: a line of text right above a
    table, and every cell with a colon or three hyphens in it.
    """
    text = text.replace("\r", "") + "\n"
    for bars in _PIPE_TABLE.findall(text):
        text = text.replace(bars, _row_table(bars), 1)
    text = "\n".join(_join_neighbours(text.split("\n")))
    return text.replace("<table>", '<table border="1" >').replace("<td>", '<td colspan="1" rowspan="1">')


def _file_of(page: BenchmarkPage, directory: Path, names: set[str]) -> Path | None:
    stem = Path(page.image).stem
    plain = stem.replace(".pdf", "")
    candidates = (f"{stem}.md", f"{plain}.mmd", f"{plain}.md", f"{page.image}.md")
    return next((directory / name for name in candidates if name in names), None)


def _rows(block: PredictedBlock) -> list[PredictedBlock]:
    rows = array_rows(block.content) if block.is_formula else None
    if rows is None:
        return [block]
    return [PredictedBlock(block.kind, row, block.position + place) for row, place in rows]


def _without_wrapping(text: str) -> str:
    text = _IMAGE.sub("", text)
    for fence in (*_OPENING_FENCES, _CLOSING_FENCE):
        text = fence.sub("", text)
    text = re.sub("_{4,}", "____", text)
    text = re.sub(" {4,}", "    ", text)
    for tag in ("<html>", "</html>", "<body>", "</body>"):
        text = text.replace(tag, "")
    return text


def _formula(match: re.Match[str]) -> PredictedBlock:
    r"""A formula between `\[ \]` or `$$ $$`, else one inside a line; both become `\[ \]` in one line."""
    latex = match.group().strip().replace("\n", " ")
    inner = _DELIMITED.search(latex)
    if inner is None:
        return PredictedBlock(Kind.FORMULA, latex, match.start())
    if inner["display"]:
        return PredictedBlock(Kind.FORMULA, _DELIMITED.sub(r"\\[\g<display>\\]", latex), match.start())
    return PredictedBlock(Kind.INLINE_FORMULA, _DELIMITED.sub(r"\\[\g<dollar>\g<bracket>\\]", latex), match.start())


def _take_out(text: str, pattern: re.Pattern[str], kind: Kind, blocks: list[PredictedBlock]) -> str:
    """Append what `pattern` finds (its group, if it has one) to `blocks`; the text with spaces in its place."""
    found = list(pattern.finditer(text))
    blocks += [PredictedBlock(kind, match.group(match.re.groups).strip(), match.start()) for match in found]
    return blank(text, [match.span() for match in found])


def _without_commands(text: str) -> str:
    r"""The arguments of `\title`, `\text` and `\section` in place of the commands."""
    text = _ON_ONE_LINE[0].sub(r"\1", text)
    for command in (_TITLE, _TEXT):
        text = command.sub(_stripped_argument, text)
    text = _ON_ONE_LINE[1].sub(r"\1", text)
    return _SECTION.sub(_stripped_argument, text)


def _stripped_argument(match: re.Match[str]) -> str:
    return match.group(1).strip()


def _paragraphs(text: str) -> Iterator[PredictedBlock]:
    pieces = text.split("\n\n")
    if len(pieces) == 1:
        pieces = text.split("\n")
    position = 0
    for piece in pieces:
        content = "\n".join(line.strip() for line in piece.strip().split("\n") if line.strip())
        if content.startswith("<table") and content.endswith("</table>"):
            yield PredictedBlock(Kind.HTML_TABLE, content, position)
        elif content.startswith("$") and content.endswith("$"):
            if content.replace("$", "").strip():
                yield PredictedBlock(Kind.FORMULA, content, position)
        elif content:
            yield PredictedBlock(Kind.TEXT, content, position)
        position += len(piece)


def _outermost(text: str, marks: re.Pattern[str], step: int) -> list[Span]:
    found: list[Span] = []
    start: int | None = 0
    while start is not None:
        position, open_at = start, []
        for mark in marks.finditer(text, start):
            if mark.start() < position:
                continue
            position = mark.start() + step
            if mark["opens"] is not None:
                open_at.append(mark.start())
            elif open_at:
                first = open_at.pop()
                if not open_at:
                    found.append((first, min(position, len(text))))
        start = open_at[0] + _AFTER_UNCLOSED if open_at else None
    return found


def _row_table(bars: str) -> str:
    """One match as a table: the first line is its head, the second is passed over."""
    head, *rest = [[cell.strip() for cell in line.strip().split("|")[1:-1]] for line in bars.strip().split("\n")]
    lines = ["<table>", "  <thead>", *_row("th", head), "  </thead>", "  <tbody>"]
    for cells in rest[1:]:
        lines += _row("td", cells)
    return "\n".join([*lines, "  </tbody>", "</table>", ""])


def _row(tag: str, cells: list[str]) -> list[str]:
    return ["    <tr>", *(f"      <{tag}>{cell}</{tag}>" for cell in cells), "    </tr>"]


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
            if not any(mark in previous for mark in (":", "---", "</thead>")):
                run += "\n" + previous
            if "</table>" in previous:
                joined.append(_one_table(run))
                run = None
        previous = line
    if run is not None or "</table>" in previous:
        return [*joined, _one_table(f"{run or ''}\n{previous}")] if previous else joined
    return [*joined, previous] if previous else joined


def _one_table(run: str) -> str:
    kept: list[str] = []
    for table in _PIPE_CONVERTED.findall(_COMMENT.sub("", run)):
        rows = [line for line in table.split("\n") if not _PIPE_FRAME.search(line)]
        if len(rows) > 2:
            kept += [row.replace("<th>", "<td>").replace("</th>", "</td>") if "<th>" in row else row for row in rows]
    return "\n\n<table>\n" + "\n".join(kept) + "\n</table>\n\n"
