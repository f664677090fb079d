"""Metrics as lines of text, for a terminal."""

from collections.abc import Mapping
from typing import Any

from ocr2_hf.evaluation.registry import shown_metrics


def metrics_table(columns: Mapping[str, Mapping[str, Any]]) -> str:
    """Metrics beside each other as lines of text, a column per name; in "change" numbers have a sign. An arrow points
    to a metric's better values."""
    rows = [f"{'':26}" + "".join(f"{name:>12}" for name in columns)] if any(columns) else []
    for metric in shown_metrics():
        values = {column: metrics.get(metric.name) for column, metrics in columns.items()}
        if "print" in metric.places or any(value is not None for value in values.values()):
            cells = (f"{metric.shown(value, column == 'change'):>12}" for column, value in values.items())
            rows.append(f"{metric.directed_label:26}" + "".join(cells))
    return "\n".join(rows)
