"""Damage as of a scan or a photo, from 0 (none) to 1 (strong): the boxes stay exact."""

import io
import math
import random

import numpy as np
from PIL import Image, ImageFilter

from data_scripts.synthetic.page import Mark, SyntheticPage
from data_scripts.synthetic.stamps import draw_stamp

LARGEST_ANGLE = 2.5  # degrees
MOST_STAMPED = 0.5  # the share of pages with a stamp, at strength 1


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
    return Image.open(jpeg)
