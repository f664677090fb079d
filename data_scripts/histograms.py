"""Token lengths and visual tokens of a dataset's pages as one picture."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from data_scripts.inspection import SplitCounts
from ocr2_hf.document.overlay import BLUE, GREEN, ORANGE, PINK, RED
from ocr2_hf.plots import INK, PALE

_COLORS = {"train": BLUE, "validation": ORANGE, "test": GREEN}
_BINS = 30


def draw_histograms(counts: Mapping[str, SplitCounts], context: int, tokenizer: str, path: Path) -> None:
    """Write `path` (PNG): how many tokens the pages take, beside the context, and how many of them are the image's."""
    figure = Figure(figsize=(11, 4.2), layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2)
    longest = max((max(part.lengths) for part in counts.values() if part.lengths), default=0)
    _draw_spread(left, {name: part.lengths for name, part in counts.items()})
    if longest > context / 2:  # far from it, the line would squeeze the bars
        left.axvline(context, color=RED, linestyle="--", linewidth=1.2)
        place = {"transform": left.get_xaxis_transform(), "ha": "right", "va": "top", "rotation": 90}
        left.text(context, 0.97, f"context {context:,} ", color=RED, fontsize=8, **place)
    left.set_title(f"Tokens per page: image, prompt and target ({tokenizer})", color=INK, fontsize=10, loc="left")
    _draw_values(right, {name: part.visual for name, part in counts.items()})
    right.set_title("Visual tokens per page", color=INK, fontsize=10, loc="left")
    if len(counts) > 1:
        handles, names = right.get_legend_handles_labels()
        figure.legend(handles, names, loc="outside lower center", ncols=9, frameon=False, fontsize=9)
    figure.savefig(path, dpi=140)


def _draw_spread(axes: Axes, values: Mapping[str, list[int]]) -> None:
    """A stacked histogram."""
    everything = np.concatenate([np.asarray(part, int) for part in values.values()])
    bins = np.unique(np.histogram_bin_edges(everything, _BINS).round())  # of whole tokens
    colors = [_color(name) for name in values]
    axes.hist(list(values.values()), bins=bins if len(bins) > 1 else 1, stacked=True, color=colors, edgecolor="white")
    _dress(axes)


def _draw_values(axes: Axes, values: Mapping[str, list[int]]) -> None:
    """A stacked bar for each value: a page's tiles are few, so are the values."""
    known = sorted({value for part in values.values() for value in part})
    bottom = np.zeros(len(known))
    for name, part in values.items():
        heights = [part.count(value) for value in known]
        axes.bar([f"{value:,}" for value in known], heights, 0.7, bottom=bottom, color=_color(name), label=name)
        bottom += heights
    axes.set_xlim(-0.7, max(len(known), 4) - 0.3)  # one bar alone would fill the picture
    _dress(axes)


def _color(split: str) -> str:
    return _COLORS.get(split, PINK)


def _dress(axes: Axes) -> None:
    axes.set_xlabel("tokens", color=INK, fontsize=9)
    axes.set_ylabel("pages", color=INK, fontsize=9)
    axes.yaxis.get_major_locator().set_params(integer=True)
    axes.grid(axis="y", color=PALE)
    axes.set_axisbelow(True)
    axes.tick_params(colors=INK, labelsize=8)
    axes.spines[["top", "right"]].set_visible(False)
