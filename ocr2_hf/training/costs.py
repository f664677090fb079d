"""What training costs, told while it runs: pages and tokens per second, padding, memory, the time to the end."""

import resource
import sys
import time
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import torch
from accelerate import Accelerator
from torch import Tensor
from transformers import TrainerCallback, TrainerState

# The keys of a log row that are measured by the clock or by the machine: two runs that train the same differ in them.
COSTS = ("pages_per_second", "tokens_per_second", "padding", "memory_gb", "seconds_to_end")


class StepCounts(NamedTuple):
    """What batches hold. `tokens`: visual ones included, padding not; a scalar on the batches' device. `positions`:
    tokens and padding."""

    pages: int
    tokens: Tensor | int
    positions: int


def count_batches(batches: Iterable[dict[str, Any]]) -> StepCounts:
    """Of `TrainingCollator`'s batches; waits for no device."""
    masks = [batch["attention_mask"] for batch in batches]
    return StepCounts(sum(map(len, masks)), sum(mask.sum() for mask in masks), sum(mask.numel() for mask in masks))


class Costs(TrainerCallback):
    """Counts the optimizer steps of one start of a run, and times them.

    A step's time goes from asking for its pages to its end: waiting for pages is part of it, evaluations, readings of
    the guard and saves lie between steps.
    """

    def __init__(self, accelerator: Accelerator, clock: Callable[[], float] = time.perf_counter):
        """`clock`: seconds."""
        self.accelerator, self._clock = accelerator, clock
        self._begin(step=0)

    def begin_step(self) -> None:
        """The pages of an optimizer step are asked for."""
        self._step_from = self._clock()
        if self._start is None:
            self._start = self._step_from

    def count(self, batches: Iterable[dict[str, Any]]) -> None:
        """Count the batches of an optimizer step."""
        self._counts = StepCounts(*map(sum, zip(self._counts, count_batches(batches), strict=True)))

    def row(self, state: TrainerState) -> dict[str, float]:
        """`COSTS` since the last row; {} where no step has ended since then. All processes ask at once.

        `pages_per_second`, `tokens_per_second`: of all processes together, in the time of the steps alone.
        `padding`: the share of all positions, 0 to 1.
        `memory_gb`: the peak of the process that needs most, since it began, in GB of 10^9 bytes.
        `seconds_to_end`: to the end of the last step. What this start of the run has taken so far from its first step
        on, with evaluations and saves, over the steps that it has done, times the steps left.
        """
        if not self._seconds:
            return {}
        device = self.accelerator.device
        own = [torch.as_tensor(number, device=device) for number in (*self._counts, peak_memory(device))]
        of_processes = self.accelerator.gather(torch.stack(own)[None]).cpu()  # [processes, 4]
        pages, tokens, positions, _ = of_processes.sum(dim=0).tolist()
        seconds_per_step = (self._clock() - self._start) / (state.global_step - self._first_step)
        told = (
            pages / self._seconds,
            tokens / self._seconds,
            1 - tokens / positions,
            of_processes[:, 3].max().item() / 1e9,
            seconds_per_step * (state.max_steps - state.global_step),
        )
        self._begin_row()
        return dict(zip(COSTS, told, strict=True))

    def on_train_begin(self, args, state, control, **kwargs) -> None:
        """Begin anew: a resumed run knows nothing of the time of the process before."""
        self._begin(state.global_step)

    def on_step_end(self, args, state, control, **kwargs) -> None:
        """The step is done."""
        if control.should_log or control.should_evaluate or control.should_save:
            # The device is waited for here, or what it still computes for the step would be lost to what comes next.
            self._counts = self._counts._replace(tokens=int(self._counts.tokens))
        self._seconds += self._clock() - self._step_from

    def _begin(self, step: int) -> None:
        self._first_step, self._start = step, None
        self._begin_row()

    def _begin_row(self) -> None:
        self._counts, self._seconds = StepCounts(0, 0, 0), 0.0


def peak_memory(device: torch.device) -> int:
    """Bytes of this process at its peak: what torch allocated on a CUDA device, elsewhere the resident memory."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
