"""The LaTeX formulas of a page's text, and how well they were read."""

import re
from collections.abc import Sequence

import numpy as np
from rapidfuzz.distance import Levenshtein
from rapidfuzz.process import cdist
from scipy.optimize import linear_sum_assignment

MAX_LENGTH = 4000  # characters; what opens and does not close within them is no formula
_FORMULA = re.compile(
    rf"\\\[(.{{1,{MAX_LENGTH}}}?)\\\]"
    rf"|\\\((.{{1,{MAX_LENGTH}}}?)\\\)"
    rf"|\$\$(.{{1,{MAX_LENGTH}}}?)\$\$"
    # Single dollars as pandoc reads them, and only around what is more than words and sums of money.
    r"|(?<![\\$])\$(?=\S)(?=[A-Za-z]\$|[^$\n]*[\\^_={}<>+])([^$\n]{1,1000})(?<=\S)\$(?![\d$])",
    re.DOTALL,
)
# What changes the look and the numbering of a formula, and not what it says.
_LOOK = re.compile(
    r"\\(?:left|right|big|Big|bigg|Bigg|displaystyle|textstyle|limits|nolimits|nonumber|notag)(?![A-Za-z])"
    r"|\\(?:mathrm|mathbf|mathit|mathsf|mathtt|mathnormal|boldsymbol|bm|rm|bf|it|operatorname|text|textrm)(?![A-Za-z])"
    r"|\\(?:tag|label)\s*\{[^{}]*\}"
    r"|\\(?:begin|end)\s*\{(?:equation|align|aligned|gather|gathered|split|displaymath|math|eqnarray)\*?\}"
    r"|\\[,;:!> ]|\\q?quad(?![A-Za-z])|[~\s]"
)
_BRACED_CHARACTER = re.compile(r"\{([^{}\\])\}")


def find_formulas(text: str) -> list[str]:
    r"""The LaTeX inside `\[ \]`, `\( \)`, `$$ $$` and `$ $`, in order, without these marks."""
    found = (next(filter(None, match.groups())).strip() for match in _FORMULA.finditer(text))
    return [formula for formula in found if formula]


def normalize_formula(latex: str) -> str:
    """The formula without spaces, font and size commands, environments, tags and braces around one character.

    Upper and lower case stay two.
    """
    return _BRACED_CHARACTER.sub(r"\1", _LOOK.sub("", latex))


def match_formulas(predicted: Sequence[str], reference: Sequence[str]) -> list[tuple[int, int]]:
    """(predicted index, reference index) of the one-to-one pairs with the least total edit distance.

    The formulas are compared as they are given: normalise them before. As many pairs as the shorter side has.
    """
    if not predicted or not reference:
        return []
    distance = cdist(predicted, reference, scorer=Levenshtein.normalized_distance, dtype=np.float64)
    return [(int(p), int(r)) for p, r in zip(*linear_sum_assignment(distance), strict=True)]


def formula_edits(predicted: Sequence[str], reference: Sequence[str]) -> tuple[int, int]:
    """(edits, characters of the longer of each pair) over the matched formulas of a page, normalised first.

    A formula without a partner is wrong in all its characters.
    """
    sides = [[normalize_formula(formula) for formula in formulas] for formulas in (predicted, reference)]
    pairs = match_formulas(*sides)
    single = [
        formula
        for side, used in zip(sides, zip(*pairs, strict=True) if pairs else ((), ()), strict=True)
        for index, formula in enumerate(side)
        if index not in used
    ]
    alone = sum(map(len, single))
    edits = sum(Levenshtein.distance(sides[0][p], sides[1][r]) for p, r in pairs)
    return edits + alone, sum(max(len(sides[0][p]), len(sides[1][r])) for p, r in pairs) + alone
