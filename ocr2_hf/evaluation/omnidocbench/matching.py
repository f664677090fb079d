"""Which predicted blocks are which annotated blocks of a page: text and display formulas together.

Source: utils/match_quick.py of the official scorer (`match_gt2pred_quick` and what it calls), utils/match.py
(`get_gt_pred_lines`). Its distances of joined pairs are never used for a score and are left out here.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from scipy.optimize import linear_sum_assignment

from ocr2_hf.evaluation.omnidocbench.arrays import array_rows
from ocr2_hf.evaluation.omnidocbench.budget import Budget, OverBudget, search_seconds
from ocr2_hf.evaluation.omnidocbench.distances import distance_matrix, is_within
from ocr2_hf.evaluation.omnidocbench.ground_truth import FORMULA, IGNORED, Block
from ocr2_hf.evaluation.omnidocbench.markdown import Kind, PredictedBlock, matching_order
from ocr2_hf.evaluation.omnidocbench.merging import CLOSE, runs_of_predictions
from ocr2_hf.evaluation.omnidocbench.normalization import normalize_formula, normalize_text

_TOO_FAR = 0.7
_WITHIN = 0.4

Item = TypeVar("Item", Block, PredictedBlock)


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


@dataclass(frozen=True)
class _Side(Generic[Item]):
    """One side of the page: the texts that have something left when normalised, and all blocks.

    The official scorer drops the empty texts but not their blocks, and looks up an annotated order, a predicted
    position and a predicted kind by the number of the text: after an empty one they are a neighbour's. So here.
    """

    texts: list[str]
    normalized: list[str]
    blocks: list[Item]


def match_blocks(blocks: Sequence[Block], predicted: Sequence[PredictedBlock]) -> list[Match]:
    """Match a page's annotated blocks, in reading order, with everything predicted but tables.

    Every scored block is in one match; what is predicted beyond them is in none.
    """
    try:
        matches = _match_quickly(blocks, predicted)
    except OverBudget:
        matches = _match_simply(blocks, predicted)
    return [match for match in matches if match.category not in IGNORED]


def _match_quickly(blocks: Sequence[Block], predicted: Sequence[PredictedBlock]) -> list[Match]:
    categories, references = _reference_side([row for block in blocks for row in _rows(block)])
    predictions = _predicted_side(matching_order(predicted))
    if len(references.texts) == len(predictions.texts) == 1:
        groups = [([0], [0])]
    else:
        groups = _groups(categories, references.normalized, predictions.normalized)
    return [_match(*group, categories, references, predictions) for group in groups]


def _match_simply(blocks: Sequence[Block], predicted: Sequence[PredictedBlock]) -> list[Match]:
    """Each block with the prediction that an optimal assignment gives it, however far.

    The official scorer takes the first prediction, number 0, for none where it looks up kind and position.
    """
    categories, references = _reference_side(blocks)
    predictions = _predicted_side(predicted)
    costs = distance_matrix(references.normalized, predictions.normalized)
    column_of = {int(row): int(column) for row, column in zip(*linear_sum_assignment(costs))}
    matches = []
    for row in range(len(references.texts)):
        columns = [column_of[row]] if row in column_of else []
        match = _match([row], columns, categories, references, predictions)
        matches.append(replace(match, kind=None, position=None) if columns == [0] else match)
    return matches


def _rows(block: Block) -> list[Block]:
    rows = array_rows(block.content) if block.category == FORMULA else None
    if rows is None:
        return [block]
    places = [round(float(block.order or 0) + number / 10, 1) for number in range(1, len(rows) + 1)]
    return [replace(block, content=row, order=place) for (row, _), place in zip(rows, places)]


def _texts(block: Block | PredictedBlock, is_formula: bool) -> tuple[str, str]:
    return block.content, (normalize_formula if is_formula else normalize_text)(block.content)


def _reference_side(blocks: Sequence[Block]) -> tuple[list[str], _Side[Block]]:
    """The category of each text, and the texts."""
    lines = [(block.category, *_texts(block, block.category == FORMULA)) for block in blocks]
    lines = [line for line in lines if all(line[1:])]
    side = _Side([text for _, text, _ in lines], [normalized for *_, normalized in lines], list(blocks))
    return [category for category, *_ in lines], side


def _predicted_side(blocks: Sequence[PredictedBlock]) -> _Side[PredictedBlock]:
    lines = [line for line in (_texts(block, block.kind.is_formula) for block in blocks) if all(line)]
    return _Side([text for text, _ in lines], [normalized for _, normalized in lines], list(blocks))


def _groups(
    categories: Sequence[str], references: Sequence[str], predictions: Sequence[str]
) -> list[tuple[list[int], list[int]]]:
    """Which references, an ignored one never, go with which predictions.

    Predictions close to an ignored block are out of the game, however often they come.
    """
    ignored = [i for i, category in enumerate(categories) if category in IGNORED]
    scored = [i for i, category in enumerate(categories) if category not in IGNORED]
    near_ignored = (distance_matrix([references[i] for i in ignored], predictions) < CLOSE).any(axis=0)
    free = [i for i in range(len(predictions)) if not near_ignored[i]]
    near = _near([references[i] for i in scored], [predictions[i] for i in free])
    groups = [(rows, list(run)) for run, rows in near.items() if rows]
    groups += _remaining([references[i] for i in scored], [predictions[i] for i in free], near)
    return [([scored[row] for row in rows], [free[column] for column in columns]) for rows, columns in groups]


def _near(references: Sequence[str], predictions: Sequence[str]) -> dict[tuple[int, ...], list[int]]:
    """References by the run of predictions they are matched with: optimally, then as a part of a longer prediction.

    A prediction that holds a reference only after another one did has no reference, and is matched all the same.
    """
    budget = Budget()
    runs = runs_of_predictions(references, predictions, distance_matrix(references, predictions), budget)
    joined = [" ".join(predictions[column] for column in run) for run in runs]
    costs = distance_matrix(references, joined)
    near = {runs[run]: [int(row)] for row, run in zip(*linear_sum_assignment(costs)) if costs[row, run] <= _TOO_FAR}
    matched = {row for rows in near.values() for row in rows}
    left = [row for row in range(len(references)) if row not in matched]
    for column, prediction in enumerate(predictions):
        budget.charge(sum(search_seconds(len(references[row]), len(prediction)) for row in left))
        held = [row for row in left if is_within(references[row], prediction, _WITHIN)]
        if held:
            near.setdefault((column,), []).extend(row for row in held if row not in matched)
            matched.update(held)
    return {run: sorted(rows) for run, rows in near.items()}


def _remaining(
    references: Sequence[str], predictions: Sequence[str], near: dict[tuple[int, ...], list[int]]
) -> list[tuple[list[int], list[int]]]:
    """The rest in pairs, however far, and then the references for which no prediction is left.

    The sets are walked as they are: of pairs equally far, the official scorer picks by that order.
    """
    rows = list(set(range(len(references))) - {row for matched in near.values() for row in matched})
    columns = list(set(range(len(predictions))) - {column for run in near for column in run})
    costs = distance_matrix([references[row] for row in rows], [predictions[column] for column in columns])
    pairs = [(rows[i], columns[j]) for i, j in zip(*linear_sum_assignment(costs))]
    alone = sorted(set(rows) - {row for row, _ in pairs})
    return [([row], [column]) for row, column in pairs] + [([row], []) for row in alone]


def _match(
    rows: list[int],
    columns: list[int],
    categories: Sequence[str],
    references: _Side[Block],
    predictions: _Side[PredictedBlock],
) -> Match:
    category = Counter(categories[row] for row in rows).most_common(1)[0][0]
    first = predictions.blocks[columns[0]] if columns else None
    return Match(
        category=category,
        reference=_joined([references.texts[row] for row in rows], category == FORMULA),
        normalized_reference="".join(references.normalized[row] for row in rows),
        orders=[references.blocks[row].order for row in rows],
        prediction=_joined([predictions.texts[i] for i in columns], first is not None and first.kind.is_formula),
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
