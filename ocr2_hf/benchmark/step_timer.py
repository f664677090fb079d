"""Where the time of training steps goes: read from the outside of any `Trainer`, so that both sides are timed alike."""

import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import contextmanager

from torch import Tensor, nn
from transformers import Trainer, TrainerCallback

PARTS = ("data", "vision forward", "text forward", "head and loss", "backward", "optimizer", "other")


class StepClock(TrainerCallback):
    """Seconds of every optimizer step of `trainer`, and of its parts.

    `steps`: from the end of one step to the end of the next; `processor`: what this process's threads computed in that
    time, which on a CPU depends less on what else the machine does. `parts`: a dict for each step; what no part claims
    is `other`. `wait` is called at every border, so that a GPU's work counts where it was asked for; with
    `parts=False` it is called at the ends of steps alone, which costs nothing that a step does not wait for anyway.
    """

    def __init__(self, trainer: Trainer, wait: Callable[[], None], parts: bool = True) -> None:
        self.wait = wait
        self.steps: list[float] = []
        self.processor: list[float] = []
        self.parts: list[dict[str, float]] = []
        self.tokens: list[Tensor] = []
        self.pages: list[int] = []
        self._spent: dict[str, float] = defaultdict(float)
        self._last = self._last_processor = self._optimizer_from = 0.0
        self._timed_parts = parts
        if parts:
            self._watch(trainer)
        trainer.get_batch_samples = self._counted(trainer.get_batch_samples)
        trainer.add_callback(self)

    def clear(self) -> None:
        """Forget all steps so far."""
        for seen in (self.steps, self.processor, self.parts, self.tokens, self.pages):
            seen.clear()

    def on_train_begin(self, args, state, control, **kwargs) -> None:
        self.wait()
        self._last, self._last_processor = time.perf_counter(), time.process_time()

    def on_pre_optimizer_step(self, args, state, control, **kwargs) -> None:
        if self._timed_parts:
            self._optimizer_from = self._now()

    def on_optimizer_step(self, args, state, control, **kwargs) -> None:
        if self._timed_parts:
            self._spent["optimizer"] += self._now() - self._optimizer_from

    def on_step_end(self, args, state, control, **kwargs) -> None:
        now, processor = self._now(), time.process_time()
        step = now - self._last
        self.steps.append(step)
        self.processor.append(processor - self._last_processor)
        self._last, self._last_processor = now, processor
        forward = self._spent.pop("forward", 0.0)
        spent = {part: self._spent[part] for part in PARTS}
        spent["head and loss"] = forward - spent["vision forward"] - spent["text forward"]
        spent["other"] = step - sum(spent.values())
        self.parts.append(spent)
        self._spent.clear()

    def _now(self) -> float:
        self.wait()
        return time.perf_counter()

    def _watch(self, trainer: Trainer) -> None:
        """Time the trainer's own calls and the model's modules."""
        trainer.get_batch_samples = self._part("data")(trainer.get_batch_samples)
        trainer.accelerator.backward = self._part("backward")(trainer.accelerator.backward)
        for name, module in trainer.model.named_modules():
            if name.endswith("vision_tower"):
                self._time_module("vision forward", module)
            elif name.endswith("language_model"):
                self._time_module("text forward", module)
        self._time_module("forward", trainer.model)

    def _counted(self, get_batch_samples: Callable) -> Callable:
        """Pages and tokens of a step, visual ones included, padding not."""

        def counted(*arguments, **keywords):
            batches, normalisers = get_batch_samples(*arguments, **keywords)
            self.pages.append(sum(len(batch["input_ids"]) for batch in batches))
            self.tokens.append(sum(batch["attention_mask"].sum() for batch in batches))
            return batches, normalisers

        return counted

    @contextmanager
    def _part(self, part: str):
        """Times what runs inside; as a decorator, every call."""
        start = self._now()
        yield
        self._spent[part] += self._now() - start

    def _time_module(self, part: str, module: nn.Module) -> None:
        starts: list[float] = []

        def before(*_) -> None:
            starts.append(self._now())

        def after(*_) -> None:
            self._spent[part] += self._now() - starts.pop()

        module.register_forward_pre_hook(before)
        module.register_forward_hook(after)
