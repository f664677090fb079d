"""Where the time of training steps goes: read from the outside of any `Trainer`, so that all are timed alike."""

import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass

from torch import Tensor, nn
from transformers import Trainer, TrainerCallback

from ocr2_hf.benchmark.machine import synchronize
from ocr2_hf.training.costs import count_batches

PARTS = ("data", "vision forward", "text forward", "head and loss", "backward", "optimizer", "other")


@dataclass(frozen=True)
class TimedStep:
    """An optimizer step of one process.

    `seconds`: from the end of the step before to its end; `processor_seconds`: what this process's threads computed in
    that time, which on a CPU depends less on what else the machine does; `parts`: the seconds of each of `PARTS`.
    `tokens`: of its pages, visual ones included, padding not; a scalar.
    """

    seconds: float
    processor_seconds: float
    parts: dict[str, float]
    pages: int
    tokens: Tensor


class StepTimer(TrainerCallback):
    """Times every optimizer step of `trainer`, and its parts; what no part claims is `other`.

    The device is waited for at every border, so that a GPU's work counts where it was asked for; with `parts=False` at
    the ends of steps alone, which costs nothing that a step does not wait for anyway.
    """

    def __init__(self, trainer: Trainer, parts: bool = True) -> None:
        self.steps: list[TimedStep] = []
        self._device = trainer.args.device
        self._spent: dict[str, float] = defaultdict(float)
        self._last = self._last_processor = self._optimizer_from = 0.0
        self._pages, self._tokens = 0, None
        self._timed_parts = parts
        if parts:
            self._watch(trainer)
        trainer.get_batch_samples = self._counted(trainer.get_batch_samples)
        trainer.add_callback(self)

    def on_train_begin(self, args, state, control, **kwargs) -> None:
        """The first step begins."""
        self._last, self._last_processor = self._now(), time.process_time()

    def on_pre_optimizer_step(self, args, state, control, **kwargs) -> None:
        """The optimizer begins."""
        if self._timed_parts:
            self._optimizer_from = self._now()

    def on_optimizer_step(self, args, state, control, **kwargs) -> None:
        """The optimizer is done."""
        if self._timed_parts:
            self._add("optimizer", self._optimizer_from)

    def on_step_end(self, args, state, control, **kwargs) -> None:
        """Note the step; the next begins."""
        now, processor = self._now(), time.process_time()
        seconds = now - self._last
        forward = self._spent.pop("forward", 0.0)
        parts = {part: self._spent[part] for part in PARTS}
        parts["head and loss"] = forward - parts["vision forward"] - parts["text forward"]
        parts["other"] = seconds - sum(parts.values())
        self.steps.append(TimedStep(seconds, processor - self._last_processor, parts, self._pages, self._tokens))
        self._last, self._last_processor = now, processor
        self._spent.clear()

    def _now(self) -> float:
        synchronize(self._device)
        return time.perf_counter()

    def _watch(self, trainer: Trainer) -> None:
        """Time the trainer's own calls and the model's modules."""
        trainer.get_batch_samples = self._part("data")(trainer.get_batch_samples)
        trainer.accelerator.backward = self._part("backward")(trainer.accelerator.backward)
        parts = {"vision_tower": "vision forward", "language_model": "text forward"}
        for name, module in trainer.model.named_modules():
            if part := parts.get(name.rpartition(".")[2]):
                self._time_module(part, module)
        self._time_module("forward", trainer.model)

    def _time_module(self, part: str, module: nn.Module) -> None:
        starts: list[float] = []
        module.register_forward_pre_hook(lambda *_: starts.append(self._now()))
        module.register_forward_hook(lambda *_: self._add(part, starts.pop()))

    def _counted(self, get_batch_samples: Callable) -> Callable:
        def counted(*arguments, **keywords):
            batches, normalisers = get_batch_samples(*arguments, **keywords)
            self._pages, self._tokens, _ = count_batches(batches)
            return batches, normalisers

        return counted

    @contextmanager
    def _part(self, part: str):
        """Times what runs inside; as a decorator, every call."""
        start = self._now()
        yield
        self._add(part, start)

    def _add(self, part: str, start: float) -> None:
        self._spent[part] += self._now() - start
