"""Pages of a file that holds many: which image each is of, its record or its fault, and no page twice."""

import os
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from data_scripts.file_tree import FileTree
from data_scripts.formats.format import Level, ListedPage
from data_scripts.formats.images import PAGE_MARK, find_image, named_image
from ocr2_hf.document.records import PageRecord, RecordError

Fields = dict[str, Any]  # of a `PageRecord`, but for id and image


def list_entry(annotation: str, number: int, images: FileTree, named: Any, read: Callable[[], Fields]) -> ListedPage:
    """The page of entry `number` (from 1) of the file `annotation`, with the record of what `read` finds in it.

    `named` is its image as the annotation names it; the page that it names in a PDF or TIFF goes before what `read`
    says. A fault becomes the page's entry, to be raised by `read_record`.
    """
    page_id, found = entry_id(annotation, number), ()
    try:
        found = (find_image(images, named, annotation),)
        page_id = image_id(found[0])
        entry = _record(page_id, images.root, found[0], read)
    except RecordError as error:
        entry = error
    return ListedPage(page_id, annotation, images.root, found, entry)


def list_row(path: str, row_id: str, images: FileTree, named: Any, entry: Any) -> ListedPage:
    """The page of a row, or what is wrong with it, of a file of rows; `row_id` where its image is not known.

    `named` is the image as the row names it, or a `RecordError` that says why there is none; `entry` tells where the
    row is to be read again.
    """
    try:
        if isinstance(named, RecordError):
            raise named
        image = find_image(images, named, path)
    except RecordError as error:
        return ListedPage(row_id, path, images.root, (), error)
    return ListedPage(image_id(image), path, images.root, (image,), entry)


def _record(page_id: str, image_root: str, image: str, read: Callable[[], Fields]) -> PageRecord:
    path, page_number = named_image(image_root, image)
    fields = read()
    return PageRecord(page_id, path, **fields | {"page_number": page_number or fields.get("page_number")})


def entry_record(page: ListedPage, read: Callable[[], Fields]) -> PageRecord:
    """The record of what `read` finds by the entry that `list_row` left; `RecordError` where that is a fault."""
    read_entry(page)
    return _record(page.id, page.image_root, page.images[0], read)


def entry_id(annotation: str, number: int) -> str:
    """What an entry is called whose image is not known."""
    return f"{os.path.basename(annotation)}#{number}"


def read_entry(page: ListedPage) -> Any:
    """What was left as the page's entry; `RecordError` where it is a fault."""
    if isinstance(page.entry, RecordError):
        raise type(page.entry)(str(page.entry))  # anew: a raised error keeps all frames that it went through
    return page.entry


def read_record(page: ListedPage, level: Level = None) -> PageRecord:
    """The record that `list_entry` left; `RecordError` where it is a fault."""
    return read_entry(page)


def unique_pages(pages: Iterable[ListedPage]) -> list[ListedPage]:
    """The pages sorted by id. Where several have one id, which of them is right is not known: all are faults."""
    pages = list(pages)
    counts = Counter(page.id for page in pages)
    for i, page in enumerate(pages):
        if (count := counts[page.id]) > 1:
            fault = RecordError(f"{count} entries are of the image {page.id!a}: keep one of them")
            pages[i] = replace(page, entry=fault)
    return sorted(pages, key=lambda page: page.id)


def image_id(image: str) -> str:
    """The id of the page of an image: its path without the suffix, for one of several pages with its number."""
    path, mark, number = image.partition(PAGE_MARK)
    return os.path.splitext(path)[0] + mark + number
