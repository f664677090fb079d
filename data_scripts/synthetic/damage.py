"""Damage as of a scan or a photo, from 0 (none) to 1 (strong): the boxes stay exact."""

import io
import math
import random

import numpy as np
from PIL import Image, ImageFilter

from synthetic.page import SyntheticPage

LARGEST_ANGLE = 2.5  # degrees


def damage_page(page: SyntheticPage, rng: random.Random, strength: float) -> None:
    """Turn the page a little and give it the colours of paper and ink, before its boxes are measured."""
    # No corner moves by more than half the margin of a page, so no ink is lost.
    farthest = math.degrees(math.atan(0.05 * min(page.width, page.height) / max(page.width, page.height)))
    angle = rng.uniform(-1, 1) * min(LARGEST_ANGLE, farthest) * strength
    for region in page.regions:
        region.ink = _rotate(region.ink, angle)
    shade = 255 - rng.uniform(0, 50) * strength
    warmth = rng.uniform(0, 30) * strength
    page.paper = (round(shade), round(shade - 0.3 * warmth), round(shade - warmth))
    page.ink = (round(rng.uniform(0, 80) * strength),) * 3


def _rotate(ink: Image.Image, angle: float) -> Image.Image:
    """`ink` turned about the centre of the page; only the part that holds ink is computed."""
    width, height = ink.size
    reach = math.ceil(math.hypot(width, height) / 2 * math.radians(abs(angle))) + 2
    left, top, right, bottom = ink.getbbox()
    left, top = max(0, left - reach), max(0, top - reach)
    part = ink.crop((left, top, min(width, right + reach), min(height, bottom + reach)))
    centre = (width / 2 - left, height / 2 - top)
    turned = Image.new("L", ink.size, 0)
    turned.paste(part.rotate(angle, resample=Image.Resampling.BICUBIC, center=centre), (left, top))
    return turned


def damage_image(image: Image.Image, rng: random.Random, strength: float) -> Image.Image:
    """Blur, noise and the artefacts of JPEG; nothing moves."""
    image = image.filter(ImageFilter.GaussianBlur(rng.uniform(0, 0.9) * strength))
    sigma = rng.uniform(0, 14) * strength
    noise = np.random.default_rng(rng.getrandbits(64)).normal(0, sigma, (image.height, image.width, 1))
    image = Image.fromarray((np.asarray(image) + noise).round().clip(0, 255).astype(np.uint8))
    jpeg = io.BytesIO()
    image.save(jpeg, "JPEG", quality=round(95 - rng.uniform(0, 60) * strength))
    return Image.open(jpeg)
