"""Which image a page's annotation belongs to: by its name, or as the annotation says.

An annotation names its image in one of many ways, and `find_image` is the one rule for all of them: what it names is an
image below the image folder, whatever the path says, or the page is rejected.
"""

import os
import posixpath
import re
from collections.abc import Container
from contextlib import suppress
from typing import Any
from urllib.parse import unquote, urlsplit

from data_scripts.file_tree import FileTree, path_ends, same_name
from data_scripts.formats.format import ListedPage
from ocr2_hf.document.page_files import PAGE_SUFFIXES, SEVERAL_PAGES, UNREAD_SUFFIXES
from ocr2_hf.document.records import RecordError, shown

PAGE_MARK = "#page="
_NUMBERED = re.compile(rf"(.*){PAGE_MARK}([1-9]\d{{0,5}})", re.DOTALL)
_LONGEST_NAME = 4096
_SHOWN_IMAGES = 3
_TOLD = 120
_ABSOLUTE = re.compile("/|[A-Za-z]:/")
_ADDRESS = re.compile("https?://", re.IGNORECASE)
IMAGE_FOLDERS = {"images", "image", "imgs", "img"}
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


def images_apart(images: FileTree, folders: Container[str]) -> dict[str, list[str]]:
    """`images_by_stem`, by the path `without_folders`."""
    named: dict[str, list[str]] = {}
    for stem, paths in images_by_stem(images).items():
        named.setdefault(without_folders(stem, folders), []).extend(paths)
    return named


def without_folders(path: str, folders: Container[str]) -> str:
    """The path without folders of these names (in small letters), which only say what lies in them."""
    *parents, name = path.split("/")
    return same_name("/".join([parent for parent in parents if parent.lower() not in folders] + [name]))


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


def find_image(images: FileTree, named: Any, annotation: str, folder: str = "") -> str:
    """The path below the image folder of the image that the file `annotation` names; "doc.pdf#page=3" keeps its page.

    A path is meant as seen from that file. Where that is no image of the folder, the folder lies elsewhere than where
    the annotation was made: of a path of any system, or a URL, the longest end that an image has is meant; of several
    images with that end the one in `folder` or the nearest one around it. `folder` is that of the annotation in the
    image folder, or where that has its like.
    Raises `RecordError` where there is none, where several could be meant, where the path climbs out of its folder, and
    where the image of that name lies in another folder than the path says.
    """
    if not isinstance(named, str) or not named.isprintable() or len(named) > _LONGEST_NAME:
        raise RecordError(f"image is {shown(named)}, not the path of a file in the image folder")
    path, mark, number = named.partition(PAGE_MARK)
    path = path if path in images.files else slashed(path)
    seen = _below(images.root, posixpath.normpath(posixpath.join(posixpath.dirname(annotation), path)))
    if seen in images.files:
        return seen + mark + number
    path = same_name(posixpath.normpath(path))
    if ".." in path.split("/"):
        raise RecordError(f"image {_told(named)} leaves the image folder {images.root}")
    folder = folder or posixpath.dirname(_below(images.root, annotation))
    for end in path_ends(path):
        if end in images.image_ends:
            near = _nearest(images, end, folder)
            found = near or _only(images, end)
            if _is_elsewhere(images, path.removesuffix(end), same_name(found).removesuffix(end), near is not None):
                where = f"the image of that name, {found}, lies in another folder"
                raise RecordError(f"no image {_told(named)} in {images.root}: {where}")
            return found + mark + number
    for end in path_ends(path):
        whole = (end + written for suffix in PAGE_SUFFIXES for written in (suffix, suffix.upper()))
        if found := next((name for name in whole if name in images.image_ends), None):
            raise RecordError(
                f"no image {_told(named)} in {images.root}, but {found!a}: write the name with its suffix"
            )
    fetched = ", which is not fetched: download it first" if _ADDRESS.match(named) else ""
    raise RecordError(f"no image {_told(named)} in {images.root}{fetched}; --images names their folder")


def names_image(path: str) -> bool:
    """Whether a path or URL ends as those of images do, also of images that are not read."""
    return slashed(path.partition(PAGE_MARK)[0]).lower().endswith(PAGE_SUFFIXES + UNREAD_SUFFIXES)


def slashed(path: str) -> str:
    """A path of any system as it is written here: those of Windows have backslashes, URLs have escapes."""
    if "://" in path:
        with suppress(ValueError):
            path = unquote(urlsplit(path).path)
    return path.replace("\\", "/")


def _below(root: str, path: str) -> str:
    """The path below `root`; "" where it is not there."""
    return path[len(root) + 1 :] if path.startswith(f"{root}/") else ""


def _nearest(images: FileTree, end: str, folder: str) -> str | None:
    """The image with that path, seen from `folder` or else from the nearest folder around it."""
    while (path := posixpath.join(folder, end)) not in images.files:
        if not folder:
            return None
        folder = posixpath.dirname(folder)
    return path


def _only(images: FileTree, end: str) -> str:
    """The one image with that end; `SeveralImagesError` where there are more."""
    same = images.image_ends[end]
    if len(same) > 1:
        listed = ", ".join(same[:_SHOWN_IMAGES]) + (", ..." if len(same) > _SHOWN_IMAGES else "")
        raise SeveralImagesError(f"image {_told(end)} could be any of {len(same)}: {listed}; name its folder too")
    return same[0]


def _is_elsewhere(images: FileTree, says: str, lies: str, is_near: bool) -> bool:
    """Whether the folders of the path say that the image lies in others than it does."""
    said, known = [part for part in says.split("/") if part], set(lies.split("/"))
    if said and said[-1] in images.image_folders and said[-1] not in known:
        return True
    # Absolute paths begin with folders of another machine, relative ones with those of the data (but for `images`).
    return not (is_near or _ABSOLUTE.match(says) or set(said) <= IMAGE_FOLDERS | known)


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
    """Every file that ends in one of `suffixes` as a page, with the images of its name.

    "a.alto.xml" has the images of "a.alto", or where there are none those of "a".
    """
    named = images_by_stem(images)
    pages = []
    for name in annotations.names(*suffixes):
        if posixpath.basename(name).lower() in _NO_PAGE:
            continue
        stem = posixpath.splitext(name)[0]
        same = same_name(stem)
        paired = named.get(same) or named.get(posixpath.splitext(same)[0], ())
        pages.append(ListedPage(stem, f"{annotations.root}/{name}", images.root, tuple(paired), image_tree=images))
    return pages


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
