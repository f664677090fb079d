"""hOCR: pages as OCR engines write them, in HTML, one or many to a file.

A file of one page belongs to the image that the page's title names, or to that of its own name. Where a file holds
many, they are NAME#page=1, NAME#page=2, ..., each of the image that it names, or of a page of NAME.pdf or NAME.tif. A
region is a paragraph (`ocr_par`), else an area (`ocr_carea`), a float such as `ocr_photo`, or a run of lines outside of
these. A text that an element holds itself and once more in the lines or words in it counts once; a line's is its own.
"""

import os
import re
from collections.abc import Iterator
from dataclasses import replace
from itertools import groupby
from typing import Any

from data_scripts.file_tree import FileTree
from data_scripts.formats.entries import read_entry, unique_pages
from data_scripts.formats.format import Level, ListedPage
from data_scripts.formats.hocr_elements import LINES, WORDS, box_of, has, kind_of
from data_scripts.formats.hocr_lines import line_block, lines_in
from data_scripts.formats.hocr_pages import count_pages, read_pages
from data_scripts.formats.hocr_texts import text_of
from data_scripts.formats.images import image_of_page, last_part, list_page_files
from data_scripts.formats.layout import LayoutBlock, letters_of, page_record
from data_scripts.formats.xml_text import heads
from data_scripts.label_map import by_class
from ocr2_hf.document.page_files import SEVERAL_PAGES
from ocr2_hf.document.records import PageRecord, RecordError

FILES = "*.hocr *.html, hOCR"
LABELS = by_class(
    text="ocr_par ocr_carea ocrx_block ocr_line ocrx_line ocrx_word"
    " ocr_textfloat ocr_blockquote ocr_abstract ocr_author",
    title="ocr_title",
    header="ocr_header",
    footer="ocr_footer",
    page_number="ocr_pageno",
    table="ocr_table",
    equation="ocr_display",
    image="ocr_image ocr_photo ocr_linedrawing ocr_textimage",
    figure_title="ocr_caption",
    separator="ocr_separator",
)
LEVELS = ("region", "line", "word")
BOX_UNIT = None

_SUFFIXES = (".hocr", ".html", ".htm", ".xhtml")
_HINT = re.compile(r"ocr_page|ocr-system|ocr-capabilities")
# Regions by the standard, single lines of a paragraph as Tesseract writes them.
_REGIONS_OR_LINES = ("ocr_header", "ocr_footer", "ocr_caption", "ocr_textfloat", "ocr_pageno")
_REGIONS = tuple(name for name in LABELS if name not in LINES + WORDS)


def recognise(annotations: FileTree) -> bool:
    """True where one of the first HTML files begins like hOCR."""
    return any(_HINT.search(head) for head in heads(annotations, _SUFFIXES))


def list_pages(annotations: FileTree, images: FileTree) -> list[ListedPage]:
    """Every page of every file. Their number is looked up only where there is no image of the file's name."""
    pages = []
    for page in list_page_files(annotations, images, _SUFFIXES):
        is_one = len(page.images) == 1 and not page.images[0].lower().endswith(SEVERAL_PAGES)
        count = 1 if is_one else count_pages(page.annotation)
        numbered = [replace(page, id=f"{page.id}#page={n}", entry=n) for n in range(1, count + 1)]
        pages += numbered if count > 1 else [page]
    return unique_pages(pages)


def read_page(page: ListedPage, level: Level) -> PageRecord:
    """The page's regions, lines or words, in pixels of the page's own box."""
    entry, pages = read_entry(page), read_pages(page.annotation)
    number = entry or 1
    if number > len(pages) or (entry is None and len(pages) != 1):
        of_one = ", and one image has its name" if page.images else ""
        raise RecordError(f"annotation holds {len(pages)} pages of class ocr_page{of_one}")
    element, named = pages[number - 1]
    path, page_number = image_of_page(page, named)
    if page_number is None and path.lower().endswith(SEVERAL_PAGES):
        # An image that has the name which this page alone gives is of one page.
        is_own = os.path.basename(path) == last_part(named or "") and [other.image for other in pages].count(named) == 1
        page_number = None if is_own else entry
    box = box_of(element)
    size = (box[2], box[3]) if box and box[:2] == [0, 0] else None
    return page_record(page, (path, page_number), _list_regions(element), level, size)


def _list_regions(page: Any) -> list[LayoutBlock]:
    """The regions of the page; `RecordError` where one is broken, or a text is in none and would be lost."""
    regions = list(_regions(page, ""))
    read = len(letters_of("".join(region.text for region in regions)))
    if read < len(letters_of("".join(page.itertext()))) and read < (written := len(letters_of(text_of(page)))):
        raise RecordError(f"{written - read} of the page's {written} letters are in no line, word or region of hOCR")
    return regions


def _regions(parent: Any, around: str) -> Iterator[LayoutBlock]:
    """The regions in `parent`. Lines outside of them are one of the class `around`, or of their own class.

    What holds nothing of hOCR, such as a `<br>`, does not part lines.
    """
    children = [child for child in parent if any(map(kind_of, child.iter()))]
    for of_lines, group in groupby(children, key=lambda child: kind_of(child) if _is_line(child) else ""):
        if of_lines:
            label = of_lines if of_lines in _REGIONS else around or of_lines
            yield LayoutBlock("region", "", None, parts=[line_block(line) for line in group], label=label)
            continue
        for child in group:
            kind = kind_of(child)
            if kind and not has(child, _REGIONS if kind in _REGIONS else _REGIONS + LINES):
                yield _region(child, kind)
            else:
                yield from _regions(child, kind if kind in _REGIONS else around)


def _is_line(element: Any) -> bool:
    kind = kind_of(element)
    return kind in LINES + WORDS or (kind in _REGIONS_OR_LINES and not has(element, LINES + _REGIONS))


def _region(element: Any, label: str) -> LayoutBlock:
    lines = list(lines_in(element))
    if not lines and text_of(element):
        lines = [line_block(element)]
    return LayoutBlock("region", element.get("id", ""), box_of(element), parts=lines, label=label)
