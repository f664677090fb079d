"""ALTO 2 to 4: NAME.xml is the page of NAME.png, or of the image that it names in `fileName`.

A block's class is the label of its tag (`TAGREFS`), else the margin that it is in, else its element. Blocks are in the
`ReadingOrder` of ALTO 4.3; those without one as they stand, top margin first, bottom margin last. Hyphens are kept.
Where a line has an `SP`, blanks are where those are; in a line without one they are between all of its Strings.
"""

import re
from collections.abc import Iterable, Iterator
from xml.etree.ElementTree import Element

from data_scripts.file_tree import FileTree
from data_scripts.formats.alto_boxes import box_of
from data_scripts.formats.entries import read_entry, unique_pages
from data_scripts.formats.format import Level, ListedPage
from data_scripts.formats.images import image_of_page, list_page_files
from data_scripts.formats.layout import LayoutBlock, page_record, ranks_of, sort_blocks
from data_scripts.formats.xml_text import has_root, read_xml_page, shown_id, size_of, states_order
from data_scripts.label_map import by_class
from ocr2_hf.document.records import PageRecord, RecordError

FILES = "*.xml, ALTO"
# The elements of ALTO, and the tags of eScriptorium and SegmOnto.
LABELS = by_class(
    text="TextBlock Main Commentary MainZone",
    title="Title TitlePageZone",
    header="TopMargin RunningTitleZone",
    footer="BottomMargin",
    marginalia="LeftMargin RightMargin Margin MarginTextZone",
    page_number="Numbering NumberingZone",
    signature_mark="QuireMarksZone",
    drop_capital="DropCapital DropCapitalZone",
    table="TableZone table Table",
    image="Illustration Figure Decoration GraphicZone",
    stamp="Stamp StampZone SealZone",
    separator="GraphicalElement",
)
LEVELS = ("region", "line", "word")
BOX_UNIT = None

_SOFT_HYPHEN = "\u00ad"
_SPACES = ("TopMargin", "PrintSpace", "LeftMargin", "RightMargin", "BottomMargin")


def recognise(annotations: FileTree) -> bool:
    """True where one of the first XML files has the root `alto`."""
    return has_root(annotations, "alto")


def list_pages(annotations: FileTree, images: FileTree) -> list[ListedPage]:
    """Every *.xml as a page, with the images of its name."""
    return unique_pages(list_page_files(annotations, images, (".xml",)))


def read_page(page: ListedPage, level: Level) -> PageRecord:
    """The page's regions, lines or words, in pixels or what else its boxes are measured in."""
    read_entry(page)
    root, xml_page = read_xml_page(page.annotation, "alto", "Layout/Page")
    tags = {tag.get("ID"): tag.get("LABEL") for tag in root.iterfind("Tags/*") if tag.tag != "NamedEntityTag"}
    # A second reading order is for what the first leaves out.
    ids = [id for reference in root.iterfind("ReadingOrder//*[@REF]") for id in reference.get("REF", "").split()]
    regions = sort_blocks(_regions(xml_page, tags, ""), ranks_of(ids))
    image = image_of_page(page, root.findtext("Description/sourceImageInformation/fileName"))
    is_ordered = bool(ids) and states_order(root)
    has_ordered_lines = is_ordered and not {line.get("ID") for line in xml_page.iter("TextLine")}.isdisjoint(ids)
    order = {"is_ordered": is_ordered, "has_ordered_lines": has_ordered_lines}
    return page_record(page, image, regions, level, _page_size(root, xml_page), **order)


def _page_size(root: Element, xml_page: Element) -> tuple[float, float] | None:
    size = size_of(xml_page, "WIDTH", "HEIGHT")
    unit = (root.findtext("Description/MeasurementUnit") or "pixel").strip()
    if size is None and unit != "pixel":
        raise RecordError(f"boxes are in {unit[:40]!a}, and Page has no WIDTH and HEIGHT to scale them by")
    return size


def _regions(space: Element, tags: dict[str | None, str | None], inherited: str) -> Iterator[LayoutBlock]:
    for element in space:
        name = _class(element, tags)
        if element.tag == "TextBlock":
            yield _region(element, name or inherited or element.tag, element.iterfind("TextLine"))
        elif element.tag in ("Illustration", "GraphicalElement"):
            yield _region(element, name or element.tag, ())
        elif element.tag == "ComposedBlock":
            name = name or element.get("TYPE", "")
            if LABELS.get(name) == "table":
                yield _region(element, name, element.iter("TextLine"))
            else:
                yield from _regions(element, tags, name if name in LABELS else inherited)
    for child in sorted((child for child in space if child.tag in _SPACES), key=lambda c: _SPACES.index(c.tag)):
        yield from _regions(child, tags, child.tag if child.tag in LABELS else "")


def _class(block: Element, tags: dict[str | None, str | None]) -> str:
    """The class by its tags: the first that is in the table, of SegmOnto's sub-types (Zone:type#1) the zone."""
    names = [name for tag in block.get("TAGREFS", "").split() if (name := tags.get(tag))]
    zones = [name if name in LABELS else re.split("[:#]", name)[0] for name in names]
    return next((zone for zone in zones if zone in LABELS), names[0] if names else "")


def _region(block: Element, label: str, lines: Iterable[Element]) -> LayoutBlock:
    return LayoutBlock("region", block.get("ID", ""), box_of(block), parts=[_line(line) for line in lines], label=label)


def _line(line: Element) -> LayoutBlock:
    words: list[LayoutBlock] = []
    written = ""
    for part in line:
        if part.tag == "String":
            if part.get("CONTENT") is None:
                raise RecordError(f"String {shown_id(part)} has no CONTENT")
            words.append(LayoutBlock("word", part.get("ID", ""), box_of(part), part.get("CONTENT", "")))
            written += part.get("CONTENT", "")
        elif part.tag == "SP":
            written = written.rstrip(" ") + " "
        elif part.tag == "HYP":
            hyphen = part.get("CONTENT", "").replace(_SOFT_HYPHEN, "-") or "-"
            written = written.removesuffix(hyphen) + hyphen
            if words:
                words[-1].own_text = words[-1].own_text.removesuffix(hyphen) + hyphen
    has_blanks = line.find("SP") is not None
    return LayoutBlock("line", line.get("ID", ""), box_of(line), written if has_blanks else "", words)
