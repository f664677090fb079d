"""CVAT for images 1.1: boxes, labels and texts of many pages in one XML file.

A region is a `box` or `polygon`; its text is the attribute `text`, where it has one. Polylines with the label
`reading_order` give the order, those of `level` 1 first: each of their points is of the smallest region around it.
Regions that no point is in come after, as they stand. Other polylines, and points, join regions and are none.
"""

import math
from collections.abc import Iterator
from functools import partial
from xml.etree.ElementTree import Element

from data_scripts.file_tree import FileTree
from data_scripts.formats.entries import Fields, list_entry, read_record, unique_pages
from data_scripts.formats.format import ListedPage
from data_scripts.formats.xml_text import box_of_points, has_root, number, parse_number, read_xml
from ocr2_hf.document.records import RecordError
from ocr2_hf.errors import WorkError

FILES = "*.xml, CVAT for images"
LABELS = {
    "caption": "figure_title",
    "section_header": "sub_title",
    "list_item": "text",
    "picture": "image",
    "formula": "equation",
    "page_header": "header",
    "page_footer": "footer",
}
LEVELS = ()
BOX_UNIT = None

_MAX_WORK = 10**7
_NO_REGIONS = ("polyline", "points", "tag")


def recognise(annotations: FileTree) -> bool:
    """True where one of the first XML files has the root `annotations`."""
    return has_root(annotations, "annotations")


def list_pages(annotations: FileTree, images: FileTree) -> list[ListedPage]:
    """Every image of every *.xml as a page; `WorkError` where one of the files cannot be read."""
    return unique_pages(page for path in annotations.paths(".xml") for page in _file_pages(path, images))


read_page = read_record


def _file_pages(path: str, images: FileTree) -> Iterator[ListedPage]:
    try:
        root = read_xml(path, "annotations")
    except RecordError as error:
        raise WorkError(f"{path}: {error}") from error
    if root.find("track") is not None:
        raise WorkError(f"{path}: tracks of a video, which are no pages: export the task as CVAT for images 1.1")
    for count, image in enumerate(root.iterfind("image"), 1):
        yield list_entry(path, count, images, image.get("name"), partial(_record, image))


def _record(image: Element) -> Fields:
    shapes = [(shape, _box(shape)) for shape in image if shape.tag not in _NO_REGIONS]
    if not shapes:
        raise RecordError("image has no box and no polygon")
    ranks = _ranks(image, [box for _, box in shapes])
    ordered = [shapes[i] for i in sorted(range(len(shapes)), key=lambda i: ranks.get(i, math.inf))]
    texts = [_attribute(shape, "text") for shape, _ in ordered]
    return {
        "text": "\n\n".join(filter(None, texts)),
        "bboxes": [box for _, box in ordered],
        "labels": [shape.get("label", "") for shape, _ in ordered],
        "texts": texts,
        "page_size": (number(image, "width"), number(image, "height")),
        "is_ordered": bool(ranks),
    }


def _ranks(image: Element, boxes: list[list[float]]) -> dict[int, int]:
    """The rank of each box that a point of the reading order is in."""
    paths = [line for line in image.iterfind("polyline") if line.get("label") == "reading_order"]
    paths.sort(key=lambda path: _attribute(path, "level") or "1")
    points = [point for path in paths for point in path.get("points", "").split(";")]
    if len(points) * len(boxes) > _MAX_WORK:
        raise RecordError(f"image has {len(points):,} points of the reading order and {len(boxes):,} regions: too many")
    ranks: dict[int, int] = {}
    for rank, point in enumerate(points):
        x, y, *_ = box_of_points(point, "points of the reading order")
        around = [i for i, (x0, y0, x1, y1) in enumerate(boxes) if x0 <= x <= x1 and y0 <= y <= y1]
        if around:
            ranks.setdefault(min(around, key=lambda i: _area(*boxes[i])), rank)
    return ranks


def _attribute(shape: Element, name: str) -> str:
    found = (attribute.text or "" for attribute in shape.iterfind("attribute") if attribute.get("name") == name)
    return next(found, "").strip()


def _area(x0: float, y0: float, x1: float, y1: float) -> float:
    return (x1 - x0) * (y1 - y0)


def _box(shape: Element) -> list[float]:
    if shape.tag == "box" and parse_number(shape.get("rotation", "0"), "rotation of a box") == 0:
        return [number(shape, name) for name in ("xtl", "ytl", "xbr", "ybr")]
    if shape.tag == "polygon":
        return box_of_points(shape.get("points", "").replace(";", " "), "points of a polygon")
    raise RecordError(f"a shape is a {shape.tag[:40]!a}, turned or of a kind that is no box: make it a box or polygon")
