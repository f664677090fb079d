"""The pages of an hOCR file: how many there are, and each with the image that its title names."""

import os
import re
from functools import lru_cache
from typing import Any, NamedTuple

from data_scripts.file_tree import annotation_read
from data_scripts.formats.hocr_elements import PAGE, image_of, kind_of
from data_scripts.formats.html_text import parse_html
from data_scripts.formats.xml_text import read_bytes
from ocr2_hf.document.records import RecordError

_PAGE_CLASS = re.compile(rf"""class\s{{0,9}}=\s{{0,9}}["']?[^"'<>]{{0,200}}\b{PAGE}\b""".encode())


class HocrPage(NamedTuple):
    """The element of a page, and the path of its image, None where its title names none."""

    element: Any
    image: str | None


def count_pages(path: str) -> int:
    """How many there seem to be, without parsing; 1 where the file cannot be read, which `read_pages` reports."""
    try:
        before, *comments = read_bytes(path).split(b"<!--")
    except RecordError:
        return 1
    return len(_PAGE_CLASS.findall(b"".join([before, *(comment.partition(b"-->")[2] for comment in comments)])))


def read_pages(path: str) -> list[HocrPage]:
    """The pages of the file; `RecordError` where it cannot be read."""
    with annotation_read():
        stat = os.stat(path)
    return _parsed_pages(path, stat.st_size, stat.st_mtime_ns)


@lru_cache(maxsize=1)  # the pages of a book follow one another
def _parsed_pages(path: str, size: int, time: int) -> list[HocrPage]:
    pages = [element for element in parse_html(read_bytes(path)).iter() if kind_of(element) == PAGE]
    if any(kind_of(inner) == PAGE for page in pages for inner in page.iterfind(".//*")):
        raise RecordError("annotation has an ocr_page in another one: is a tag not closed?")
    return [HocrPage(page, image_of(page)) for page in pages]
