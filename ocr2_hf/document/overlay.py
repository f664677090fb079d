"""A page with its regions drawn on it, for a person to look at: boxes, labels and reading order."""

from collections.abc import Sequence
from dataclasses import replace

from PIL import Image, ImageColor, ImageDraw, ImageFont

from ocr2_hf.document.grounding import Region

# Okabe and Ito's palette without its yellow, which white paper swallows: colour-blind readers can tell these apart.
BLUE, RED, GREEN, PINK, ORANGE, SKY = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9"
PALETTE = (BLUE, RED, GREEN, PINK, ORANGE, SKY)

_FILL = 26  # of 255: the ink stays readable
_SMALLEST_FONT = 9
# Sides of a picture for people, in pixels: between them text can be read, and it is no heavy file.
_SMALLEST_PICTURE, _LARGEST_PICTURE = 800, 1600


def draw_overlay(image: Image.Image, regions: Sequence[Region]) -> Image.Image:
    """A copy of `image` in RGB with every region's box, one colour per label, numbered in reading order.

    Boxes are in pixels of the image; where they are many or small only the numbers are drawn beside them.
    """
    page = image.convert("RGB")
    layer = Image.new("RGBA", page.size, (0, 0, 0, 0))
    draw = ImageDraw.Draw(layer)
    line = max(1, round(max(page.size) / 600))
    font = ImageFont.load_default(max(_SMALLEST_FONT, round(max(page.size) / 110)))
    colors: dict[str, str] = {}
    frames = []
    for region in regions:
        color = colors.setdefault(region.label, PALETTE[len(colors) % len(PALETTE)])
        left, top, right, bottom = map(round, region.box)
        frames.append((left - line, top - line, right + line, bottom + line))  # around the ink, not over it
        if left <= right and top <= bottom:  # what a model writes may be turned round
            draw.rectangle(frames[-1], fill=(*ImageColor.getrgb(color), _FILL), outline=color, width=line)
    for number, (region, frame) in enumerate(zip(regions, frames, strict=True), 1):
        _tag(draw, f"{number} {region.label}", frame, colors[region.label], font)
    page.paste(layer, mask=layer.getchannel("A"))
    return page


def example_picture(image: Image.Image, regions: Sequence[Region]) -> Image.Image:
    """`draw_overlay` at a size that people can look at: small pages are enlarged first, large ones reduced."""
    factor = -(-_SMALLEST_PICTURE // max(image.size)) if max(image.size) < _SMALLEST_PICTURE else 1
    enlarged = image.resize((image.width * factor, image.height * factor), Image.Resampling.NEAREST)
    moved = [replace(region, box=tuple(factor * side for side in region.box)) for region in regions]
    picture = draw_overlay(enlarged, moved)
    picture.thumbnail((_LARGEST_PICTURE, _LARGEST_PICTURE))
    return picture


def _tag(
    draw: ImageDraw.ImageDraw,
    text: str,
    frame: tuple[int, int, int, int],
    color: str,
    font: ImageFont.FreeTypeFont,
) -> None:
    """`text`, a number and a label, on a plate above the frame, or inside it where there is no room above; the number
    alone where the frame is narrower."""
    pad = max(2, round(font.size / 5))
    if draw.textlength(text, font) + 2 * pad > frame[2] - frame[0]:
        text = text.partition(" ")[0]
    width, height = draw.textlength(text, font) + 2 * pad, font.size + 2 * pad
    left = max(frame[0], 0)
    top = frame[1] - height if frame[1] >= height else max(frame[1], 0)
    draw.rectangle((left, top, left + width, top + height), fill=color)
    draw.text((left + pad, top + height / 2), text, fill="white", font=font, anchor="lm")
