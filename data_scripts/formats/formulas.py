"""Formulas as the model writes them, whatever marks an annotation puts around its LaTeX."""

import re

_MARKS = (("$$", "$$"), (r"\[", r"\]"), (r"\(", r"\)"), ("$", "$"))
_IN_TEXT = re.compile(r"(?<![\\$])\$(?=[^\s$])((?:[^$\\\n]|\\[^\n])++)(?<=\S)\$(?![\d$])")


def display_formula(latex: str) -> str:
    """A formula on lines of its own; "" where there is none."""
    latex = bare_latex(latex)
    return rf"\[ {latex} \]" if latex else ""


def inline_formula(latex: str) -> str:
    """A formula in a line of text; "" where there is none."""
    latex = bare_latex(latex)
    return rf"\({latex}\)" if latex else ""


def bare_latex(latex: str) -> str:
    """The LaTeX without the marks around it."""
    latex = latex.strip()
    for begin, end in _MARKS:
        if latex.startswith(begin) and latex.endswith(end) and len(latex) >= len(begin) + len(end):
            return latex[len(begin) : -len(end)].strip()
    return latex


def split_formulas(text: str) -> list[str]:
    r"""The texts and the LaTeX between them in turn, a text first, of a Markdown text.

    As pandoc has it, a formula is in `$`, of which the opening one has no blank behind it, and the closing one no blank
    before it and no digit behind it; \$ is a dollar.
    """
    return _IN_TEXT.split(text)
