"""What is counted on one page, a function for each group of metrics.

Nearly every metric is one sum over pages divided by another (see `registry`), so pages can be resampled.
"""

import re
from collections.abc import Sequence

import numpy as np
from rapidfuzz.distance import Levenshtein

from ocr2_hf.document.grounding import has_tags, plain_text, text_pieces
from ocr2_hf.document.predictions import Prediction
from ocr2_hf.evaluation.boxes import box_iou, pair_boxes
from ocr2_hf.evaluation.formulas import find_formulas, formula_edits, match_formulas, score_formulas
from ocr2_hf.evaluation.reading_order import region_order_distance, text_blocks
from ocr2_hf.evaluation.robustness import ends_in_loop, invented_characters
from ocr2_hf.evaluation.tables import count_cells, find_tables, match_tables, right_cells, tree_similarity
from ocr2_hf.evaluation.text import normalize_text

Measures = dict[str, float]

_BLANK_LINES = re.compile(r"\n\s*\n")


def plain_pair(line: Prediction) -> tuple[str, str]:
    """Prediction and reference without grounding tags, as `ocr2 read` writes them."""
    return plain_text(line.prediction), plain_text(line.reference)


def measure_text(line: Prediction) -> Measures:
    """Edits of characters and words."""
    prediction, reference = map(normalize_text, plain_pair(line))
    words = prediction.split(), reference.split()
    # With their blanks and line breaks; without tags on either side exactly what was written.
    strict = line.prediction, line.reference
    if any(map(has_tags, strict)):
        strict = tuple(map(_without_blank_lines, strict))
    edits = Levenshtein.distance(prediction, reference)
    longer = max(len(prediction), len(reference))
    return {
        "character_edits": edits,
        "characters": len(reference),
        "word_edits": Levenshtein.distance(*words),
        "words": len(words[1]),
        "distance": edits / longer if longer else 0.0,
        "exact": edits == 0,
        "strict_edits": Levenshtein.distance(*strict),
        "strict_characters": len(strict[1]),
        "strict_exact": strict[0] == strict[1],
    }


def measure_boxes(line: Prediction) -> Measures:
    """Boxes and how they overlap."""
    return _box_quantities(box_iou(*line.boxes()))


def measure_tables(line: Prediction) -> Measures:
    """Tables, their TEDS, and their cells."""
    predicted, reference = map(find_tables, (line.prediction, line.reference))
    pairs = match_tables(predicted, reference)
    return {
        "teds": sum(score for _, _, score in pairs),
        "teds_s": sum(tree_similarity(predicted[p].tree, reference[r].tree, structure_only=True) for p, r, _ in pairs),
        "tables": len(reference),
        "all_tables": max(len(predicted), len(reference)),
        "right_cells": sum(right_cells(predicted[p], reference[r]) for p, r, _ in pairs),
        "predicted_cells": sum(map(count_cells, predicted)),
        "cells": sum(map(count_cells, reference)),
    }


def measure_formulas(line: Prediction) -> Measures:
    """Edits of formulas."""
    predicted, reference = map(find_formulas, plain_pair(line))
    edits, characters = formula_edits(predicted, reference)
    return {"formula_edits": edits, "formula_characters": characters, "formulas": len(reference)}


def measure_order(line: Prediction) -> Measures:
    """The reading order of regions, or where a side has none of blocks of text."""
    sides = [[(region.box, region.text) for region in side or ()] for side in (line.regions, line.reference_regions)]
    if not all(sides):
        blocks = text_blocks(*map(_without_blank_lines, (line.prediction, line.reference)))
        sides = [[(None, block) for block in side] for side in blocks]
    distance = region_order_distance(*sides)
    return {} if distance is None else {"order_distance": distance, "ordered_pages": 1}


def measure_robustness(line: Prediction) -> Measures:
    """What went wrong with the page as a whole."""
    prediction, reference = plain_pair(line)
    invented, predicted = invented_characters(prediction, reference)
    to_read = bool(reference) and not line.missing
    return {
        "missing": bool(line.missing),
        "loops": ends_in_loop(line.prediction),
        "unfinished": line.finished is False,
        "pages_with_finish": line.finished is not None,
        "invented_characters": invented,
        "predicted_characters": predicted,
        "empty": to_read and not prediction,
        "pages_to_read": to_read,
    }


def measure_cost(line: Prediction) -> Measures:
    """Seconds and tokens, where they are known."""
    return {
        "seconds": line.seconds or 0,
        "pages_with_seconds": line.seconds is not None,
        "tokens": line.tokens or 0,
        "pages_with_tokens": line.tokens is not None,
    }


def measure_labels(line: Prediction) -> dict[str, Measures]:
    """For each label on the page the box quantities of its own regions, and the edits of their texts.

    The text of a reference region is compared with that of the predicted region, of any label, that its box is matched
    to; it is lost where there is none.
    """
    sides = line.scored_regions()
    iou = box_iou(*line.boxes())
    partner = {r: p for p, r, _ in pair_boxes(iou)}
    said, wanted = ([normalize_text(region.text) for region in side] for side in sides)
    measures = {}
    for label in dict.fromkeys(region.label for side in reversed(sides) for region in side):
        rows, columns = ([at for at, region in enumerate(side) if region.label == label] for side in sides)
        texts = [(said[partner[r]] if r in partner else "", wanted[r]) for r in columns]
        measures[label] = _box_quantities(iou[np.ix_(rows, columns)]) | {
            "character_edits": sum(Levenshtein.distance(*pair) for pair in texts),
            "characters": sum(len(wanted[r]) for r in columns),
        }
    return measures


def add_cdm(lines: Sequence[Prediction], measures: Sequence[Measures], command: str) -> None:
    """Add the formulas' CDM to the pages' measures, by one run of a command (see `formulas`)."""
    formulas = [[find_formulas(text) for text in plain_pair(line)] for line in lines]
    pairs = [
        (page, predicted[p], reference[r])
        for page, (predicted, reference) in enumerate(formulas)
        for p, r in match_formulas(predicted, reference)
    ]
    scores = score_formulas([(predicted, reference) for _, predicted, reference in pairs], command)
    for page, (predicted, reference) in enumerate(formulas):
        measures[page].update(all_formulas=max(len(predicted), len(reference)), cdm_formulas=len(reference), cdm=0.0)
    for (page, _, _), score in zip(pairs, scores, strict=True):
        measures[page]["cdm"] += score


def _without_blank_lines(text: str) -> str:
    """The text without tags as it was written; blank lines, which part regions in some notations, are line breaks."""
    return _BLANK_LINES.sub("\n", "\n".join(text_pieces(text))).strip()


def _box_quantities(iou: np.ndarray) -> Measures:
    """Of the IoU of predicted and reference boxes, [N, M]."""
    predicted, reference = iou.shape
    return {
        "iou": sum(pair[2] for pair in pair_boxes(iou)),
        "found_50": len(pair_boxes(iou, 0.5)),
        "found_75": len(pair_boxes(iou, 0.75)),
        "predicted_boxes": predicted,
        "boxes": reference,
        "mean_boxes": (predicted + reference) / 2,  # F1 = found / mean of both counts
    }
