"""Images that lie in their annotation: `data:image/png;base64,...`, as chats of OpenAI have them."""

import binascii
import re
from typing import Any

from data_scripts.page_image import MAX_BYTES
from ocr2_hf.document.records import RecordError

_BEGIN = re.compile(r"data:[^,]{0,200}?(;base64)?,", re.IGNORECASE)
_LONGEST = (MAX_BYTES + 2) // 3 * 4  # base64 of the largest image file


def is_data_url(named: Any) -> bool:
    """Whether that is an image itself, and not the path of one."""
    return isinstance(named, str) and named[:5].lower() == "data:"


def image_of(url: str) -> bytes:
    """The image file in a data URL, not checked yet; `RecordError` where that is too long or no base64."""
    begin = _BEGIN.match(url)
    if begin is None or not begin[1]:
        raise RecordError(f"image {url[:40]!a}... is not data:image/...;base64,...")
    if len(url) - begin.end() > _LONGEST:
        raise RecordError(f"image in base64 is over the limit of {MAX_BYTES:,} bytes: write it to a file")
    try:
        return binascii.a2b_base64(url[begin.end() :], strict_mode=True)
    except ValueError as error:
        raise RecordError(f"image {url[:40]!a}... is no base64: {error}") from None
