"""Parts of a training step alone, beside the library's own: the loss, and the collators; no training.

The loss is logits, cross-entropy and their backward pass. Its peak bytes are counted on tensors with shapes and no
values, at any size; its seconds are measured where the stock path's bytes fit into the memory that is free.
"""

import os
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses import FakeTensorMode
from transformers.loss.loss_utils import ForCausalLMLoss

from ocr2_hf.benchmark.contenders import ProcessorCollator, StockPages, bench_processor
from ocr2_hf.benchmark.machine import seconds_of
from ocr2_hf.benchmark.pages import make_pages
from ocr2_hf.benchmark.workload import OURS, STOCK, PageMix, interleaved_rounds, quotients, spread
from ocr2_hf.data.collator import IGNORED, TrainingCollator
from ocr2_hf.data.page_tasks import PageTasks
from ocr2_hf.modeling.head import OCR2Head
from ocr2_hf.planning.budget import model_config
from ocr2_hf.planning.memory import LiveBytes
from ocr2_hf.recipe import Recipe
from ocr2_hf.training.job import training_dtype


def _compared(measured: dict[str, Callable[[], float]], rounds: int) -> tuple[dict, dict, dict]:
    """The medians of both contenders, which alternate; ours over the stock one's of every round's pair; all rounds. The
    first round does not count."""
    values = interleaved_rounds(measured, rounds, warmup=1)
    medians = {name: statistics.median(each) for name, each in values.items()}
    return medians, spread(quotients(values[OURS], values[STOCK])), values


# --- the collators


def bench_data(recipe: Recipe, mix: PageMix, pages: int, batch_size: int, rounds: int) -> dict[str, Any]:
    """Pages into tensors (reading, decoding, cutting, tokenizing): pages a second of one core for both contenders, over
    the same pages."""
    processor = bench_processor(recipe)
    dataset = make_pages(mix, pages, processor)
    loaders: dict[str, tuple[Sequence, Callable]] = {
        OURS: (PageTasks(dataset, processor, {"markdown": 1.0}, max_length=10**6), TrainingCollator(processor)),
        STOCK: (StockPages(dataset), ProcessorCollator(processor)),
    }
    rates = {name: partial(_rate, *loader, pages, batch_size) for name, loader in loaders.items()}
    medians, ratio, values = _compared(rates, rounds)
    told = {"pages": pages, "batch_size": batch_size, "pages_per_second": medians, "ratio": ratio}
    return told | {"rounds": values}


def _rate(examples: Sequence, collate: Callable, pages: int, batch_size: int) -> float:
    start = time.process_time()
    for first in range(0, pages, batch_size):
        collate([examples[index] for index in range(first, min(first + batch_size, pages))])
    return pages / (time.process_time() - start)


# --- the loss


@dataclass(frozen=True)
class LossWorkload:
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
        """Tokens of a sequence that have labels."""
        return round(self.length * self.supervised)


def recipe_loss(recipe: Recipe, batch: int, length: int, supervised: float) -> LossWorkload:
    """The loss of a recipe's model and precision over so many sequences."""
    args = recipe.training_arguments()
    text, dtype = model_config(recipe.model.model).text_config, getattr(torch, training_dtype(recipe, args))
    trains = recipe.model.train_language == "full"
    weights, compute = torch.float32 if trains else dtype, args.mixed_dtype or dtype
    sizes = (text.vocab_size, text.hidden_size, batch, length, supervised, args.loss_chunks)
    return LossWorkload(*sizes, weights, compute, trains)


def bench_loss(workload: LossWorkload, rounds: int, timed: bool = True) -> dict[str, Any]:
    """`bytes`: each contender's peak beyond the weight, and ours over the stock one's; `seconds` of forward and
    backward pass likewise, or None where the stock path does not fit, or nothing is `timed`."""
    device = torch.accelerator.current_accelerator() or torch.device("cpu")
    counted = {name: _peak(workload, loss) for name, loss in _LOSSES.items()}
    seconds = None
    if timed and counted[STOCK] * 1.1 < _free_memory(device):
        inputs = _inputs(workload, device)
        medians, ratio, _ = _compared(
            {name: partial(_seconds, loss, *inputs, workload) for name, loss in _LOSSES.items()}, rounds
        )
        seconds = medians | {"ratio": ratio}
    return {
        "work": asdict(workload) | {"weights": str(workload.weights), "compute": str(workload.compute)},
        "bytes": counted | {"ratio": counted[OURS] / counted[STOCK]},
        "seconds": seconds,
    }


def _free_memory(device: torch.device) -> int:
    """Bytes that can still be taken on a device."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _ours(head: nn.Module, hidden: Tensor, labels: Tensor, workload: LossWorkload) -> Tensor:
    rows = hidden[:, -workload.labelled - 1 : -1].flatten(0, 1)
    truth = labels[:, -workload.labelled :].flatten()
    weights = torch.ones(truth.shape, device=truth.device)
    no_boxes, ids = torch.empty(0, dtype=torch.long, device=truth.device), torch.arange(1000, device=truth.device)
    losses, _, _ = head(rows, truth, weights, no_boxes, ids, workload.chunks)
    return losses.mean()


def _stock(head: nn.Module, hidden: Tensor, labels: Tensor, workload: LossWorkload) -> Tensor:
    logits = nn.functional.linear(hidden, head.weight)
    return ForCausalLMLoss(logits=logits, labels=labels, vocab_size=workload.vocabulary)


_LOSSES: dict[str, Callable[[nn.Module, Tensor, Tensor, LossWorkload], Tensor]] = {OURS: _ours, STOCK: _stock}


def _inputs(workload: LossWorkload, device: torch.device) -> tuple[nn.Module, Tensor, Tensor]:
    """The head, hidden states [batch, length, hidden] and labels [batch, length]."""
    head = OCR2Head(workload.hidden, workload.vocabulary, bias=False, device=device, dtype=workload.weights)
    head.weight.requires_grad_(workload.trains)
    shape = (workload.batch, workload.length)
    hidden = torch.randn(*shape, workload.hidden, device=device, dtype=workload.weights).requires_grad_()
    labels = torch.randint(0, workload.vocabulary, shape, device=device)
    labels[:, : -workload.labelled] = IGNORED
    return head, hidden, labels


def _step(loss: Callable, head: nn.Module, hidden: Tensor, labels: Tensor, workload: LossWorkload) -> None:
    with torch.autocast(hidden.device.type, workload.compute, enabled=workload.compute != workload.weights):
        value = loss(head, hidden, labels, workload)
    value.backward()


def _peak(workload: LossWorkload, loss: Callable) -> int:
    with FakeTensorMode():
        inputs = _inputs(workload, torch.device("cpu"))
        with LiveBytes(inputs[0]) as live:
            _step(loss, *inputs, workload)
    return live.peak


def _seconds(loss: Callable, head: nn.Module, hidden: Tensor, labels: Tensor, workload: LossWorkload) -> float:
    head.weight.grad = hidden.grad = None
    return seconds_of(partial(_step, loss, head, hidden, labels, workload), hidden.device)
