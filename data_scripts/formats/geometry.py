"""Polygons as the boxes around them."""

import math
from collections.abc import Iterable, Sequence
from typing import Any

from ocr2_hf.document.records import RecordError, shown


def box_around(points: Iterable[Sequence[Any]], what: str = "polygon") -> list[float]:
    """The box [x0, y0, x1, y1] around `points` (x, y), in their units.

    Raises `RecordError` that begins with `what` where there are no points, or one is no pair of finite numbers.
    """
    pairs = list(points)
    if not pairs:
        raise RecordError(f"{what} has no points")
    for pair in pairs:
        numbers = [value for value in pair if type(value) in (int, float)]
        if len(numbers) != 2 or len(pair) != 2 or not all(map(_is_finite, numbers)):
            raise RecordError(f"{what} has the point {shown(pair)}, not two numbers x, y")
    return box_around_all([[*pair, *pair] for pair in pairs])


def box_around_all(boxes: Iterable[Sequence[float]]) -> list[float]:
    """The box around boxes [x0, y0, x1, y1]; there must be one."""
    x0, y0, x1, y1 = zip(*boxes)
    return [min(x0), min(y0), max(x1), max(y1)]


def _is_finite(value: float) -> bool:
    return abs(value) < math.inf  # of an int too, however long
