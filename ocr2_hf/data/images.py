"""Page images as the model sees them: tiles, visual tokens, and the piece of a page that shows one table.

What the task `table` trains on is what the statement parser asks about.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from PIL import Image
from transformers.models.deepseek_ocr2.image_processing_pil_deepseek_ocr2 import get_optimal_tiled_canvas

# Beyond a table's box, as a share of the page's longer side: boxes of a model are off by about that much, and more
# would bring the lines above and below with it.
MARGIN = 0.02

Crop = tuple[int, int, int, int]  # xyxy in whole pixels
Count = TypeVar("Count", int, np.ndarray)


@dataclass(frozen=True)
class ImageSettings:
    """How a processor cuts pages; sizes in pixels. `max_patches`: tiles a page may have at most."""

    global_side: int
    tile_side: int
    patch: int
    downsample: int
    min_patches: int
    max_patches: int

    @classmethod
    def of(cls, processor) -> "ImageSettings":
        """The settings of a `DeepseekOcr2Processor`."""
        images = processor.image_processor
        return cls(
            global_side=images.size["height"],
            tile_side=images.tile_size,
            patch=processor.patch_size,
            downsample=processor.downsample_ratio,
            min_patches=images.min_patches,
            max_patches=images.max_patches,
        )

    def grid(self, width: int, height: int) -> tuple[int, int]:
        """(columns, rows) of a page's tiles: (0, 0) when both sides fit in one tile."""
        if max(width, height) <= self.tile_side:
            return 0, 0
        side = (self.tile_side, self.tile_side)
        return get_optimal_tiled_canvas((height, width), side, self.min_patches, self.max_patches)

    def tiles(self, width: int, height: int) -> int:
        """Tiles of a page of this size."""
        return math.prod(self.grid(width, height))

    def page_tiles(self, sizes: np.ndarray) -> np.ndarray:
        """Tiles [pages] of pages of these `sizes` [pages, 2], width and height: each size is looked at once."""
        different, numbers = np.unique(sizes.astype(np.int64) @ (1 << 32, 1), return_inverse=True)
        return np.array([self.tiles(*divmod(size, 1 << 32)) for size in different.tolist()], dtype=np.int64)[numbers]

    def tokens(self, tiles: Count) -> Count:
        """Visual tokens of a page, or of each of several: the tiles', the global view's and the separator."""
        return tiles * self._view(self.tile_side) + self._view(self.global_side) + 1

    def call_arguments(self) -> dict[str, int | bool]:
        """For the image processor's call. The processor class has defaults of its own that override what a checkpoint
        saved (read in 5.17 and 5.24: it always passes 6 patches), so they are passed every time."""
        return {"crop_to_patches": True, "min_patches": self.min_patches, "max_patches": self.max_patches}

    def _view(self, side: int) -> int:
        return math.ceil(side / self.patch / self.downsample) ** 2


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
