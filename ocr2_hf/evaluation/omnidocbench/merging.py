"""Consecutive predictions that together are one annotated block: which of them are matched as one.

Source: utils/match_quick.py of the official scorer (`deal_with_truncated`, `judge_pred_merge`, `get_final_subset`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np

from ocr2_hf.evaluation.omnidocbench.budget import Budget, search_seconds
from ocr2_hf.evaluation.omnidocbench.distances import distance, is_within

CLOSE = 0.25  # a pair nearer than this is not looked at again
_PART = 0.6  # how well a prediction must fit somewhere into the block

Run = tuple[int, ...]


@dataclass(frozen=True)
class _Candidate:
    """Predictions in a row and their distance, joined by blanks, to a block."""

    run: Run
    cost: float


def runs_of_predictions(
    references: Sequence[str], predictions: Sequence[str], matrix: np.ndarray, budget: Budget
) -> list[Run]:
    """The predictions in order, those that belong together in one run: [(0,), (1, 2), (3,)].

    `matrix` holds the distances, [references, predictions]. Each block that is close to no prediction picks the
    nearest run of those predictions that are close to no block; where picks overlap, `_choose` decides.
    """
    close = matrix < CLOSE
    open_references = np.flatnonzero(~close.any(axis=1))
    starts = np.flatnonzero(~close.any(axis=0)).tolist()
    usable = set(starts)
    picked = []
    for index in open_references:
        candidates = [_longest_run(references[index], start, predictions, usable, budget) for start in starts]
        if candidates:
            picked.append(min(candidates, key=lambda candidate: candidate.cost))
    chosen = {run[0]: run for run in _choose(picked)}
    taken = set(chain.from_iterable(chosen.values()))
    return [chosen.get(i, (i,)) for i in range(len(predictions)) if i in chosen or i not in taken]


def _longest_run(
    reference: str, start: int, predictions: Sequence[str], usable: set[int], budget: Budget
) -> _Candidate:
    """Grows from `start` while the next prediction brings it nearer to the block and lies somewhere in it."""
    joined, end = predictions[start], start + 1
    cost = distance(reference, joined)
    searches = search_seconds(len(joined), len(reference))
    while end in usable and len(joined) <= len(reference):
        longer = f"{joined} {predictions[end]}"
        longer_cost = distance(reference, longer)
        budget.compare(len(longer), len(reference), times=2)
        if longer_cost > cost:
            break
        # The official code looks for every part again at each step.
        searches += search_seconds(len(predictions[end]), len(reference))
        budget.charge(searches)
        if end == start + 1 and not is_within(joined, reference, _PART, at_limit=True):
            break
        if not is_within(predictions[end], reference, _PART):
            break
        joined, cost, end = longer, longer_cost, end + 1
    return _Candidate(tuple(range(start, end)), cost)


def _choose(picked: list[_Candidate]) -> list[Run]:
    """Of each group of overlapping picks the set that `_sets` finds cheapest on average."""
    groups: list[list[_Candidate]] = []
    for candidate in sorted(picked, key=lambda candidate: candidate.run[0]):
        if groups and any(_overlap(candidate, other) for other in groups[-1]):
            groups[-1].append(candidate)
        else:
            groups.append([candidate])
    return [candidate.run for group in groups for candidate in min(_sets(group), key=_average_cost)]


def _sets(group: list[_Candidate]) -> list[list[_Candidate]]:
    """Sets of picks that do not overlap, grown in one pass: not every such set is tried.

    A pick joins each set in which it overlaps nothing, takes the place of a dearer one of the same run, and starts a
    set of its own when it found neither.
    """
    sets: list[list[_Candidate]] = [[group[0]]]
    for candidate in group[1:]:
        found_place = False
        for chosen in sets:
            same = [other for other in chosen if other.run == candidate.run]
            for other in same:
                if other.cost > candidate.cost:
                    chosen.remove(other)
                    chosen.append(candidate)
            if not any(_overlap(candidate, other) for other in chosen):
                chosen.append(candidate)
                found_place = True
            found_place = found_place or bool(same)
        if not found_place:
            sets.append([candidate])
    return sets


def _overlap(a: _Candidate, b: _Candidate) -> bool:
    return not set(a.run).isdisjoint(b.run)


def _average_cost(candidates: list[_Candidate]) -> float:
    return sum(candidate.cost for candidate in candidates) / len(candidates)
