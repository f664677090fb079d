"""Label Studio's JSON export: a list of tasks, boxes in percent of the image.

Which of a task's annotations or predictions counts is in `label_studio_results.py`. The results of one region share an
id (`label_studio_regions.py`). The page's text is that of its regions, in the order they were made, or where none has
a text, that of the text areas for the whole page.

The image is found by the end of its path or URL, with or without the 8 hex digits and the dash that an upload puts
before the name.

Source: https://labelstud.io/guide/export and the tags' pages there.
"""

import re
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from data_scripts.file_tree import FileTree
from data_scripts.formats.entries import Fields, entry_id, entry_record, list_row, unique_pages
from data_scripts.formats.format import Level, ListedPage
from data_scripts.formats.images import find_image
from data_scripts.formats.json_files import first_key_paths, read_row
from data_scripts.formats.json_pieces import list_entries
from data_scripts.formats.label_studio_regions import drawn_size, percent_box, region_label, region_shape, region_text
from data_scripts.formats.label_studio_results import chosen_results
from ocr2_hf.document.records import PageRecord, RecordError, shown

FILES = "*.json, a list of tasks with data and annotations or predictions"
LABELS: dict[str, str] = {}
LEVELS = ()
BOX_UNIT = "percent"

_HEAD_KEYS = {"[].annotations", "[].completions", "[].predictions"}
_IMAGE_KEYS = ("image", "ocr", "img")
_UPLOADED = re.compile(r"(.*/)?[0-9a-f]{8}-([^/]+)", re.DOTALL)


def recognise(annotations: FileTree) -> bool:
    """True where the head of a JSON file has the annotations or predictions of a task."""
    return any(_HEAD_KEYS & paths for paths in first_key_paths(annotations.paths(".json")))


def list_pages(annotations: FileTree, images: FileTree) -> list[ListedPage]:
    """Every task of every *.json as a page; `WorkError` where one of the files is no JSON list."""
    return unique_pages(
        list_row(path, entry_id(path, number), images, _image_or_fault(number, task, path, images), place)
        for path in annotations.paths(".json")
        for number, place, task in list_entries(path)
    )


def read_page(page: ListedPage, level: Level = None) -> PageRecord:
    """The regions and texts of the page's task."""
    return entry_record(page, lambda: _fields(read_row(page)))


def _image_or_fault(number: int, task: Any, path: str, images: FileTree) -> Any:
    if not isinstance(task, dict) or not isinstance(task.get("data"), dict):
        return RecordError(f"entry {number} is {shown(task)}, not a task with data")
    return _image_name(task["data"], path, images)


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


def _fields(task: dict[str, Any]) -> Fields:
    by_region: dict[str, list[dict[str, Any]]] = {}
    for number, result in enumerate(chosen_results(task)):
        if not isinstance(result, dict):
            raise RecordError(f"result[{number}] is {shown(result)}, not an object")
        if isinstance(result.get("value"), dict):  # relations between regions have none
            by_region.setdefault(shown(result.get("id", number)), []).append(result)
    shapes = {region: region_shape(results) for region, results in by_region.items()}
    regions = [region for region, shape in shapes.items() if shape is not None]
    texts = [region_text(by_region[region]) for region in regions]
    of_page = [region_text(results) for region, results in by_region.items() if shapes[region] is None]
    text = "\n\n".join(text for text in (texts if any(texts) else of_page) if text)
    if not regions and not text:
        raise RecordError("annotation has neither regions nor text")
    sizes = [drawn_size(shapes[region]) for region in regions]
    if any(size != sizes[0] for size in sizes):
        raise RecordError("regions were drawn on images of several sizes (original_width, original_height)")
    return {
        "text": text,
        "bboxes": [percent_box(shapes[region], sizes[0]) for region in regions],
        "labels": [region_label(by_region[region]) for region in regions],
        "texts": texts,
        "page_size": sizes[0] if sizes else None,
    }
