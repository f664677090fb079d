"""Charts: bars, lines or points between two axes, as ink in colours."""

import random
from dataclasses import dataclass
from types import ModuleType

from PIL import Image, ImageDraw, ImageFont

from data_scripts.synthetic.fonts import Fonts
from data_scripts.synthetic.page import Colour, Mark, line_mark, write_mark

FINER = 4  # drawn so much larger, then made smaller: smooth edges
COLOURS: tuple[Colour, ...] = ((31, 90, 150), (190, 80, 40), (60, 130, 80), (110, 80, 150), (90, 90, 90))


@dataclass
class Plot:
    """The area between the axes, in pixels of the page."""

    left: float
    top: float
    right: float
    bottom: float

    def at(self, x: float, y: float) -> tuple[float, float]:
        """A place by its shares of width and height, from the corner of the axes."""
        return self.left + x * (self.right - self.left), self.bottom - y * (self.bottom - self.top)


def draw_chart(
    rng: random.Random, box: tuple[float, float, float, float], fonts: Fonts, size: int, words: ModuleType
) -> list[Mark]:
    """The ink of a chart that fills the box, letters of `size` pixels."""
    left, top, right, bottom = box
    font = fonts(size)
    largest = rng.choice((10, 20, 40, 50, 100, 200))
    ticks = [largest * i // 4 if largest % 4 == 0 else round(largest * i / 4, 1) for i in range(5)]
    plot = Plot(left + font.getlength(str(largest) + ".5") + size, top + 1.4 * size, right - size, bottom - 2.6 * size)
    thin = max(1, round(size / 14))
    lines = [
        (plot.left - thin, plot.top, plot.left, plot.bottom),
        (plot.left, plot.bottom, plot.right, plot.bottom + thin),
    ]
    marks = []
    for i, tick in enumerate(ticks):
        x, y = plot.at(0, i / 4)
        lines.append((x - size / 3, y, x, y + thin))
        marks.append(write_mark(str(tick), x - size / 2, y, "rm", font))
    count = rng.randint(5, 8)
    first = rng.choice((1, 1, 2000, 2010))
    for i in range(count):
        x, y = plot.at((i + 0.5) / count, 0)
        lines.append((x, y, x + thin, y + size / 3))
        marks.append(write_mark(str(first + i), x, y + 1.0 * size, "mm", font))
    marks.append(write_mark(rng.choice(words.AXES), (plot.left + plot.right) / 2, bottom, "mb", font))
    if rng.random() < 0.5:
        lines.append((plot.left, plot.top, plot.right, plot.top + thin))
        lines.append((plot.right, plot.top, plot.right + thin, plot.bottom + thin))
    return [*_series(rng, plot, count, font, words), line_mark(lines), *marks]


def _series(rng: random.Random, plot: Plot, count: int, font: ImageFont.FreeTypeFont, words: ModuleType) -> list[Mark]:
    """One or two rows of values and, where there are two, which is which."""
    draw = rng.choice((_bars, _bars, _curve, _points))
    colours = rng.sample(COLOURS, rng.randint(1, 2))
    marks = []
    for i, colour in enumerate(colours):
        level, slope = rng.uniform(0.25, 0.5), rng.uniform(-0.2, 0.3)
        values = [min(0.84, max(0.06, level + slope * k / count + rng.uniform(-0.12, 0.12))) for k in range(count)]
        marks.append(_layer(plot, colour, draw, values, i, len(colours)))
    if len(colours) == 2:
        for i, (colour, name) in enumerate(zip(colours, rng.sample(words.GROUPS, 2), strict=True)):
            x, y = plot.at(0.04 + 0.4 * i, 0.95)
            key = Image.new("L", (round(font.size), round(0.6 * font.size)), 255)
            marks.append(Mark(key, round(x), round(y), colour))
            marks.append(write_mark(name, x + 1.5 * font.size, y + 0.3 * font.size, "lm", font))
    return marks


def _layer(plot: Plot, colour: Colour, draw, values: list[float], series: int, all_series: int) -> Mark:
    width, height = round(plot.right - plot.left), round(plot.bottom - plot.top)
    fine = Image.new("L", (FINER * width, FINER * height), 0)
    draw(ImageDraw.Draw(fine), values, fine.width, fine.height, series, all_series)
    return Mark(fine.resize((width, height), Image.Resampling.BOX), round(plot.left) + 1, round(plot.top), colour)


def _bars(
    draw: ImageDraw.ImageDraw, values: list[float], width: int, height: int, series: int, all_series: int
) -> None:
    step = width / len(values)
    bar = 0.64 * step / all_series
    for i, value in enumerate(values):
        left = (i + 0.18) * step + series * bar
        draw.rectangle((left, height * (1 - value), left + 0.92 * bar, height), fill=255)


def _curve(
    draw: ImageDraw.ImageDraw, values: list[float], width: int, height: int, series: int, all_series: int
) -> None:
    places = [((i + 0.5) * width / len(values), height * (1 - value)) for i, value in enumerate(values)]
    draw.line(places, fill=255, width=round(0.006 * width), joint="curve")
    _points(draw, values, width, height, series, all_series)


def _points(draw: ImageDraw.ImageDraw, values: list[float], width: int, height: int, series: int, _: int) -> None:
    radius = 0.011 * width
    for i, value in enumerate(values):
        x, y = (i + 0.5) * width / len(values), height * (1 - value)
        place = (x - radius, y - radius, x + radius, y + radius)
        (draw.rectangle if series else draw.ellipse)(place, fill=255)
