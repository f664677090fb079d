"""Two evaluations of the same pages beside each other: what changed, page by page."""

from collections.abc import Sequence
from typing import Any

from ocr2_hf.errors import WorkError
from ocr2_hf.evaluation.summary import Line, summarize


def shared_pages(before: Sequence[Line], after: Sequence[Line]) -> tuple[list[Line], list[Line]]:
    """The pages that both evaluations have, in one order. Raises WorkError when there is none.

    Also when a shared page has two references: then the figures do not compare like with like.
    """
    after_by_id = {line["id"]: line for line in after}
    pairs = [(line, after_by_id[line["id"]]) for line in before if line["id"] in after_by_id]
    if not pairs:
        raise WorkError("the two evaluations have no page in common; compare two evaluations of one data set")
    for a, b in pairs:
        if a["reference"] != b["reference"]:
            raise WorkError(f"page {a['id']!r} has two references; compare two evaluations of one task")
    return [a for a, _ in pairs], [b for _, b in pairs]


def compare(before: Sequence[Line], after: Sequence[Line]) -> dict[str, Any]:
    """`{"before": metrics, "after": metrics, "change": after - before}`; a change is None where a side is."""
    a, b = summarize(before), summarize(after)
    change = {name: None if a[name] is None or b[name] is None else b[name] - a[name] for name in a}
    return {"before": a, "after": b, "change": change}
