"""A file that holds one document: which PDF, TIFF or image it is of, and its pages, each a record or a fault."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from data_scripts.file_tree import FileTree
from data_scripts.formats.entries import Fields, list_entry, unique_pages
from data_scripts.formats.format import ListedPage
from data_scripts.formats.images import PAGE_MARK, SeveralImagesError, find_image, slashed
from ocr2_hf.document.page_files import IMAGE_SUFFIXES, PAGE_SUFFIXES, PDF_SUFFIX, SEVERAL_PAGES, UNREAD_SUFFIXES
from ocr2_hf.document.records import RecordError, shown

_FILE_SUFFIXES = (*PAGE_SUFFIXES, *UNREAD_SUFFIXES)  # a document of one that is not read is told so


class DocumentRegion(NamedTuple):
    """A region of a page; the box [x0, y0, x1, y1] is None where nobody says where it is."""

    label: str
    text: str
    box: list[float] | None


def list_documents(
    annotations: FileTree, images: FileTree, list_file: Callable[[str, str, FileTree], list[ListedPage]]
) -> list[ListedPage]:
    """Every page of every *.json; `list_file` takes the root, the name below it and the images."""
    names = annotations.names(".json")
    return unique_pages(page for name in names for page in list_file(annotations.root, name, images))


def document_pages(
    annotation: str,
    images: FileTree,
    names: Sequence[str],
    reads: Mapping[int, Callable[[], Fields]],
    exported: Mapping[int, str] | None = None,
) -> list[ListedPage]:
    """The pages, by their numbers from 1, of the document in the file `annotation`; `reads` finds each one's fields.

    `names` are what the document may be called, of which the first that is there counts. Where none is there, a page
    is of the image of its own in `exported`.
    """
    file = next((name for name in names if _is_there(images, name, annotation)), None)
    several = list(reads) != [1]
    named = {number: page_of_file(file or names[0], number, several) for number in sorted(reads)}
    if file is None:
        named |= exported or {}
    return [list_entry(annotation, number, images, named[number], reads[number]) for number in sorted(reads)]


def region_fields(regions: Sequence[DocumentRegion]) -> Fields:
    """What a page has of these regions, whose order the document states."""
    return {
        "text": "\n\n".join(region.text for region in regions if region.text),
        "bboxes": [region.box for region in regions],
        "labels": [region.label for region in regions],
        "texts": [region.text for region in regions],
        "is_ordered": True,
    }


def _is_there(images: FileTree, name: str, annotation: str) -> bool:
    """Is there an image of that name? Where there are several, the pages are to say so."""
    try:
        find_image(images, name, annotation)
    except SeveralImagesError:
        pass
    except RecordError:
        return False
    return True


def file_names(stem: str, named: Any = None) -> list[str]:
    """What the file of a document may be called: the path that is `named`, where that is of a page's file; the
    annotation's name without its suffix, where that has one already; or with one, a PDF first."""
    whole = [name for name in (named, stem) if isinstance(name, str) and slashed(name).lower().endswith(_FILE_SUFFIXES)]
    return [*whole, *(f"{stem}{suffix}" for suffix in (PDF_SUFFIX, *IMAGE_SUFFIXES))]


def page_of_file(file: str, number: object, several: bool) -> str:
    """The file; with the page's number where it is a PDF, or a TIFF of `several` pages or of a later one."""
    if not file.lower().endswith(SEVERAL_PAGES):
        return file
    is_numbered = file.lower().endswith(PDF_SUFFIX) or several or number != 1
    return f"{file}{PAGE_MARK}{shown(number)}" if is_numbered else file
