"""What is counted on one page. Every figure is one sum over pages divided by another, so pages can be resampled."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from rapidfuzz.distance import Levenshtein

from ocr2_hf.evaluation.boxes import box_iou, pair_boxes
from ocr2_hf.evaluation.cdm import score_formulas
from ocr2_hf.evaluation.formulas import find_formulas, formula_edits, match_formulas
from ocr2_hf.evaluation.page_tables import count_cells, find_tables, match_tables, right_cells
from ocr2_hf.evaluation.reading_order import region_order_distance, text_blocks
from ocr2_hf.evaluation.robustness import ends_in_loop, invented_characters
from ocr2_hf.evaluation.tables import tree_similarity
from ocr2_hf.evaluation.text import has_grounding, normalize_text, strip_grounding

Line = dict[str, Any]
Measures = dict[str, float]

# figure: (what is summed, what it is divided by, what the references must have some of for the figure to mean anything)
RATIOS = {
    "cer": ("character_edits", "characters", "characters"),
    "wer": ("word_edits", "words", "words"),
    "normalized_edit_distance": ("distance", "pages", "characters"),
    "exact_match": ("exact", "pages", "characters"),
    "cer_strict": ("strict_edits", "strict_characters", "strict_characters"),
    "exact_match_strict": ("strict_exact", "pages", "characters"),
    "bbox_iou": ("iou", "boxes", "boxes"),
    "box_precision_50": ("found_50", "predicted_boxes", "boxes"),
    "box_recall_50": ("found_50", "boxes", "boxes"),
    "box_f1_50": ("found_50", "mean_boxes", "boxes"),
    "box_precision_75": ("found_75", "predicted_boxes", "boxes"),
    "box_recall_75": ("found_75", "boxes", "boxes"),
    "box_f1_75": ("found_75", "mean_boxes", "boxes"),
    "teds": ("teds", "all_tables", "tables"),
    "teds_s": ("teds_s", "all_tables", "tables"),
    "cell_precision": ("right_cells", "predicted_cells", "cells"),
    "cell_recall": ("right_cells", "cells", "cells"),
    "formula_edit": ("formula_edits", "formula_characters", "formulas"),
    "cdm": ("cdm", "all_formulas", "cdm_formulas"),
    "reading_order_edit": ("order_distance", "ordered_pages", "ordered_pages"),
    "repetition_rate": ("loops", "pages", "pages"),
    "missing_eos_rate": ("unfinished", "pages_with_finish", "pages_with_finish"),
    "invented_text_rate": ("invented_characters", "predicted_characters", "predicted_characters"),
    "empty_rate": ("empty", "pages_to_read", "pages_to_read"),
    "inference_time": ("seconds", "pages_with_seconds", "pages_with_seconds"),
    "pages_per_second": ("pages_with_seconds", "seconds", "pages_with_seconds"),
    "tokens_per_page": ("tokens", "pages_with_tokens", "pages_with_tokens"),
}
COUNTS = {"pages": "pages", "missing_pages": "missing"}
QUANTITIES = tuple(dict.fromkeys([*(quantity for ratio in RATIOS.values() for quantity in ratio), *COUNTS.values()]))


def measure_pages(lines: Sequence[Line], cdm_command: str | None = None) -> list[Measures]:
    """`measure` of every line; with `cdm_command` (see `cdm`) the formulas' CDM too, by one run of the command."""
    measures = [measure(line) for line in lines]
    if cdm_command is not None:
        _add_cdm(lines, measures, cdm_command)
    return measures


def measure(line: Line) -> Measures:
    """The QUANTITIES of a prediction line that are not 0 (see `predictions`)."""
    return {
        "pages": 1,
        "missing": bool(line.get("missing")),
        **_text(line),
        **_boxes(line),
        **_tables(line),
        **_formulas(line),
        **_reading_order(line),
        **_robustness(line),
        **_cost(line),
    }


def measure_labels(line: Line) -> dict[str, Measures]:
    """For each label on the page the box quantities of its own regions, and the edits of their texts.

    The text of a reference region is compared with that of the predicted region, of any label, that its box is matched
    to; it is lost where there is none.
    """
    predicted, reference = (line.get(key) or [] for key in ("regions", "reference_regions"))
    iou = box_iou(*([region["box"] for region in side] for side in (predicted, reference)))
    labels = [[region.get("label") or "" for region in side] for side in (predicted, reference)]
    partner = {r: p for p, r, _ in pair_boxes(iou)}
    measures = {}
    for label in dict.fromkeys([*labels[1], *labels[0]]):
        rows, columns = ([at for at, name in enumerate(side) if name == label] for side in labels)
        texts = [(_region_text(predicted, partner.get(r)), _region_text(reference, r)) for r in columns]
        measures[label] = _box_quantities(iou[np.ix_(rows, columns)]) | {
            "character_edits": sum(Levenshtein.distance(*pair) for pair in texts),
            "characters": sum(len(wanted) for _, wanted in texts),
        }
    return measures


def plain_pair(line: Line) -> tuple[str, str]:
    """Prediction and reference without grounding tags, for the comparison of their texts."""
    return strip_grounding(line["prediction"]), strip_grounding(line["reference"])


def _text(line: Line) -> Measures:
    prediction, reference = map(normalize_text, plain_pair(line))
    words = prediction.split(), reference.split()
    # Without tags the strict text is what was written, to the last line break.
    tagged = has_grounding(line["prediction"]) or has_grounding(line["reference"])
    strict = plain_pair(line) if tagged else (line["prediction"], line["reference"])
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


def _boxes(line: Line) -> Measures:
    sides = ([region["box"] for region in line.get(key) or []] for key in ("regions", "reference_regions"))
    return _box_quantities(box_iou(*sides))


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


def _tables(line: Line) -> Measures:
    predicted, reference = (find_tables(line[key]) for key in ("prediction", "reference"))
    if not predicted and not reference:
        return {}
    pairs = match_tables(predicted, reference)
    structures = [tree_similarity(predicted[p].tree, reference[r].tree, structure_only=True) for p, r, _ in pairs]
    return {
        "teds": sum(score for _, _, score in pairs),
        "teds_s": sum(structures),
        "tables": len(reference),
        "all_tables": max(len(predicted), len(reference)),
        "right_cells": sum(right_cells(predicted[p], reference[r]) for p, r, _ in pairs),
        "predicted_cells": sum(map(count_cells, predicted)),
        "cells": sum(map(count_cells, reference)),
    }


def _formulas(line: Line) -> Measures:
    predicted, reference = (find_formulas(text) for text in plain_pair(line))
    if not predicted and not reference:
        return {}
    edits, characters = formula_edits(predicted, reference)
    return {"formula_edits": edits, "formula_characters": characters, "formulas": len(reference)}


def _add_cdm(lines: Sequence[Line], measures: Sequence[Measures], command: str) -> None:
    formulas = [[find_formulas(text) for text in plain_pair(line)] for line in lines]
    pairs = [
        (page, predicted[p], reference[r])
        for page, (predicted, reference) in enumerate(formulas)
        for p, r in match_formulas(predicted, reference)
    ]
    scores = score_formulas([(predicted, reference) for _, predicted, reference in pairs], command)
    for page, (predicted, reference) in enumerate(formulas):
        counts = {"all_formulas": max(len(predicted), len(reference)), "cdm_formulas": len(reference), "cdm": 0.0}
        measures[page].update(counts)
    for (page, _, _), score in zip(pairs, scores, strict=True):
        measures[page]["cdm"] += score


def _reading_order(line: Line) -> Measures:
    sides = [
        [(region["box"], region.get("text") or "") for region in line.get(key) or []]
        for key in ("regions", "reference_regions")
    ]
    if not (sides[0] and sides[1]):
        sides = [[(None, block) for block in blocks] for blocks in text_blocks(*plain_pair(line))]
    distance = region_order_distance(*sides)
    return {} if distance is None else {"order_distance": distance, "ordered_pages": 1}


def _robustness(line: Line) -> Measures:
    prediction, reference = plain_pair(line)
    invented, predicted = invented_characters(prediction, reference)
    to_read = bool(reference) and not line.get("missing")
    finished = line.get("finished")
    return {
        "loops": ends_in_loop(line["prediction"]),
        "unfinished": finished is False,
        "pages_with_finish": finished is not None,
        "invented_characters": invented,
        "predicted_characters": predicted,
        "empty": to_read and not prediction,
        "pages_to_read": to_read,
    }


def _cost(line: Line) -> Measures:
    seconds, tokens = line.get("seconds"), line.get("tokens")
    return {
        "seconds": seconds or 0,
        "pages_with_seconds": seconds is not None,
        "tokens": tokens or 0,
        "pages_with_tokens": tokens is not None,
    }


def _region_text(regions: Sequence[dict[str, Any]], index: int | None) -> str:
    return normalize_text(regions[index].get("text") or "") if index is not None else ""
