"""XML of unknown origin: read within limits, its names without their namespaces, every fault as a `RecordError`."""

import re
from collections.abc import Iterator
from xml.etree.ElementTree import Element

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import ParseError, fromstring

from data_scripts.file_tree import FileTree, annotation_read
from data_scripts.formats.layout import box_around
from data_scripts.formats.text_files import text_heads
from ocr2_hf.document.records import RecordError

MAX_BYTES = 32 * 2**20
# Deeper than any page nests its regions; readers may recurse without a thought.
MAX_DEPTH = 100

_POINTS_CHARS = 1_000_000
_NUMBER = re.compile(r"[+-]?(\d{1,500}(\.\d{0,500})?|\.\d{1,500})([eE][+-]?\d{1,4})?", re.ASCII)
_NO_ELEMENT = re.compile(r"<!--.*?-->|<\?.*?\?>|<![^<>]*>", re.DOTALL)
_ELEMENT = re.compile(r"<(?:[\w.-]+:)?([\w.-]+)")


class BrokenXML(RecordError):
    """The annotation is not well-formed; the message says where."""


def read_bytes(path: str) -> bytes:
    """The whole file; `RecordError` where it cannot be read or is over `MAX_BYTES`."""
    with annotation_read(), open(path, "rb") as file:
        data = file.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise RecordError(f"annotation is over the limit of {MAX_BYTES:,} bytes")
    return data


def read_xml(path: str, root_name: str) -> Element:
    """The root element of the file, which must be `root_name`."""
    root = parse_xml(read_bytes(path))
    if root.tag != root_name:
        raise RecordError(f"annotation begins with the element {root.tag[:60]!a}, not {root_name!r}")
    return root


def read_xml_page(path: str, root_name: str, place: str) -> tuple[Element, Element]:
    """The root element of the file, and its one page, which is at `place` in it."""
    root = read_xml(path, root_name)
    xml_pages = root.findall(place)
    if len(xml_pages) != 1:
        raise RecordError(f"annotation holds {len(xml_pages)} pages; one file must be one page")
    return root, xml_pages[0]


def parse_xml(document: bytes | str) -> Element:
    """The root element, all names without their namespaces.

    A DTD is refused: its entities and default attributes multiply, or name other files. Raises `RecordError`, where the
    document is not well-formed `BrokenXML`.
    """
    try:
        root = fromstring(document, forbid_dtd=True)
    except DefusedXmlException as error:
        raise RecordError("annotation holds a DTD or entities of its own, which are refused: remove them") from error
    except ParseError as error:
        raise BrokenXML(f"annotation is broken XML: {error}") from error
    except (ValueError, LookupError) as error:  # of encodings
        raise RecordError(f"annotation cannot be decoded: {error}") from error
    _drop_namespaces(root)
    return root


def _drop_namespaces(root: Element) -> None:
    level = [root]
    for _ in range(MAX_DEPTH):
        for element in level:
            element.tag = element.tag.rpartition("}")[2]
        level = [child for element in level for child in element]
        if not level:
            return
    raise RecordError(f"annotation nests its elements over {MAX_DEPTH} deep")


def has_root(annotations: FileTree, name: str) -> bool:
    """Has one of the first XML files the root element `name`?"""
    return any(first_element(head) == name for head in heads(annotations, (".xml",)))


def heads(annotations: FileTree, suffixes: tuple[str, ...]) -> Iterator[str]:
    """The beginnings of the first few files that end in one of `suffixes`; of those that cannot be read, nothing."""
    return text_heads(annotations.paths(*suffixes))


def first_element(head: str) -> str:
    """The name of the root element of which `head` is the beginning, without its namespace; "" where there is none."""
    found = _ELEMENT.search(_NO_ELEMENT.sub("", head))
    return found[1] if found else ""


def number(element: Element, name: str) -> float:
    """The attribute `name` as a number; `RecordError` where it is missing or none."""
    return parse_number(element.get(name, ""), f"{name} of {element.tag} {shown_id(element)}")


def size_of(element: Element, width: str, height: str) -> tuple[float, float] | None:
    """The attributes of these names as a size, None where it has neither."""
    if element.get(width) is None and element.get(height) is None:
        return None
    return number(element, width), number(element, height)


def parse_number(text: str, what: str) -> float:
    """The text as a number; `RecordError` beginning with `what` where it is none."""
    if not _NUMBER.fullmatch(text.strip()):
        raise RecordError(f"{what} is {text[:40]!a}, not a number")
    return float(text)


def box_of_points(points: str, what: str) -> list[float]:
    """The box around "x,y x,y ..." or "x y x y ..."."""
    if len(points) > _POINTS_CHARS:
        raise RecordError(f"{what} has {len(points):,} characters, over the limit of {_POINTS_CHARS:,}")
    values = points.split()
    pairs = [value.split(",") for value in values] if "," in points else list(zip(values[::2], values[1::2]))
    if any(len(pair) != 2 for pair in pairs) or ("," not in points and len(values) % 2):
        raise RecordError(f"{what} is {points[:40]!a}..., not pairs x, y")
    return box_around([[parse_number(value, what) for value in pair] for pair in pairs], what)


def states_order(parent: Element) -> bool:
    """Whether the `ReadingOrder` in it has an ordered group: one that is unordered says what belongs together."""
    return any(element.tag.startswith("OrderedGroup") for element in parent.iterfind("ReadingOrder//*"))


def shown_id(element: Element) -> str:
    """The element's id for messages."""
    return ascii((element.get("ID") or element.get("id") or "")[:60])
