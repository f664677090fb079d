"""The parts of an article between its paragraphs: charts, display formulas and tables of measurements."""

import random
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from data_scripts.synthetic.fonts import Fonts
from data_scripts.synthetic.language import Words
from data_scripts.synthetic.page import Colour, Mark, line_mark, write_mark
from data_scripts.synthetic.tables import DrawnTable, TableCell

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
    rng: random.Random, box: tuple[float, float, float, float], fonts: Fonts, size: int, words: Words
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
    marks.append(write_mark(rng.choice(words.axes), (plot.left + plot.right) / 2, bottom, "mb", font))
    if rng.random() < 0.5:
        lines.append((plot.left, plot.top, plot.right, plot.top + thin))
        lines.append((plot.right, plot.top, plot.right + thin, plot.bottom + thin))
    return [*_series(rng, plot, count, font, words), line_mark(lines), *marks]


def _series(rng: random.Random, plot: Plot, count: int, font: ImageFont.FreeTypeFont, words: Words) -> list[Mark]:
    """One or two rows of values and, where there are two, which is which."""
    kind = rng.choice(("bars", "bars", "line", "points"))
    colours = rng.sample(COLOURS, rng.randint(1, 2))
    marks = []
    for i, colour in enumerate(colours):
        level, slope = rng.uniform(0.25, 0.5), rng.uniform(-0.2, 0.3)
        values = [min(0.84, max(0.06, level + slope * k / count + rng.uniform(-0.12, 0.12))) for k in range(count)]
        marks.append(_layer(plot, colour, kind, values, i, len(colours)))
    if len(colours) == 2:
        for i, (colour, name) in enumerate(zip(colours, rng.sample(words.groups, 2), strict=True)):
            x, y = plot.at(0.04 + 0.4 * i, 0.95)
            key = Image.new("L", (round(font.size), round(0.6 * font.size)), 255)
            marks.append(Mark(key, round(x), round(y), colour))
            marks.append(write_mark(name, x + 1.5 * font.size, y + 0.3 * font.size, "lm", font))
    return marks


def _layer(plot: Plot, colour: Colour, kind: str, values: list[float], series: int, all_series: int) -> Mark:
    """One row of values (shares of the height) as bars, a line with points, or points."""
    size = round(plot.right - plot.left), round(plot.bottom - plot.top)
    fine = Image.new("L", (FINER * size[0], FINER * size[1]), 0)
    draw, (width, height) = ImageDraw.Draw(fine), fine.size
    places = [((i + 0.5) * width / len(values), height * (1 - value)) for i, value in enumerate(values)]
    if kind == "line":
        draw.line(places, fill=255, width=round(0.006 * width), joint="curve")
    step, radius = width / len(values), 0.011 * width
    bar = 0.64 * step / all_series
    for i, (x, y) in enumerate(places):
        if kind == "bars":
            left = (i + 0.18) * step + series * bar
            draw.rectangle((left, y, left + 0.92 * bar, height), fill=255)
        else:
            (draw.rectangle if series else draw.ellipse)((x - radius, y - radius, x + radius, y + radius), fill=255)
    return Mark(fine.resize(size, Image.Resampling.BOX), round(plot.left) + 1, round(plot.top), colour)


# LaTeX that matplotlib can draw, so that text and ink say the same.
FORMULAS = (
    r"{f}({x}) = \frac{{{n}}}{{{m}}} {x}^2 + {a} {x} - {k}",
    r"{y} = {a} + {b} {x} + \epsilon",
    r"\bar{{{x}}} = \frac{{1}}{{{i}}} \sum_{{{j}=1}}^{{{i}}} {x}_{{{j}}}",
    r"\sigma^2 = \frac{{1}}{{{i} - 1}} \sum_{{{j}=1}}^{{{i}}} ({x}_{{{j}}} - \mu)^2",
    r"{f}({x}) = {a} e^{{-\lambda {x}}} + {b}",
    r"\frac{{\partial {y}}}{{\partial t}} = {a} \frac{{\partial^2 {y}}}{{\partial {x}^2}}",
    r"{y} = \sqrt{{{x}_1^2 + {x}_2^2}} \leq {k}",
    r"\int_0^{{{k}}} {f}({x}) \, d{x} = \frac{{{a}}}{{{b}}}",
    r"{f}({x}) = \frac{{{a} {x}}}{{{b} + {x}}}",
    r"R = 1 - \frac{{\sum_{j} ({y}_{j} - \hat{{{y}}}_{j})^2}}{{\sum_{j} ({y}_{j} - \bar{{{y}}})^2}}",
    r"\log {y} = \alpha + \beta \log {x}",
    r"{x}_{{{j}+1}} = {x}_{j} - \eta \nabla {f}({x}_{j})",
)
VARIABLES = {"x": "xuvz", "y": "yqwp", "f": "fgh", "a": "abc", "b": "dks", "i": "nNm", "j": "ijk"}


def choose_formula(rng: random.Random) -> str:
    """LaTeX, without delimiters."""
    letters = {name: rng.choice(choices) for name, choices in VARIABLES.items()}
    return rng.choice(FORMULAS).format(**letters, n=rng.randint(1, 9), m=rng.randint(2, 9), k=rng.randint(1, 20))


def draw_formula(latex: str, size: int) -> Image.Image:
    """Its ink, as wide and high as it is; fractions as displayed ones are."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.mathtext import MathTextParser

    displayed = latex.replace(r"\frac", r"\dfrac")
    font = FontProperties(size=size, math_fontfamily="cm")
    drawn = MathTextParser("agg").parse(f"${displayed}$", dpi=72, prop=font)
    mask = Image.fromarray(np.asarray(drawn.image))
    return mask.crop(mask.getbbox())


def measurement_table(rng: random.Random, words: Words) -> DrawnTable:
    """Sites and what was measured there, under one head or two; the last row has the means of the columns."""
    measured = rng.sample(words.measured, 2)
    groups = rng.sample(words.groups, 2) if rng.random() < 0.5 else []
    columns = 1 + len(measured) * max(1, len(groups))
    table = DrawnTable(columns)
    heads = [TableCell(0, 1 + i, name, align="right") for i, name in enumerate(measured * max(1, len(groups)))]
    if groups:
        over = [TableCell(0, 1 + 2 * i, group, colspan=2, align="centre") for i, group in enumerate(groups)]
        table.add_row("head", [TableCell(0, 0, words.site, rowspan=2), *over])
        table.add_row("head", heads)
    else:
        table.add_row("head", [TableCell(0, 0, words.site), *heads])
    rows = []
    for site in rng.sample(words.sites, rng.randint(3, 6)):
        rows.append([rng.randint(10, 999) for _ in heads])
        table.add_row("item", _cells(site, rows[-1]))
    if rng.random() < 0.5:
        means = [round(sum(column) / len(rows)) for column in zip(*rows, strict=True)]
        table.add_row("subtotal", _cells(words.mean, means))
    return table


def _cells(name: str, tenths: list[int]) -> list[TableCell]:
    cells = [TableCell(0, 1 + i, f"{value / 10:.1f}", align="right") for i, value in enumerate(tenths)]
    return [TableCell(0, 0, name), *cells]
