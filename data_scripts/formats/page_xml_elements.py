"""What an element of PAGE-XML says of itself: its index, its text, and the box around it."""

from xml.etree.ElementTree import Element

from data_scripts.formats.layout import box_around
from data_scripts.formats.xml_text import box_of_points, number, shown_id


def index_of(element: Element) -> float:
    """Its `index`, 0 where it has none."""
    return 0 if element.get("index") is None else number(element, "index")


def text_of(element: Element) -> str:
    """The text of the lowest index, of several without one the first; "" where there is none."""
    first = min(element.iterfind("TextEquiv"), key=index_of, default=None)
    return "" if first is None else first.findtext("Unicode") or first.findtext("PlainText") or ""


def box_of(element: Element) -> list[float] | None:
    """The box around its `Coords`, None where it has none."""
    coords = element.find("Coords")
    if coords is None:
        return None
    what = f"Coords of {element.tag} {shown_id(element)}"
    pairs = coords.findall("Point")  # before 2013
    if pairs and coords.get("points") is None:
        return box_around([(number(pair, "x"), number(pair, "y")) for pair in pairs], what)
    return box_of_points(points, what) if (points := coords.get("points", "").strip()) else []
