"""The curves of a run as one picture: losses, what evaluation measured, learning rate and gradient norm."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator
from transformers import TrainerCallback

from ocr2_hf.document.atomic_files import whole_file
from ocr2_hf.document.overlay import BLUE, GREEN, ORANGE, PALETTE, PINK, RED, SKY
from ocr2_hf.evaluation.registry import Metric, training_metrics
from ocr2_hf.modeling.losses import TERMS
from ocr2_hf.plots import GREY, INK, dress
from ocr2_hf.publishing.contents import CURVES_FILE

Row = dict[str, float]

_SMOOTHED_FROM = 150  # points from which on a training curve is drawn pale, with its running mean over it


@dataclass(frozen=True)
class Panel:
    """One pair of axes: a title, and which columns of the rows it shows under which label and in which colour.

    `parts`: columns that are part of another, drawn with dashes. `exact`: long curves too are drawn as they are,
    without a running mean.
    """

    title: str
    columns: dict[str, tuple[str, str]]
    highest: float | None = None
    logarithmic: bool = False
    parts: tuple[str, ...] = ()
    exact: bool = False


def all_panels(log_history: Sequence[Row] = ()) -> list[Panel]:
    """Made when asked for, from the loss terms and metrics there are then, and the sources that the rows tell of."""
    errors = [metric for metric in training_metrics() if not metric.higher_is_better]
    scores = [metric for metric in training_metrics() if metric.higher_is_better]
    return [
        *loss_panels(),
        _source_panel(log_history),
        Panel("Reading errors (lower is better)", _metric_columns(errors)),
        Panel("Scores (higher is better)", _metric_columns(scores), highest=1.0),
        Panel("Learning rate", {"learning_rate": ("learning rate", GREEN)}, exact=True),
        Panel("Gradient norm", {"grad_norm": ("gradient norm", PINK)}, logarithmic=True),
    ]


def _metric_columns(metrics: Sequence[Metric]) -> dict[str, tuple[str, str]]:
    return {f"eval_{metric.name}": (metric.label, colour) for metric, colour in zip(metrics, cycle(PALETTE))}


def loss_panels() -> list[Panel]:
    """The loss together with its first term, which is most of it, and a panel for each other term."""
    first, *others = TERMS.values()
    parts = {
        first.log_name: (f"training, {first.name} alone", SKY),
        f"eval_{first.log_name}": (f"evaluation, {first.name} alone", ORANGE),
    }
    whole = _training_and_evaluation("loss") | parts
    alone = [Panel(f"{term.name.capitalize()} loss", _training_and_evaluation(term.log_name)) for term in others]
    return [Panel("Loss", whole, parts=tuple(parts)), *alone]


def _source_panel(log_history: Sequence[Row]) -> Panel:
    """The loss of every source of a mixture; without one a panel of nothing."""
    last = f"_{next(iter(TERMS.values())).log_name}"  # no other columns end so
    named = {name.removesuffix(last) for row in log_history for name in row if name.endswith(last)}
    sources = sorted({name.removeprefix("eval_") for name in named})
    colours = dict(zip(sources, cycle(PALETTE)))
    training = {f"{source}_loss": (source, colours[source]) for source in sources}
    evaluation = {f"eval_{source}_loss": (f"{source}, evaluation", colours[source]) for source in sources}
    return Panel("Loss by source", training | evaluation, parts=tuple(evaluation))


def _training_and_evaluation(name: str) -> dict[str, tuple[str, str]]:
    return {name: ("training", BLUE), f"eval_{name}": ("evaluation", RED)}


def draw_curves(log_history: Sequence[Row], path: str | Path) -> None:
    """Draw the rows of a trainer state as a PNG, 1800 pixels wide; panels without a value are left out.

    Written beside and moved into place; rows without anything to draw write nothing. Where rows name their `stage`,
    lines mark where stages begin.
    """
    panels = all_panels(log_history)
    panels = [panel for panel in panels if any(len(series(log_history, name)[0]) for name in panel.columns)]
    if not panels:
        return
    lines = -(-len(panels) // 2)
    figure = Figure(figsize=(12, 3.3 * lines), dpi=150, layout="constrained", facecolor="white")
    grid = figure.add_gridspec(lines, 2, wspace=0.06, hspace=0.08)
    for number, panel in enumerate(panels):
        alone = number == len(panels) - 1 and number % 2 == 0
        axes = figure.add_subplot(grid[number // 2, :] if alone else grid[number // 2, number % 2])
        _draw_panel(axes, panel, log_history)
    with whole_file(path) as beside:
        figure.savefig(beside, format="png")


def series(log_history: Sequence[Row], name: str) -> tuple[np.ndarray, np.ndarray]:
    """Steps and values of one column, without those that are no finite number.

    Of two rows of one step the first counts: the second is the evaluation after training, of the best model perhaps.
    """
    points: dict[float, float] = {}
    for row in log_history:
        if name in row and np.isfinite(row[name]):
            points.setdefault(row["step"], row[name])
    return np.array(list(points)), np.array(list(points.values()))


def _draw_panel(axes: Axes, panel: Panel, log_history: Sequence[Row]) -> None:
    """All panels show the same steps, so that they can be read one above the other."""
    begins = _stage_begins(log_history)
    for name in panel.columns:
        steps, values = series(log_history, name)
        if panel.logarithmic:
            steps, values = steps[values > 0], values[values > 0]
        if len(steps):
            _draw_series(axes, panel, name, steps, values, list(begins.values()))
    if panel.logarithmic:
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axes.yaxis.set_minor_locator(NullLocator())
    else:
        axes.set_ylim(0, max(panel.highest or 0.0, axes.get_ylim()[1]) * 1.08)
    axes.set_xlim(0, max(row["step"] for row in log_history) * 1.02)
    _mark_stages(axes, begins)
    dress(axes, panel.title, "optimizer step")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8))
    if len(axes.get_legend_handles_labels()[0]) > 1:
        below = 0.92 if begins else 1.0  # of the height: above it stand the stages' names
        room = {"loc": "best", "bbox_to_anchor": (0.0, 0.0, 1.0, below)}
        axes.legend(frameon=False, fontsize=9.5, labelcolor=INK, **room)


def _draw_series(
    axes: Axes, panel: Panel, name: str, steps: np.ndarray, values: np.ndarray, begins: Sequence[float]
) -> None:
    (label, colour), evaluated = panel.columns[name], name.startswith("eval_")
    if len(steps) >= _SMOOTHED_FROM and not evaluated and not panel.exact:
        axes.plot(steps, values, color=colour, alpha=0.25, linewidth=0.8)
        values = running_means(steps, values, begins)
    style = {"color": colour, "linewidth": 1.8, "linestyle": (0, (3, 1.5)) if name in panel.parts else "-"}
    if (evaluated and len(steps) < _SMOOTHED_FROM // 3) or len(steps) == 1:
        style |= {"marker": "o", "markersize": 4}
    axes.plot(steps, values, label=label, **style)


def running_means(steps: np.ndarray, values: np.ndarray, begins: Sequence[float]) -> np.ndarray:
    """The running mean within each stage: what one ends with and the next begins with are two things."""
    parts = np.split(values, np.searchsorted(steps, begins))
    return np.concatenate([_running_mean(part, len(values) // 50) for part in parts])


def _running_mean(values: np.ndarray, reach: int) -> np.ndarray:
    """The mean over `reach` values to either side, fewer at the ends."""
    sums = np.concatenate([[0.0], np.cumsum(values)])
    first = np.clip(np.arange(len(values)) - reach, 0, None)
    last = np.clip(np.arange(len(values)) + reach + 1, None, len(values))
    return (sums[last] - sums[first]) / (last - first)


def _stage_begins(log_history: Sequence[Row]) -> dict[str, float]:
    """The first step of every stage; nothing where rows name none."""
    begins: dict[str, float] = {}
    for row in log_history:
        if "stage" in row:
            begins.setdefault(row["stage"], row["step"])
    return begins


def _mark_stages(axes: Axes, begins: dict[str, float]) -> None:
    """The stages' names along the top, and a line where each after the first begins."""
    for number, (stage, step) in enumerate(begins.items()):
        if number:
            axes.axvline(step, color=GREY, linestyle=(0, (4, 3)), linewidth=1)
        place = (step if number else 0, 1.0)
        beside = {"xycoords": axes.get_xaxis_transform(), "xytext": (4, -9), "textcoords": "offset points"}
        axes.annotate(stage, place, fontsize=9, fontstyle="italic", color=INK, **beside)


class CurvesCallback(TrainerCallback):
    """Draws the curves beside the weights at every save and at the end of training, where there is something new."""

    def __init__(self) -> None:
        self._drawn: list[Row] = []

    def on_save(self, args, state, control, **kwargs) -> None:
        """Draw, on the first process, if the log has new rows."""
        shown = {name for panel in all_panels(state.log_history) for name in panel.columns}
        rows = [row for row in state.log_history if not shown.isdisjoint(row)]
        if state.is_world_process_zero and rows != self._drawn:
            draw_curves(rows, Path(args.output_dir) / CURVES_FILE)
            self._drawn = rows

    on_train_end = on_save
