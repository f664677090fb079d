"""A benchmark's results as one document: training runs of contenders over the same pages, timed, counted, compared."""

import gc
import statistics
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from functools import partial
from typing import Any

import torch
from accelerate import PartialState
from accelerate.utils import broadcast_object_list
from datasets import Dataset
from transformers import PrinterCallback, Trainer, TrainingArguments
from transformers.trainer_utils import set_seed

from ocr2_hf.benchmark.contenders import Contender, bench_processor
from ocr2_hf.benchmark.machine import describe, matrix_rate
from ocr2_hf.benchmark.pages import make_pages
from ocr2_hf.benchmark.step_timer import StepTimer, TimedStep
from ocr2_hf.benchmark.workload import OURS, STOCK, PageMix, Sweep, Workload, interleaved_rounds, quotients, spread
from ocr2_hf.data.images import ImageSettings
from ocr2_hf.errors import UsageError
from ocr2_hf.modeling.adapters import trainable_counts
from ocr2_hf.planning import budget
from ocr2_hf.planning.memory import LiveBytes
from ocr2_hf.recipe import OCR2TrainingArguments, Recipe
from ocr2_hf.training.job import training_dtype
from ocr2_hf.training.trainer import OCR2Trainer

Tell = Callable[[str], None]

COUNTED_STEPS = 2  # in the second the optimizer's state is there from the start


def bench(
    recipe: Recipe,
    base: Workload,
    batch_sizes: Sequence[int],
    against: Contender | None,
    sweeps: Sequence[Sweep],
    launched: Callable[[int], dict[str, Any]],
    tell: Tell,
) -> dict[str, Any]:
    """Run it all; `tell` gets a line for every run that is done. `launched` runs the base workload in so many processes
    and returns its run. Raises `UsageError` for the real model without a GPU, and for a comparison of equals."""
    args = recipe.training_arguments()
    if recipe.model.model in budget.REAL_IDS and args.device.type == "cpu":
        raise UsageError(
            f"model: {recipe.model.model} has 3.39 billion weights and there is no GPU here to train them on: "
            "bench a tiny model with --model tiny; `ocr2 plan` tells what the real one needs"
        )
    dtype = args.mixed_dtype or torch.float32
    if against and against.name != STOCK and _same_run(against.recipe, recipe, base):
        raise UsageError(f"--against {against.name}: that changes nothing of what a benchmark runs")
    runner = _Runner(matrix_rate(args.device, dtype), tell)
    ours = Contender(OURS, recipe)
    contenders = (ours, against) if against else (ours,)
    runs = [runner.run(replace(base, batch_size=size), contenders, {"batch_size": size}) for size in batch_sizes]

    def point(varied: Sweep, value: int) -> dict[str, Any]:
        if varied.name == "processes":
            return launched(value)
        return runner.run(varied.workload(base, value), (ours,), {varied.name: value})

    swept = {varied.name: [point(varied, value) for value in varied.values] for varied in sweeps}
    counts = trainable_counts(budget.outline(recipe.model, "float32")).values()
    return {
        "machine": describe(args.device) | {"processes": args.world_size},
        "matrix_product": runner.matrices,
        "model": recipe.model.model,
        "dtype": training_dtype(recipe, args),
        "mixed_precision": str(dtype).removeprefix("torch."),
        "parameters": {"trainable": sum(c.trainable for c in counts), "all": sum(c.total for c in counts)},
        "work": asdict(base),
        "runs": runs,
        "best": best(runs) if against else None,
        "sweeps": swept,
    }


def _same_run(changed: Recipe, recipe: Recipe, workload: Workload) -> bool:
    """Whether a benchmark, which sets some keys itself, would run both alike."""
    changed_run, run = (run_recipe(each, workload, "").resolved() for each in (changed, recipe))
    return changed_run == run


def best(runs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Each contender at its own best batch size, and ours over the other."""
    chosen = {name: max(runs, key=lambda run: run["sides"][name]["pages_per_second"]) for name in runs[0]["sides"]}
    ours, other = (run["sides"][name] for name, run in chosen.items())
    return {
        "batch_size": {name: run["batch_size"] for name, run in chosen.items()},
        "pages_per_second": ours["pages_per_second"] / other["pages_per_second"],
        "peak_memory": ours["peak_memory"]["bytes"] / other["peak_memory"]["bytes"],
    }


class _Runner:
    """Runs contenders, and keeps what all runs of a benchmark share."""

    def __init__(self, matrices: dict[str, Any], tell: Tell) -> None:
        self.matrices, self.tell = matrices, tell
        self._flops: dict[tuple[str, int, int], dict[str, int]] = {}

    def run(self, workload: Workload, contenders: Sequence[Contender], what: dict[str, int]) -> dict[str, Any]:
        results = measure(workload, contenders)
        flops = {contender.name: self._flops_per_page(contender, workload.mix) for contender in contenders}
        for name, result in results.items():
            result["flops_per_second"] = result["pages_per_second"] * flops[name]
            result["share_of_matrix_product"] = result["flops_per_second"] / self.matrices["flops_per_second"]
            self.tell(_line(what, name, result))
        told = {**what, "flops_per_page": flops, "sides": results}
        if len(contenders) == 2:
            told["ratios"] = ratios(*results.values())
            self.tell(_ratio_line(contenders[1].name, told["ratios"]))
        return told

    def _flops_per_page(self, contender: Contender, mix: PageMix) -> int:
        """Forward and backward FLOPs of a page of the mix, without what checkpointing does again."""
        shares = {(tiles, n): mix.tiles[tiles] * mix.target_tokens[n] for tiles in mix.tiles for n in mix.target_tokens}
        total = sum(share * self._page_flops(contender, *kind) for kind, share in shares.items())
        return round(total / sum(shares.values()))

    def _page_flops(self, contender: Contender, tiles: int, target_tokens: int) -> int:
        key = contender.name, tiles, target_tokens
        if key not in self._flops:
            images = ImageSettings.of(bench_processor(contender.recipe))
            step = budget.Step(1, tiles, images.tokens(tiles), target_tokens, chunks=1, checkpointing=False)
            self._flops[key] = budget.step_flops(contender.recipe.model, images, step).flops(checkpointing=False)
        parts = self._flops[key]
        return sum(parts.values()) - (0 if contender.runs_vision else parts["vision forward"])


def _line(what: dict[str, int], name: str, result: dict[str, Any]) -> str:
    where = ", ".join(f"{varied} {value}" for varied, value in what.items())
    parts = result["seconds_per_step_by_part"].items()
    return (
        f"{where:<20} {name:<8} {result['pages_per_second']:>9.3f} pages/s "
        f"{result['tokens_per_second']:>9.0f} tokens/s "
        f"{result['peak_memory']['bytes'] / 1e9:>8.3f} GB peak {result['flops_per_second'] / 1e12:>9.4f} TFLOP/s "
        f"({result['share_of_matrix_product']:.0%} of a matrix product)\n    seconds a step: "
        + ", ".join(f"{part} {seconds:.3f}" for part, seconds in parts)
    )


def _ratio_line(other: str, ratio: dict[str, Any]) -> str:
    clock, processor = (
        f"{values['median']:.2f} ({values['least']:.2f} to {values['largest']:.2f})"
        for values in (ratio["pages_per_second"], ratio["pages_per_processor_second"])
    )
    against = "the stock trainer" if other == STOCK else other
    return (
        f"    against {against}: {clock} times the pages/s by the clock, {processor} by processor time; "
        f"{ratio['peak_memory']:.2f} of its peak memory"
    )


# --- runs


def measure(workload: Workload, contenders: Sequence[Contender]) -> dict[str, dict[str, Any]]:
    """Every contender's results by its name: rounds of timed steps, which alternate, then a run for the peak of memory.
    The pages are the first one's."""
    pages = make_pages(workload.mix, workload.drawn, bench_processor(contenders[0].recipe))
    with _shared_folder() as folder:
        timed = {contender.name: _round_of(contender, workload, pages, folder) for contender in contenders}
        rounds = interleaved_rounds(timed, workload.rounds)
    return {
        contender.name: summary(rounds[contender.name]) | {"peak_memory": count_peak(contender, workload, pages)}
        for contender in contenders
    }


def summary(rounds: Sequence[dict]) -> dict[str, Any]:
    """One contender's rounds as medians; the rounds themselves stay beside them."""
    parts = {part: statistics.median(r["parts"][part] for r in rounds) for part in rounds[0]["parts"]}
    names = ("pages_per_second", "tokens_per_second", "seconds_per_step", "processor_seconds_per_page")
    medians = {name: statistics.median(r[name] for r in rounds) for name in names}
    return medians | {"seconds_per_step_by_part": parts, "rounds": list(rounds)}


def ratios(ours: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """Ours over the other's: pages a second, by the clock and by what the processor computed, as the median, least and
    largest of the rounds' pairs; peak memory."""

    def compared(over: dict[str, Any], under: dict[str, Any], name: str) -> dict[str, Any]:
        pairs = quotients(*([one[name] for one in contender["rounds"]] for contender in (over, under)))
        return spread(pairs) | {"pairs": pairs}

    return {
        "pages_per_second": compared(ours, other, "pages_per_second"),
        "pages_per_processor_second": compared(other, ours, "processor_seconds_per_page"),
        "peak_memory": ours["peak_memory"]["bytes"] / other["peak_memory"]["bytes"],
    }


def _round_of(contender: Contender, workload: Workload, pages: Dataset, folder: str) -> Callable[[], dict[str, Any]]:
    """What trains a round of a contender. Alone on a CPU a trainer stays, so that rounds can be short and many.
    Elsewhere two may not fit; and workers start anew in every round, so that each needs its steps that do not count."""
    run = run_recipe(contender.recipe, workload, folder)
    args = run.training_arguments()
    if args.device.type == "cpu" and args.world_size == 1 and args.dataloader_num_workers == 0:
        return _KeptTrainer(_trainer(contender, run, args, pages), workload).round
    return partial(_fresh_round, contender, run, workload, pages)


class _KeptTrainer:
    """A trainer that trains a few steps more in every round; the first has those that do not count before."""

    def __init__(self, trainer: Trainer, workload: Workload) -> None:
        self.trainer, self.timer = trainer, StepTimer(trainer)
        self.steps, self.skipped = workload.steps, workload.warmup

    def round(self) -> dict[str, Any]:
        self.trainer.args.max_steps = self.steps + self.skipped
        self.trainer.train()
        told = _round(self.timer.steps[self.skipped :], self.trainer.args)
        self.timer.steps.clear()
        self.skipped = 0
        return told


def _fresh_round(contender: Contender, run: Recipe, workload: Workload, pages: Dataset) -> dict[str, Any]:
    """A round of a trainer that is made for it and gone after it. On a GPU parts need waits inside the step, which cost
    time: they come from a run of their own."""

    def train(parts: bool) -> dict[str, Any]:
        args = run.training_arguments()
        trainer = _trainer(contender, run, args, pages)
        timer = StepTimer(trainer, parts)
        trainer.train()
        trainer.accelerator.free_memory()
        del trainer
        gc.collect()
        if on_gpu:
            torch.cuda.empty_cache()
        return _round(timer.steps[workload.warmup :], args)

    on_gpu = run.training_arguments().device.type == "cuda"
    told = train(parts=not on_gpu)
    return told | {"parts": train(parts=True)["parts"]} if on_gpu else told


def _round(steps: Sequence[TimedStep], args: TrainingArguments) -> dict[str, Any]:
    """What some steps come to."""
    seconds, pages = sum(step.seconds for step in steps), sum(step.pages for step in steps)
    return {
        "pages_per_second": pages * args.world_size / seconds,
        "tokens_per_second": int(sum(step.tokens for step in steps)) * args.world_size / seconds,
        "seconds_per_step": seconds / len(steps),
        "processor_seconds_per_page": sum(step.processor_seconds for step in steps) / pages,
        "parts": {name: statistics.mean(step.parts[name] for step in steps) for name in steps[0].parts},
    }


def count_peak(contender: Contender, workload: Workload, pages: Dataset) -> dict[str, int | str]:
    """The peak of memory over two optimizer steps of one contender: `bytes`, and `how` they were measured.

    On a CPU it is the sum of live tensors; a kernel's own scratch space is not seen, and counting slows the steps down.
    """
    counted = replace(workload, warmup=0, steps=COUNTED_STEPS)
    with _shared_folder() as folder:
        run = run_recipe(contender.recipe, counted, folder, dataloader_num_workers=0)
        trainer = _trainer(contender, run, run.training_arguments(), pages)
        device = trainer.args.device
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
            trainer.train()
            return {"bytes": torch.cuda.max_memory_allocated(device), "how": "torch.cuda.max_memory_allocated"}
        with LiveBytes(trainer.model) as live:
            trainer.train()
        held = (*trainer.model.parameters(), *trainer.model.buffers())
        weights = sum(tensor.untyped_storage().nbytes() for tensor in held)
        how = "counted: weights, and every tensor made by an operation, from its birth to its end"
        return {"bytes": weights + live.peak, "how": how}


@contextmanager
def _shared_folder() -> Iterator[str]:
    """A folder that is gone afterwards; among several processes the first one's."""
    with tempfile.TemporaryDirectory(prefix="ocr2-bench-") as own:
        state = PartialState()
        yield own if state.num_processes == 1 else broadcast_object_list([own])[0]
        state.wait_for_everyone()


def run_recipe(recipe: Recipe, workload: Workload, folder: str, **values: Any) -> Recipe:
    """The recipe for a run of the workload's steps over the benchmark's pages that saves, evaluates and reports
    nothing."""
    own = {
        "output_dir": folder,
        **({"vision_cache_dir": folder} if recipe.training("cache_vision_features") else {}),
        "max_steps": workload.warmup + workload.steps,
        "per_device_train_batch_size": workload.batch_size,
        "tasks": {"markdown": 1.0},
        "eval_strategy": "no",
        "save_strategy": "no",
        "load_best_model_at_end": False,
        "report_to": "none",
        "disable_tqdm": True,
        "augment": recipe.values.get("augment", "none"),
        **({} if workload.workers is None else {"dataloader_num_workers": workload.workers}),
        **values,
    }
    return Recipe.of(recipe.values | own)


def _trainer(contender: Contender, run: Recipe, args: OCR2TrainingArguments, pages: Dataset) -> Trainer:
    """All pages of the run are one epoch: none waits for workers to start again."""
    set_seed(args.seed)
    micro_batches = args.max_steps * args.gradient_accumulation_steps
    needed = micro_batches * args.per_device_train_batch_size * args.world_size
    repeated = pages.select([number % len(pages) for number in range(needed)])
    trainer = contender.trainer(run, args, repeated, bench_processor(run))
    trainer.remove_callback(PrinterCallback)
    if isinstance(trainer, OCR2Trainer):
        trainer.cache_vision()  # where the recipe says so: before anything is timed
    return trainer
