"""Small page records and a tiny model for tests: drawn here, in memory."""

import io
from functools import lru_cache

import numpy as np
from datasets import Dataset
from PIL import Image, ImageDraw

from ocr2_hf.data.collator import coordinate_token_ids
from ocr2_hf.data.columns import FEATURES
from ocr2_hf.modeling.adapters import apply_policy
from ocr2_hf.modeling.model import OCR2Model
from ocr2_hf.modeling.tiny import build_tiny_model, build_tiny_processor
from ocr2_hf.recipe import ModelArguments


def noise(size: tuple[int, int], spread: int = 80, seed: int = 0) -> Image.Image:
    """Grey noise, the same at every call: `Image.effect_noise` draws other pixels in every run."""
    width, height = size
    values = np.random.default_rng(seed).normal(128, spread, (height, width))
    return Image.fromarray(values.clip(0, 255).astype(np.uint8))


def png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format="PNG")
    return buffer.getvalue()


def page_row(name: str, size: tuple[int, int], lines: list[str], boxes: int) -> dict:
    """A white page with a line of text every 20 pixels; the first `boxes` lines are regions."""
    image = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(image)
    for index, line in enumerate(lines):
        draw.text((10, 10 + 20 * index), line, fill="black")
    return {
        "id": name,
        "image": {"bytes": png(image), "path": None},
        "width": size[0],
        "height": size[1],
        "text": "\n".join(lines),
        "bboxes": [[10.0, 10.0 + 20 * index, size[0] - 10.0, 26.0 + 20 * index] for index in range(boxes)],
        "labels": (["title"] + ["text"] * boxes)[:boxes],
        "texts": lines[:boxes],
        "prompt": None,
        "target": None,
    }


def page_dataset(sizes=((150, 120), (220, 200), (180, 100), (120, 210)), boxes=(2, 0, 1, 3)) -> Dataset:
    """Pages with and without tiles (a tiny tile is 192 pixels), with zero, one and many boxes."""
    rows = [
        page_row(f"p{i}", size, [f"Tea {i} x {i}.50", f"Total {i}.75", "Danke"][: max(n, 1)], n)
        for i, (size, n) in enumerate(zip(sizes, boxes, strict=True))
    ]
    return Dataset.from_list(rows, features=FEATURES)


def plain_pages() -> Dataset:
    """Pages without tiles, which a model reads in half of the time."""
    return page_dataset(sizes=((150, 120), (190, 100), (180, 100), (120, 190)))


def text_model() -> OCR2Model:
    """A tiny model of which the text model alone trains: a step takes a third of the time."""
    return apply_policy(build_tiny_model(), ModelArguments(train_language="full"))


@lru_cache
def processor():
    """One tiny processor for all tests; do not change its settings."""
    return build_tiny_processor()


@lru_cache
def coordinate_ids() -> list[int]:
    return coordinate_token_ids(processor().tokenizer)
