"""CDM, how alike two formulas look when they are typeset, by a scorer that the user has.

CDM (Wang et al., arXiv 2409.03643) typesets both formulas with LaTeX and matches the drawn characters; it needs a TeX
installation and ImageMagick, which this package does not bring. So the score comes from a command of the user's: it
reads JSON lines `{"prediction": LaTeX, "reference": LaTeX}` on its standard input and writes one number in [0, 1] for
each, a line each, in the same order.
"""

import json
import shlex
import subprocess
from collections.abc import Sequence

from ocr2_hf.errors import WorkError


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
