"""hOCR: pages as OCR engines write them, in HTML, one or many to a file.

A file of one page belongs to the image that the page's title names, or to that of its own name. Where a file holds
many, they are NAME#page=1, NAME#page=2, ..., each of the image that it names, or of a page of NAME.pdf. A region is a
paragraph (`ocr_par`), else an area (`ocr_carea`), a float such as `ocr_photo`, or a run of lines outside of these.
"""

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import lru_cache
from itertools import groupby
from typing import Any

from file_tree import FileTree
from formats.hocr_html import parse_hocr
from formats.layout import Block, page_record
from formats.page import Page
from formats.page_files import find_image, list_page_files
from formats.xml_text import heads, parse_number, read_bytes
from ocr2_hf.data.records import PageRecord, RecordError
from page_image import PDF_SUFFIX

FILES = "*.hocr *.html, hOCR"
LABELS = {
    "ocr_par": "text",
    "ocr_carea": "text",
    "ocrx_block": "text",
    "ocr_line": "text",
    "ocrx_line": "text",
    "ocrx_word": "text",
    "ocr_textfloat": "text",
    "ocr_blockquote": "text",
    "ocr_abstract": "text",
    "ocr_author": "text",
    "ocr_title": "title",
    "ocr_caption": "image_caption",
    "ocr_header": "header",
    "ocr_footer": "footer",
    "ocr_pageno": "page_number",
    "ocr_table": "table",
    "ocr_display": "equation",
    "ocr_image": "image",
    "ocr_photo": "image",
    "ocr_linedrawing": "image",
    "ocr_textimage": "image",
    "ocr_separator": "separator",
}
LEVELS = ("region", "line", "word")

_SUFFIXES = (".hocr", ".html", ".htm", ".xhtml")
_WORDS = ("ocrx_word", "ocr_word")
_LINES = ("ocr_line", "ocrx_line")
# Regions by the standard, single lines of a paragraph as Tesseract writes them.
_REGIONS_OR_LINES = ("ocr_header", "ocr_footer", "ocr_caption", "ocr_textfloat", "ocr_pageno")
_REGIONS = tuple(name for name in LABELS if name not in _LINES + _WORDS)
_HINT = re.compile(r"ocr_page|ocr-system|ocr-capabilities")
_PAGE = re.compile(rb"""class\s*=\s*["']?[^"'<>]*\bocr_page\b""")
_BBOX = re.compile(r"(?:^|;)\s*bbox\s+([^;]*)")
_IMAGE = re.compile(r"""(?:^|;)\s*image\s+(?:"([^"]*)"|'([^']*)'|([^;]*))""")


def recognise(annotations: FileTree) -> bool:
    """True where one of the first HTML files begins like hOCR."""
    return any(_HINT.search(head) for head in heads(annotations, _SUFFIXES))


def list_pages(annotations: FileTree, images: FileTree) -> list[Page]:
    """Every page of every file. Their number is looked up only where there is no image of the file's name."""
    pages = []
    for page in list_page_files(annotations, images, _SUFFIXES):
        is_one = len(page.images) == 1 and not page.images[0].lower().endswith(PDF_SUFFIX)
        count = 1 if is_one else _count_pages(page.annotation)
        numbered = [replace(page, id=f"{page.id}#page={n}", entry=n) for n in range(1, count + 1)]
        pages += numbered if count > 1 else [page]
    return sorted(pages, key=lambda page: page.id)


def _count_pages(path: str) -> int:
    """How many there seem to be, without parsing; 1 where the file cannot be read, which `read_page` reports."""
    try:
        return len(_PAGE.findall(read_bytes(path)))
    except RecordError:
        return 1


def read_page(page: Page, level: str) -> PageRecord:
    """The page's regions, lines or words, in pixels of the page's own box."""
    try:
        stat = os.stat(page.annotation)
    except OSError as error:
        raise RecordError(f"annotation cannot be read: {error.strerror}") from error
    sheets = _sheets(page.annotation, stat.st_size, stat.st_mtime_ns)
    number = page.entry or 1
    if number > len(sheets) or (page.entry is None and len(sheets) != 1):
        of_one = ", and one image has its name" if page.images else ""
        raise RecordError(f"annotation holds {len(sheets)} pages of class ocr_page{of_one}")
    sheet = sheets[number - 1]
    regions = list(_regions(sheet, ""))
    _check_text(sheet, regions)
    title = _IMAGE.search(sheet.get("title", ""))
    path, pdf_page = find_image(page, title and (title[1] or title[2] or title[3]))
    if path.lower().endswith(PDF_SUFFIX) and pdf_page is None:
        pdf_page = page.entry
    box = _box(sheet)
    return page_record(page, (path, pdf_page), regions, level, (box[2], box[3]) if box and box[:2] == [0, 0] else None)


@lru_cache(maxsize=1)  # the pages of a book follow one another
def _sheets(path: str, size: int, time: int) -> list[Any]:
    sheets = [element for element in parse_hocr(read_bytes(path)).iter() if _kind(element) == "ocr_page"]
    if any(_kind(inner) == "ocr_page" for sheet in sheets for inner in _inside(sheet)):
        raise RecordError("annotation has an ocr_page in another one: is a tag not closed?")
    return sheets


def _kind(element: Any) -> str:
    """The first class that is of hOCR, "" where there is none."""
    return next((name for name in element.get("class", "").split() if name.startswith("ocr")), "")


def _inside(element: Any) -> Iterator[Any]:
    elements = element.iter()
    next(elements)
    return elements


def _has(element: Any, kinds: Iterable[str]) -> bool:
    return any(_kind(inner) in kinds for inner in _inside(element))


def _is_line(element: Any) -> bool:
    kind = _kind(element)
    return kind in _LINES + _WORDS or (kind in _REGIONS_OR_LINES and not _has(element, _LINES + _REGIONS))


def _regions(parent: Any, around: str) -> Iterator[Block]:
    """The regions in `parent`. Lines outside of them are one of the class `around`, or of their own class."""
    for of_lines, group in groupby(parent, key=lambda child: _kind(child) if _is_line(child) else ""):
        if of_lines:
            label = of_lines if of_lines in _REGIONS else around or of_lines
            yield Block("region", "", None, parts=[_line(line) for line in group], label=label)
            continue
        for child in group:
            kind = _kind(child)
            if kind and not _has(child, _REGIONS if kind in _REGIONS else _REGIONS + _LINES):
                yield _region(child, kind)
            else:
                yield from _regions(child, kind if kind in _REGIONS else around)


def _region(element: Any, label: str) -> Block:
    lines = list(_lines(element))
    if not lines and _text(element):
        lines = [_line(element)]
    return Block("region", element.get("id", ""), _box(element), parts=lines, label=label)


def _lines(parent: Any) -> Iterator[Block]:
    for child in parent:
        if _kind(child) in _LINES:
            yield _line(child)
        else:
            yield from _lines(child)


def _line(line: Any) -> Block:
    words = [
        Block("word", word.get("id", ""), _box(word), _text(word)) for word in line.iter() if _kind(word) in _WORDS
    ]
    block = Block("line", line.get("id", ""), _box(line), parts=words)
    if _letters(block.text) != _letters(_text(line)):  # not all of it is in words
        block.own_text = _text(line)
    return block


def _text(element: Any) -> str:
    return " ".join("".join(element.itertext()).split())


def _letters(text: str) -> str:
    return "".join(text.split())


def _check_text(sheet: Any, regions: list[Block]) -> None:
    """Refuse a page with text in no region: it would be lost."""
    read, written = (len(_letters(text)) for text in ("".join(region.text for region in regions), _text(sheet)))
    if read < written:
        raise RecordError(f"{written - read} of the page's {written} letters are in no line, word or region of hOCR")


def _box(element: Any) -> list[float] | None:
    """The box of the title's `bbox`, None where it has none."""
    found = _BBOX.search(element.get("title", ""))
    if not found:
        return None
    what = f"bbox of {_kind(element)} {element.get('id', '')[:60]!a}"
    box = [parse_number(value, what) for value in found[1].split()]
    if len(box) != 4:
        raise RecordError(f"{what} has {len(box)} numbers, not four")
    return box
