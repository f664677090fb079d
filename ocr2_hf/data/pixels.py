"""Pages into pixel values: what the stock image processor returns, bit for bit, without its detours.

The library's Pillow class copies a page several times and computes in float64, value by value. There are 256 values a
channel: the class is asked once what becomes of each, and that is looked up. A grey page is scaled in one channel.
"""

from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from transformers.models.deepseek_ocr2.image_processing_pil_deepseek_ocr2 import DeepseekOcr2ImageProcessorPil

from ocr2_hf.data.images import ImageSettings


def page_pixels(images: Sequence[Image.Image], processor, settings: ImageSettings) -> dict[str, Tensor]:
    """`pixel_values` [B, 3, side, side], `num_local_patches` [B], and `pixel_values_local` [tiles, 3, side, side] when
    any page has tiles; `processor` is the image processor.

    Any class but the library's Pillow one is called itself, for torchvision's is fast; so is that one for what is not
    plain RGB.
    """
    if type(processor) is not DeepseekOcr2ImageProcessorPil or not all(map(_is_plain, images)):
        return dict(processor(list(images), return_tensors="pt", **settings.call_arguments()))
    counts = [settings.tiles(*image.size) for image in images]
    values = _values(processor)
    pages, tiles = _views(len(images), settings.global_side, values), _views(sum(counts), settings.tile_side, values)
    for image, page, own in zip(images, pages, tiles.split(counts), strict=True):
        image = _one_channel(image)
        if len(own):
            columns, rows = settings.grid(*image.size)
            size = (columns * settings.tile_side, rows * settings.tile_side)
            _look_up(_levels(image, size, processor), values, own)
        _look_up(_whole_page(image, settings.global_side, processor), values, page[None])
    pixels = {"pixel_values": pages, "num_local_patches": torch.tensor(counts)}
    return pixels | {"pixel_values_local": tiles} if len(tiles) else pixels


def _is_plain(image: Image.Image) -> bool:
    return image.mode == "RGB" and not image.has_transparency_data


def _values(processor: DeepseekOcr2ImageProcessorPil) -> Tensor:
    """What the stock class makes of each of the 256 levels of each channel: [3, 256]."""
    levels = np.tile(np.arange(256, dtype=np.uint8), (3, 1, 1))
    if processor.do_rescale:
        levels = processor.rescale(levels, processor.rescale_factor)
    if processor.do_normalize:
        levels = processor.normalize(levels, processor.image_mean, processor.image_std)
    return torch.from_numpy(np.ascontiguousarray(levels)).view(3, 256)


def _views(count: int, side: int, values: Tensor) -> Tensor:
    """Room for so many views: [count, 3, side, side]."""
    return torch.from_numpy(np.empty((count, 3, side, side), values.numpy().dtype))


def _one_channel(image: Image.Image) -> Image.Image:
    """The one channel of a page without colour; another page as it is."""
    red, green, blue = _channels(image)
    return image.getchannel(0) if np.array_equal(red, green) and np.array_equal(red, blue) else image


def _whole_page(image: Image.Image, side: int, processor: DeepseekOcr2ImageProcessorPil) -> np.ndarray:
    """The page in a square of this side, the rest in the background's colour: uint8 [3, side, side]."""
    scale = side / max(image.size)
    levels = _levels(image, (round(image.width * scale), round(image.height * scale)), processor)
    return processor.pad_to_square(np.stack(levels), processor.background_color)


def _levels(
    image: Image.Image, size: tuple[int, int], processor: DeepseekOcr2ImageProcessorPil
) -> Sequence[np.ndarray]:
    """The page scaled to this size: of each of three channels uint8 [height, width]."""
    channels = _channels(image.resize(size, processor.resample))
    return channels * (3 // len(channels))


def _channels(image: Image.Image) -> list[np.ndarray]:
    """Each channel: uint8 [height, width]."""
    files = [image.tobytes("raw", band) for band in image.getbands()]
    return [np.frombuffer(file, np.uint8).reshape(image.height, image.width) for file in files]


def _look_up(levels: Sequence[np.ndarray], values: Tensor, views: Tensor) -> None:
    """Fill `views` [V, 3, side, side], which lie row by row in the `levels`, with what stands for these in `values`."""
    side = views.shape[-1]
    columns = levels[0].shape[1] // side
    for index, channel in np.ndindex(len(views), 3):
        top, left = side * (index // columns), side * (index % columns)
        view = torch.from_numpy(levels[channel][top : top + side, left : left + side].astype(np.int32))
        torch.index_select(values[channel], 0, view.view(-1), out=views[index, channel].view(-1))
