"""Formats with one file for each page: their pages, and which image is whose."""

import posixpath
import re

from data_scripts.file_tree import FileTree
from data_scripts.formats.images import images_by_stem, named_image, paired_image, same_name
from data_scripts.formats.page import Page
from ocr2_hf.document.records import RecordError

# What libraries and Transkribus put beside the pages of a book.
_NO_PAGE = ("mets.xml", "metadata.xml")


def list_page_files(annotations: FileTree, images: FileTree, suffixes: tuple[str, ...]) -> list[Page]:
    """Every file that ends in one of `suffixes` as a page, with the images of its name, sorted.

    "a.alto.xml" has the images of "a.alto", or where there are none those of "a".
    """
    named = images_by_stem(images)
    pages = []
    for name in annotations.files:
        if not name.lower().endswith(suffixes) or posixpath.basename(name).lower() in _NO_PAGE:
            continue
        stem = posixpath.splitext(name)[0]
        same = same_name(stem)
        paired = named.get(same) or named.get(posixpath.splitext(same)[0], ())
        pages.append(Page(stem, f"{annotations.root}/{name}", images.root, tuple(paired)))
    return sorted(pages, key=lambda page: page.id)


def find_image(page: Page, named: str | None) -> tuple[str, int | None]:
    """The path and page of the image that the annotation names; where that is not there, the one of its own name.

    The name counts beside the annotation and in the image folder. It may be a path of another machine: then its last
    part counts there.
    Raises `RecordError` where there is no such image.
    """
    named = (named or "").strip()
    base = re.split(r"[/\\]", named)[-1]
    for name in dict.fromkeys((named, base)):
        for folder in dict.fromkeys((posixpath.dirname(page.id), "")):
            try:
                return named_image(page.image_root, posixpath.join(folder, name))
            except RecordError:
                continue
    try:
        return paired_image(page), None
    except RecordError as error:
        raise RecordError(f"{error}; the annotation names {named[:100]!a}") if named else error from None
