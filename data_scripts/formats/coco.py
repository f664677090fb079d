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
from data_scripts.formats.coco_annotations import annotation_fields, id_of
from data_scripts.formats.entries import Fields, list_entry, read_record, unique_pages
from data_scripts.formats.format import ListedPage
from data_scripts.formats.json_files import are_all, first_key_paths, numbers, read_shared_json, told_keys
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
    names = {id_of(category.get("id")): category.get("name") for category in lists["categories"]}
    regions = defaultdict(list)
    for annotation in lists["annotations"]:
        regions[id_of(annotation.get("image_id"))].append(annotation)
    counts = Counter(id_of(image.get("id")) for image in lists["images"])
    pages = []
    for number, image in enumerate(lists["images"], 1):
        known = counts[id_of(image.get("id"))] == 1 and id_of(image.get("id")) is not None
        found = regions.pop(id_of(image.get("id")), []) if known else None
        read = partial(_record, image, found, names)
        pages.append(list_entry(path, number, images, image.get("file_name"), read))
    return pages + [_orphan(path, image_id, len(found), images) for image_id, found in regions.items()]


def _without_polygons(entry: dict[str, Any]) -> dict[str, Any]:
    """Most of a COCO file is polygons that are not needed: they are dropped while it is parsed."""
    if "bbox" in entry:
        entry.pop("segmentation", None)
    return entry


def _orphan(path: str, image_id: int | str | None, count: int, images: FileTree) -> ListedPage:
    fault = RecordError(f"{count} annotations are of the image_id {shown(image_id)}, which no one image has")
    return ListedPage(f"{path.rpartition('/')[2]}#image_id={shown(image_id)}", path, images.root, (), fault)


def _record(image: dict[str, Any], annotations: list[dict[str, Any]] | None, names: dict[Any, Any]) -> Fields:
    if annotations is None:
        raise RecordError(f"image has the id {shown(image.get('id'))}, which is no id or is that of another image too")
    if not annotations:
        raise RecordError("image has no annotations")
    fields = annotation_fields(annotations, names)
    size = numbers([image.get("width"), image.get("height")], 2, "size of the image")
    return fields | {"text": "", "page_size": tuple(size)}
