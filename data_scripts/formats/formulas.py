"""Formulas as the model writes them, whatever marks an annotation puts around its LaTeX."""

_MARKS = (("$$", "$$"), (r"\[", r"\]"), (r"\(", r"\)"), ("$", "$"))


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
