"""Which image a page's annotation belongs to: by its name, or as the annotation says."""

import os
import posixpath
import re
import unicodedata
from pathlib import PurePosixPath
from typing import Any

from data_scripts.file_tree import FileTree
from data_scripts.formats.format import ListedPage
from ocr2_hf.document.page_files import PAGE_SUFFIXES, SEVERAL_PAGES, UNREAD_SUFFIXES
from ocr2_hf.document.records import RecordError

PAGE_MARK = "#page="
_NUMBERED = re.compile(rf"(.*){PAGE_MARK}([1-9]\d{{0,5}})", re.DOTALL)
# What libraries and Transkribus put beside the pages of a book.
_NO_PAGE = ("mets.xml", "metadata.xml")


def images_by_stem(images: FileTree) -> dict[str, list[str]]:
    """Path below the folder without its suffix -> the images and PDFs of that name.

    The paths are in NFC (`same_name`): macOS writes accents apart, others do not.
    """
    named: dict[str, list[str]] = {}
    for image in images.files:
        stem, suffix = os.path.splitext(image)
        if suffix.lower() in PAGE_SUFFIXES:
            named.setdefault(same_name(stem), []).append(image)
    return named


def same_name(path: str) -> str:
    """The path as it is compared with others."""
    return unicodedata.normalize("NFC", path)


def paired_image(page: ListedPage) -> str:
    """The path of the one image that has the page's name; `RecordError` where there is none, or several."""
    if not page.images:
        suffixes = " ".join(PAGE_SUFFIXES)
        for unread in (f"{page.id}{suffix}" for suffix in UNREAD_SUFFIXES):
            if os.path.exists(f"{page.image_root}/{unread}"):
                raise RecordError(f"image {unread!a} is none of {suffixes}: convert it")
        raise RecordError(f"no image {page.id} ({suffixes}) in {page.image_root}; --images names their folder")
    if len(page.images) > 1:
        raise RecordError(f"several images: {', '.join(page.images)}; keep one, or name it under the key image")
    return f"{page.image_root}/{page.images[0]}"


def named_image(image_root: str, named: Any) -> tuple[str, int | None]:
    """The path of the image that an annotation names, relative to `image_root`; for "doc.pdf#page=3" also the 3.

    Raises `RecordError` where it is no image, is not there, or leaves the folder.
    """
    if not isinstance(named, str) or not named.isprintable():
        raise RecordError(f"image is {named!a}, not the path of a file in the image folder")
    number = None
    if (numbered := _NUMBERED.fullmatch(named)) and numbered[1].lower().endswith(SEVERAL_PAGES):
        named, number = numbered[1], int(numbered[2])
    path = PurePosixPath(named)
    if path.is_absolute() or ".." in path.parts or "\\" in named or ":" in named:
        raise RecordError(f"image {named!a} leaves the image folder {image_root}")
    if path.suffix.lower() not in PAGE_SUFFIXES:
        raise RecordError(f"image {named!a} is none of {' '.join(PAGE_SUFFIXES)}")
    if not os.path.isfile(f"{image_root}/{path}"):
        raise RecordError(f"no image {named!a} in {image_root}; --images names their folder")
    return f"{image_root}/{path}", number


def list_page_files(annotations: FileTree, images: FileTree, suffixes: tuple[str, ...]) -> list[ListedPage]:
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
        pages.append(ListedPage(stem, f"{annotations.root}/{name}", images.root, tuple(paired)))
    return sorted(pages, key=lambda page: page.id)


def image_of_page(page: ListedPage, named: str | None) -> tuple[str, int | None]:
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
