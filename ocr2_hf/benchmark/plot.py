"""A benchmark as one picture: contenders beside each other, where a step's time goes, how cost grows."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ocr2_hf.benchmark.step_timer import PARTS
from ocr2_hf.benchmark.workload import OURS, STOCK
from ocr2_hf.document.atomic_files import whole_file
from ocr2_hf.document.overlay import BLUE, GREEN, ORANGE, PINK, RED, SKY
from ocr2_hf.plots import GREY, INK, dress

_COLOURS = (BLUE, ORANGE)  # ours, the other's
_PART_COLOURS = (PINK, GREEN, BLUE, SKY, ORANGE, RED, GREY)
_LABELS = {OURS: "this trainer", STOCK: "stock Trainer"}
_AXES = {
    "tiles": "tiles of a page",
    "target_tokens": "target tokens of a page",
    "batch_size": "pages in a batch",
    "workers": "processes that load pages",
    "processes": "processes that train",
}
_GB = 1e9


def draw_benchmark(results: dict[str, Any], path: str | Path) -> None:
    """Draw what `bench` returned as a PNG, 1800 pixels wide, whole or not at all."""
    sweeps = results["sweeps"]
    lines = 1 + len(sweeps)
    figure = Figure(figsize=(12, 3.6 * lines), dpi=150, layout="constrained", facecolor="white")
    grid = figure.add_gridspec(lines, 3, wspace=0.08, hspace=0.1)
    _draw_runs([figure.add_subplot(grid[0, column]) for column in range(3)], results["runs"])
    for line, (name, points) in enumerate(sweeps.items(), start=1):
        _draw_sweep([figure.add_subplot(grid[line, column]) for column in range(3)], name, points)
    with whole_file(path) as beside:
        figure.savefig(beside, format="png")


def _draw_runs(axes: Sequence[Axes], runs: Sequence[dict[str, Any]]) -> None:
    names = [str(run["batch_size"]) for run in runs]
    contenders = list(runs[0]["sides"])
    width = 0.8 / len(contenders)
    for number, (name, colour) in enumerate(zip(contenders, _COLOURS, strict=False)):
        places = [index - 0.4 + width * (number + 0.5) for index in range(len(runs))]
        results = [run["sides"][name] for run in runs]
        bars = {"width": width * 0.92, "color": colour, "label": _LABELS.get(name, name)}
        axes[0].bar(places, [result["pages_per_second"] for result in results], **bars)
        axes[1].bar(places, [result["peak_memory"]["bytes"] / _GB for result in results], **bars)
        _stack_parts(axes[2], places, width * 0.92, results)
    for axis, title in zip(axes, ("Pages per second", "Peak memory, GB", "Seconds per page, by part"), strict=True):
        _dress(axis, title, "pages in a batch")
        axis.set_xticks(range(len(runs)), names)
    if len(contenders) > 1:
        axes[0].legend(frameon=False, fontsize=9, labelcolor=INK)
    axes[2].legend(PARTS, frameon=False, fontsize=8, labelcolor=INK, loc="upper left", bbox_to_anchor=(1.0, 1.0))


def _stack_parts(axes: Axes, places: Sequence[float], width: float, results: Sequence[dict[str, Any]]) -> None:
    """The right of two bars is the stock trainer's."""
    bottoms = [0.0] * len(places)
    for part, colour in zip(PARTS, _PART_COLOURS, strict=True):
        heights = [_seconds_per_page(result, part) for result in results]
        axes.bar(places, heights, width=width, bottom=bottoms, color=colour)
        bottoms = [bottom + height for bottom, height in zip(bottoms, heights, strict=True)]


def _seconds_per_page(result: dict[str, Any], part: str) -> float:
    """What a part takes of a step, as a share of the seconds a page takes."""
    parts = result["seconds_per_step_by_part"]
    return max(0.0, parts[part]) / sum(parts.values()) / result["pages_per_second"]


def _draw_sweep(axes: Sequence[Axes], name: str, points: Sequence[dict[str, Any]]) -> None:
    """Beside the clock's seconds stand the processor's, which on a CPU say more about the work: the clock also sees
    what else the machine does."""
    values = [point[name] for point in points]
    results = [point["sides"][OURS] for point in points]
    rates = [result["pages_per_second"] for result in results]
    columns = {
        "Pages per second": {"": rates},
        "Seconds per page": {
            "by the clock": [1 / rate for rate in rates],
            "of this process's processor time": [result["processor_seconds_per_page"] for result in results],
        },
        "Peak memory, GB": {"": [result["peak_memory"]["bytes"] / _GB for result in results]},
    }
    for axis, (title, lines) in zip(axes, columns.items(), strict=True):
        for (label, heights), style in zip(lines.items(), ("-", (0, (3, 1.5))), strict=False):
            marks = {"marker": "o", "markersize": 4, "linewidth": 1.8, "linestyle": style, "label": label}
            axis.plot(values, heights, color=_COLOURS[0], **marks)
        _dress(axis, title, _AXES[name])
        axis.set_xticks(values)
        axis.set_xlim(0, max(values) * 1.05 or 1)
        if len(lines) > 1:
            axis.legend(frameon=False, fontsize=9, labelcolor=INK, loc="lower right")


def _dress(axes: Axes, title: str, below: str) -> None:
    dress(axes, title, below)
    axes.set_ylim(0, axes.get_ylim()[1] * 1.04)
