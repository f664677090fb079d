"""Display formulas: LaTeX that matplotlib can draw, so that text and ink say the same."""

import random

import numpy as np
from matplotlib.font_manager import FontProperties
from matplotlib.mathtext import MathTextParser
from PIL import Image

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
LETTERS = {"x": "xuvz", "y": "yqwp", "f": "fgh", "a": "abc", "b": "dks", "i": "nNm", "j": "ijk"}


def choose_formula(rng: random.Random) -> str:
    """LaTeX, without delimiters."""
    letters = {name: rng.choice(choices) for name, choices in LETTERS.items()}
    return rng.choice(FORMULAS).format(**letters, n=rng.randint(1, 9), m=rng.randint(2, 9), k=rng.randint(1, 20))


def draw_formula(latex: str, size: int) -> Image.Image:
    """Its ink, as wide and high as it is; fractions as displayed ones are."""
    displayed = latex.replace(r"\frac", r"\dfrac")
    font = FontProperties(size=size, math_fontfamily="cm")
    drawn = MathTextParser("agg").parse(f"${displayed}$", dpi=72, prop=font)
    mask = Image.fromarray(np.asarray(drawn.image))
    return mask.crop(mask.getbbox())
