"""The figures as people read them: name, form and group of every metric, in the order they are shown."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_PERCENT, _DECIMAL = "{:.1%}", "{:.3f}"


@dataclass(frozen=True)
class Figure:
    """How a metric is shown: a Python format, and in the report the group it stands in and what it means."""

    label: str
    form: str
    group: str
    meaning: str


FIGURES = {
    "text_accuracy": Figure("Text accuracy", _PERCENT, "Text", "1 - character errors, at least 0"),
    "cer": Figure("Character errors", _PERCENT, "Text", "characters to change / characters of the reference"),
    "wer": Figure("Word errors", _PERCENT, "Text", "words to change / words of the reference"),
    "normalized_edit_distance": Figure("Edit distance", _DECIMAL, "Text", "edits / longer text, mean over pages"),
    "exact_match": Figure("Pages without error", _PERCENT, "Text", "pages whose text is exactly the reference"),
    "cer_strict": Figure("Character errors, strict", _PERCENT, "Text", "blanks and line breaks count as well"),
    "bbox_iou": Figure("Box IoU", _DECIMAL, "Boxes", "overlap with the matched box, mean over reference boxes"),
    "box_f1_50": Figure("Box F1 at 0.5", _DECIMAL, "Boxes", "a box is found when its IoU is at least 0.5"),
    "box_precision_50": Figure("Precision at 0.5", _DECIMAL, "Boxes", "predicted boxes that are right"),
    "box_recall_50": Figure("Recall at 0.5", _DECIMAL, "Boxes", "reference boxes that were found"),
    "box_f1_75": Figure("Box F1 at 0.75", _DECIMAL, "Boxes", "a box is found when its IoU is at least 0.75"),
    "map": Figure("mAP", _DECIMAL, "Boxes", "COCO mean average precision, IoU 0.5 to 0.95, by label"),
    "teds": Figure("TEDS", _DECIMAL, "Tables", "tree similarity of tables, 1 is perfect"),
    "teds_s": Figure("TEDS, structure", _DECIMAL, "Tables", "TEDS without the cells' text"),
    "cell_precision": Figure("Cell precision", _DECIMAL, "Tables", "predicted cells that are right"),
    "cell_recall": Figure("Cell recall", _DECIMAL, "Tables", "reference cells that were read right"),
    "reading_order_edit": Figure("Reading order", _DECIMAL, "Order and formulas", "edit distance, 0 is perfect"),
    "formula_edit": Figure("Formula edits", _DECIMAL, "Order and formulas", "normalised edit distance, 0 is perfect"),
    "cdm": Figure("Formula CDM", _DECIMAL, "Order and formulas", "by an external scorer, 1 is perfect"),
    "repetition_rate": Figure("End in a loop", _PERCENT, "Robustness", "pages that repeat themselves to the end"),
    "missing_eos_rate": Figure("Never end", _PERCENT, "Robustness", "pages cut off at the token limit"),
    "invented_text_rate": Figure("Invented text", _PERCENT, "Robustness", "predicted text that is nowhere on the page"),
    "empty_rate": Figure("Empty pages", _PERCENT, "Robustness", "pages with text of which nothing was read"),
    "missing_pages": Figure("Missing pages", "{:,.0f}", "Robustness", "pages without a prediction"),
    "inference_time": Figure("Time per page", "{:.2f} s", "Cost", "a batch's time / its pages"),
    "pages_per_second": Figure("Pages per second", "{:.2f}", "Cost", "of one process"),
    "tokens_per_page": Figure("Tokens per page", "{:,.0f}", "Cost", "generated tokens, the end token included"),
}

# Printed even where they were not measured: their absence tells something too.
_ALWAYS = ("text_accuracy", "cer", "wer", "bbox_iou", "inference_time")


def figure(name: str, value: float | int | None, signed: bool = False) -> str:
    """A metric as people read it, an en dash where it was not measured; `signed` for a change."""
    form = FIGURES[name].form.replace("{:", "{:+") if signed else FIGURES[name].form
    return "\N{EN DASH}" if value is None else form.format(value)


def metrics_table(columns: Mapping[str, Mapping[str, Any]]) -> str:
    """Metrics beside each other as lines of text, a column per name; in "change" numbers have a sign."""
    rows = [f"{'':26}" + "".join(f"{name:>12}" for name in columns)] if any(columns) else []
    for name, shown in FIGURES.items():
        values = {column: metrics.get(name) for column, metrics in columns.items()}
        if name in _ALWAYS or any(value is not None for value in values.values()):
            cells = (f"{figure(name, value, column == 'change'):>12}" for column, value in values.items())
            rows.append(f"{shown.label:26}" + "".join(cells))
    return "\n".join(rows)
