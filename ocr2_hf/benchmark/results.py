"""All of a benchmark as one document: the machine, the work, every run, ratios, sweeps."""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch

from ocr2_hf.benchmark.contenders import OURS, STOCK, Side, bench_processor, refuse_without_gpu
from ocr2_hf.benchmark.machine import describe, matrix_rate
from ocr2_hf.benchmark.measure import Work, measure, ratios, run_recipe
from ocr2_hf.benchmark.pages import PageMix
from ocr2_hf.data.images import ImageSettings
from ocr2_hf.errors import UsageError
from ocr2_hf.modeling.adapters import trainable_counts
from ocr2_hf.planning import budget
from ocr2_hf.recipe import Recipe
from ocr2_hf.training.job import training_dtype

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Sweep:
    """One dimension of the work that is varied, everything else as in the benchmark's first run."""

    name: str
    values: tuple[int, ...]

    def work(self, base: Work, value: int) -> Work:
        if self.name in ("batch_size", "workers"):
            return replace(base, **{self.name: value})
        return replace(base, mix=replace(base.mix, **{self.name: {value: 1.0}}))


SWEEPS = ("tiles", "target_tokens", "batch_size", "workers", "processes")


def sweep(text: str) -> Sweep:
    """For argparse: `tiles:0,2,6`."""
    name, _, values = text.partition(":")
    if name not in SWEEPS:
        raise argparse.ArgumentTypeError(f"{name!r} is none of {', '.join(SWEEPS)}")
    if not all(value.isdecimal() for value in values.split(",")):
        raise argparse.ArgumentTypeError(f"{text!r}: after the colon come whole numbers, with commas between")
    return Sweep(name, tuple(int(value) for value in values.split(",")))


def bench(
    recipe: Recipe,
    base: Work,
    batch_sizes: Sequence[int],
    against: Side | None,
    sweeps: Sequence[Sweep],
    launched: Callable[[int], dict[str, Any]],
    tell: Tell,
) -> dict[str, Any]:
    """Run it all; `tell` gets a line for every run that is done. `launched` runs the base's work in so many processes
    and returns its run."""
    args = recipe.training_arguments()
    refuse_without_gpu(recipe, args.device)
    dtype = args.mixed_dtype or torch.float32
    if against and against.name != STOCK and _same_run(against.recipe, recipe, base):
        raise UsageError(f"--against {against.name}: that changes nothing of what a benchmark runs")
    context = _Context(recipe, args.device, dtype)
    ours = Side(OURS, recipe)
    sides = (ours, against) if against else (ours,)
    runs = [context.run(replace(base, batch_size=size), sides, {"batch_size": size}, tell) for size in batch_sizes]

    def point(varied: Sweep, value: int) -> dict[str, Any]:
        if varied.name == "processes":
            return launched(value)
        return context.run(varied.work(base, value), (ours,), {varied.name: value}, tell)

    swept = {varied.name: [point(varied, value) for value in varied.values] for varied in sweeps}
    return {
        "machine": describe(args.device) | {"processes": args.world_size},
        "matrix_product": context.matrices,
        "model": recipe.model.model,
        "dtype": training_dtype(recipe, args),
        "mixed_precision": str(dtype).removeprefix("torch."),
        "parameters": context.parameters(),
        "work": asdict(base) | {"mix": asdict(base.mix)},
        "runs": runs,
        "best": best(runs) if against else None,
        "sweeps": swept,
    }


def _same_run(changed: Recipe, recipe: Recipe, work: Work) -> bool:
    """Whether a benchmark, which sets some keys itself, would run both alike."""
    runs = [run_recipe(side, work, work.all_steps, "").resolved() for side in (changed, recipe)]
    return runs[0] == runs[1]


def best(runs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Each side at its own best batch size, and ours over the other."""
    chosen = {side: max(runs, key=lambda run: run["sides"][side]["pages_per_second"]) for side in runs[0]["sides"]}
    figures = {side: run["sides"][side] for side, run in chosen.items()}
    ours, other = figures.values()
    return {
        "batch_size": {side: run["batch_size"] for side, run in chosen.items()},
        "pages_per_second": ours["pages_per_second"] / other["pages_per_second"],
        "peak_memory": ours["peak_memory"]["bytes"] / other["peak_memory"]["bytes"],
    }


class _Context:
    """What all runs of a benchmark share."""

    def __init__(self, recipe: Recipe, device: torch.device, dtype: torch.dtype) -> None:
        self.recipe = recipe
        self.matrices = matrix_rate(device, dtype)
        self._flops: dict[tuple[str, int, int], dict[str, int]] = {}

    def run(self, work: Work, sides: Sequence[Side], what: dict[str, int], tell: Tell) -> dict[str, Any]:
        figures = measure(work, sides)
        flops = {side.name: self.flops_per_page(side, work.mix) for side in sides}
        for name, figure in figures.items():
            rate = figure["pages_per_second"] * flops[name]
            figure["flops_per_second"] = rate
            figure["share_of_matrix_product"] = rate / self.matrices["flops_per_second"]
            tell(_line(what, name, figure))
        told = {**what, "flops_per_page": flops, "sides": figures}
        if len(sides) == 2:
            told["ratios"] = ratios(*figures.values())
            tell(_ratio_line(sides[1].name, told["ratios"]))
        return told

    def flops_per_page(self, side: Side, mix: PageMix) -> int:
        """Forward and backward FLOPs of a page of the mix, without what checkpointing does again."""
        kinds = [(tiles, length) for tiles in mix.tiles for length in mix.target_tokens]
        shares = [mix.tiles[tiles] * mix.target_tokens[length] for tiles, length in kinds]
        total = sum(share * self._page_flops(side, *kind) for share, kind in zip(shares, kinds, strict=True))
        return round(total / sum(shares))

    def _page_flops(self, side: Side, tiles: int, target_tokens: int) -> int:
        key = side.name, tiles, target_tokens
        if key not in self._flops:
            images = ImageSettings.of(bench_processor(side.recipe))
            step = budget.Step(1, tiles, images.tokens(tiles), target_tokens, chunks=1, checkpointing=False)
            self._flops[key] = budget.step_work(side.recipe.model, images, step).flops(checkpointing=False)
        parts = self._flops[key]
        return sum(parts.values()) - (0 if side.runs_vision else parts["vision forward"])

    def parameters(self) -> dict[str, int]:
        counts = trainable_counts(budget.outline(self.recipe.model, "float32")).values()
        return {"trainable": sum(c.trainable for c in counts), "all": sum(c.total for c in counts)}


def _line(what: dict[str, int], side: str, figure: dict[str, Any]) -> str:
    where = ", ".join(f"{name} {value}" for name, value in what.items())
    parts = figure["seconds_per_step_by_part"].items()
    return (
        f"{where:<20} {side:<8} {figure['pages_per_second']:>9.3f} pages/s "
        f"{figure['tokens_per_second']:>9.0f} tokens/s "
        f"{figure['peak_memory']['bytes'] / 1e9:>8.3f} GB peak {figure['flops_per_second'] / 1e12:>9.4f} TFLOP/s "
        f"({figure['share_of_matrix_product']:.0%} of a matrix product)\n    seconds a step: "
        + ", ".join(f"{name} {seconds:.3f}" for name, seconds in parts)
    )


def _ratio_line(other: str, ratio: dict[str, Any]) -> str:
    clock, processor = (_told(ratio[name]) for name in ("pages_per_second", "pages_per_processor_second"))
    against = "the stock trainer" if other == STOCK else other
    return (
        f"    against {against}: {clock} times the pages/s by the clock, {processor} by processor time; "
        f"{ratio['peak_memory']:.2f} of its peak memory"
    )


def _told(spread: dict[str, Any]) -> str:
    return f"{spread['median']:.2f} ({spread['least']:.2f} to {spread['largest']:.2f})"
