"""Two evaluations of the same pages beside each other: what changed, page by page."""

from collections.abc import Sequence
from typing import Any

from ocr2_hf.document.predictions import Prediction
from ocr2_hf.errors import WorkError
from ocr2_hf.evaluation.intervals import interval
from ocr2_hf.evaluation.registry import DEFINITIONS, METRICS, measure_pages
from ocr2_hf.evaluation.summary import bootstrap, summarize


def shared_pages(
    before: Sequence[Prediction], after: Sequence[Prediction]
) -> tuple[list[Prediction], list[Prediction]]:
    """The pages that both evaluations have, in one order. Raises WorkError when there is none.

    Also when a shared page has two references: then the figures do not compare like with like.
    """
    after_by_id = {line.id: line for line in after}
    pairs = [(line, after_by_id[line.id]) for line in before if line.id in after_by_id]
    if not pairs:
        raise WorkError("the two evaluations have no page in common; compare two evaluations of one data set")
    for a, b in pairs:
        if a.reference != b.reference:
            raise WorkError(f"page {a.id!r} has two references; compare two evaluations of one task")
    return [a for a, _ in pairs], [b for _, b in pairs]


def compare(
    before: Sequence[Prediction], after: Sequence[Prediction], seed: int = 0, samples: int = 1000
) -> dict[str, Any]:
    """`{"before": metrics, "after": metrics, "change": after - before, "paired": ...}` of the same pages in one order.

    A change is None where a side is. `paired`: {metric: {"better_by": x, "interval": [low, high]}}: how much better
    `after` is (negative: worse), whichever way the metric points, and the middle 95% of that over bootstrap samples of
    the pages, each sample the same pages on both sides. An interval without 0 in it is a difference that other pages
    would show too. From two pages on. Both sides are measured now, by the present `definitions`.
    """
    sides = [(lines, measure_pages(lines)) for lines in (before, after)]
    a, b = (summarize(*side) for side in sides)
    change = {name: None if a[name] is None or b[name] is None else b[name] - a[name] for name in a}
    paired = {}
    if len(before) > 1:
        values_a, values_b = (bootstrap(*side, seed, samples) for side in sides)
        for name in values_a:
            if change[name] is not None:
                sign = 1 if METRICS[name].higher_is_better else -1
                limits = interval(sign * (values_b[name] - values_a[name]))
                paired[name] = {"better_by": sign * change[name], "interval": limits}
    return {"definitions": DEFINITIONS, "before": a, "after": b, "change": change, "paired": paired}


def definitions_note(name: str, metrics: dict[str, Any]) -> str | None:
    """What to say of an evaluation whose own figures, in its metrics.json, are of other definitions than today's."""
    known = metrics.get("definitions", 1)
    if not metrics or known == DEFINITIONS:
        return None
    return (
        f"{name}: its metrics.json is of the metrics' definitions {known}, today's are {DEFINITIONS}. Both sides are "
        "measured by today's here; figures of malformed answers and tables differ from that file's"
    )
