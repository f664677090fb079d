"""Which predicted blocks are which annotated blocks of a page: text and display formulas together.

Source: utils/match_quick.py of the official scorer (`match_gt2pred_quick` and what it calls, `deal_with_truncated`,
`judge_pred_merge`, `get_final_subset`, `sub_pred_fuzzy_matching`, `sub_gt_fuzzy_matching`), utils/match.py
(`get_gt_pred_lines`, `compute_edit_distance_matrix_new`). Its distance is of the package Levenshtein; rapidfuzz counts
the same. Its distances of joined pairs are never used for a score and are left out here.

It stops matching a page after 30 seconds and matches it simply instead (dataset/end2end_dataset.py, `func_timeout` and
`match_gt2pred_simple`): pages with hundreds of short lines, loops above all, come to that. Time is not the same on any
two machines, so it is estimated here, from the comparisons that its code makes.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import chain
from typing import Generic, TypeVar

import numpy as np
from rapidfuzz.distance import Levenshtein

from ocr2_hf.evaluation.omnidocbench.ground_truth import FORMULA, IGNORED, GroundTruthBlock
from ocr2_hf.evaluation.omnidocbench.markdown import Kind, PredictedBlock, array_rows, matching_order
from ocr2_hf.evaluation.omnidocbench.normalization import normalize_formula, normalize_text
from ocr2_hf.evaluation.pairing import best_pairs, text_distances

LIMIT = 30.0  # seconds for a page
# Measured for utils/match_quick.py on one core (Levenshtein 0.25 and 0.27): a comparison of two texts of a and b
# characters takes _CALL + _CELL * a * b seconds.
_CALL = 3e-7
_CELL = 4e-11

_CLOSE = 0.25  # a pair nearer than this is not looked at again
_TOO_FAR = 0.7
_WITHIN = 0.4
_PART = 0.6  # how well a prediction must fit somewhere into the block

Item = TypeVar("Item", GroundTruthBlock, PredictedBlock)
Run = tuple[int, ...]


@dataclass(frozen=True)
class Match:
    """Annotated blocks and the predicted ones they are scored against, as they stand and normalised.

    `orders` are the annotated places in the reading order (None where a block has none), `position` the predicted
    place, None where nothing was predicted. `kind` is that of the first prediction, `category` that of most blocks.
    """

    category: str
    reference: str
    normalized_reference: str
    orders: list[float | None]
    prediction: str
    normalized_prediction: str
    kind: Kind | None
    position: int | None


class OverBudget(Exception):
    """The official scorer would not have come to an end."""


@dataclass
class Budget:
    """Estimated seconds that the official scorer has left for a page."""

    left: float = LIMIT

    def charge(self, seconds: float) -> None:
        """Take `seconds` off. Raises `OverBudget` where they are more than are left."""
        self.left -= seconds
        if self.left < 0:
            raise OverBudget


@dataclass(frozen=True)
class _Side(Generic[Item]):
    """One side of the page: all blocks; of those that have something left when normalised, the block and that.

    The official scorer drops the empty texts but not their blocks, and looks up an annotated order, a predicted
    position and a predicted kind by the number of the text: after an empty one they are a neighbour's. So here.
    """

    blocks: Sequence[Item]
    kept: list[Item]
    normalized: list[str]

    @classmethod
    def of(cls, blocks: Sequence[Item]) -> "_Side[Item]":
        normalized = [(normalize_formula if block.is_formula else normalize_text)(block.content) for block in blocks]
        kept = [(block, text) for block, text in zip(blocks, normalized, strict=True) if block.content and text]
        return cls(blocks, [block for block, _ in kept], [text for _, text in kept])


def match_blocks(blocks: Sequence[GroundTruthBlock], predicted: Sequence[PredictedBlock]) -> list[Match]:
    """Match a page's annotated blocks, in reading order, with everything predicted but tables.

    Every scored block is in one match; what is predicted beyond them is in none.
    """
    try:
        matches = _match_quickly(blocks, predicted)
    except OverBudget:
        matches = _match_simply(blocks, predicted)
    return [match for match in matches if match.category not in IGNORED]


def runs_of_predictions(references: Sequence[str], predictions: Sequence[str], budget: Budget) -> list[Run]:
    """The predictions in order, those that belong together in one run: [(0,), (1, 2), (3,)].

    Each block that is close to no prediction picks the nearest run of those predictions that are close to no block;
    where picks overlap, `_choose` decides.
    """
    close = text_distances(references, predictions) < _CLOSE
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


# Of a page that loops, the same few parts are looked for again and again.
@lru_cache(maxsize=10_000)
def is_within(part: str, whole: str, limit: float, *, at_limit: bool = False) -> bool:
    """Whether a stretch of `whole` as long as `part` differs from it in less than `limit` of its characters.

    With `at_limit` in no more than that. False where `part` is empty or longer than `whole`.
    """
    length = len(part)
    allowed = int(limit * length) + 1
    while allowed / max(length, 1) >= limit and not (at_limit and allowed / length == limit):
        allowed -= 1
    start = 0
    while length and start <= len(whole) - length:
        edits = Levenshtein.distance(whole[start : start + length], part)
        if edits <= allowed:
            return True
        # One character on, a stretch has one character less and one more: two edits nearer at best.
        start += (edits - allowed + 1) // 2
    return False


def _match_quickly(blocks: Sequence[GroundTruthBlock], predicted: Sequence[PredictedBlock]) -> list[Match]:
    references = _Side.of([row for block in blocks for row in _rows(block)])
    predictions = _Side.of(matching_order(predicted))
    if len(references.kept) == len(predictions.kept) == 1:
        groups = [([0], [0])]
    else:
        groups = _groups(references, predictions.normalized)
    return [_match(*group, references, predictions) for group in groups]


def _match_simply(blocks: Sequence[GroundTruthBlock], predicted: Sequence[PredictedBlock]) -> list[Match]:
    """Each block with the prediction that an optimal assignment gives it, however far.

    The official scorer takes the first prediction, number 0, for none where it looks up kind and position.
    """
    references, predictions = _Side.of(blocks), _Side.of(predicted)
    column_of = dict(best_pairs(text_distances(references.normalized, predictions.normalized)))
    matches = []
    for row in range(len(references.kept)):
        columns = [column_of[row]] if row in column_of else []
        match = _match([row], columns, references, predictions)
        matches.append(replace(match, kind=None, position=None) if columns == [0] else match)
    return matches


def _rows(block: GroundTruthBlock) -> list[GroundTruthBlock]:
    rows = array_rows(block.content) if block.is_formula else None
    if rows is None:
        return [block]
    places = [round(float(block.order or 0) + number / 10, 1) for number in range(1, len(rows) + 1)]
    return [replace(block, content=row, order=place) for (row, _), place in zip(rows, places)]


def _groups(references: _Side[GroundTruthBlock], predictions: Sequence[str]) -> list[tuple[list[int], list[int]]]:
    """Which references, an ignored one never, go with which predictions.

    Predictions close to an ignored block are out of the game, however often they come.
    """
    texts_of = zip(references.kept, references.normalized, strict=True)
    ignored = [text for block, text in texts_of if block.category in IGNORED]
    scored = [i for i, block in enumerate(references.kept) if block.category not in IGNORED]
    near_ignored = (text_distances(ignored, predictions) < _CLOSE).any(axis=0)
    free = [i for i in range(len(predictions)) if not near_ignored[i]]
    texts = [references.normalized[i] for i in scored], [predictions[i] for i in free]
    near = _near(*texts)
    groups = [(rows, list(run)) for run, rows in near.items() if rows] + _remaining(*texts, near)
    return [([scored[row] for row in rows], [free[column] for column in columns]) for rows, columns in groups]


def _near(references: Sequence[str], predictions: Sequence[str]) -> dict[Run, list[int]]:
    """References by the run of predictions they are matched with: optimally, then as a part of a longer prediction.

    A prediction that holds a reference only after another one did has no reference, and is matched all the same.
    """
    budget = Budget()
    runs = runs_of_predictions(references, predictions, budget)
    costs = text_distances(references, [" ".join(predictions[column] for column in run) for run in runs])
    near = {runs[run]: [row] for row, run in best_pairs(costs) if costs[row, run] <= _TOO_FAR}
    matched = {row for rows in near.values() for row in rows}
    left = [row for row in range(len(references)) if row not in matched]
    for column, prediction in enumerate(predictions):
        budget.charge(sum(_search_seconds(len(references[row]), len(prediction)) for row in left))
        held = [row for row in left if is_within(references[row], prediction, _WITHIN)]
        if held:
            near.setdefault((column,), []).extend(row for row in held if row not in matched)
            matched.update(held)
    return {run: sorted(rows) for run, rows in near.items()}


def _remaining(
    references: Sequence[str], predictions: Sequence[str], near: dict[Run, list[int]]
) -> list[tuple[list[int], list[int]]]:
    """The rest in pairs, however far, and then the references for which no prediction is left.

    The sets are walked as they are: of pairs equally far, the official scorer picks by that order.
    """
    rows = list(set(range(len(references))) - {row for matched in near.values() for row in matched})
    columns = list(set(range(len(predictions))) - {column for run in near for column in run})
    costs = text_distances([references[row] for row in rows], [predictions[column] for column in columns])
    pairs = [(rows[i], columns[j]) for i, j in best_pairs(costs)]
    alone = sorted(set(rows) - {row for row, _ in pairs})
    return [([row], [column]) for row, column in pairs] + [([row], []) for row in alone]


def _match(
    rows: list[int], columns: list[int], references: _Side[GroundTruthBlock], predictions: _Side[PredictedBlock]
) -> Match:
    category = Counter(references.kept[row].category for row in rows).most_common(1)[0][0]
    first = predictions.blocks[columns[0]] if columns else None
    return Match(
        category=category,
        reference=_joined([references.kept[row].content for row in rows], category == FORMULA),
        normalized_reference="".join(references.normalized[row] for row in rows),
        orders=[references.blocks[row].order for row in rows],
        prediction=_joined([predictions.kept[i].content for i in columns], first is not None and first.is_formula),
        normalized_prediction="".join(predictions.normalized[i] for i in columns),
        kind=first.kind if first else None,
        position=first.position if first else None,
    )


def _joined(texts: list[str], formulas: bool) -> str:
    """The texts in one; several formulas as the rows of an array, as CDM is given them."""
    if not formulas or len(texts) < 2:
        return "".join(texts)
    rows = " \\\\ ".join("{" + text.strip("$").strip("\n") + "}" for text in texts)
    return rf"\begin{{array}}{{l}} {rows} \end{{array}}"


@dataclass(frozen=True)
class _Candidate:
    """Predictions in a row and their distance, joined by blanks, to a block."""

    run: Run
    cost: float


def _search_seconds(part: int, whole: int) -> float:
    """Estimated seconds of a search for `part` characters at every place of `whole`."""
    return max(0, whole - part + 1) * _seconds(part, part)


def _seconds(a: int, b: int) -> float:
    """Estimated seconds of a comparison of texts of `a` and `b` characters."""
    return _CALL + _CELL * a * b


def _longest_run(
    reference: str, start: int, predictions: Sequence[str], usable: set[int], budget: Budget
) -> _Candidate:
    """Grows from `start` while the next prediction brings it nearer to the block and lies somewhere in it."""
    joined, end = predictions[start], start + 1
    cost = Levenshtein.normalized_distance(reference, joined)
    searches = _search_seconds(len(joined), len(reference))
    while end in usable and len(joined) <= len(reference):
        longer = f"{joined} {predictions[end]}"
        longer_cost = Levenshtein.normalized_distance(reference, longer)
        budget.charge(2 * _seconds(len(longer), len(reference)))
        if longer_cost > cost:
            break
        # The official code looks for every part again at each step.
        searches += _search_seconds(len(predictions[end]), len(reference))
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
    cheapest = (min(_sets(group), key=lambda picks: sum(pick.cost for pick in picks) / len(picks)) for group in groups)
    return [pick.run for picks in cheapest for pick in picks]


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
