"""COCO: boxes and labels of many pages in one JSON file, no text. PubLayNet and DocLayNet are of it.

`{"images": [{id, file_name, width, height}], "annotations": [{image_id, category_id, bbox}], "categories": [{id,
name}]}` with bbox [x, y, width, height]; where there is none, the box around the polygons of `segmentation`. A crowd
(`iscrowd`) with a bbox is a region like any other.

Reading order is the annotations' `order` (or that among their `attributes`, as CVAT has it) where all of a page have
one, else the order they stand in. An image without annotations is rejected: nobody says that it is blank.

Source: the data format of https://cocodataset.org.
"""

from collections import Counter, defaultdict
from functools import partial
from typing import Any

from data_scripts.file_tree import FileTree
from data_scripts.formats.entries import Fields, list_entry, read_record, unique_pages
from data_scripts.formats.format import ListedPage
from data_scripts.formats.json_files import are_all, first_key_paths, numbers, read_shared_json, string, told_keys
from data_scripts.formats.layout import box_around
from data_scripts.label_map import by_class
from ocr2_hf.document.records import RecordError, shown
from ocr2_hf.errors import WorkError

FILES = "*.json with images, annotations and categories"
# Those of PubLayNet in small letters, of DocLayNet in capitals, as others write them too.
LABELS = by_class(
    text="list List List-item Text",
    title="Title",
    sub_title="Section-header",
    header="Page-header",
    footer="Page-footer",
    footnote="Footnote",
    table="Table",
    equation="Formula",
    image="figure Figure Picture",
    figure_title="caption Caption",
)
LEVELS = ()
BOX_UNIT = None

_LISTS = ("images", "annotations", "categories")
_HEAD_KEYS = {".images[].file_name", ".annotations[].image_id", ".annotations[].category_id", ".categories[].id"}


def recognise(annotations: FileTree) -> bool:
    """True where the head of a JSON file has keys of COCO's lists."""
    return any(_HEAD_KEYS & paths for paths in first_key_paths(annotations.paths(".json")))


def list_pages(annotations: FileTree, images: FileTree) -> list[ListedPage]:
    """Every entry of `images` in every *.json as a page; `WorkError` where one of the files is no COCO file."""
    return unique_pages(page for path in annotations.paths(".json") for page in _file_pages(path, images))


read_page = read_record


def _file_pages(path: str, images: FileTree) -> list[ListedPage]:
    lists = read_shared_json(path, dict, _without_polygons)
    for name in _LISTS:
        if not are_all(dict, lists.get(name)):
            what = f"{name} is no list of objects, so it is no COCO file"
            raise WorkError(f"{path}: {what}; {told_keys(lists)}; move it to another folder")
    names = {_id(category.get("id")): category.get("name") for category in lists["categories"]}
    regions = defaultdict(list)
    for annotation in lists["annotations"]:
        regions[_id(annotation.get("image_id"))].append(annotation)
    counts = Counter(_id(image.get("id")) for image in lists["images"])
    pages = []
    for number, image in enumerate(lists["images"], 1):
        known = counts[_id(image.get("id"))] == 1 and _id(image.get("id")) is not None
        found = regions.pop(_id(image.get("id")), []) if known else None
        read = partial(_record, image, found, names)
        pages.append(list_entry(path, number, images, image.get("file_name"), read))
    return pages + [_orphan(path, image_id, len(found), images) for image_id, found in regions.items()]


def _without_polygons(entry: dict[str, Any]) -> dict[str, Any]:
    """Most of a COCO file is polygons that are not needed: they are dropped while it is parsed."""
    if "bbox" in entry:
        entry.pop("segmentation", None)
    return entry


def _id(value: Any) -> int | str | None:
    return value if type(value) in (int, str) else None


def _orphan(path: str, image_id: int | str | None, count: int, images: FileTree) -> ListedPage:
    fault = RecordError(f"{count} annotations are of the image_id {shown(image_id)}, which no one image has")
    return ListedPage(f"{path.rpartition('/')[2]}#image_id={shown(image_id)}", path, images.root, (), fault)


def _record(image: dict[str, Any], annotations: list[dict[str, Any]] | None, names: dict[Any, Any]) -> Fields:
    if annotations is None:
        raise RecordError(f"image has the id {shown(image.get('id'))}, which is no id or is that of another image too")
    if not annotations:
        raise RecordError("image has no annotations")
    annotations = _in_order(annotations)
    return {
        "text": "",
        "bboxes": [_box(annotation, f"annotations[{i}] of the image") for i, annotation in enumerate(annotations)],
        "labels": [_label(annotation, names) for annotation in annotations],
        "page_size": tuple(numbers([image.get("width"), image.get("height")], 2, "size of the image")),
        "is_ordered": _order(annotations[0]) is not None,
    }


def _in_order(annotations: list[dict[str, Any]]) -> list[dict[str, Any]]:
    orders = [_order(annotation) for annotation in annotations]
    if all(order is None for order in orders):
        return annotations
    numbers(orders, len(orders), "order of the image's annotations")
    return [annotations[i] for i in sorted(range(len(orders)), key=orders.__getitem__)]


def _order(annotation: dict[str, Any]) -> Any:
    attributes = annotation.get("attributes")
    return annotation.get("order", attributes.get("order") if isinstance(attributes, dict) else None)


def _box(annotation: dict[str, Any], where: str) -> list[float]:
    if "bbox" in annotation:
        x, y, width, height = numbers(annotation["bbox"], 4, f"{where}: bbox")
        return [x, y, x + width, y + height]
    polygons = annotation.get("segmentation")
    if not are_all(list, polygons):
        raise RecordError(f"{where} has neither bbox nor polygons")
    where = f"{where}: segmentation"
    flat = [numbers(polygon, len(polygon), where) for polygon in polygons]
    return box_around([polygon[i : i + 2] for polygon in flat for i in range(0, len(polygon), 2)], where)


def _label(annotation: dict[str, Any], names: dict[Any, Any]) -> str:
    category = _id(annotation.get("category_id"))
    if category not in names:
        raise RecordError(f"annotation is of the category_id {shown(category)}, which categories does not have")
    return string(names[category], "name of a category")
