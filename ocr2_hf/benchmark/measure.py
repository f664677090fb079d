"""Runs of a benchmark: training steps of one side over the same pages, timed, counted, and put against the other's."""

import gc
import statistics
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from accelerate import PartialState
from accelerate.utils import broadcast_object_list
from datasets import Dataset
from transformers import PrinterCallback, Trainer, TrainingArguments
from transformers.trainer_utils import set_seed

from ocr2_hf.benchmark.contenders import Side, bench_processor
from ocr2_hf.benchmark.machine import synchronize
from ocr2_hf.benchmark.memory import peak_of_training
from ocr2_hf.benchmark.pages import PageMix, make_pages
from ocr2_hf.benchmark.step_timer import StepClock
from ocr2_hf.benchmark.turns import quotients, spread, take_turns
from ocr2_hf.recipe import OCR2TrainingArguments, Recipe
from ocr2_hf.training.trainer import OCR2Trainer

COUNTED_STEPS = 2  # in the second the optimizer's state is there from the start


@dataclass(frozen=True)
class Work:
    """What is run: pages of a mix, optimizer steps that count after some that do not, rounds of them."""

    mix: PageMix
    batch_size: int
    steps: int = 4
    warmup: int = 2
    rounds: int = 5
    drawn: int = 32  # pages that are drawn; longer runs meet them again
    workers: int | None = None  # that load pages; none: the recipe's

    @property
    def all_steps(self) -> int:
        return self.steps + self.warmup


def measure(work: Work, sides: Sequence[Side]) -> dict[str, dict[str, Any]]:
    """Every side's figures by its name: rounds of timed steps, the sides taking turns, then a run for the peak of
    memory. The pages are the first side's."""
    pages = make_pages(work.mix, work.drawn, bench_processor(sides[0].recipe))
    with _shared_folder() as folder:
        timed = {side.name: _timed_side(side, work, pages, folder).round for side in sides}
        rounds = take_turns(timed, work.rounds)
    return {side.name: summary(rounds[side.name]) | {"peak_memory": count_peak(side, work, pages)} for side in sides}


def _timed_side(side: Side, work: Work, pages: Dataset, folder: str) -> "_KeptSide | _FreshSide":
    """Alone on a CPU a trainer stays, so that rounds can be short and many. Elsewhere two may not fit; and workers
    start anew in every round, so that each needs its steps that do not count."""
    run = run_recipe(side.recipe, work, work.all_steps, folder)
    args = run.training_arguments()
    stays = args.device.type == "cpu" and args.world_size == 1 and args.dataloader_num_workers == 0
    return (_KeptSide if stays else _FreshSide)(side, run, work, pages)


def summary(rounds: Sequence[dict]) -> dict[str, Any]:
    """One side's rounds as medians; the rounds themselves stay beside them."""
    parts = {part: statistics.median(r["parts"][part] for r in rounds) for part in rounds[0]["parts"]}
    figures = ("pages_per_second", "tokens_per_second", "seconds_per_step", "processor_seconds_per_page")
    medians = {name: statistics.median(r[name] for r in rounds) for name in figures}
    return medians | {"seconds_per_step_by_part": parts, "rounds": list(rounds)}


def ratios(ours: dict[str, Any], stock: dict[str, Any]) -> dict[str, Any]:
    """Ours over stock: pages a second, by the clock and by what the processor computed, as the median, least and
    largest of the rounds' pairs; peak memory."""
    return {
        "pages_per_second": _spread(ours, stock, "pages_per_second"),
        "pages_per_processor_second": _spread(stock, ours, "processor_seconds_per_page"),
        "peak_memory": ours["peak_memory"]["bytes"] / stock["peak_memory"]["bytes"],
    }


def _spread(over: dict[str, Any], under: dict[str, Any], name: str) -> dict[str, Any]:
    pairs = quotients(*([one[name] for one in side["rounds"]] for side in (over, under)))
    return spread(pairs) | {"pairs": pairs}


class _KeptSide:
    """One side's trainer, that trains a few steps more in every round; the first has those that do not count before."""

    def __init__(self, side: Side, run: Recipe, work: Work, pages: Dataset) -> None:
        self.work, self.trainer = work, _trainer(side, run, run.training_arguments(), pages)
        self.clock = StepClock(self.trainer, partial(synchronize, self.trainer.args.device))
        self.skipped = work.warmup

    def round(self) -> dict[str, Any]:
        self.trainer.args.max_steps = self.work.steps + self.skipped
        self.trainer.train()
        told = _round(self.clock, self.skipped, self.trainer.args)
        self.clock.clear()
        self.skipped = 0
        return told


@dataclass(frozen=True)
class _FreshSide:
    """One side, whose trainer is made anew for every round and gone after it."""

    side: Side
    run: Recipe
    work: Work
    pages: Dataset

    def round(self) -> dict[str, Any]:
        """On a GPU parts need waits inside the step, which cost time: they come from a run of their own."""
        on_gpu = self.run.training_arguments().device.type == "cuda"
        told = self._train(parts=not on_gpu)
        return told | {"parts": self._train(parts=True)["parts"]} if on_gpu else told

    def _train(self, parts: bool) -> dict[str, Any]:
        args = self.run.training_arguments()
        trainer = _trainer(self.side, self.run, args, self.pages)
        clock = StepClock(trainer, partial(synchronize, args.device), parts)
        trainer.train()
        trainer.accelerator.free_memory()
        del trainer
        gc.collect()
        if args.device.type == "cuda":
            torch.cuda.empty_cache()
        return _round(clock, self.work.warmup, args)


def _round(clock: StepClock, skipped: int, args: TrainingArguments) -> dict[str, Any]:
    """The figures of a clock's steps after the first `skipped`."""
    steps, parts = clock.steps[skipped:], clock.parts[skipped:]
    seconds, pages, tokens = sum(steps), sum(clock.pages[skipped:]), int(sum(clock.tokens[skipped:]))
    return {
        "pages_per_second": pages * args.world_size / seconds,
        "tokens_per_second": tokens * args.world_size / seconds,
        "seconds_per_step": seconds / len(steps),
        "processor_seconds_per_page": sum(clock.processor[skipped:]) / pages,
        "parts": {name: statistics.mean(step[name] for step in parts) for name in parts[0]},
    }


def count_peak(side: Side, work: Work, pages: Dataset) -> dict[str, int | str]:
    """The peak of memory over two optimizer steps of one side; see `peak_of_training`."""
    counted = replace(work, warmup=0, steps=COUNTED_STEPS)
    with _shared_folder() as folder:
        run = run_recipe(side.recipe, counted, COUNTED_STEPS, folder, dataloader_num_workers=0)
        trainer = _trainer(side, run, run.training_arguments(), pages)
        return peak_of_training(trainer, trainer.train)


@contextmanager
def _shared_folder() -> Iterator[str]:
    """A folder that is gone afterwards; among several processes the first one's."""
    with tempfile.TemporaryDirectory(prefix="ocr2-bench-") as own:
        state = PartialState()
        yield own if state.num_processes == 1 else broadcast_object_list([own])[0]
        state.wait_for_everyone()


def run_recipe(recipe: Recipe, work: Work, steps: int, folder: str, **values: Any) -> Recipe:
    """The recipe for a run of so many steps over the benchmark's pages that saves, evaluates and reports nothing."""
    own = {
        "output_dir": folder,
        **({"vision_cache_dir": folder} if recipe.training("cache_vision_features") else {}),
        "max_steps": steps,
        "per_device_train_batch_size": work.batch_size,
        "tasks": {"markdown": 1.0},
        "eval_strategy": "no",
        "save_strategy": "no",
        "load_best_model_at_end": False,
        "report_to": "none",
        "disable_tqdm": True,
        "augment": recipe.values.get("augment", "none"),
        **({} if work.workers is None else {"dataloader_num_workers": work.workers}),
        **values,
    }
    return Recipe.of(recipe.values | own)


def _trainer(side: Side, run: Recipe, args: OCR2TrainingArguments, pages: Dataset) -> Trainer:
    """All pages of the run are one epoch: none waits for workers to start again."""
    set_seed(args.seed)
    micro_batches = args.max_steps * args.gradient_accumulation_steps
    needed = micro_batches * args.per_device_train_batch_size * args.world_size
    repeated = pages.select([number % len(pages) for number in range(needed)])
    trainer = side.trainer(run, args, repeated, bench_processor(run))
    trainer.remove_callback(PrinterCallback)
    if isinstance(trainer, OCR2Trainer):
        trainer.cache_vision()  # where the recipe says so: before anything is timed
    return trainer
