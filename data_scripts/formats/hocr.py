"""hOCR: pages as OCR engines write them, in HTML, one or many to a file.

A file of one page belongs to the image that the page's title names, or to that of its own name. Where a file holds
many, they are NAME#page=1, NAME#page=2, ..., each of the image that it names, or of a page of NAME.pdf or NAME.tif. A
region is a paragraph (`ocr_par`), else an area (`ocr_carea`), a float such as `ocr_photo`, or a run of lines outside of
these. A text that an element holds itself and once more in the lines or words in it counts once; a line's is its own.
"""

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import lru_cache
from itertools import groupby, islice
from typing import Any, NamedTuple

from lxml import etree
from rapidfuzz.distance import Levenshtein

from data_scripts.file_tree import FileTree, annotation_read
from data_scripts.formats.format import Level, ListedPage
from data_scripts.formats.images import image_of_page, last_part, list_page_files
from data_scripts.formats.layout import LayoutBlock, page_record
from data_scripts.formats.text_files import marked_encoding
from data_scripts.formats.xml_text import BrokenXML, heads, parse_number, parse_xml, read_bytes
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
_PAGE = re.compile(rb"""class\s{0,9}=\s{0,9}["']?[^"'<>]{0,200}\bocr_page\b""")
_IMAGE = re.compile(r"""(?:^|;)\s*image\s+(?:"([^"]*)"|'([^']*)'|([^;]*))""")
_WORDS = ("ocrx_word", "ocr_word")
_LINES = ("ocr_line", "ocrx_line")
# Regions by the standard, single lines of a paragraph as Tesseract writes them.
_REGIONS_OR_LINES = ("ocr_header", "ocr_footer", "ocr_caption", "ocr_textfloat", "ocr_pageno")
_REGIONS = tuple(name for name in LABELS if name not in _LINES + _WORDS)
_BBOX = re.compile(r"(?:^|;)\s*bbox\s+([^;]*)")

_DECLARED = re.compile(rb"""(?:encoding|charset)\s*=\s*["']?([\w.:-]+)""")
_DECLARED_BYTES = 2048
# Of text, and quick: Python has codecs of other kinds too.
_ENCODINGS = re.compile(
    r"utf-?8|utf-?16([lb]e)?|(us-)?ascii|latin-?1|iso-?8859-\d+|(windows-|cp)125\d|koi8-[ru]"
    r"|gbk|gb2312|gb18030|big5|shift[-_]jis|euc-(jp|kr)"
)
# So alike is a text that was corrected to what it was, in texts of so many letters: shorter ones are alike by chance.
_ALIKE, _ALIKE_LETTERS = 0.8, range(10, 10_000)
_DOCTYPE = re.compile(r"<!DOCTYPE[^<>\[\]]*>", re.IGNORECASE)


def recognise(annotations: FileTree) -> bool:
    """True where one of the first HTML files begins like hOCR."""
    return any(_HINT.search(head) for head in heads(annotations, _SUFFIXES))


def list_pages(annotations: FileTree, images: FileTree) -> list[ListedPage]:
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


def read_page(page: ListedPage, level: Level) -> PageRecord:
    """The page's regions, lines or words, in pixels of the page's own box."""
    with annotation_read():
        stat = os.stat(page.annotation)
    html_pages = _html_pages(page.annotation, stat.st_size, stat.st_mtime_ns)
    number = page.entry or 1
    if number > len(html_pages) or (page.entry is None and len(html_pages) != 1):
        of_one = ", and one image has its name" if page.images else ""
        raise RecordError(f"annotation holds {len(html_pages)} pages of class ocr_page{of_one}")
    html_page, named = html_pages[number - 1]
    path, page_number = image_of_page(page, named)
    if page_number is None and path.lower().endswith(SEVERAL_PAGES) and not _is_own(path, named, html_pages):
        page_number = page.entry
    box = _box_of(html_page)
    size = (box[2], box[3]) if box and box[:2] == [0, 0] else None
    return page_record(page, (path, page_number), _list_regions(html_page), level, size)


def _is_own(path: str, named: str | None, html_pages: list[tuple[Any, str | None]]) -> bool:
    """Whether the image is of one page, as a single page names it."""
    return os.path.basename(path) == last_part(named or "") and [name for _, name in html_pages].count(named) == 1


@lru_cache(maxsize=1)  # the pages of a book follow one another
def _html_pages(path: str, size: int, time: int) -> list[tuple[Any, str | None]]:
    """The pages, each with the image that its title names."""
    html_pages = [element for element in _parse_hocr(read_bytes(path)).iter() if _kind_of(element) == "ocr_page"]
    if any(_kind_of(inner) == "ocr_page" for html_page in html_pages for inner in html_page.iterfind(".//*")):
        raise RecordError("annotation has an ocr_page in another one: is a tag not closed?")
    return [(html_page, _image_name(html_page)) for html_page in html_pages]


def _image_name(html_page: Any) -> str | None:
    title = _IMAGE.search(html_page.get("title", ""))
    return title and (title[1] or title[2] or title[3])


def _kind_of(element: Any) -> str:
    """The first class that is of hOCR, "" where there is none."""
    return next((name for name in element.get("class", "").split() if name.startswith("ocr")), "")


def _has(element: Any, kinds: Iterable[str]) -> bool:
    return any(_kind_of(inner) in kinds for inner in islice(element.iter(), 1, None))


def _is_line(element: Any) -> bool:
    kind = _kind_of(element)
    return kind in _LINES + _WORDS or (kind in _REGIONS_OR_LINES and not _has(element, _LINES + _REGIONS))


def _list_regions(html_page: Any) -> list[LayoutBlock]:
    """The regions of the page; `RecordError` where one is broken, or a text is in none and would be lost."""
    regions = list(_regions(html_page, ""))
    read = len(_letters("".join(region.text for region in regions)))
    if read < len(_letters("".join(html_page.itertext()))) and read < (written := len(_letters(_text(html_page)))):
        raise RecordError(f"{written - read} of the page's {written} letters are in no line, word or region of hOCR")
    return regions


def _regions(parent: Any, around: str) -> Iterator[LayoutBlock]:
    """The regions in `parent`. Lines outside of them are one of the class `around`, or of their own class.

    What holds nothing of hOCR, such as a `<br>`, does not part lines.
    """
    children = [child for child in parent if any(map(_kind_of, child.iter()))]
    for of_lines, group in groupby(children, key=lambda child: _kind_of(child) if _is_line(child) else ""):
        if of_lines:
            label = of_lines if of_lines in _REGIONS else around or of_lines
            yield LayoutBlock("region", "", None, parts=[_line(line) for line in group], label=label)
            continue
        for child in group:
            kind = _kind_of(child)
            if kind and not _has(child, _REGIONS if kind in _REGIONS else _REGIONS + _LINES):
                yield _region(child, kind)
            else:
                yield from _regions(child, kind if kind in _REGIONS else around)


def _region(element: Any, label: str) -> LayoutBlock:
    lines = list(_lines(element))
    if not lines and _text(element):
        lines = [_line(element)]
    return LayoutBlock("region", element.get("id", ""), _box_of(element), parts=lines, label=label)


def _lines(parent: Any) -> Iterator[LayoutBlock]:
    for child in parent:
        if _kind_of(child) in _LINES:
            yield _line(child)
        else:
            yield from _lines(child)


def _line(line: Any) -> LayoutBlock:
    words = [
        LayoutBlock("word", word.get("id", ""), _box_of(word), _text(word))
        for word in line.iter()
        if _kind_of(word) in _WORDS
    ]
    block = LayoutBlock("line", line.get("id", ""), _box_of(line), parts=words)
    letters = _letters(block.text)
    if letters != _letters("".join(line.itertext())):  # not all of it is in words, or some of it twice
        written = _written(line)
        if written.is_repeated or letters != _letters(written.text):
            block.own_text = " ".join(written.text.split())
    return block


def _text(element: Any) -> str:
    text = _written(element).text if len(element) else element.text or ""
    return " ".join(text.split())


class _Written(NamedTuple):
    """The text of an element; its own, where `is_repeated` by the hOCR elements in it, of which it `has` some."""

    text: str
    has: bool
    is_repeated: bool


def _written(element: Any) -> _Written:
    own, inner, whole, has = [element.text or ""], [], [element.text or ""], False
    for child in element:
        text, has_more, _ = _written(child)
        text = " " if child.tag == "br" else text
        is_inner = has_more or bool(_kind_of(child))
        inner.append(text if is_inner else "")
        own += [" " if is_inner else text, child.tail or ""]
        whole += [text, child.tail or ""]
        has = has or is_inner
    is_repeated = has and _repeats(_letters("".join(own)), _letters("".join(inner)))
    return _Written("".join(own if is_repeated else whole), has, is_repeated)


def _repeats(own: str, inner: str) -> bool:
    """Are these the letters of one text, the second perhaps as it was before it was corrected?"""
    if own == inner:
        return bool(own)
    if len(own) not in _ALIKE_LETTERS or len(inner) not in _ALIKE_LETTERS:
        return False
    return Levenshtein.normalized_similarity(own, inner, score_cutoff=_ALIKE) > 0


def _letters(text: str) -> str:
    return "".join(text.split())


def _box_of(element: Any) -> list[float] | None:
    """The box of the title's `bbox`, None where it has none."""
    found = _BBOX.search(element.get("title", ""))
    if not found:
        return None
    what = f"bbox of {_kind_of(element)} {element.get('id', '')[:60]!a}"
    box = [parse_number(value, what) for value in found[1].split()]
    if len(box) != 4:
        raise RecordError(f"{what} has {len(box)} numbers, not four")
    return box


def _parse_hocr(data: bytes) -> Any:
    """The root element, of `xml.etree` or of `lxml`, names without namespaces; `RecordError` where there is none."""
    text = _DOCTYPE.sub("", _decode(data), count=1)
    try:
        return parse_xml(text)
    except BrokenXML:
        return _parse_html(text)


def _decode(data: bytes) -> str:
    encoding = marked_encoding(data)
    if encoding is None:
        declared = _DECLARED.search(data[:_DECLARED_BYTES])
        encoding = declared[1].decode("ascii", "replace").lower() if declared else "utf-8"
        if not _ENCODINGS.fullmatch(encoding):
            raise RecordError(f"annotation has the encoding {encoding[:40]!a}, which is not known")
    try:
        return data.decode(encoding)
    except (UnicodeDecodeError, LookupError) as error:
        raise RecordError(f"annotation cannot be decoded: {error}") from error


def _parse_html(text: str) -> Any:
    if "\0" in text:
        raise RecordError(f"annotation has a null character at offset {text.index(chr(0))}")
    folded = text.lower()
    for tag in ("html", "body"):
        if folded.rfind(f"</{tag}") < folded.rfind(f"<{tag}"):
            raise RecordError(f"annotation is cut off: it is no XML, and has no </{tag}> at its end")
    parser = etree.HTMLParser(encoding="utf-8", no_network=True, remove_comments=True, remove_pis=True)
    try:
        root = etree.fromstring(text.encode(), parser)
    except etree.LxmlError as error:
        raise RecordError(f"annotation is broken HTML: {error}") from error
    fatal = [entry for entry in parser.error_log if entry.level_name == "FATAL"]
    if root is None or fatal:
        raise RecordError(f"annotation is broken HTML: {fatal[0].message if fatal else 'it has no element'}")
    return root
