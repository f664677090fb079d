r"""What of a block is compared: text without punctuation, formulas without their fonts, tables without their style.

Source: utils/data_preprocess.py of the official scorer (`textblock2unicode`, `clean_string`, `normalized_formula`,
`normalized_html_table`). LaTeX inside text is written in Unicode by pylatexenc, whose releases differ: scores are those
of the official scorer with its release alone.
"""

import html
import logging
import re
import unicodedata
from functools import lru_cache
from importlib import metadata

from bs4 import BeautifulSoup

from ocr2_hf.errors import UsageError

PYLATEXENC = "3.0a30"  # also in setup.cfg, in the extra `omnidocbench`

_INLINE = re.compile(r"\$(.*?)\$|\\\((.*?)\\\)")
_ESCAPED = re.compile(r"\\[\\_&%^]")
_NO_WORD = re.compile(r"[^\w\u4e00-\u9fff]")
_LINE_ENDS = ("\\t", "\\n", "\t", "\n", "/t", "/n")

_DISPLAY = re.compile(r"\\\[(.+?)(?<!\\)\\\]")
_SPACING = [
    re.compile(rf"\\{command}.*?\}}") for command in (r"tag\{", r"hspace\{", r"begin\{", r"end\{", "arraycolsep")
]
# Dropped one after the other, wherever they stand, so `\text` comes after `\textbf`, and again once blanks are gone.
_DROPPED_COMMANDS = """
    mathbf mathrm mathnormal mathit mathbb mathcal mathscr mathfrak mathsf mathtt textbf text boldmath boldsymbol
    operatorname bm symbfit mathbfcal symbf scriptscriptstyle notag setlength coloneqq space thickspace thinspace
    medspace nobreakspace negmedspace quad qquad enspace substackw
"""
_DROPPED_LAST = (" ", "$$", r"\left", r"\right", r"\displaystyle", r"\text")
_DROPPED = (*("\\" + name for name in _DROPPED_COMMANDS.split()), *_DROPPED_LAST)

_TABLE = re.compile(r"<table\b[^>]*>(.*)</table>", re.DOTALL | re.IGNORECASE)
_STYLE = [re.compile(rf' {name}=".*?"') for name in ("style", "height", "width", "align", "class")]
_BODY = re.compile("</?tbody>")
_SPACES = re.compile(r"\s+")
_MARKUP = re.compile("</?(?:sup|sub|span|div|p)>")
_COLUMNS = re.compile("<colgroup>.*?</colgroup>")

# It warns of every formula it cannot read; those stay LaTeX, which is all there is to say.
logging.getLogger("pylatexenc").setLevel(logging.ERROR)


def check_pylatexenc() -> None:
    """Raises UsageError where pylatexenc is not installed, or in another release."""
    try:
        found = metadata.version("pylatexenc")
    except metadata.PackageNotFoundError:
        found = "none"
    if found != PYLATEXENC:
        raise UsageError(
            f"OmniDocBench is scored with pylatexenc {PYLATEXENC}, {found} is installed: "
            "pip install 'ocr2_hf[omnidocbench]'"
        )


def normalize_text(text: str) -> str:
    """Inline formulas in Unicode, then letters, digits and underscores alone, of every script; case is kept."""
    return clean_text(_INLINE.sub(_formula_to_unicode, text))


def clean_text(text: str) -> str:
    """Letters, digits and underscores alone; a written `\\n` or `/n` goes too."""
    for end in _LINE_ENDS:
        text = text.replace(end, "")
    return _NO_WORD.sub("", text)


def normalize_formula(latex: str) -> str:
    r"""Without delimiters, fonts, blanks, `\left`, tags and the names of environments, in lower case."""
    latex = latex.strip().strip("$").strip("\n")
    display = _DISPLAY.search(latex)
    if display:
        latex = display.group(1).strip()
    for spacing in _SPACING:
        latex = spacing.sub("", latex)
    latex = latex.strip(".")
    for dropped in _DROPPED:
        latex = latex.replace(dropped, "")
    return latex.lower()


def normalize_table(table: str) -> str:
    """One table of `tr` and `td` without style, in a page of its own; "" for what is no HTML table.

    NFKC; entities are read, line ends dropped and blanks run together. MathML becomes its LaTeX.
    """
    if "<table" not in table.replace(" ", ""):
        return ""
    text = html.unescape(_plain_cells(table)).replace("\n", "")
    text = unicodedata.normalize("NFKC", text).strip()
    text = "".join(_TABLE.findall(text))
    for style in (*_STYLE, _BODY):
        text = style.sub("", text)
    text = _SPACES.sub(" ", text)
    text = f'<html><body><table border="1" >{text}</table></body></html>'
    text = _MARKUP.sub("", text)
    return _COLUMNS.sub("", text.replace('<spandata-span-identity="">', ""))


@lru_cache(maxsize=10_000)
def latex_to_unicode(latex: str) -> str | None:
    """`latex` as text; None where pylatexenc cannot read it."""
    from pylatexenc.latex2text import LatexNodes2Text  # an extra: see `check_pylatexenc`

    try:
        return LatexNodes2Text().latex_to_text(latex)
    except Exception:  # noqa: BLE001 - whatever it raises on broken LaTeX, the formula stays as it is
        return None


def _formula_to_unicode(match: re.Match[str]) -> str:
    """The formula in Unicode; as it stands when it is plain text (no command, sub- or superscript) or unreadable."""
    latex = _ESCAPED.sub("", match.group(1) if match.group(1) is not None else match.group(2))
    if not any(character in latex for character in "\\^_"):
        return match.group()
    text = latex_to_unicode(latex + " " if latex.endswith("\\") else latex)
    return match.group() if text is None else text.strip()


def _plain_cells(table: str) -> str:
    soup = BeautifulSoup(table, "html.parser")
    for header in soup.find_all("th"):
        header.name = "td"
    for head in soup.find_all("thead"):
        head.unwrap()
    for formula in soup.find_all("math"):
        formula.replace_with(f"${formula.get('alttext', '')}$")
    for span in soup.find_all("span"):
        span.unwrap()
    return str(soup)
