"""What Transkribus writes into the attribute `custom` of PAGE-XML: `readingOrder {index:3;} structure {type:heading;}`.

Values are escaped as in JSON, or as in XML once more: a blank is \\u0020.
"""

import html
import json
import re
from xml.etree.ElementTree import Element

_LONGEST = 2000
_ESCAPE = r"&(?:#\d{1,7}|#x[0-9A-Fa-f]{1,6}|amp|lt|gt|quot|apos);"
_ESCAPES = re.compile(rf"""{_ESCAPE}|(?:\\u[0-9A-Fa-f]{{4}})+|\\[bfnrt"\\/]""")
_STRUCTURE = re.compile(rf"\bstructure\s*\{{[^}}]*\btype\s*:\s*((?:{_ESCAPE}|[^;}}])+?)\s*[;}}]")
_ORDER = re.compile(r"\breadingOrder\s*\{\s*index\s*:\s*(\d{1,9})\b")


def structure_type(region: Element) -> str | None:
    """The class of a region, None where it has none."""
    found = _STRUCTURE.search(_custom(region))
    return found and _ESCAPES.sub(_character, found[1])


def order_index(element: Element) -> float | None:
    """The place in the reading order of what is around it, None where it has none."""
    found = _ORDER.search(_custom(element))
    return float(found[1]) if found else None


def _custom(element: Element) -> str:
    return element.get("custom", "")[:_LONGEST]


def _character(escape: re.Match) -> str:
    return html.unescape(escape[0]) if escape[0][0] == "&" else json.loads(f'"{escape[0]}"')
