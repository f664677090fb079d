"""The regions, lines and words of a page of hOCR, by the classes of its elements."""

import re
from collections.abc import Iterable, Iterator
from itertools import groupby, islice
from typing import Any

from data_scripts.formats.layout import Block
from data_scripts.formats.xml_text import parse_number
from data_scripts.label_map import by_class
from ocr2_hf.document.records import RecordError

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
    image_caption="ocr_caption",
    separator="ocr_separator",
)

_WORDS = ("ocrx_word", "ocr_word")
_LINES = ("ocr_line", "ocrx_line")
# Regions by the standard, single lines of a paragraph as Tesseract writes them.
_REGIONS_OR_LINES = ("ocr_header", "ocr_footer", "ocr_caption", "ocr_textfloat", "ocr_pageno")
_REGIONS = tuple(name for name in LABELS if name not in _LINES + _WORDS)
_BBOX = re.compile(r"(?:^|;)\s*bbox\s+([^;]*)")


def kind_of(element: Any) -> str:
    """The first class that is of hOCR, "" where there is none."""
    return next((name for name in element.get("class", "").split() if name.startswith("ocr")), "")


def _has(element: Any, kinds: Iterable[str]) -> bool:
    return any(kind_of(inner) in kinds for inner in islice(element.iter(), 1, None))


def _is_line(element: Any) -> bool:
    kind = kind_of(element)
    return kind in _LINES + _WORDS or (kind in _REGIONS_OR_LINES and not _has(element, _LINES + _REGIONS))


def list_regions(sheet: Any) -> list[Block]:
    """The regions of the page; `RecordError` where one is broken, or a text is in none and would be lost."""
    regions = list(_regions(sheet, ""))
    read, written = (len(_letters(text)) for text in ("".join(region.text for region in regions), _text(sheet)))
    if read < written:
        raise RecordError(f"{written - read} of the page's {written} letters are in no line, word or region of hOCR")
    return regions


def _regions(parent: Any, around: str) -> Iterator[Block]:
    """The regions in `parent`. Lines outside of them are one of the class `around`, or of their own class."""
    for of_lines, group in groupby(parent, key=lambda child: kind_of(child) if _is_line(child) else ""):
        if of_lines:
            label = of_lines if of_lines in _REGIONS else around or of_lines
            yield Block("region", "", None, parts=[_line(line) for line in group], label=label)
            continue
        for child in group:
            kind = kind_of(child)
            if kind and not _has(child, _REGIONS if kind in _REGIONS else _REGIONS + _LINES):
                yield _region(child, kind)
            else:
                yield from _regions(child, kind if kind in _REGIONS else around)


def _region(element: Any, label: str) -> Block:
    lines = list(_lines(element))
    if not lines and _text(element):
        lines = [_line(element)]
    return Block("region", element.get("id", ""), box_of(element), parts=lines, label=label)


def _lines(parent: Any) -> Iterator[Block]:
    for child in parent:
        if kind_of(child) in _LINES:
            yield _line(child)
        else:
            yield from _lines(child)


def _line(line: Any) -> Block:
    words = [
        Block("word", word.get("id", ""), box_of(word), _text(word)) for word in line.iter() if kind_of(word) in _WORDS
    ]
    block = Block("line", line.get("id", ""), box_of(line), parts=words)
    if _letters(block.text) != _letters(_text(line)):  # not all of it is in words
        block.own_text = _text(line)
    return block


def _text(element: Any) -> str:
    return " ".join("".join(element.itertext()).split())


def _letters(text: str) -> str:
    return "".join(text.split())


def box_of(element: Any) -> list[float] | None:
    """The box of the title's `bbox`, None where it has none."""
    found = _BBOX.search(element.get("title", ""))
    if not found:
        return None
    what = f"bbox of {kind_of(element)} {element.get('id', '')[:60]!a}"
    box = [parse_number(value, what) for value in found[1].split()]
    if len(box) != 4:
        raise RecordError(f"{what} has {len(box)} numbers, not four")
    return box
