"""COCO: boxes and labels of many pages in one JSON file, no text. PubLayNet and DocLayNet are of it.

`{"images": [{id, file_name, width, height}], "annotations": [{image_id, category_id, bbox}], "categories": [{id,
name}]}` with bbox [x, y, width, height]; where there is none, the box around the polygons of `segmentation`. A crowd
(`iscrowd`) with a bbox is a region like any other.

Reading order is the annotations' `order` (or that among their `attributes`, as CVAT has it) where all of a page have
one, else the order they stand in. An image without annotations is rejected: nobody says that it is blank.

Source: the data format of https://cocodataset.org.
"""

from array import array
from collections import Counter, defaultdict
from collections.abc import Iterator
from functools import partial
from typing import Any, NamedTuple

from data_scripts.file_tree import FileTree
from data_scripts.formats.coco_annotations import annotation_fields, id_of
from data_scripts.formats.entries import Fields, entry_id, entry_record, list_row, unique_pages
from data_scripts.formats.format import Level, ListedPage
from data_scripts.formats.json_files import Place, first_key_paths, numbers, told_keys
from data_scripts.formats.json_pieces import list_members, read_pieces
from data_scripts.label_map import by_class
from ocr2_hf.document.records import PageRecord, RecordError, shown
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


def read_page(page: ListedPage, level: Level = None) -> PageRecord:
    """The image's annotations, in their order."""
    return entry_record(page, lambda: _fields(page.annotation, page.entry))


class _Image(NamedTuple):
    """An image of a file: its id, what it is called and its sides, as the file has them.

    `places`: the first byte and the size of each of its annotations, in one row of numbers, as there is one for every
    annotation of the file; None where the id is not its own. `names`: those of all categories, by their ids.
    """

    id: Any
    file_name: Any
    sides: list[Any]
    places: array | None
    names: dict[Any, Any]


def _file_pages(path: str, images: FileTree) -> list[ListedPage]:
    found: list[_Image] = []
    places: dict[int | str | None, array] = defaultdict(partial(array, "Q"))
    names: dict[Any, Any] = {}
    for name, place, entry in _entries(path):
        if name == "images":
            sides = [entry.get("width"), entry.get("height")]
            found.append(_Image(entry.get("id"), entry.get("file_name"), sides, None, names))
        elif name == "annotations":
            places[id_of(entry.get("image_id"))].extend(place)
        else:
            names[id_of(entry.get("id"))] = entry.get("name")
    counts = Counter(id_of(image.id) for image in found)
    pages = []
    for number, image in enumerate(found, 1):
        image_id = id_of(image.id)
        known = counts[image_id] == 1 and image_id is not None
        of_image = places.pop(image_id, array("Q")) if known else None
        entry = image._replace(places=of_image)
        pages.append(list_row(path, entry_id(path, number), images, image.file_name, entry))
    return pages + [_orphan(path, image_id, len(left) // 2, images) for image_id, left in places.items()]


def _entries(path: str) -> Iterator[tuple[str, Place, dict[str, Any]]]:
    """Every entry of the three lists with the list's name; `WorkError` at the end where one is no list of objects."""
    keys: dict[str, None] = {}
    good: set[str] = set()
    for key, place, value in list_members(path, _LISTS):
        if place is None:
            keys[key] = None
            good |= {key} if isinstance(value, list) else set()
        elif isinstance(value, dict):
            yield key, place, value
        else:
            good.discard(key)
    for name in _LISTS:
        if name not in good:
            what = f"{name} is no list of objects, so it is no COCO file"
            raise WorkError(f"{path}: {what}; {told_keys(keys)}; move it to another folder")


def _orphan(path: str, image_id: int | str | None, count: int, images: FileTree) -> ListedPage:
    fault = RecordError(f"{count} annotations are of the image_id {shown(image_id)}, which no one image has")
    return ListedPage(f"{path.rpartition('/')[2]}#image_id={shown(image_id)}", path, images.root, (), fault)


def _fields(path: str, image: _Image) -> Fields:
    if image.places is None:
        raise RecordError(f"image has the id {shown(image.id)}, which is no id or is that of another image too")
    if not image.places:
        raise RecordError("image has no annotations")
    annotations = read_pieces(path, zip(image.places[::2], image.places[1::2]))
    size = numbers(image.sides, 2, "size of the image")
    return annotation_fields(annotations, image.names) | {"text": "", "page_size": tuple(size)}
