"""`metrics.json`: the figures of a set of prediction lines. What cannot be measured is None, never 0."""

from collections.abc import Sequence
from statistics import fmean
from typing import Any

from ocr2_hf.evaluation.boxes import mean_box_iou
from ocr2_hf.evaluation.robustness import missing_eos_rate, repetition_rate
from ocr2_hf.evaluation.text import (
    character_error_rate,
    normalized_edit_distance,
    strip_grounding,
    word_error_rate,
)

Line = dict[str, Any]


def summarize(lines: Sequence[Line]) -> dict[str, float | int | None]:
    """Flat metrics over prediction lines (see `predictions`).

    `text_accuracy` is max(0, 1 - cer); text is compared without its grounding tags, and the text metrics are
    None when no reference has any text. `bbox_iou` is the mean IoU over all reference boxes (one without a
    match counts 0), None when there are none. `inference_time` (seconds per page), `tokens_per_page` and
    `missing_eos_rate` are over the pages that say so.
    """
    seconds = [line["seconds"] for line in lines if line.get("seconds") is not None]
    tokens = [line["tokens"] for line in lines if line.get("tokens") is not None]
    finished = [line["finished"] for line in lines if line.get("finished") is not None]
    return {
        **_text_metrics(lines),
        "bbox_iou": mean_box_iou(
            [boxes(line, "regions") for line in lines], [boxes(line, "reference_regions") for line in lines]
        ),
        "inference_time": fmean(seconds) if seconds else None,
        "pages": len(lines),
        "repetition_rate": repetition_rate([line["prediction"] for line in lines]) if lines else None,
        "missing_eos_rate": missing_eos_rate(finished) if finished else None,
        "tokens_per_page": fmean(tokens) if tokens else None,
    }


def boxes(line: Line, key: str) -> list[list[float]]:
    """The boxes of `line[key]` ("regions" or "reference_regions"), [N, 4]."""
    return [region["box"] for region in line.get(key) or []]


def _text_metrics(lines: Sequence[Line]) -> dict[str, float | None]:
    predictions = [strip_grounding(line["prediction"]) for line in lines]
    references = [strip_grounding(line["reference"]) for line in lines]
    if not any(references):
        return dict.fromkeys(("text_accuracy", "cer", "wer", "normalized_edit_distance"))
    cer = character_error_rate(predictions, references)
    return {
        "text_accuracy": max(0.0, 1.0 - cer),
        "cer": cer,
        "wer": word_error_rate(predictions, references),
        "normalized_edit_distance": normalized_edit_distance(predictions, references),
    }
