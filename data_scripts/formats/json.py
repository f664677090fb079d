"""The plain annotation folder: NAME.json pairs with NAME.png (or another image, or a PDF).

The JSON is an object with `text` (the page), `bboxes` (pixel xyxy), `labels`, and optionally `texts` (of
the regions), `prompt` and `target` (for the task `custom`), `image` (the image's path in the image folder, where it
does not have the annotation's name; "doc.pdf#page=3" is a page of several), and `width` and `height` (of the page that
the boxes were drawn on, where the image has other pixels). Other keys are left alone.
"""

from typing import Any

from data_scripts.file_tree import FileTree, same_name
from data_scripts.formats.foreign import foreign_file, foreign_keys
from data_scripts.formats.format import Level, ListedPage
from data_scripts.formats.images import find_named, images_by_stem, named_image, paired_image
from data_scripts.formats.json_files import (
    TooLargeError,
    UnknownFormatError,
    first_key_paths,
    head_keys,
    parse_json,
    read_bytes,
    told_keys,
)
from ocr2_hf.document.records import PageRecord, RecordError

FILES = "*.json"
LABELS: dict[str, str] = {}
LEVELS = ()
BOX_UNIT = None

REQUIRED = ("text", "bboxes", "labels")
_MARKS = {".bboxes", ".text"}
_NEEDED = f"it needs {', '.join(REQUIRED)}"


def recognise(annotations: FileTree) -> bool:
    """True where any file is a JSON file."""
    return any(name.endswith(".json") for name in annotations.files)


def is_sure(annotations: FileTree) -> bool:
    """True where the head of a JSON file has the boxes or the text of a page, and is of no other program."""
    all_paths = first_key_paths(annotations.paths(".json"))
    return any(_MARKS & paths and not foreign_keys(paths) for paths in all_paths)


def list_pages(annotations: FileTree, images: FileTree) -> list[ListedPage]:
    """Every *.json as a page, with the images of its name."""
    named = images_by_stem(images)
    stems = [name.removesuffix(".json") for name in annotations.files if name.endswith(".json")]
    pages = []
    for stem in sorted(stems):
        paired = tuple(named.get(same_name(stem), ()))
        pages.append(ListedPage(stem, f"{annotations.root}/{stem}.json", images.root, paired, image_tree=images))
    return pages


def read_page(page: ListedPage, level: Level = None) -> PageRecord:
    """The page's annotation with the path of its image; values are not yet checked (see `check_record`)."""
    annotation = _parse(page.annotation)
    image = annotation.get("image")
    if image is None:
        path, page_number = paired_image(page), None
    else:
        path, page_number = named_image(page.image_root, find_named(page, image))
    return plain_record(annotation, page.id, path, page_number)


def _parse(path: str) -> dict[str, Any]:
    """The annotation's object; `UnknownFormatError` for what cannot be one page."""
    try:
        annotation = parse_json(read_bytes(path))
    except TooLargeError as error:
        raise UnknownFormatError(f"{error} of one page; {head_keys(path)}") from None
    if not isinstance(annotation, dict):
        kind = type(annotation).__name__
        raise UnknownFormatError(f"annotation is a JSON {kind}, not an object; {told_keys(annotation)}")
    if not annotation.keys() & set(REQUIRED) or ("bboxes" not in annotation and foreign_file(path)):
        raise UnknownFormatError(f"annotation is no plain page: {_NEEDED}; {told_keys(annotation)}")
    return annotation


def plain_record(annotation: dict[str, Any], page_id: str, image_path: str, page_number: int | None) -> PageRecord:
    """The record of an annotation of the plain format."""
    if absent := [key for key in REQUIRED if key not in annotation]:
        raise RecordError(f"annotation has no {', '.join(absent)}; {_NEEDED}; {told_keys(annotation)}")
    fields = {name: annotation.get(name) for name in (*REQUIRED, "texts", "prompt", "target")}
    sides = annotation.get("width"), annotation.get("height")
    page_size = None if sides == (None, None) else sides
    return PageRecord(page_id, image_path, page_number=page_number, page_size=page_size, **fields)
