"""Which image a page's annotation belongs to: by its name, or as the annotation says.

An annotation names its image in one of many ways, and `find_image` is the one rule for all of them: what it names is an
image below the image folder, whatever the path says, or the page is rejected.
"""

import os
import posixpath
import re
from contextlib import suppress
from typing import Any
from urllib.parse import unquote, urlsplit

from data_scripts.file_tree import FileTree, path_ends, same_name
from data_scripts.formats.format import ListedPage
from ocr2_hf.document.page_files import PAGE_SUFFIXES, SEVERAL_PAGES
from ocr2_hf.document.records import RecordError, shown

PAGE_MARK = "#page="
_NUMBERED = re.compile(rf"(.*){PAGE_MARK}([1-9]\d{{0,5}})", re.DOTALL)
_LONGEST_NAME = 4096
_SHOWN_IMAGES = 3
_TOLD = 120
_ABSOLUTE = re.compile("/|[A-Za-z]:/")
_IMAGE_FOLDERS = {"images", "image", "imgs", "img"}
_CLIMB = re.compile(r"\A(\.\.?[/\\]+)+")
# What libraries and Transkribus put beside the pages of a book.
_NO_PAGE = ("mets.xml", "metadata.xml")


class SeveralImagesError(RecordError):
    """What an annotation names could be one of several images."""


def images_by_stem(images: FileTree) -> dict[str, list[str]]:
    """Path below the folder without its suffix, as `same_name` has it -> the images and PDFs of that name."""
    named: dict[str, list[str]] = {}
    for image in images.files:
        stem, suffix = os.path.splitext(image)
        if suffix.lower() in PAGE_SUFFIXES:
            named.setdefault(same_name(stem), []).append(image)
    return named


def paired_image(page: ListedPage) -> str:
    """The path of the one image that has the page's name; `RecordError` where there is none, or several."""
    if not page.images:
        suffixes = " ".join(PAGE_SUFFIXES)
        raise RecordError(f"no image {page.id} ({suffixes}) in {page.image_root}; --images names their folder")
    if len(page.images) > 1:
        raise RecordError(f"several images: {', '.join(page.images)}; keep one, or name it under the key image")
    return f"{page.image_root}/{page.images[0]}"


def find_image(images: FileTree, named: Any, annotation: str, folder: str = "") -> str:
    """The path below the image folder of the image that the file `annotation` names; "doc.pdf#page=3" keeps its page.

    A path is meant as seen from that file. Where that is no image of the folder, the folder lies elsewhere than where
    the annotation was made: of a path of any system, or a URL, the longest end that an image has is meant; of several
    images with that end the one in `folder`, else the one that is not deeper than the end says.
    Raises `RecordError` where there is none, where several could be meant, where the path climbs out of its folder, and
    where the image of that name lies in another folder than the path says.
    """
    if not isinstance(named, str) or not named.isprintable() or len(named) > _LONGEST_NAME:
        raise RecordError(f"image is {shown(named)}, not the path of a file in the image folder")
    path, mark, number = named.partition(PAGE_MARK)
    path = path if path in images.files else slashed(path)
    seen = posixpath.normpath(posixpath.join(posixpath.dirname(annotation), path)).removeprefix(f"{images.root}/")
    if seen in images.files:
        return seen + mark + number
    path = same_name(posixpath.normpath(path))
    if ".." in path.split("/"):
        raise RecordError(f"image {_told(named)} leaves the image folder {images.root}")
    for end in path_ends(path):
        if end in images.image_ends:
            found = _one_of(images, end, folder)
            if _is_elsewhere(images, path, end, found, folder):
                where = f"the image of that name, {found}, lies in another folder"
                raise RecordError(f"no image {_told(named)} in {images.root}: {where}")
            return found + mark + number
    raise RecordError(f"no image {_told(named)} in {images.root}; --images names their folder")


def slashed(path: str) -> str:
    """A path of any system as it is written here: those of Windows have backslashes, URLs have escapes."""
    if "://" in path:
        with suppress(ValueError):
            path = unquote(urlsplit(path).path)
    return path.replace("\\", "/")


def _one_of(images: FileTree, end: str, folder: str) -> str:
    """The image with that end; `SeveralImagesError` where it could be one of several."""
    near = [path for path in (posixpath.join(folder, end), end) if path in images.files]
    same = images.image_ends[end]
    if not near and len(same) > 1:
        listed = ", ".join(same[:_SHOWN_IMAGES]) + (", ..." if len(same) > _SHOWN_IMAGES else "")
        raise SeveralImagesError(f"image {_told(end)} could be any of {len(same)}: {listed}; name its folder too")
    return [*near, *same][0]


def _is_elsewhere(images: FileTree, path: str, end: str, found: str, folder: str) -> bool:
    """Whether the path says that the image lies in another folder than where it was found."""
    says = [part for part in path.removesuffix(end).split("/") if part]
    lies = same_name(found).removesuffix(end).split("/")
    if says and says[-1] in images.image_folders and says[-1] not in lies:
        return True
    is_below = found not in (end, posixpath.join(folder, end))
    # Absolute paths begin with folders of another machine, relative ones with those of the data (but for `images`).
    return is_below and not _ABSOLUTE.match(path) and not set(says) <= _IMAGE_FOLDERS.union(lies)


def _told(named: str) -> str:
    """A path for a message: its end, where it is long."""
    return ascii(named if len(named) <= _TOLD else f"...{named[-_TOLD:]}")


def named_image(image_root: str, found: str) -> tuple[str, int | None]:
    """The path of an image below `image_root`; for "doc.pdf#page=3" also the 3. `RecordError` where it is no image."""
    number = None
    if (numbered := _NUMBERED.fullmatch(found)) and numbered[1].lower().endswith(SEVERAL_PAGES):
        found, number = numbered[1], int(numbered[2])
    if not found.lower().endswith(PAGE_SUFFIXES):
        raise RecordError(f"image {found!a} is none of {' '.join(PAGE_SUFFIXES)}")
    return f"{image_root}/{found}", number


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
        pages.append(ListedPage(stem, f"{annotations.root}/{name}", images.root, tuple(paired), image_tree=images))
    return sorted(pages, key=lambda page: page.id)


def image_of_page(page: ListedPage, named: str | None) -> tuple[str, int | None]:
    """The path and page of the image that the annotation names; where that is not there, the one of its own name.

    Of a path that climbs out of the folder, what comes after that counts.
    Raises `RecordError` where there is no such image.
    """
    named, hint = (named or "").strip(), ""
    for name in dict.fromkeys((named, _CLIMB.sub("", named))) if named else ():
        try:
            return named_image(page.image_root, find_named(page, name))
        except RecordError as error:
            hint = f": {error}" if isinstance(error, SeveralImagesError) else hint
    try:
        return paired_image(page), None
    except RecordError as error:
        raise RecordError(f"{error}; the annotation names {named[:100]!a}{hint}") if named else error from None


def last_part(path: str) -> str:
    """The name of the file at a path of any system."""
    return re.split(r"[/\\]", path)[-1]


def find_named(page: ListedPage, named: Any) -> str:
    """`find_image` for a page of a file of its own, which was listed with the image folder's files."""
    return find_image(page.image_tree, named, page.annotation, posixpath.dirname(page.id))
