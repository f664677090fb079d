"""hOCR: pages as OCR engines write them, in HTML, one or many to a file.

A file of one page belongs to the image that the page's title names, or to that of its own name. Where a file holds
many, they are NAME#page=1, NAME#page=2, ..., each of the image that it names, or of a page of NAME.pdf or NAME.tif. A
region is a paragraph (`ocr_par`), else an area (`ocr_carea`), a float such as `ocr_photo`, or a run of lines outside of
these.
"""

import os
import re
from dataclasses import replace
from functools import lru_cache
from typing import Any

from data_scripts.file_tree import FileTree, annotation_read
from data_scripts.formats.hocr_html import parse_hocr
from data_scripts.formats.hocr_regions import LABELS as LABELS
from data_scripts.formats.hocr_regions import box_of, kind_of, list_regions
from data_scripts.formats.layout import page_record
from data_scripts.formats.page import Page
from data_scripts.formats.page_files import find_image, list_page_files
from data_scripts.formats.xml_text import heads, read_bytes
from ocr2_hf.document.page_files import SEVERAL_PAGES
from ocr2_hf.document.records import PageRecord, RecordError

FILES = "*.hocr *.html, hOCR"
LEVELS = ("region", "line", "word")

_SUFFIXES = (".hocr", ".html", ".htm", ".xhtml")
_HINT = re.compile(r"ocr_page|ocr-system|ocr-capabilities")
_PAGE = re.compile(rb"""class\s{0,9}=\s{0,9}["']?[^"'<>]{0,200}\bocr_page\b""")
_IMAGE = re.compile(r"""(?:^|;)\s*image\s+(?:"([^"]*)"|'([^']*)'|([^;]*))""")


def recognise(annotations: FileTree) -> bool:
    """True where one of the first HTML files begins like hOCR."""
    return any(_HINT.search(head) for head in heads(annotations, _SUFFIXES))


def list_pages(annotations: FileTree, images: FileTree) -> list[Page]:
    """Every page of every file. Their number is looked up only where there is no image of the file's name."""
    pages = []
    for page in list_page_files(annotations, images, _SUFFIXES):
        is_one = len(page.images) == 1 and not page.images[0].lower().endswith(SEVERAL_PAGES)
        count = 1 if is_one else _count_pages(page.annotation)
        numbered = [replace(page, id=f"{page.id}#page={n}", entry=n) for n in range(1, count + 1)]
        pages += numbered if count > 1 else [page]
    return sorted(pages, key=lambda page: page.id)


def _count_pages(path: str) -> int:
    """How many there seem to be, without parsing; 1 where the file cannot be read, which `read_page` reports."""
    try:
        before, *comments = read_bytes(path).split(b"<!--")
    except RecordError:
        return 1
    return len(_PAGE.findall(b"".join([before, *(comment.partition(b"-->")[2] for comment in comments)])))


def read_page(page: Page, level: str) -> PageRecord:
    """The page's regions, lines or words, in pixels of the page's own box."""
    with annotation_read():
        stat = os.stat(page.annotation)
    sheets = _sheets(page.annotation, stat.st_size, stat.st_mtime_ns)
    number = page.entry or 1
    if number > len(sheets) or (page.entry is None and len(sheets) != 1):
        of_one = ", and one image has its name" if page.images else ""
        raise RecordError(f"annotation holds {len(sheets)} pages of class ocr_page{of_one}")
    sheet, named = sheets[number - 1]
    path, page_number = find_image(page, named)
    if page_number is None and path.lower().endswith(SEVERAL_PAGES) and not _is_own(path, named, sheets):
        page_number = page.entry
    box = box_of(sheet)
    size = (box[2], box[3]) if box and box[:2] == [0, 0] else None
    return page_record(page, (path, page_number), list_regions(sheet), level, size)


def _is_own(path: str, named: str | None, sheets: list[tuple[Any, str | None]]) -> bool:
    """Whether the image is of one page, as a single page names it."""
    return os.path.basename(path) == os.path.basename(named or "") and [name for _, name in sheets].count(named) == 1


@lru_cache(maxsize=1)  # the pages of a book follow one another
def _sheets(path: str, size: int, time: int) -> list[tuple[Any, str | None]]:
    """The pages, each with the image that its title names."""
    sheets = [element for element in parse_hocr(read_bytes(path)).iter() if kind_of(element) == "ocr_page"]
    if any(kind_of(inner) == "ocr_page" for sheet in sheets for inner in sheet.iterfind(".//*")):
        raise RecordError("annotation has an ocr_page in another one: is a tag not closed?")
    return [(sheet, _image_name(sheet)) for sheet in sheets]


def _image_name(sheet: Any) -> str | None:
    title = _IMAGE.search(sheet.get("title", ""))
    return title and (title[1] or title[2] or title[3])
