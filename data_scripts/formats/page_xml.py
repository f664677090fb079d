"""PAGE-XML of any year: NAME.xml is the page of NAME.png, or of the image that it names in `imageFilename`.

A text region's class is its `type` (or the structure type that Transkribus writes into `custom`), another region's its
element. Regions are in the `ReadingOrder`, nested groups too; those that are not in it come after, as they stand; a
region in a region follows it. The cells of a table are its lines. A text is the `TextEquiv` of the lowest index, or
where there is none that of the lines or words. Lines are in the order of their region's text.
"""

import re
from collections.abc import Iterator
from xml.etree.ElementTree import Element

from data_scripts.file_tree import FileTree
from data_scripts.formats.format import Level, ListedPage
from data_scripts.formats.images import image_of_page, list_page_files
from data_scripts.formats.layout import LayoutBlock, box_around, page_record, ranks_of
from data_scripts.formats.xml_text import (
    ESCAPE,
    box_of_points,
    has_root,
    number,
    read_xml_page,
    shown_id,
    states_order,
    unescaped,
)
from data_scripts.label_map import by_class
from ocr2_hf.document.records import PageRecord

FILES = "*.xml, PAGE-XML"
LABELS = by_class(
    text="TextRegion paragraph TOC-entry list-label floating other AdvertRegion",
    sub_title="heading",
    page_number="page-number",
    signature_mark="signature-mark",
    catch_word="catch-word",
    drop_capital="drop-capital",
    footnote="footnote-continued",
    table="TableRegion",
    equation="MathsRegion",
    image="ImageRegion LineDrawingRegion GraphicRegion ChartRegion MapRegion",
    figure_title="caption",
    separator="SeparatorRegion",
)
LEVELS = ("region", "line", "word")
BOX_UNIT = None

_CUSTOM_CHARS = 2000
_STRUCTURE = re.compile(rf"\bstructure\s*\{{[^}}]*\btype\s*:\s*((?:{ESCAPE}|[^;}}])+?)\s*[;}}]")
_LINE_ORDER = re.compile(r"\breadingOrder\s*\{\s*index\s*:\s*(\d{1,9})\b")


def recognise(annotations: FileTree) -> bool:
    """True where one of the first XML files has the root `PcGts`."""
    return has_root(annotations, "PcGts")


def list_pages(annotations: FileTree, images: FileTree) -> list[ListedPage]:
    """Every *.xml as a page, with the images of its name."""
    return list_page_files(annotations, images, (".xml",))


def read_page(page: ListedPage, level: Level) -> PageRecord:
    """The page's regions, lines or words, in pixels of the image that it names."""
    _, xml_page = read_xml_page(page.annotation, "PcGts", "Page")
    ids = [id for group in xml_page.iterfind("ReadingOrder/*") for id in _order(group)]
    ranked = sorted(_regions(xml_page, ranks_of(ids), len(ids)), key=lambda pair: pair[0])
    size = None
    if xml_page.get("imageWidth") is not None or xml_page.get("imageHeight") is not None:
        size = number(xml_page, "imageWidth"), number(xml_page, "imageHeight")
    image = image_of_page(page, xml_page.get("imageFilename"))
    has_ordered_lines = any(_line_index(line) is not None for line in xml_page.iter("TextLine"))
    order = {"is_ordered": bool(ids) and states_order(xml_page), "has_ordered_lines": has_ordered_lines}
    return page_record(page, image, [region for _, region in ranked], level, size, **order)


def _order(entry: Element) -> Iterator[str]:
    """The ids of the regions of a reference or group, in reading order; a group may itself stand for a region."""
    if id := entry.get("regionRef"):
        yield id
    for member in sorted(entry, key=_index):
        yield from _order(member)


def _index(element: Element) -> float:
    return 0 if element.get("index") is None else number(element, "index")


def _regions(parent: Element, ranks: dict[str, int], inherited: int) -> Iterator[tuple[int, LayoutBlock]]:
    """Every region in `parent` with its rank, one in another region after it."""
    for element in parent:
        if not element.tag.endswith("Region"):
            continue
        rank = ranks.get(element.get("id", ""), inherited)
        is_table = element.tag == "TableRegion"
        nested = [] if is_table else list(_regions(element, ranks, rank))
        own_text = _text(element)
        lines = list(_table_lines(element)) if is_table else _lines(element, own_text)
        if nested and own_text and not lines and _repeats(own_text, [region.text for _, region in nested]):
            own_text = ""
        yield rank, LayoutBlock("region", element.get("id", ""), _box(element), own_text, lines, _class(element))
        yield from nested


def _repeats(text: str, nested: list[str]) -> bool:
    """Is the text that of the nested regions once more?"""
    return "".join(text.split()) == "".join("".join(nested).split())


def _class(region: Element) -> str:
    name = region.get("type") if region.tag in ("TextRegion", "CustomRegion") else None
    if name in (None, "other") and (structure := _STRUCTURE.search(region.get("custom", "")[:_CUSTOM_CHARS])):
        name = unescaped(structure[1])
    return name or region.tag


def _table_lines(table: Element) -> Iterator[LayoutBlock]:
    for element in table:
        if element.tag == "TextLine":
            yield _line(element)
        elif element.tag in ("TextRegion", "TableCell"):
            cell = list(_table_lines(element))
            yield from cell or [LayoutBlock("line", element.get("id", ""), _box(element), _text(element))]


def _lines(region: Element, text: str) -> list[LayoutBlock]:
    """The lines in the order of the region's text, where that is theirs; else by their index, or as they stand."""
    found = region.findall("TextLine")
    indexes = [_line_index(line) for line in found]
    if None not in indexes:
        found = [found[i] for i in sorted(range(len(found)), key=indexes.__getitem__)]
    lines = [_line(line) for line in found]
    wanted = [line.strip() for line in text.split("\n")]
    if sorted(wanted) != sorted(line.text for line in lines):
        return lines
    places: dict[str, list[int]] = {}
    for place, line in enumerate(wanted):
        places.setdefault(line, []).append(place)
    return sorted(lines, key=lambda line: places[line.text].pop(0))


def _line_index(line: Element) -> float | None:
    """Its `index`, or that which Transkribus writes into `custom`; None where it has neither."""
    if line.get("index") is not None:
        return number(line, "index")
    found = _LINE_ORDER.search(line.get("custom", "")[:_CUSTOM_CHARS])
    return float(found[1]) if found else None


def _line(line: Element) -> LayoutBlock:
    words = [LayoutBlock("word", word.get("id", ""), _box(word), _text(word)) for word in line.iterfind("Word")]
    return LayoutBlock("line", line.get("id", ""), _box(line), _text(line), words)


def _text(element: Element) -> str:
    """The text of the lowest index, of several without one the first; "" where there is none."""
    first = min(element.iterfind("TextEquiv"), key=_index, default=None)
    return "" if first is None else first.findtext("Unicode") or first.findtext("PlainText") or ""


def _box(element: Element) -> list[float] | None:
    coords = element.find("Coords")
    if coords is None:
        return None
    what = f"Coords of {element.tag} {shown_id(element)}"
    pairs = coords.findall("Point")  # before 2013
    if pairs and coords.get("points") is None:
        return box_around([(number(pair, "x"), number(pair, "y")) for pair in pairs], what)
    return box_of_points(points, what) if (points := coords.get("points", "").strip()) else []
