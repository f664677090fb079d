"""The lines of a region in PAGE-XML, with their words: in the order of the region's text, those of a table by cells."""

from collections.abc import Iterator
from xml.etree.ElementTree import Element

from data_scripts.formats.layout import LayoutBlock
from data_scripts.formats.page_xml_custom import order_index
from data_scripts.formats.page_xml_elements import box_of, text_of
from data_scripts.formats.xml_text import number


def region_lines(region: Element, text: str) -> list[LayoutBlock]:
    """The lines in the order of the region's text, where that is theirs; else by their index, or as they stand."""
    found = region.findall("TextLine")
    indexes = [line_index(line) for line in found]
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


def table_lines(table: Element) -> Iterator[LayoutBlock]:
    """The lines of a table or of one of its cells; a cell without lines is one."""
    for element in table:
        if element.tag == "TextLine":
            yield _line(element)
        elif element.tag in ("TextRegion", "TableCell"):
            cell = list(table_lines(element))
            yield from cell or [LayoutBlock("line", element.get("id", ""), box_of(element), text_of(element))]


def line_index(line: Element) -> float | None:
    """Its `index`, or that which Transkribus writes into `custom`; None where it has neither."""
    return order_index(line) if line.get("index") is None else number(line, "index")


def _line(line: Element) -> LayoutBlock:
    words = [LayoutBlock("word", word.get("id", ""), box_of(word), text_of(word)) for word in line.iterfind("Word")]
    return LayoutBlock("line", line.get("id", ""), box_of(line), text_of(line), words)
