"""Where an element of ALTO is: by its attributes, or by its shape."""

from xml.etree.ElementTree import Element

from data_scripts.formats.xml_text import box_of_points, number, shown_id

_PLACE = ("HPOS", "VPOS", "WIDTH", "HEIGHT")


def box_of(element: Element) -> list[float] | None:
    """The box by the attributes, else around the shape; None where there is neither."""
    if all(element.get(name) is not None for name in _PLACE):
        x, y, width, height = (number(element, name) for name in _PLACE)
        return [x, y, x + width, y + height]
    if (polygon := element.find("Shape/Polygon")) is not None:
        points = polygon.get("POINTS", "").strip()
        return box_of_points(points, f"Polygon of {element.tag} {shown_id(element)}") if points else []
    if (circle := element.find("Shape/Circle")) is not None:
        radius = number(circle, "RADIUS")
        return _around(circle, radius, radius)
    if (ellipse := element.find("Shape/Ellipse")) is not None:
        return _around(ellipse, number(ellipse, "HLENGTH") / 2, number(ellipse, "VLENGTH") / 2)
    return None


def _around(shape: Element, dx: float, dy: float) -> list[float]:
    x, y = number(shape, "HPOS"), number(shape, "VPOS")  # of its centre
    return [x - dx, y - dy, x + dx, y + dy]
