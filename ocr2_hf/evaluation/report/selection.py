"""Which pages a report shows where there are many: the worst, the best, the middle ones, and others drawn by chance."""

import random
from collections.abc import Mapping
from itertools import chain, zip_longest

import numpy as np

MAX_PAGES = 300  # with images of 130 kB each, about what one file holds before they lie beside it
WORST = 10


def select_pages(badness: Mapping[str, np.ndarray], pages: int, most: int, seed: int = 0) -> list[int]:
    """The indices of at most `most` of so many pages, in order; all of them where `most` is 0.

    `badness` [P] of a metric is larger on worse pages and NaN where nothing was measured. By each metric the worst
    page, the middle one and the best are taken, then the next worst up to `WORST`; they fill half of the room at most.
    The rest is drawn from all the others, so what is seen there is as frequent as it is.
    """
    if not most or pages <= most:
        return list(range(pages))
    ranked = filter(None, map(worst_first, badness.values()))
    taken = chain.from_iterable(zip_longest(*map(_ends, ranked)))
    chosen = list(dict.fromkeys(page for page in taken if page is not None))[: most // 2]
    others = sorted(set(range(pages)).difference(chosen))
    return sorted(chosen + random.Random(seed).sample(others, most - len(chosen)))


def worst_first(badness: np.ndarray) -> list[int]:
    """The pages on which something was measured."""
    order = np.argsort(-badness, kind="stable")
    return [int(page) for page in order if not np.isnan(badness[page])]


def _ends(order: list[int]) -> list[int]:
    return [order[0], middle(order), order[-1], *order[1:WORST]]


def middle(order: list[int]) -> int:
    """The page of the middle place."""
    return order[(len(order) - 1) // 2]
