"""How long the official scorer would take over a page.

It stops matching a page after 30 seconds and matches it simply instead (dataset/end2end_dataset.py, `func_timeout`
and `match_gt2pred_simple`): pages with hundreds of short lines, loops above all, come to that. Time is not the same on
any two machines, so it is estimated here, from the comparisons that its code makes.
"""

from dataclasses import dataclass

LIMIT = 30.0
# Measured for utils/match_quick.py on one core (Levenshtein 0.25 and 0.27): a comparison of two texts of a and b
# characters takes _CALL + _CELL * a * b seconds.
_CALL = 3e-7
_CELL = 4e-11


class OverBudget(Exception):
    """The official scorer would not have come to an end."""


@dataclass
class Budget:
    """Estimated seconds that are left for a page."""

    left: float = LIMIT

    def compare(self, a: int, b: int, times: int = 1) -> None:
        """Charge `times` comparisons of texts of `a` and `b` characters. Raises `OverBudget`."""
        self.charge(times * (_CALL + _CELL * a * b))

    def charge(self, seconds: float) -> None:
        self.left -= seconds
        if self.left < 0:
            raise OverBudget


def search_seconds(part: int, whole: int) -> float:
    """Estimated seconds of a search for `part` characters at every place of `whole`."""
    return max(0, whole - part + 1) * (_CALL + _CELL * part * part)
