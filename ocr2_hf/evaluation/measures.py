"""What is counted on one page, a function for each group of metrics.

Nearly every metric is one sum over pages divided by another (see `registry`), so pages can be resampled. A page is
measured once: metrics, intervals, parts and report are made from its `PageMeasure`.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from rapidfuzz.distance import Levenshtein

from ocr2_hf.document.grounding import has_tags, plain_text, text_pieces
from ocr2_hf.document.predictions import Prediction
from ocr2_hf.evaluation.boxes import LabelFound, Pair, box_iou, found_labels, pair_boxes, regions_by_label
from ocr2_hf.evaluation.formulas import find_formulas, formula_edits, match_formulas, score_formulas
from ocr2_hf.evaluation.reading_order import region_order_distance, text_blocks
from ocr2_hf.evaluation.robustness import ends_in_loop, invented_characters
from ocr2_hf.evaluation.tables import (
    ScoredTable,
    count_cells,
    find_tables,
    match_tables,
    right_cells,
    tree_similarity,
)
from ocr2_hf.evaluation.text import dominant_script, normalize_text

Measures = dict[str, float]

_BLANK_LINES = re.compile(r"\n\s*\n")


@dataclass(frozen=True, slots=True)
class PageMeasure:
    """All that was measured on a page: `quantities` of the whole page and, by `label`, of its regions; `found` of each
    label for mAP; the `parts` that the page belongs to, {"script" | "language" | "task": value}; which predicted and
    reference boxes and tables belong together, with IoU or TEDS."""

    quantities: Measures
    labels: dict[str, Measures] = field(default_factory=dict)
    found: dict[str, LabelFound] = field(default_factory=dict)
    parts: dict[str, str | None] = field(default_factory=dict)
    box_pairs: list[Pair] = field(default_factory=list)
    table_pairs: list[Pair] = field(default_factory=list)
    has_region_texts: bool = False  # whether predicted regions have texts of their own


class ScoredPage:
    """A page as it is measured: what several measures are counted from is worked out once."""

    def __init__(self, line: Prediction):
        self.line = line

    @cached_property
    def texts(self) -> tuple[str, str]:
        """Prediction and reference without grounding tags, as `ocr2 read` writes them."""
        return plain_text(self.line.prediction), plain_text(self.line.reference)

    @cached_property
    def iou(self) -> np.ndarray:
        """[N, M] of predicted and reference boxes."""
        return box_iou(*self.line.boxes())

    @cached_property
    def box_pairs(self) -> list[Pair]:
        """Which boxes belong together."""
        return pair_boxes(self.iou)

    @cached_property
    def tables(self) -> tuple[list[ScoredTable], list[ScoredTable]]:
        """Those of prediction and reference."""
        return find_tables(self.line.prediction), find_tables(self.line.reference)

    @cached_property
    def table_pairs(self) -> list[Pair]:
        """Which tables belong together."""
        return match_tables(*self.tables)


_last_page = ScoredPage(Prediction("", ""))


def scored_page(line: Prediction) -> ScoredPage:
    """The page of a line. The last one is kept: the functions below are called for a page one after the other."""
    global _last_page
    page = _last_page
    if page.line is not line:
        page = _last_page = ScoredPage(line)
    return page


def page_parts(line: Prediction) -> dict[str, str | None]:
    """What metrics are broken down by, and the page's value; None where nobody told."""
    script = dominant_script(scored_page(line).texts[1])
    return {"script": script, "language": line.language, "task": line.task}


def measure_text(line: Prediction) -> Measures:
    """Edits of characters and words."""
    prediction, reference = map(normalize_text, scored_page(line).texts)
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
    page = scored_page(line)
    return _box_quantities(page.iou, page.box_pairs)


def measure_tables(line: Prediction) -> Measures:
    """Tables, their TEDS, and their cells."""
    page = scored_page(line)
    (predicted, reference), pairs = page.tables, page.table_pairs
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
    predicted, reference = map(find_formulas, scored_page(line).texts)
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
    prediction, reference = scored_page(line).texts
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
    page, sides = scored_page(line), line.scored_regions()
    partner = {r: p for p, r, _ in page.box_pairs}
    said, wanted = ([normalize_text(region.text) for region in side] for side in sides)
    measures = {}
    for label, (rows, columns) in regions_by_label(sides).items():
        iou = page.iou[np.ix_(rows, columns)]
        texts = [(said[partner[r]] if r in partner else "", wanted[r]) for r in columns]
        measures[label] = _box_quantities(iou, pair_boxes(iou)) | {
            "character_edits": sum(Levenshtein.distance(*pair) for pair in texts),
            "characters": sum(len(wanted[r]) for r in columns),
        }
    return measures


def measure_found(line: Prediction) -> dict[str, LabelFound]:
    """What mAP is made of: for each label on the page which predictions hit."""
    return found_labels(line.scored_regions(), scored_page(line).iou)


def add_cdm(lines: Sequence[Prediction], measures: Sequence[PageMeasure], command: str) -> None:
    """Add the formulas' CDM to the pages' measures, by one run of a command (see `formulas`)."""
    formulas = [[find_formulas(text) for text in scored_page(line).texts] for line in lines]
    pairs = [
        (page, predicted[p], reference[r])
        for page, (predicted, reference) in enumerate(formulas)
        for p, r in match_formulas(predicted, reference)
    ]
    scores = score_formulas([(predicted, reference) for _, predicted, reference in pairs], command)
    for page, (predicted, reference) in enumerate(formulas):
        every = max(len(predicted), len(reference))
        measures[page].quantities.update(all_formulas=every, cdm_formulas=len(reference), cdm=0.0)
    for (page, _, _), score in zip(pairs, scores, strict=True):
        measures[page].quantities["cdm"] += score


def _without_blank_lines(text: str) -> str:
    """The text without tags as it was written; blank lines, which part regions in some notations, are line breaks."""
    return _BLANK_LINES.sub("\n", "\n".join(text_pieces(text))).strip()


def _box_quantities(iou: np.ndarray, pairs: Sequence[Pair]) -> Measures:
    """Of the IoU of predicted and reference boxes, [N, M], and the pairs among them."""
    predicted, reference = iou.shape
    return {
        "iou": sum(pair[2] for pair in pairs),
        "found_50": len(pair_boxes(iou, 0.5)),
        "found_75": len(pair_boxes(iou, 0.75)),
        "predicted_boxes": predicted,
        "boxes": reference,
        "mean_boxes": (predicted + reference) / 2,  # F1 = found / mean of both counts
    }
