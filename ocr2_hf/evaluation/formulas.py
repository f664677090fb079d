"""The LaTeX formulas of a page's text, and how well they were read: by their characters, or as they look (CDM).

CDM (Wang et al., arXiv 2409.03643) typesets both formulas with LaTeX and matches the drawn characters; it needs a TeX
installation and ImageMagick, which this package does not bring. So the score comes from a command of the user's: it
reads JSON lines `{"prediction": LaTeX, "reference": LaTeX}` on its standard input and writes one number in [0, 1] for
each, a line each, in the same order.
"""

import json
import re
import shlex
import subprocess
from collections.abc import Sequence

from rapidfuzz.distance import Levenshtein

from ocr2_hf.errors import WorkError
from ocr2_hf.evaluation.pairing import best_pairs, text_distances

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
    if "\\" not in text and "$" not in text:  # as on most pages
        return []
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
    return best_pairs(text_distances(predicted, reference))


def formula_edits(predicted: Sequence[str], reference: Sequence[str]) -> tuple[int, int]:
    """(edits, characters of the longer of each pair) over the matched formulas of a page, normalised first.

    A formula without a partner is wrong in all its characters.
    """
    predicted, reference = (list(map(normalize_formula, formulas)) for formulas in (predicted, reference))
    pairs = [(predicted[p], reference[r]) for p, r in match_formulas(predicted, reference)]
    alone = sum(map(len, predicted + reference)) - sum(len(p) + len(r) for p, r in pairs)
    edits = sum(Levenshtein.distance(*pair) for pair in pairs)
    return edits + alone, sum(max(map(len, pair)) for pair in pairs) + alone


def score_formulas(pairs: Sequence[tuple[str, str]], command: str) -> list[float]:
    """The scores of (predicted, reference) formulas by `command`, which is split as a shell would and run once.

    Raises WorkError when the command cannot be run, fails, or does not write one number in [0, 1] for each pair.
    """
    if not pairs:
        return []
    lines = "".join(json.dumps({"prediction": p, "reference": r}) + "\n" for p, r in pairs)
    try:
        words = shlex.split(command)
        if not words:
            raise ValueError("it is empty")
        done = subprocess.run(words, input=lines, capture_output=True, encoding="utf-8", check=True)
    except subprocess.CalledProcessError as error:
        last = (error.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise WorkError(f"the CDM command {command!r} ended with status {error.returncode}: {last}") from None
    except (OSError, ValueError) as error:
        raise WorkError(f"the CDM command {command!r} cannot be run: {error}") from None
    try:
        scores = [float(line) for line in done.stdout.split()]
    except ValueError as error:
        raise WorkError(f"the CDM command {command!r} must write one number a line: {error}") from None
    if len(scores) != len(pairs) or not all(0 <= score <= 1 for score in scores):
        raise WorkError(
            f"the CDM command {command!r} wrote {len(scores)} numbers for {len(pairs)} formulas; "
            "it must write one in [0, 1] for each"
        )
    return scores
