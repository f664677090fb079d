"""Damage as of a scan or a photo, from 0 (none) to 1 (strong), and stamps: the boxes stay exact."""

import io
import math
import random

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from data_scripts.synthetic.fonts import Fonts
from data_scripts.synthetic.page import Mark, SyntheticPage

LARGEST_ANGLE = 2.5  # degrees
MOST_STAMPED = 0.5  # the share of pages with a stamp, at strength 1
DARKEST = 0.85  # of a stamp: a pad is never as dark as ink


def damage_page(page: SyntheticPage, rng: random.Random, strength: float) -> None:
    """Turn the page a little, give it the colours of paper and ink, and stamp some: before its boxes are measured."""
    # No corner moves by more than half the margin of a page, so no ink is lost.
    farthest = math.degrees(math.atan(0.05 * min(page.width, page.height) / max(page.width, page.height)))
    angle = rng.uniform(-1, 1) * min(LARGEST_ANGLE, farthest) * strength
    for mark in page.marks():
        rotate(mark, angle, (page.width / 2, page.height / 2))
    shade = 255 - rng.uniform(0, 50) * strength
    warmth = rng.uniform(0, 30) * strength
    page.paper = (round(shade), round(shade - 0.3 * warmth), round(shade - warmth))
    page.ink = (round(rng.uniform(0, 80) * strength),) * 3
    stamping = random.Random(angle)  # its own: what follows is the same, stamped or not
    if page.stamp_words and stamping.random() < MOST_STAMPED * strength:
        page.stamps.append(draw_stamp(stamping, page))


def rotate(mark: Mark, angle: float, centre: tuple[float, float]) -> None:
    """Turn a mark about a point of the page, by degrees against the clock."""
    width, height = mark.mask.size
    x, y = centre[0] - mark.left, centre[1] - mark.top
    farthest = math.hypot(max(abs(x), abs(x - width)), max(abs(y), abs(y - height)))
    reach = math.ceil(farthest * math.radians(abs(angle))) + 2
    room = Image.new("L", (width + 2 * reach, height + 2 * reach), 0)
    room.paste(mark.mask, (reach, reach))
    turned = room.rotate(angle, resample=Image.Resampling.BICUBIC, center=(x + reach, y + reach))
    left, top, right, bottom = turned.getbbox() or (0, 0, 1, 1)
    mark.mask = turned.crop((left, top, right, bottom))
    mark.left, mark.top = mark.left - reach + left, mark.top - reach + top


def damage_image(image: Image.Image, rng: random.Random, strength: float) -> Image.Image:
    """Blur, noise and the artefacts of JPEG; nothing moves."""
    image = image.filter(ImageFilter.GaussianBlur(rng.uniform(0, 0.9) * strength))
    sigma = np.float32(rng.uniform(0, 14) * strength)
    shape = (image.height, image.width, 1)
    noisy = sigma * np.random.default_rng(rng.getrandbits(64)).standard_normal(shape, dtype=np.float32)
    noisy = noisy + np.asarray(image)
    image = Image.fromarray(noisy.round().clip(0, 255).astype(np.uint8))
    jpeg = io.BytesIO()
    image.save(jpeg, "JPEG", quality=round(95 - rng.uniform(0, 60) * strength))
    return Image.open(jpeg, formats=["JPEG"])


def draw_stamp(rng: random.Random, page: SyntheticPage) -> Mark:
    """A stamp somewhere within the page: a red ring or frame with a word, uneven as real ones are."""
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
