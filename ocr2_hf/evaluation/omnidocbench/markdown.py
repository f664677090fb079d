r"""A predicted page: its file, and its markdown taken apart into tables, formulas, code and paragraphs, each with its
place on the page.

Images and the fences of whole pages are dropped; then come out, in this order, LaTeX tables, HTML tables, formulas,
pipe tables and code; what is left is split at blank lines, or at line ends where there is none. A formula inside a
line is a block of its own and stays in its paragraph too. Headings and lists are paragraphs with their marks.

Source: dataset/end2end_dataset.py of the official scorer (`get_matched_elements`) for the names that are looked for,
utils/extract.py (`md_tex_filter`), utils/match_quick.py (`split_equation_arrays`, `split_gt_equation_arrays`,
`is_all_l`) and utils/data_preprocess.py (`remove_markdown_fences`, `replace_repeated_chars`). Places count characters
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
from ocr2_hf.evaluation.omnidocbench.markdown_tables import (
    blank,
    has_pipe_table,
    html_tables,
    latex_tables,
    pipe_tables_to_html,
)


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
    if has_pipe_table(text):
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
