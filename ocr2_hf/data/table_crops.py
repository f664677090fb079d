"""The piece of a page that shows one table: what the task `table` trains on is what the statement parser asks about."""

import math
from collections.abc import Sequence

from PIL import Image

from ocr2_hf.data.images import ImageSettings

# Beyond the table's box, as a share of the page's longer side: boxes of a model are off by about that much, and more
# would bring the lines above and below with it.
MARGIN = 0.02

Crop = tuple[int, int, int, int]


def crop_box(box: Sequence[float], width: int, height: int) -> Crop:
    """The box with its margin, xyxy in whole pixels of a page of `width` x `height`; never empty."""
    margin = MARGIN * max(width, height)
    left = min(max(math.floor(box[0] - margin), 0), width - 1)
    top = min(max(math.floor(box[1] - margin), 0), height - 1)
    right = max(min(math.ceil(box[2] + margin), width), left + 1)
    bottom = max(min(math.ceil(box[3] + margin), height), top + 1)
    return left, top, right, bottom


def crop_table(image: Image.Image, box: Sequence[float], settings: ImageSettings) -> tuple[Image.Image, Crop]:
    """An RGB page with the table alone -> (image, the piece of the page that it shows, in pixels of the page).

    A page that the model sees in tiles is cut, so that the table's letters come out larger. One that fits into a single
    view gains nothing from that: it keeps its size and place, and what lies around the table is painted white.
    """
    crop = crop_box(box, *image.size)
    piece = image.crop(crop)
    if settings.tiles(*image.size):
        return piece, crop
    blank = Image.new("RGB", image.size, "white")
    blank.paste(piece, crop[:2])
    return blank, (0, 0, *image.size)


def crop_tiles(
    boxes: Sequence[Sequence[float]], width: int, height: int, settings: ImageSettings, moves: bool = False
) -> int:
    """The most tiles that any of the tables takes on a page of this size; of pages that an augmentation `moves`, the
    most that anything takes, for a box that turns may become another shape."""
    if not settings.tiles(width, height):
        return 0
    if moves:
        return settings.max_patches
    crops = [crop_box(box, width, height) for box in boxes]
    return max(settings.tiles(right - left, bottom - top) for left, top, right, bottom in crops)
