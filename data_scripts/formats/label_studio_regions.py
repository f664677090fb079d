"""A region in Label Studio: of its results one has its shape, one its label, one its text.

The shape is a rectangle, polygon or ellipse, the label in `...labels`, the text in `textarea`. A rotated rectangle
becomes the box around it. A region without a label is "text".
"""

import math
from typing import Any

from data_scripts.formats.json_files import numbers, string
from data_scripts.formats.layout import box_around
from ocr2_hf.document.records import RecordError, shown

_SHAPES = ("rectangle", "rectanglelabels", "polygon", "polygonlabels", "ellipse", "ellipselabels")


def region_shape(results: list[dict[str, Any]]) -> dict[str, Any] | None:
    """The result that says where the region is; None where they are of the whole page."""
    for result in results:
        if result.get("type") in _SHAPES:
            if result.get("image_rotation"):
                turned = shown(result["image_rotation"])
                raise RecordError(f"image was turned by {turned} degrees in Label Studio: turn the file and its boxes")
            return result
    if marks := [result for result in results if {"x", "rle", "vertices"} & result["value"].keys()]:
        raise RecordError(f"region is a {shown(marks[0].get('type'))}, which has no box")
    return None


def drawn_size(result: dict[str, Any]) -> tuple[float, float] | None:
    """The size of the image that the region was drawn on; None where it is not told, as in predictions."""
    sides = [result.get("original_width"), result.get("original_height")]
    return None if sides == [None, None] else tuple(numbers(sides, 2, "size"))


def percent_box(result: dict[str, Any], size: tuple[float, float] | None) -> list[float]:
    """The region's box in percent of the image of this `size` that was annotated."""
    value = result["value"]
    if "points" in value:
        points = value["points"] if isinstance(value["points"], list) else []
        percent = [numbers(point, 2, "point of a polygon") for point in points]
    elif "radiusX" in value:
        x, y, a, b = numbers([value.get(key) for key in ("x", "y", "radiusX", "radiusY")], 4, "ellipse")
        percent = [(x - a, y - b), (x + a, y + b)]
    else:
        return _rectangle(value, size)
    return box_around(percent)


def _rectangle(value: dict[str, Any], size: tuple[float, float] | None) -> list[float]:
    """The box around a rectangle that is turned clockwise about its upper left corner."""
    keys = ("x", "y", "width", "height")
    x, y, w, h = numbers([value.get(key) for key in keys], 4, f"rectangle's {', '.join(keys)}")
    (degrees,) = numbers([value.get("rotation") or 0], 1, "rotation")
    if not degrees:
        return [x, y, x + w, y + h]
    if size is None or min(size) <= 0:
        raise RecordError(f"rectangle is turned, and the size of its image is {shown(size)}, not two numbers above 0")
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    # It is turned in pixels, of which a percent of the width has not as many as one of the height.
    ratio = size[1] / size[0]
    corners = [(0, 0), (w, 0), (w, h), (0, h)]
    return box_around([(x + a * cos - b * ratio * sin, y + a / ratio * sin + b * cos) for a, b in corners])


def region_label(results: list[dict[str, Any]]) -> str:
    """The region's one label; "text" where it has none."""
    labels: dict[str, None] = {}
    for result in results:
        kind = result.get("type")
        found = result["value"].get(kind, []) if isinstance(kind, str) and kind.endswith("labels") else []
        if not isinstance(found, list):
            raise RecordError(f"labels of a region are {shown(found)}, not a list")
        labels |= dict.fromkeys(string(label, "label of a region") for label in found)
    if len(labels) > 1:
        raise RecordError(f"region has the labels {shown(list(labels))}, not one")
    return next(iter(labels), "text")


def region_text(results: list[dict[str, Any]]) -> str:
    """The region's text areas, a line each."""
    parts = []
    for result in results:
        if result.get("type") == "textarea":
            text = result["value"].get("text")
            parts += [string(part, "text of a region") for part in (text if isinstance(text, list) else [text])]
    return "\n".join(parts).strip()
