"""A page with its regions drawn on it, for a person to look at: boxes, labels and reading order."""

from collections.abc import Sequence

from PIL import Image, ImageColor, ImageDraw, ImageFont

from ocr2_hf.data.grounding import Region

# Okabe and Ito's palette without its yellow, which white paper swallows; colour-blind readers can tell these apart.
_COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
_FILL = 26  # of 255: the ink stays readable
_SMALLEST_FONT = 9


def draw_overlay(image: Image.Image, regions: Sequence[Region]) -> Image.Image:
    """A copy of `image` in RGB with every region's box, one colour per label, numbered in reading order.

    Boxes are in pixels of the image; where they are many or small only the numbers are drawn beside them.
    """
    page = image.convert("RGB")
    layer = Image.new("RGBA", page.size, (0, 0, 0, 0))
    draw = ImageDraw.Draw(layer)
    line = max(1, round(max(page.size) / 600))
    font = ImageFont.load_default(max(_SMALLEST_FONT, round(max(page.size) / 85)))
    colors: dict[str, str] = {}
    for region in regions:
        color = colors.setdefault(region.label, _COLORS[len(colors) % len(_COLORS)])
        box = tuple(map(round, region.box))
        if box[0] <= box[2] and box[1] <= box[3]:  # what a model writes may be turned round
            draw.rectangle(box, fill=(*ImageColor.getrgb(color), _FILL), outline=color, width=line)
    for number, region in enumerate(regions, 1):
        _tag(draw, region, number, colors[region.label], font, page.size)
    page.paste(layer, mask=layer.getchannel("A"))
    return page


def _tag(
    draw: ImageDraw.ImageDraw,
    region: Region,
    number: int,
    color: str,
    font: ImageFont.FreeTypeFont,
    size: tuple[int, int],
) -> None:
    """The number, and the label where the box is wide enough, on a plate above the box; inside where there is no
    room above."""
    full, pad = f"{number} {region.label}", max(2, round(font.size / 5))
    text = full if draw.textlength(full, font) + 2 * pad <= region.box[2] - region.box[0] else str(number)
    width, height = draw.textlength(text, font) + 2 * pad, font.size + 2 * pad
    left = min(max(region.box[0], 0), max(size[0] - width, 0))
    top = region.box[1] - height if region.box[1] >= height else region.box[1]
    draw.rectangle((left, top, left + width, top + height), fill=color)
    draw.text((left + pad, top + height / 2), text, fill="white", font=font, anchor="lm")
