"""Images that no annotation is of: nobody annotated them, or their annotations are missing or of another format."""

import os
import posixpath
import re
from collections.abc import Container, Iterable, Sequence

from data_scripts.file_tree import FileTree
from data_scripts.formats import FORMATS
from data_scripts.formats.format import ListedPage
from data_scripts.formats.images import PAGE_MARK
from ocr2_hf.document.page_files import PAGE_SUFFIXES

# Of annotations and of images.
Trees = Sequence[tuple[FileTree, FileTree]]

_TEXTS = "pairs"  # the format of texts, which are not read where another format is
# Their programs write pictures and PDFs of their own beside the annotations, which nothing tells from pages.
_WITH_PICTURES = ("docling", "mineru")
# What stands behind a page's name in other images of it: NAME.bin.png, NAME.overlay.png, NAME.page-1.overlay.png.
_VARIANT = re.compile(r"\.[a-z].*", re.IGNORECASE | re.DOTALL)
_CROP = re.compile(r"(.*/)crop_img/(.+)_crop_\d+", re.DOTALL)  # as PPOCRLabel calls what it cuts out of a page


def listed_images(page: ListedPage) -> list[str]:
    """The paths of the images that a page is listed with; of a page of a PDF or TIFF the file's too."""
    return [f"{page.image_root}/{path}" for image in page.images for path in {image, image.partition(PAGE_MARK)[0]}]


def find_unannotated(
    trees: Trees, format: str, pages: Sequence[ListedPage], named: Iterable[str]
) -> tuple[list[dict[str, str]], int]:
    """The images that are of none of `pages` and not `named` by one, sorted: {id, file, reason}; and of how many of
    them there is a text, which is not read as `format` is another.

    A file counts once, and variants and crops of an annotated page (`NAME.bin.png`) do not.
    """
    roots = {images.root: images for annotations, images in trees if _has_pages(annotations, images, format)}
    # Where a folder is there under two names, so may an image be.
    place = os.path.realpath if any(images.again for images in roots.values()) else str
    annotated = {place(path) for page in pages for path in listed_images(page)} | set(map(place, named))
    paths = {place(path): path for images in roots.values() for path in images.once().paths(*PAGE_SUFFIXES)}
    left = sorted(_without_variants((path for key, path in paths.items() if key not in annotated), pages))
    texts = _texts(trees, set(left)) if left else {}
    reasons = {path: f"{texts[path]} is not read: the format is {format}" for path in left if path in texts}
    rows = [(path, reasons.get(path, "no annotation is of this image")) for path in left]
    return [{"id": _id(path, roots), "file": path, "reason": reason} for path, reason in rows], len(reasons)


def _has_pages(annotations: FileTree, images: FileTree, format: str) -> bool:
    """Whether images that no annotation is of are pages, as far as is known."""
    return format not in _WITH_PICTURES or not f"{images.root}/".startswith(f"{annotations.root}/")


def _without_variants(left: Iterable[str], pages: Sequence[ListedPage]) -> list[str]:
    """The images that are no variants or crops of one that is called as a page or its image is."""
    bases = {path: _base(path) for path in left}
    if not any(bases.values()):
        return list(bases)
    names = set()
    for page in pages:
        for path in listed_images(page):
            names.add(os.path.splitext(path)[0])
            names.add(posixpath.join(posixpath.dirname(path), posixpath.basename(page.id)))
    return [path for path, base in bases.items() if base not in names]


def _base(path: str) -> str | None:
    """What the image is a variant or a crop of: a path without suffix; None where nothing says so."""
    stem = os.path.splitext(path)[0]
    if crop := _CROP.fullmatch(stem):
        return crop[1] + crop[2]
    folder, name = posixpath.split(stem)
    base = _VARIANT.sub("", name, count=1)
    return posixpath.join(folder, base) if base != name else None


def _texts(trees: Trees, left: Container[str]) -> dict[str, str]:
    """Image of `left` -> the text beside it."""
    texts = {}
    for annotations, images in trees:
        files = {name: stat for name, stat in images.files.items() if f"{images.root}/{name}" in left}
        pages = FORMATS[_TEXTS].list_pages(annotations, FileTree(images.root, files))
        texts |= {path: page.annotation for page in pages for path in listed_images(page)}
    return texts


def _id(path: str, roots: Iterable[str]) -> str:
    """The path below its root, the longest that it is below, without its suffix."""
    root = max((root for root in roots if path.startswith(f"{root}/")), key=len)
    return os.path.splitext(path[len(root) + 1 :])[0]
