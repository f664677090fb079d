"""What an element of hOCR is, by its class, and what its title says: its box, and a page's image."""

import re
from collections.abc import Iterable
from itertools import islice
from typing import Any

from data_scripts.formats.xml_text import parse_number
from ocr2_hf.document.records import RecordError

PAGE = "ocr_page"
WORDS = ("ocrx_word", "ocr_word")
LINES = ("ocr_line", "ocrx_line")

_BBOX = re.compile(r"(?:^|;)\s*bbox\s+([^;]*)")
_IMAGE = re.compile(r"""(?:^|;)\s*image\s+(?:"([^"]*)"|'([^']*)'|([^;]*))""")


def kind_of(element: Any) -> str:
    """The first class that is of hOCR, "" where there is none."""
    return next((name for name in element.get("class", "").split() if name.startswith("ocr")), "")


def has(element: Any, kinds: Iterable[str]) -> bool:
    """Is an element of one of these kinds in it?"""
    return any(kind_of(inner) in kinds for inner in islice(element.iter(), 1, None))


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


def image_of(element: Any) -> str | None:
    """The path of the title's `image`, None where it has none."""
    found = _IMAGE.search(element.get("title", ""))
    return found and (found[1] or found[2] or found[3])
