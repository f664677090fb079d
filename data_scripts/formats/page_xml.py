"""PAGE-XML of any year: NAME.xml is the page of NAME.png, or of the image that it names in `imageFilename`.

A text region's class is its `type` (or the structure type that Transkribus writes into `custom`), another region's its
element. Regions are in the `ReadingOrder`, nested groups too; those that are not in it come after, as they stand; a
region in a region follows it. The cells of a table are its lines. A text is the `TextEquiv` of the lowest index, or
where there is none that of the lines or words. Lines are in the order of their region's text.
"""

from collections.abc import Iterator
from xml.etree.ElementTree import Element

from data_scripts.file_tree import FileTree
from data_scripts.formats.entries import read_entry, unique_pages
from data_scripts.formats.format import Level, ListedPage
from data_scripts.formats.images import image_of_page, list_page_files
from data_scripts.formats.layout import LayoutBlock, letters_of, page_record, ranks_of
from data_scripts.formats.page_xml_custom import structure_type
from data_scripts.formats.page_xml_elements import box_of, index_of, text_of
from data_scripts.formats.page_xml_lines import line_index, region_lines, table_lines
from data_scripts.formats.xml_text import has_root, read_xml_page, size_of, states_order
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


def recognise(annotations: FileTree) -> bool:
    """True where one of the first XML files has the root `PcGts`."""
    return has_root(annotations, "PcGts")


def list_pages(annotations: FileTree, images: FileTree) -> list[ListedPage]:
    """Every *.xml as a page, with the images of its name."""
    return unique_pages(list_page_files(annotations, images, (".xml",)))


def read_page(page: ListedPage, level: Level) -> PageRecord:
    """The page's regions, lines or words, in pixels of the image that it names."""
    read_entry(page)
    _, xml_page = read_xml_page(page.annotation, "PcGts", "Page")
    ids = [id for group in xml_page.iterfind("ReadingOrder/*") for id in _order(group)]
    ranked = sorted(_regions(xml_page, ranks_of(ids), len(ids)), key=lambda pair: pair[0])
    size = size_of(xml_page, "imageWidth", "imageHeight")
    image = image_of_page(page, xml_page.get("imageFilename"))
    has_ordered_lines = any(line_index(line) is not None for line in xml_page.iter("TextLine"))
    order = {"is_ordered": bool(ids) and states_order(xml_page), "has_ordered_lines": has_ordered_lines}
    return page_record(page, image, [region for _, region in ranked], level, size, **order)


def _order(entry: Element) -> Iterator[str]:
    """The ids of the regions of a reference or group, in reading order; a group may itself stand for a region."""
    if id := entry.get("regionRef"):
        yield id
    for member in sorted(entry, key=index_of):
        yield from _order(member)


def _regions(parent: Element, ranks: dict[str, int], inherited: int) -> Iterator[tuple[int, LayoutBlock]]:
    """Every region in `parent` with its rank, one in another region after it."""
    for element in parent:
        if not element.tag.endswith("Region"):
            continue
        rank = ranks.get(element.get("id", ""), inherited)
        is_table = element.tag == "TableRegion"
        nested = [] if is_table else list(_regions(element, ranks, rank))
        own_text = text_of(element)
        lines = list(table_lines(element)) if is_table else region_lines(element, own_text)
        if not lines and letters_of(own_text) == letters_of("".join(region.text for _, region in nested)):
            own_text = ""  # the nested regions say it
        yield rank, LayoutBlock("region", element.get("id", ""), box_of(element), own_text, lines, _class(element))
        yield from nested


def _class(region: Element) -> str:
    name = region.get("type") if region.tag in ("TextRegion", "CustomRegion") else None
    if name in (None, "other"):
        name = structure_type(region) or name
    return name or region.tag
