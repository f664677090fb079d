"""One look for all plots."""

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter

PALE, GREY, INK = "#E3E5E8", "#9AA0A6", "#3C4043"


def dress(axes: Axes, title: str, below: str) -> None:
    """A title on the left, `below` under the horizontal axis, pale lines across, no frame."""
    axes.set_title(title, loc="left", fontsize=12, color=INK, pad=8)
    axes.set_xlabel(below, fontsize=10, color=INK)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.tick_params(labelsize=9.5, labelcolor=INK, length=3, color=GREY)
    axes.grid(axis="y", color=PALE, linewidth=0.8)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(GREY)
