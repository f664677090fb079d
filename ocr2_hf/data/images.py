"""Page images as visual tokens: how many tiles a page gets, and how many tokens stand for it."""

import math
from dataclasses import dataclass

from transformers.models.deepseek_ocr2.image_processing_pil_deepseek_ocr2 import get_optimal_tiled_canvas


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

    def tiles(self, width: int, height: int) -> int:
        """Tiles of a page of this size: none when both sides fit in one tile."""
        if max(width, height) <= self.tile_side:
            return 0
        side = (self.tile_side, self.tile_side)
        columns, rows = get_optimal_tiled_canvas((height, width), side, self.min_patches, self.max_patches)
        return columns * rows

    def tokens(self, tiles: int) -> int:
        """Visual tokens of a page: the tiles', the global view's and the separator."""
        return tiles * self._view(self.tile_side) + self._view(self.global_side) + 1

    def call_arguments(self) -> dict[str, int | bool]:
        """For the image processor's call. The processor class has defaults of its own that override what a checkpoint
        saved (read in 5.17 and 5.23: it always passes 6 patches), so they are passed every time."""
        return {"crop_to_patches": True, "min_patches": self.min_patches, "max_patches": self.max_patches}

    def _view(self, side: int) -> int:
        return math.ceil(side / self.patch / self.downsample) ** 2
