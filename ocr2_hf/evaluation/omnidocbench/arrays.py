r"""Formulas stacked in an array of one column, which are matched one by one.

Source: utils/match_quick.py of the official scorer (`split_gt_equation_arrays`, `split_equation_arrays`, `is_all_l`).
"""

import re

_ARRAY = re.compile(r"\\begin\{array\}\{([^}]*)\}(.*?)\\end\{array\}", re.DOTALL)
_BLANKS_AND_RULES = re.compile(r"[\s|]+")


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
