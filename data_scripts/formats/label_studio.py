"""Label Studio's JSON export: a list of tasks, boxes in percent of the image.

Of the results of one region (they share an id) one has its shape, one its label, one its text: rectangle, polygon or
ellipse; `...labels`; `textarea`. A rotated rectangle becomes the box around it. A region without a label is "text".
The page's text is that of its regions, in the order they were made, or where none has a text, that of the text areas
for the whole page.

Of several annotations of a task the ground truth counts, else the newest; cancelled ones do not. The image is found by
the end of its path or URL, with or without the 8 hex digits and the dash that an upload puts before the name.

Source: https://labelstud.io/guide/export and the tags' pages there.
"""

import math
import re
from functools import partial
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from data_scripts.file_tree import FileTree
from data_scripts.formats.entries import Fields, entry_id, list_entry, read_record, unique_pages
from data_scripts.formats.format import ListedPage
from data_scripts.formats.images import find_image
from data_scripts.formats.json_files import are_all, first_key_paths, numbers, read_shared_json, string
from data_scripts.formats.layout import box_around
from ocr2_hf.document.records import RecordError, shown

FILES = "*.json, a list of tasks with annotations and data"
LABELS: dict[str, str] = {}
LEVELS = ()
BOX_UNIT = "percent"

_HEAD_KEYS = {"[].annotations", "[].completions"}
_IMAGE_KEYS = ("image", "ocr", "img")
_SHAPES = ("rectangle", "rectanglelabels", "polygon", "polygonlabels", "ellipse", "ellipselabels")
_UPLOADED = re.compile(r"(.*/)?[0-9a-f]{8}-([^/]+)", re.DOTALL)


def recognise(annotations: FileTree) -> bool:
    """True where the head of a JSON file has the annotations of a task."""
    return any(_HEAD_KEYS & paths for paths in first_key_paths(annotations.paths(".json")))


def list_pages(annotations: FileTree, images: FileTree) -> list[ListedPage]:
    """Every task of every *.json as a page; `WorkError` where one of the files is no JSON list."""
    return unique_pages(
        _task_page(path, number, task, images)
        for path in annotations.paths(".json")
        for number, task in enumerate(read_shared_json(path, list), 1)
    )


read_page = read_record


def _task_page(path: str, number: int, task: Any, images: FileTree) -> ListedPage:
    if not isinstance(task, dict) or not isinstance(task.get("data"), dict):
        fault = RecordError(f"entry {number} is {shown(task)}, not a task with data")
        return ListedPage(entry_id(path, number), path, images.root, (), fault)
    return list_entry(path, number, images, _image_name(task["data"], path, images), partial(_record, task))


def _image_name(data: dict[str, Any], annotation: str, images: FileTree) -> Any:
    """The task's image as a path; of the names with and without an upload's prefix the one that is there."""
    key = next((key for key in _IMAGE_KEYS if key in data), None)
    address = data[key] if key else next((value for value in data.values() if isinstance(value, str)), None)
    if not isinstance(address, str):
        return address
    try:
        parts = urlsplit(address)
        # Files that Label Studio serves from a folder: /data/local-files/?d=scans/1.png
        path = parse_qs(parts.query).get("d", [unquote(parts.path)])[0]
    except ValueError:
        return address
    uploaded = _UPLOADED.fullmatch(path)
    if uploaded is None:
        return path
    try:
        return find_image(images, path, annotation)
    except RecordError:
        return (uploaded[1] or "") + uploaded[2]


def _record(task: dict[str, Any]) -> Fields:
    by_region: dict[str, list[dict[str, Any]]] = {}
    for number, result in enumerate(_chosen(task)):
        if not isinstance(result, dict):
            raise RecordError(f"result[{number}] is {shown(result)}, not an object")
        if isinstance(result.get("value"), dict):  # relations between regions have none
            by_region.setdefault(shown(result.get("id", number)), []).append(result)
    shapes = {region: _shape(results) for region, results in by_region.items()}
    regions = [region for region, shape in shapes.items() if shape is not None]
    texts = [_text(by_region[region]) for region in regions]
    of_page = [_text(results) for region, results in by_region.items() if shapes[region] is None]
    text = "\n\n".join(text for text in (texts if any(texts) else of_page) if text)
    if not regions and not text:
        raise RecordError("annotation has neither regions nor text")
    sizes = [numbers([shapes[r].get("original_width"), shapes[r].get("original_height")], 2, "size") for r in regions]
    if any(size != sizes[0] for size in sizes):
        raise RecordError("regions were drawn on images of several sizes (original_width, original_height)")
    return {
        "text": text,
        "bboxes": [_box(shapes[region], *sizes[0]) for region in regions],
        "labels": [_label(by_region[region]) for region in regions],
        "texts": texts,
        "page_size": tuple(sizes[0]) if sizes else None,
    }


def _chosen(task: dict[str, Any]) -> list[Any]:
    """The results of the annotation that counts."""
    annotations = task.get("annotations", task.get("completions"))
    if not are_all(dict, annotations):
        raise RecordError(f"annotations of the task are {shown(annotations)}, not a list of objects")
    done = [entry for entry in annotations if not entry.get("was_cancelled")]
    if not done:
        raise RecordError("every annotation of the task was cancelled" if annotations else "task has no annotation")
    results = max(done, key=_rank).get("result")
    if not isinstance(results, list):
        raise RecordError(f"result of the annotation is {shown(results)}, not a list")
    return results


def _rank(annotation: dict[str, Any]) -> tuple[bool, str]:
    newest = annotation.get("updated_at") or annotation.get("created_at")
    return bool(annotation.get("ground_truth")), newest if isinstance(newest, str) else ""


def _shape(results: list[dict[str, Any]]) -> dict[str, Any] | None:
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


def _box(result: dict[str, Any], width: float, height: float) -> list[float]:
    """The region's box in percent of the image of `width` x `height` that was annotated."""
    value = result["value"]
    if "points" in value:
        points = value["points"] if isinstance(value["points"], list) else []
        percent = [numbers(point, 2, "point of a polygon") for point in points]
    elif "radiusX" in value:
        x, y, a, b = numbers([value.get(key) for key in ("x", "y", "radiusX", "radiusY")], 4, "ellipse")
        percent = [(x - a, y - b), (x + a, y + b)]
    else:
        return _rectangle(value, width, height)
    return box_around(percent)


def _rectangle(value: dict[str, Any], width: float, height: float) -> list[float]:
    """The box around a rectangle that is turned clockwise about its upper left corner."""
    keys = ("x", "y", "width", "height")
    x, y, w, h = numbers([value.get(key) for key in keys], 4, f"rectangle's {', '.join(keys)}")
    (degrees,) = numbers([value.get("rotation") or 0], 1, "rotation")
    if not degrees:
        return [x, y, x + w, y + h]
    if min(width, height) <= 0:
        raise RecordError(f"size is {shown([width, height])}, not two numbers above 0")
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    # It is turned in pixels, of which a percent of the width has not as many as one of the height.
    ratio = height / width
    corners = [(0, 0), (w, 0), (w, h), (0, h)]
    return box_around([(x + a * cos - b * ratio * sin, y + a / ratio * sin + b * cos) for a, b in corners])


def _label(results: list[dict[str, Any]]) -> str:
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


def _text(results: list[dict[str, Any]]) -> str:
    """The region's text areas, a line each."""
    parts = []
    for result in results:
        if result.get("type") == "textarea":
            text = result["value"].get("text")
            parts += [string(part, "text of a region") for part in (text if isinstance(text, list) else [text])]
    return "\n".join(parts).strip()
