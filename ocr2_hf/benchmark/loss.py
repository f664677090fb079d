"""The loss alone: logits, cross-entropy and their backward pass, beside the stock model's own.

Peak bytes are counted on tensors with shapes and no values, at any size; seconds are measured where the stock path's
bytes fit into the memory that is free.
"""

import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses import FakeTensorMode
from transformers.loss.loss_utils import ForCausalLMLoss

from ocr2_hf.benchmark.contenders import OURS, STOCK
from ocr2_hf.benchmark.machine import seconds_of
from ocr2_hf.benchmark.turns import medians, quotients, spread, take_turns
from ocr2_hf.data.collator import IGNORED
from ocr2_hf.modeling.head import OCR2Head
from ocr2_hf.planning.budget import model_config
from ocr2_hf.planning.trace import LiveBytes
from ocr2_hf.recipe import Recipe
from ocr2_hf.training.job import training_dtype


@dataclass(frozen=True)
class LossWork:
    """A batch of hidden states: `batch` sequences of `length`, the last `supervised` share of each with labels.

    `weights`: dtype of the head's weight; `compute`: dtype of the products (autocast, where it is another one);
    `trains`: whether the head's weight gets a gradient.
    """

    vocabulary: int
    hidden: int
    batch: int
    length: int
    supervised: float
    chunks: int
    weights: torch.dtype
    compute: torch.dtype
    trains: bool

    @property
    def labelled(self) -> int:
        return round(self.length * self.supervised)


def recipe_loss(recipe: Recipe, batch: int, length: int, supervised: float) -> LossWork:
    """The loss of a recipe's model and precision over so many sequences."""
    args = recipe.training_arguments()
    text, weights = model_config(recipe.model.model).text_config, getattr(torch, training_dtype(recipe, args))
    trains = recipe.model.train_language == "full"
    compute = args.mixed_dtype or weights
    weights = torch.float32 if trains else weights
    return LossWork(
        text.vocab_size, text.hidden_size, batch, length, supervised, args.loss_chunks, weights, compute, trains
    )


def bench_loss(work: LossWork, rounds: int, timed: bool = True) -> dict[str, Any]:
    """`bytes`: each side's peak beyond the weight, and ours over the stock's; `seconds` likewise, or None where the
    stock path does not fit, or nothing is `timed`."""
    device = torch.accelerator.current_accelerator() or torch.device("cpu")
    counted = {side: _peak(work, run) for side, run in _SIDES.items()}
    seconds = None
    if timed and counted[STOCK] * 1.1 < free_memory(device):
        taken = _seconds(work, device, rounds)
        seconds = medians(taken) | {"ratio": spread(quotients(taken[OURS], taken[STOCK]))}
    return {
        "work": asdict(work) | {"weights": str(work.weights), "compute": str(work.compute)},
        "bytes": counted | {"ratio": counted[OURS] / counted[STOCK]},
        "seconds": seconds,
    }


def free_memory(device: torch.device) -> int:
    """Bytes that can still be taken on a device."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _ours(head: nn.Module, hidden: Tensor, labels: Tensor, work: LossWork) -> Tensor:
    rows = hidden[:, -work.labelled - 1 : -1].flatten(0, 1)
    truth = labels[:, -work.labelled :].flatten()
    weights = torch.ones(truth.shape, device=truth.device)
    no_boxes, ids = torch.empty(0, dtype=torch.long, device=truth.device), torch.arange(1000, device=truth.device)
    return head(rows, truth, weights, no_boxes, ids, work.chunks)[0] / truth.numel()


def _stock(head: nn.Module, hidden: Tensor, labels: Tensor, work: LossWork) -> Tensor:
    logits = nn.functional.linear(hidden, head.weight)
    return ForCausalLMLoss(logits=logits, labels=labels, vocab_size=work.vocabulary)


_SIDES: dict[str, Callable[[nn.Module, Tensor, Tensor, LossWork], Tensor]] = {OURS: _ours, STOCK: _stock}


def _inputs(work: LossWork, device: torch.device) -> tuple[nn.Module, Tensor, Tensor]:
    head = OCR2Head(work.hidden, work.vocabulary, bias=False, device=device, dtype=work.weights)
    head.weight.requires_grad_(work.trains)
    shape = (work.batch, work.length)
    hidden = torch.randn(*shape, work.hidden, device=device, dtype=work.weights).requires_grad_()
    labels = torch.randint(0, work.vocabulary, shape, device=device)
    labels[:, : -work.labelled] = IGNORED
    return head, hidden, labels


def _step(run: Callable, head: nn.Module, hidden: Tensor, labels: Tensor, work: LossWork) -> None:
    with torch.autocast(hidden.device.type, work.compute, enabled=work.compute != work.weights):
        loss = run(head, hidden, labels, work)
    loss.backward()


def _peak(work: LossWork, run: Callable) -> int:
    with FakeTensorMode():
        head, hidden, labels = _inputs(work, torch.device("cpu"))
        with LiveBytes(head) as live:
            _step(run, head, hidden, labels, work)
    return live.peak


def _seconds(work: LossWork, device: torch.device, rounds: int) -> dict[str, list[float]]:
    """Forward and backward, the sides taking turns; the first of each does not count."""
    head, hidden, labels = _inputs(work, device)

    def timed(run: Callable) -> float:
        head.weight.grad = hidden.grad = None
        return seconds_of(partial(_step, run, head, hidden, labels, work), device)

    return take_turns({side: partial(timed, run) for side, run in _SIDES.items()}, rounds, uncounted=1)
