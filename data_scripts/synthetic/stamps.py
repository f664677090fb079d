"""Stamps: a red ring or frame with a word, uneven as real ones are, somewhere on the page."""

import math
import random

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from data_scripts.synthetic.fonts import Fonts
from data_scripts.synthetic.page import Mark, SyntheticPage

DARKEST = 0.85  # a pad is never as dark as ink


def draw_stamp(rng: random.Random, page: SyntheticPage) -> Mark:
    """A stamp somewhere within the page."""
    size = max(48, round(rng.uniform(0.14, 0.22) * min(page.width, page.height)))
    word = rng.choice(page.stamp_words)
    shape = _round if rng.random() < 0.5 else _rectangular
    drawn = shape(size, word, page.fonts, rng)
    drawn = drawn.rotate(rng.uniform(-25, 25), resample=Image.Resampling.BICUBIC, expand=True)
    mask = _worn(drawn, rng)
    left, top, right, bottom = mask.getbbox()
    mask = mask.crop((left, top, right, bottom))
    sides = zip((page.width, page.height), mask.size, strict=True)
    x, y = (round(rng.uniform(0.03 * side, 0.97 * side - own)) for side, own in sides)
    return Mark(mask, x, y, (rng.randint(170, 215), rng.randint(20, 50), rng.randint(30, 60)))


def _round(size: int, word: str, fonts: Fonts, rng: random.Random) -> Image.Image:
    mask = Image.new("L", (size, size), 0)
    draw = ImageDraw.Draw(mask)
    thick = max(1, size // 32)
    draw.ellipse((1, 1, size - 2, size - 2), outline=255, width=2 * thick)
    draw.ellipse((4 * thick, 4 * thick, size - 1 - 4 * thick, size - 1 - 4 * thick), outline=255, width=thick)
    draw.text((size / 2, size / 2), word, fill=255, font=_fitting(fonts, word, 0.66 * size), anchor="mm")
    number = f"No {rng.randint(100, 999)}"
    draw.text((size / 2, 0.7 * size), number, fill=255, font=_fitting(fonts, number, 0.3 * size), anchor="mm")
    _star(draw, size / 2, 0.28 * size, 0.09 * size)
    return mask


def _rectangular(size: int, word: str, fonts: Fonts, rng: random.Random) -> Image.Image:
    width, height = round(1.5 * size), round(0.62 * size)
    mask = Image.new("L", (width, height), 0)
    draw = ImageDraw.Draw(mask)
    thick = max(1, size // 32)
    draw.rounded_rectangle((1, 1, width - 2, height - 2), radius=3 * thick, outline=255, width=2 * thick)
    font = _fitting(fonts, word, 0.8 * width, 0.5 * height)
    draw.text((width / 2, 0.4 * height), word, fill=255, font=font, anchor="mm")
    date = f"{rng.randint(1, 28):02d}.{rng.randint(1, 12):02d}.{rng.randint(2005, 2030)}"
    draw.text((width / 2, 0.77 * height), date, fill=255, font=_fitting(fonts, date, 0.4 * width), anchor="mm")
    return mask


def _fitting(fonts: Fonts, text: str, width: float, height: float = math.inf) -> ImageFont.FreeTypeFont:
    natural = fonts(100).getlength(text) / 100
    return fonts(max(5, int(min(width / natural, height))))


def _star(draw: ImageDraw.ImageDraw, x: float, y: float, radius: float) -> None:
    points = [(radius if i % 2 == 0 else 0.4 * radius, math.pi * (i / 5 - 0.5)) for i in range(10)]
    draw.polygon([(x + r * math.cos(a), y + r * math.sin(a)) for r, a in points], fill=255)


def _worn(mask: Image.Image, rng: random.Random) -> Image.Image:
    """Ink that did not take everywhere."""
    grain = np.random.default_rng(rng.getrandbits(64)).random((-(-mask.height // 8), -(-mask.width // 8)))
    coarse = Image.fromarray((255 * grain).astype(np.uint8)).resize(mask.size, Image.Resampling.BICUBIC)
    cover = DARKEST * np.clip(0.45 + 0.9 * np.asarray(coarse) / 255, 0, 1)
    return Image.fromarray((np.asarray(mask) * cover).astype(np.uint8))
