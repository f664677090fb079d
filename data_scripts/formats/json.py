"""The plain annotation folder: NAME.json pairs with NAME.png (or another image, or a PDF).

The JSON is an object with `text` (the page), or `bboxes` (pixel xyxy) and `labels`, or both, or `prompt` and `target`
(for the task `custom`). It may have `texts` (of the regions), `image` (the image's path in the image folder, where it
does not have the annotation's name; "doc.pdf#page=3" is a page of several), and `width` and `height` (of the page that
the boxes were drawn on, where the image has other pixels). Other keys are left alone.
"""

import posixpath
from contextlib import suppress
from typing import Any

from data_scripts.file_tree import FileTree, same_name
from data_scripts.formats.columns import ColumnSearch, renamed
from data_scripts.formats.data_urls import image_of, is_data_url
from data_scripts.formats.entries import read_entry, unique_pages
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
from data_scripts.formats.plain_pages import NEEDED, PAGE_KEYS, plain_record
from ocr2_hf.document.records import PageRecord, RecordError

FILES = "*.json"
LABELS: dict[str, str] = {}
LEVELS = ()
BOX_UNIT = None


def recognise(annotations: FileTree) -> bool:
    """True where any file is a JSON file."""
    return bool(annotations.names(".json"))


def is_sure(annotations: FileTree) -> bool:
    """True where the head of a JSON file has the boxes of a page, or the text of one and is of no other program."""
    all_paths = first_key_paths(annotations.paths(".json"))
    return any(".bboxes" in paths or (".text" in paths and not foreign_keys(paths)) for paths in all_paths)


def list_pages(annotations: FileTree, images: FileTree) -> list[ListedPage]:
    """Every *.json as a page, with the images of its name; `UsageError` where a column that was named is in none."""
    _find_columns(annotations)
    named = images_by_stem(images)
    more = {"image_tree": images, "columns": annotations.columns or None}
    stems = {name: posixpath.splitext(name)[0] for name in annotations.names(".json")}
    return unique_pages(
        ListedPage(stem, f"{annotations.root}/{name}", images.root, tuple(named.get(same_name(stem), ())), **more)
        for name, stem in stems.items()
    )


def _find_columns(annotations: FileTree) -> None:
    """Parse files until the columns that the user named are found: mostly the first has them."""
    search = ColumnSearch(annotations.columns)
    for path in annotations.paths(".json"):
        if not search.missing:
            return
        with suppress(RecordError):  # of this page alone, and told when it is read
            value = parse_json(read_bytes(path))
            for entry in value if isinstance(value, list) else [value]:
                search.see(entry)
    search.check()


def read_page(page: ListedPage, level: Level = None) -> PageRecord:
    """The page's annotation with the path of its image; values are not yet checked (see `check_record`)."""
    read_entry(page)
    annotation, columns = _parse(page.annotation, page.columns), page.columns
    image = renamed(annotation, columns).get("image")
    if image is None:
        return plain_record(annotation, columns, page.id, paired_image(page))
    if is_data_url(image):
        return plain_record(annotation, columns, page.id, page.annotation, image_bytes=image_of(image))
    return plain_record(annotation, columns, page.id, *named_image(page.image_root, find_named(page, image)))


def _parse(path: str, columns: dict[str, str] | None) -> dict[str, Any]:
    """The annotation's object as it is; `UnknownFormatError` for what cannot be one page."""
    try:
        annotation = parse_json(read_bytes(path))
    except TooLargeError as error:
        raise UnknownFormatError(f"{error} of one page; {head_keys(path)}") from None
    if not isinstance(annotation, dict):
        kind = type(annotation).__name__
        raise UnknownFormatError(f"annotation is a JSON {kind}, not an object; {told_keys(annotation)}")
    page = renamed(annotation, columns)
    if page.keys().isdisjoint(PAGE_KEYS) or ("bboxes" not in page and foreign_file(path)):
        raise UnknownFormatError(f"annotation is no plain page: {NEEDED}; {told_keys(annotation)}")
    return annotation
