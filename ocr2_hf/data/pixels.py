"""Pages into pixel values: what the stock image processor returns, bit for bit, without its detours.

The library's Pillow class copies a page several times and computes in float64, value by value. A channel has 256 levels
only: the class is asked once what becomes of each, and that is looked up. A page without colour is scaled in one
channel. Levels take a quarter of the memory of values: they are what goes from one process to another, and to a GPU.
"""

from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from transformers.models.deepseek_ocr2.image_processing_pil_deepseek_ocr2 import DeepseekOcr2ImageProcessorPil

from ocr2_hf.data.images import ImageSettings

Pixels = dict[str, Tensor]  # of one page or several

_WHOLE, _TILES, _COUNTS = "pixel_values", "pixel_values_local", "num_local_patches"
_TABLE = "pixel_table"


def page_levels(images: Sequence[Image.Image], processor, settings: ImageSettings) -> Pixels:
    """`pixel_values` [B, 3, side, side], `num_local_patches` [B], and `pixel_values_local` [tiles, 3, side, side] when
    any page has tiles, as levels (uint8), and in `pixel_table` [3, 256] the value of each: for `look_up`.

    `processor` is the image processor. Any class but the library's Pillow one is called itself and gives values, for
    torchvision's is fast; so is that one for pages that are not plain RGB.
    """
    if type(processor) is not DeepseekOcr2ImageProcessorPil or not all(map(_is_plain, images)):
        return dict(processor(list(images), return_tensors="pt", **settings.call_arguments()))
    counts = [settings.tiles(*image.size) for image in images]
    pages = np.empty((len(images), 3, settings.global_side, settings.global_side), np.uint8)
    tiles = np.empty((sum(counts), 3, settings.tile_side, settings.tile_side), np.uint8)
    for image, page, own in zip(images, pages, np.split(tiles, np.cumsum(counts)[:-1]), strict=True):
        image = _one_channel(image)
        page[:] = _whole_page(image, settings.global_side, processor)
        if len(own):
            _cut(image, settings.grid(*image.size), processor, own)
    local = {_TILES: torch.from_numpy(tiles)} if len(tiles) else {}
    return {_WHOLE: torch.from_numpy(pages), _COUNTS: torch.tensor(counts), **local, _TABLE: _table(processor)}


def look_up(batch: Pixels) -> Pixels:
    """The batch with values in place of its levels, on the device where they are; one without levels as it is."""
    if _TABLE not in batch:
        return batch
    views = [name for name in (_WHOLE, _TILES) if name in batch]
    found = {name: _values(batch[name], batch[_TABLE]) for name in views}
    return {name: found.get(name, tensor) for name, tensor in batch.items() if name != _TABLE}


def joined(parts: Sequence[Pixels]) -> Pixels:
    """Pixels of one page or several as those of all; values, unless all are levels."""
    if not all(_TABLE in part for part in parts):
        parts = list(map(look_up, parts))
    names = dict.fromkeys(name for part in parts for name in part if name != _TABLE)
    batch = {name: torch.cat([part[name] for part in parts if name in part]) for name in names}
    return batch | {name: table for name, table in parts[0].items() if name == _TABLE}


def _values(levels: Tensor, table: Tensor) -> Tensor:
    """Levels [V, 3, side, side] -> values of the same shape; channel by channel, for an index takes four bytes."""
    values = table.new_empty(levels.shape)
    for view, channel in np.ndindex(len(levels), 3):
        indices = levels[view, channel].flatten().int()
        torch.index_select(table[channel], 0, indices, out=values[view, channel].view(-1))
    return values


def _is_plain(image: Image.Image) -> bool:
    return image.mode == "RGB" and not image.has_transparency_data


def _table(processor: DeepseekOcr2ImageProcessorPil) -> Tensor:
    """What the stock class makes of each level in each channel: [3, 256]."""
    levels = np.tile(np.arange(256, dtype=np.uint8), (3, 1, 1))
    if processor.do_rescale:
        levels = processor.rescale(levels, processor.rescale_factor)
    if processor.do_normalize:
        levels = processor.normalize(levels, processor.image_mean, processor.image_std)
    return torch.from_numpy(np.ascontiguousarray(levels)).view(3, 256)


def _one_channel(image: Image.Image) -> Image.Image:
    """The one channel of a page without colour; another page as it is."""
    red, green, blue = _channels(image)
    return image.getchannel(0) if np.array_equal(red, green) and np.array_equal(red, blue) else image


def _whole_page(image: Image.Image, side: int, processor: DeepseekOcr2ImageProcessorPil) -> np.ndarray:
    """The page in a square of this side, the rest in the background's colour: [3, side, side]."""
    scale = side / max(image.size)
    size = round(image.width * scale), round(image.height * scale)
    channels = _channels(image.resize(size, processor.resample))
    return processor.pad_to_square(np.stack(channels * (3 // len(channels))), processor.background_color)


def _cut(
    image: Image.Image, grid: tuple[int, int], processor: DeepseekOcr2ImageProcessorPil, tiles: np.ndarray
) -> None:
    """Fill `tiles` [columns x rows, 3, side, side], row by row, with the page drawn over this grid."""
    (columns, rows), side = grid, tiles.shape[-1]
    channels = _channels(image.resize((columns * side, rows * side), processor.resample))
    for number, channel in enumerate(channels * (3 // len(channels))):
        tiles[:, number] = channel.reshape(rows, side, columns, side).swapaxes(1, 2).reshape(-1, side, side)


def _channels(image: Image.Image) -> list[np.ndarray]:
    """Each channel: uint8 [height, width]."""
    files = [image.tobytes("raw", channel) for channel in image.getbands()]
    return [np.frombuffer(file, np.uint8).reshape(image.height, image.width) for file in files]
