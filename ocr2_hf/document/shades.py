"""Grey of more than 8 bits as 8 bits. Pillow would clip it, and lets white that is 0 be black.

Scanners and programs store 10, 12 or 14 bits in 16, 16 in 32, floats of 0 to 1, and numbers with a sign; most say
nowhere how far theirs go. So the largest number of a page tells.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from PIL import Image

_PHOTOMETRIC, _SAMPLE_FORMAT = 262, 339  # tags of a TIFF, by its specification
_WHITE_IS_ZERO, _UNSIGNED = 0, (1,)
_UNSIGNED_WHITES = [2**bits - 1 for bits in (1, 8, 10, 12, 14, 16, 24, 32)]
_SIGNED_WHITES = [2**bits - 1 for bits in (1, 8, 10, 12, 14, 15, 16, 24, 31)]
_BEYOND = 1.05  # floats that were scaled or sharpened go a little over white


def is_deep_grey(image: Image.Image) -> bool:
    """Whether the image is grey of more than 8 bits."""
    return image.mode in ("I", "F") or image.mode.startswith("I;16")


def to_eight_bits(image: Image.Image, tags: Mapping[int, Any]) -> Image.Image:
    """A grey image of more than 8 bits in mode L. What is no number is white.

    0 to the smallest usual white that no pixel is over becomes 0 to 255; with numbers well below 0, minus that white
    is black. `tags` are those of the TIFF that it comes from, none for another file.
    """
    values = np.asarray(image)
    is_unsigned = image.mode.startswith("I;16") or (bool(tags) and tags.get(_SAMPLE_FORMAT, _UNSIGNED) == _UNSIGNED)
    if values.dtype == np.int32 and is_unsigned:
        values = values.view(np.uint32)  # Pillow has no such mode
    values = values.astype(np.float32)
    known = np.isfinite(values)
    lowest, highest = (float(edge(values, where=known, initial=0)) for edge in (np.min, np.max))
    most = max(highest, -lowest)
    whites = _UNSIGNED_WHITES if is_unsigned else _SIGNED_WHITES
    white = next((white for white in whites if most <= white * _BEYOND), most)
    black = -white if lowest < -white / 8 else 0
    shares = np.clip((values - black) / (white - black), 0, 1)
    if tags.get(_PHOTOMETRIC) == _WHITE_IS_ZERO:
        shares = 1 - shares
    shares[~known] = 1
    return Image.fromarray((shares * 255).round().astype(np.uint8))
