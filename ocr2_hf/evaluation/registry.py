"""Every metric, one row each: how it is counted, which way it points, how and where it is shown.

Tables, report, comparison, curves, model card, `metric_for_best_model` and the modules of `evaluate` are made from
these rows. A new metric is one more row, and one function of a page that counts what it needs (see `measures`).
"""

from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import numpy as np
from tqdm.auto import tqdm

from ocr2_hf.document.predictions import Prediction
from ocr2_hf.evaluation import measures
from ocr2_hf.evaluation.boxes import Detections, LabelFound
from ocr2_hf.evaluation.processes import spread
from ocr2_hf.evaluation.robustness import repetition_rate
from ocr2_hf.evaluation.text import character_error_rate, exact_match, normalized_edit_distance, word_error_rate

# Counts up when a metric gives another value for the same lines. 2: malformed answers and tables are scored as
# `ocr2 read` reads them. 3: boxes read on a page whose reference is text alone are neither right nor wrong.
DEFINITIONS = 3

_PAGES_AT_ONCE = 32  # handed to a process, so that all end at about the same time

PERCENT, DECIMAL, SECONDS, RATE, COUNT = "{:.1%}", "{:.3f}", "{:.2f} s", "{:.2f}", "{:,.0f}"
Place = Literal["headline", "histogram", "breakdown", "card"]
_ARROWS = {"higher": "\N{UPWARDS ARROW}", "lower": "\N{DOWNWARDS ARROW}"}


@dataclass(frozen=True)
class Metric:
    """One metric.

    `measure` counts a page; the value is `sum` over all pages divided by `normaliser` (quantities of `measure`; "" for
    a mere count), where the references have some of `needs`; `turn` makes of that ratio what is shown. `over_all`
    stands for all these where the metric is no such ratio.

    `form` is a Python format. `group` is where it stands in the report; in none it is in metrics.json alone. `short` is
    its name in the list of pages, "" where that does not show it. `training` says whether and how training measures it:
    in the losses' forward pass, by reading pages, or by reading those of the guard.

    `places`: where else it stands. headline, histogram, breakdown: of the
    report; card: what the Hub is told.

    `module`: the value of (predictions, references) for `evaluate`, where that is not the one counted from texts;
    `inputs` is what one entry of them is.
    """

    name: str
    label: str
    form: str
    better: Literal["higher", "lower"]
    meaning: str
    sum: str = ""
    normaliser: str = ""
    needs: str = ""
    group: str = ""
    measure: Callable[[Prediction], measures.Measures] | None = None
    turn: Callable[[np.ndarray], np.ndarray] | None = None
    over_all: Callable[[Sequence[Mapping[str, LabelFound]]], Detections] | None = None
    short: str = ""
    training: Literal["", "forward", "reading", "guard"] = ""
    places: Set[Place] = frozenset()
    inputs: Literal["text", "boxes", "prediction", ""] = ""
    module: Callable[..., Any] | None = None

    @property
    def higher_is_better(self) -> bool:
        """Which way the metric points."""
        return self.better == "higher"

    @property
    def directed_label(self) -> str:
        """The label with an arrow that points to the better values."""
        return f"{self.label} {_ARROWS[self.better]}"

    @property
    def directed_meaning(self) -> str:
        """The meaning, and which values are better."""
        return f"{self.meaning}; {self.better} is better"

    def shown(self, value: float | int | None, signed: bool = False) -> str:
        """A value as people read it, an en dash where it was not measured; `signed` for a change."""
        form = self.form.replace("{:", "{:+") if signed else self.form
        return "\N{EN DASH}" if value is None else form.format(value)


_text = partial(Metric, needs="characters", group="Text", measure=measures.measure_text, inputs="text")
_boxes = partial(Metric, needs="boxes", group="Boxes", measure=measures.measure_boxes, inputs="boxes")
_tables = partial(Metric, needs="tables", group="Tables", measure=measures.measure_tables, inputs="text")
_pages = partial(Metric, group="Robustness", measure=measures.measure_robustness)
_cost = partial(Metric, group="Cost", measure=measures.measure_cost)

# fmt: off
_ROWS = (
    _text("text_accuracy", "Text accuracy", PERCENT, "higher", "1 - character errors, at least 0",
          "character_edits", "characters", turn=lambda errors: np.maximum(0.0, 1.0 - errors),
          places={"headline"}),
    _text("cer", "Character errors", PERCENT, "lower", "characters to change / characters of the reference",
          "character_edits", "characters", short="CER", training="reading", module=character_error_rate,
          places={"histogram", "card", "breakdown"}),
    _text("wer", "Word errors", PERCENT, "lower", "words to change / words of the reference",
          "word_edits", "words", needs="words", short="WER", module=word_error_rate,
          places={"headline", "card", "breakdown"}),
    _text("normalized_edit_distance", "Edit distance", DECIMAL, "lower", "edits / longer text, mean over pages",
          "distance", "pages", training="reading", module=normalized_edit_distance, places={"card"}),
    _text("exact_match", "Pages without error", PERCENT, "higher", "pages whose text is exactly the reference",
          "exact", "pages", module=exact_match),
    _text("cer_strict", "Character errors, strict", PERCENT, "lower", "blanks and line breaks count as well",
          "strict_edits", "strict_characters", needs="strict_characters"),
    _text("exact_match_strict", "Pages without error, strict", PERCENT, "higher",
          "blanks and line breaks count as well", "strict_exact", "pages", group=""),
    _boxes("bbox_iou", "Box IoU", DECIMAL, "higher", "overlap with the matched box, mean over reference boxes",
           "iou", "boxes", short="IoU", training="reading",
           places={"headline", "histogram", "card", "breakdown"}),
    _boxes("box_f1_50", "Box F1 at 0.5", DECIMAL, "higher", "a box is found when its IoU is at least 0.5",
           "found_50", "mean_boxes", short="F1", places={"headline", "card", "breakdown"}),
    _boxes("box_precision_50", "Precision at 0.5", DECIMAL, "higher", "predicted boxes that are right",
           "found_50", "predicted_boxes"),
    _boxes("box_recall_50", "Recall at 0.5", DECIMAL, "higher", "reference boxes that were found",
           "found_50", "boxes"),
    _boxes("box_f1_75", "Box F1 at 0.75", DECIMAL, "higher", "a box is found when its IoU is at least 0.75",
           "found_75", "mean_boxes"),
    _boxes("box_precision_75", "Precision at 0.75", DECIMAL, "higher", "predicted boxes that are right",
           "found_75", "predicted_boxes", group=""),
    _boxes("box_recall_75", "Recall at 0.75", DECIMAL, "higher", "reference boxes that were found",
           "found_75", "boxes", group=""),
    Metric("map", "mAP", DECIMAL, "higher", "COCO mean average precision, IoU 0.5 to 0.95, by label",
           group="Boxes", over_all=Detections, places={"card"}),
    _tables("teds", "TEDS", DECIMAL, "higher", "tree similarity of tables, 1 is perfect",
            "teds", "all_tables", short="TEDS", places={"headline", "histogram", "card", "breakdown"}),
    _tables("teds_s", "TEDS, structure", DECIMAL, "higher", "TEDS without the cells' text",
            "teds_s", "all_tables", places={"card"}),
    _tables("cell_precision", "Cell precision", DECIMAL, "higher", "predicted cells that are right",
            "right_cells", "predicted_cells", needs="cells"),
    _tables("cell_recall", "Cell recall", DECIMAL, "higher", "reference cells that were read right",
            "right_cells", "cells", needs="cells"),
    Metric("reading_order_edit", "Reading order", DECIMAL, "lower", "edit distance, 0 is perfect",
           "order_distance", "ordered_pages", "ordered_pages", group="Order and formulas",
           measure=measures.measure_order, short="order", inputs="text"),
    Metric("formula_edit", "Formula edits", DECIMAL, "lower", "normalised edit distance, 0 is perfect",
           "formula_edits", "formula_characters", "formulas", group="Order and formulas",
           measure=measures.measure_formulas, short="formulas", inputs="text"),
    # counted by `add_cdm`, where the user has a scorer
    Metric("cdm", "Formula CDM", DECIMAL, "higher", "by an external scorer, 1 is perfect",
           "cdm", "all_formulas", "cdm_formulas", group="Order and formulas"),
    _pages("repetition_rate", "End in a loop", PERCENT, "lower", "pages that repeat themselves to the end",
           "loops", "pages", "pages", training="reading", inputs="prediction", module=repetition_rate, places={"card"}),
    _pages("missing_eos_rate", "Never end", PERCENT, "lower", "pages cut off at the token limit",
           "unfinished", "pages_with_finish", "pages_with_finish", training="reading"),
    _pages("invented_text_rate", "Invented text", PERCENT, "lower", "predicted text that is nowhere on the page",
           "invented_characters", "predicted_characters", "predicted_characters", short="invented", inputs="text"),
    _pages("empty_rate", "Empty pages", PERCENT, "lower", "pages with text of which nothing was read",
           "empty", "pages_to_read", "pages_to_read"),
    _pages("missing_pages", "Missing pages", COUNT, "lower", "pages without a prediction",
           "missing"),
    _cost("inference_time", "Time per page", SECONDS, "lower", "a batch's time / its pages",
          "seconds", "pages_with_seconds", "pages_with_seconds", short="time",
          places={"headline", "histogram", "breakdown"}),
    _cost("pages_per_second", "Pages per second", RATE, "higher", "of one process",
          "pages_with_seconds", "seconds", "pages_with_seconds"),
    _cost("tokens_per_page", "Tokens per page", COUNT, "lower", "generated tokens, the end token included",
          "tokens", "pages_with_tokens", "pages_with_tokens", short="tokens"),
    Metric("token_accuracy", "Token accuracy", PERCENT, "higher", "tokens that are right when the truth is fed",
           training="forward"),
    Metric("guard_cer", "Character errors, guard", PERCENT, "lower", "on the pages that must not be unlearned",
           training="guard"),
)
# fmt: on
METRICS: dict[str, Metric] = {metric.name: metric for metric in _ROWS}


def counted_metrics() -> list[Metric]:
    """Those that are counted from prediction lines."""
    return [metric for metric in METRICS.values() if metric.sum or metric.over_all]


def shown_metrics() -> list[Metric]:
    """Those that tables and the report show, in their order."""
    return [metric for metric in counted_metrics() if metric.group]


def listed_metrics() -> list[Metric]:
    """The metrics that each page of the report's list has, and is sorted by."""
    return [metric for metric in counted_metrics() if metric.short]


def training_metrics(*kinds: str) -> list[Metric]:
    """Those that training measures in one of these ways; all without any."""
    return [metric for metric in METRICS.values() if metric.training and (not kinds or metric.training in kinds)]


def measure_page(line: Prediction) -> measures.PageMeasure:
    """Every quantity of a page that a metric is counted from, and `pages`; what is 0 may be left out. And what is
    measured beside the quantities: see `PageMeasure`."""
    functions = dict.fromkeys(metric.measure for metric in METRICS.values() if metric.measure)
    page = measures.scored_page(line)
    return measures.PageMeasure(
        {"pages": 1} | {name: value for function in functions for name, value in function(line).items()},
        measures.measure_labels(line),
        measures.measure_found(line),
        measures.page_parts(line),
        page.box_pairs,
        page.table_pairs,
        any(region.text for region in line.regions or ()),
    )


def measure_pages(
    lines: Sequence[Prediction], cdm_command: str | None = None, processes: int | None = None
) -> list[measures.PageMeasure]:
    """`measure_page` of every line; with `cdm_command` (see `formulas`) the CDM of formulas too, by one run of it.

    The values are the same by any number of `processes`; where it is given a bar tells how far they are.
    """
    parts = [lines[start : start + _PAGES_AT_ONCE] for start in range(0, len(lines), _PAGES_AT_ONCE)]
    pages = []
    with tqdm(total=len(lines), desc="measuring", unit="page", delay=2, disable=processes is None) as bar:
        for measured in spread(_measure_part, parts, processes or 1):
            pages += measured
            bar.update(len(measured))
    if cdm_command is not None:
        measures.add_cdm(lines, pages, cdm_command)
    return pages


def _measure_part(lines: Sequence[Prediction]) -> list[measures.PageMeasure]:
    return list(map(measure_page, lines))


def metrics_table(columns: Mapping[str, Mapping[str, Any]]) -> str:
    """Metrics beside each other as lines of text, a column per name; in "change" numbers have a sign. An arrow points
    to a metric's better values; what was measured in none is left out."""
    rows = [f"{'':26}" + "".join(f"{name:>12}" for name in columns)] if any(columns) else []
    for metric in shown_metrics():
        values = {column: metrics.get(metric.name) for column, metrics in columns.items()}
        if any(value is not None for value in values.values()):
            cells = (f"{metric.shown(value, column == 'change'):>12}" for column, value in values.items())
            rows.append(f"{metric.directed_label:26}" + "".join(cells))
    return "\n".join(rows)
