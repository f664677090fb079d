"""How cost grows with the number of pages: processor seconds of whole commands, exponents, one plot.

A command runs in a process of its own, forked from one that has imported everything, so that only its work counts.
"""

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from ocr2_hf.document.atomic_files import whole_file
from ocr2_hf.document.overlay import BLUE, GREEN, ORANGE, PINK, RED
from ocr2_hf.errors import WorkError
from ocr2_hf.plots import GREY, PALE, dress

# Pages -> processor seconds of every round; the curve of one page is what the command costs anyway.
Curve = Mapping[int, list[float]]

# Seconds beyond one page's cost, and share of that, below which there is but noise.
_NOISE, _NOISE_SHARE = 0.05, 0.1
_LABEL_HEIGHT = 0.05  # of the plot
_COLOURS = (BLUE, ORANGE, GREEN, PINK, RED)


def processor_seconds(work: Callable[[], object], log: Path) -> float:
    """What a forked process and those it starts compute to do the work; what they say goes to `log`.

    Raises `WorkError` where it ends badly.
    """
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        _work_and_leave(work, log)
    _, status, used = os.wait4(child, 0)
    if status:
        end = log.read_text(encoding="utf-8", errors="replace").strip()[-2000:]
        raise WorkError(f"a measured command ended badly (its words are in {log}):\n{end}")
    return used.ru_utime + used.ru_stime


def _work_and_leave(work: Callable[[], object], log: Path) -> None:
    """In the child, which never returns into what its parent was doing."""
    status = 1
    with open(log, "a", encoding="utf-8") as file:
        for stream in (1, 2):
            os.dup2(file.fileno(), stream)
        sys.stdout = sys.stderr = file
        try:
            work()
            status = 0
        except BaseException as error:  # noqa: BLE001 - told by the parent, whatever it is
            print(f"{type(error).__name__}: {error}")
        finally:
            file.flush()
            os._exit(status)


def beyond_one_page(curve: Curve) -> dict[int, float]:
    """Pages -> the least seconds of the rounds, less those of one page."""
    base = min(curve[1])
    return {pages: min(seconds) - base for pages, seconds in sorted(curve.items()) if pages > 1}


def _seen(curve: Curve) -> list[tuple[int, float]]:
    """(pages, seconds beyond one page's) of the points at which the cost can be told from noise."""
    noise = _NOISE + _NOISE_SHARE * min(curve[1])
    return [point for point in beyond_one_page(curve).items() if point[1] > noise]


def exponent(curve: Curve) -> float | None:
    """The power of the number of pages that the cost grows with, where it grows so that it can be seen."""
    seen = _seen(curve)
    if len(seen) < 2:
        return None
    return float(np.polyfit(*np.log(list(zip(*seen, strict=True))), 1)[0])


def growth_table(curves: Mapping[str, Curve]) -> str:
    """The curves in Markdown, a line each: the largest number of pages, and the exponent over all."""
    lines = ["| work | one page, s | pages | s beyond one page's | ms a page | exponent |", "|---|---|---|---|---|---|"]
    for name, curve in curves.items():
        pages, seconds = list(beyond_one_page(curve).items())[-1]
        cells = (f"{min(curve[1]):.2f}", f"{pages:,}", f"{seconds:.2f}", f"{1000 * seconds / pages:.2f}", _told(curve))
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _told(curve: Curve) -> str:
    power = exponent(curve)
    return "none seen" if power is None else f"{power:.2f}"


def draw_growth(curves: Mapping[str, Curve], path: Path) -> None:
    """All curves in one plot, both axes in powers of ten; exponents beside the curves. Whole or not at all."""
    figure = Figure(figsize=(10, 6), dpi=150, facecolor="white")
    axes = figure.add_axes((0.08, 0.1, 0.64, 0.81))
    dress(axes, "How cost grows: processor seconds beyond those of a single page", "pages")
    axes.set(xscale="log", yscale="log")
    ends = []
    for (name, curve), colour in zip(curves.items(), _COLOURS, strict=False):
        if points := _seen(curve):
            axes.plot(*zip(*points, strict=True), marker="o", markersize=5, linewidth=2, color=colour)
            label = name if exponent(curve) is None else f"{name}: exponent {_told(curve)}"
            ends.append((points[-1], label, colour))
    _draw_slopes(axes)
    _label(axes, ends)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))
    axes.tick_params(which="minor", length=0)
    with whole_file(path) as beside:
        figure.savefig(beside, format="png")


def _draw_slopes(axes: Axes) -> None:
    """Pale lines to compare with."""
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    for power in range(-9, 10):
        axes.plot((left, right), (10.0**power, 10.0**power * right / left), color=PALE, linewidth=1, zorder=0)
    axes.set(xlim=(left, right), ylim=(bottom, top))
    words = {"transform": axes.transAxes, "va": "top", "fontsize": 9, "color": GREY}
    axes.text(0.015, 0.98, "pale diagonals: exponent 1", **words)


def _label(axes: Axes, ends: Sequence[tuple[tuple[int, float], str, str]]) -> None:
    """At the right, in the order of the curves' ends, each as near to its own as those below it let it be."""
    place = -1.0
    for end, label, colour in sorted(ends, key=lambda each: each[0][1]):
        height = axes.transAxes.inverted().transform(axes.transData.transform(end))[1]
        place = max(height, place + _LABEL_HEIGHT)
        line = {"arrowstyle": "-", "relpos": (0, 0.5), "color": colour, "linewidth": 0.8, "alpha": 0.6}
        words = {"textcoords": "axes fraction", "va": "center", "fontsize": 10, "color": colour}
        axes.annotate(label, end, xytext=(1.04, place), arrowprops=line, **words)
