"""The terms of the loss, one object each.

No term is averaged here: the trainer divides each by a normaliser that is summed over the whole optimizer step (every
micro-batch, every process), so how a batch is split changes nothing.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor

from ocr2_hf.recipe import OCR2TrainingArguments

_TINY = torch.finfo(torch.float32).tiny


@dataclass(frozen=True)
class LossSettings:
    """What the loss of a model is made of.

    `weights`: of each term, by its name. What is not given is as a recipe has it by default.
    `box_source`: where predicted boxes come from. `expectation`: the mean of the softmax over the 1000 coordinate
    tokens at the four coordinate positions; `head`: the box head on the hidden state at `<|det|>`.
    `box_beta`: where SmoothL1 turns from quadratic to linear, in units of the page's side.
    `coordinate_ids`: the token ids of "0".."999".
    `chunks`: in how many pieces the logits are computed.
    """

    coordinate_ids: tuple[int, ...]
    weights: Mapping[str, float] = field(default_factory=lambda: term_weights(OCR2TrainingArguments))
    box_beta: float = OCR2TrainingArguments.box_beta
    box_source: str = OCR2TrainingArguments.box_source
    chunks: int = OCR2TrainingArguments.loss_chunks


@dataclass(frozen=True)
class ForwardPass:
    """What a forward pass over B sequences of length L with N boxes hands to the terms.

    `hidden_BLH`: the last hidden states; `text_B`: the cross-entropies of each page's tokens times their weights,
    summed; `predicted_N4`, `target_N4`: boxes in [0, 1]; `box_rows_N`: the pages they are on.
    """

    hidden_BLH: Tensor
    text_B: Tensor
    predicted_N4: Tensor
    target_N4: Tensor
    box_rows_N: Tensor
    settings: LossSettings


@dataclass(frozen=True)
class LossTerm:
    """One term of the loss: a sum over pages, and by what it is divided.

    `sums` [B]: the term of each page of a forward pass, float32; without anything to sum zeros that are attached to the
    graph. `counts` [B]: its normaliser in each page of a collated batch; padding examples count for nothing. `least`:
    what is divided by at least.
    """

    name: str
    sums: Callable[[ForwardPass], Tensor]
    counts: Callable[[Mapping[str, Tensor]], Tensor]
    least: float

    @property
    def weight_key(self) -> str:
        """The recipe's key of its weight."""
        return f"{self.name}_weight"

    @property
    def log_name(self) -> str:
        """Its column in the log; evaluation puts `eval_` before it."""
        return f"loss_{self.name}"

    def mean(self, total: Tensor, count: Tensor) -> Tensor:
        """The term, of a sum and a normaliser over the same pages."""
        return total / count.clamp(min=self.least)


def box_losses(predicted_N4: Tensor, target_N4: Tensor, beta: float) -> Tensor:
    """SmoothL1 of N boxes in [0, 1]: the mean over the four coordinates of each [N].

    An error of 0.05 costs 0.00125 at beta 1 and 0.0125 at beta 0.1.
    """
    return F.smooth_l1_loss(predicted_N4.float(), target_N4.float(), beta=beta, reduction="none").mean(dim=-1)


def by_page(values: Tensor, pages: Tensor, count: int) -> Tensor:
    """Values [N] summed by the pages [N] they are on, of so many [count]."""
    return values.new_zeros(count).index_add(0, pages, values)


def _box_sums(forward: ForwardPass) -> Tensor:
    losses = box_losses(forward.predicted_N4, forward.target_N4, forward.settings.box_beta)
    return by_page(losses, forward.box_rows_N, len(forward.text_B))


def _boxes(batch: Mapping[str, Tensor]) -> Tensor:
    rows = batch["box_rows"]
    return by_page(torch.ones(len(rows), device=rows.device), rows, len(batch["token_weights"]))


_TEXT = LossTerm("text", lambda forward: forward.text_B, lambda batch: batch["token_weights"].sum(dim=1), least=_TINY)
_BOX = LossTerm("box", _box_sums, _boxes, least=1.0)
# By name, in the order of the log. Whoever asks for terms loops over it when asked, so one more is one more entry.
TERMS = {term.name: term for term in (_TEXT, _BOX)}


def term_weights(args: OCR2TrainingArguments | type[OCR2TrainingArguments]) -> dict[str, float]:
    """The weight of each term in the arguments, or, of their class, by default."""
    return {name: getattr(args, term.weight_key) for name, term in TERMS.items()}


def term_counts(batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The normalisers [B] of each term in a collated batch."""
    return {name: term.counts(batch) for name, term in TERMS.items()}


def term_means(sums: Mapping[str, Tensor], counts: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Each term, of its sums and its normalisers over the same pages, or of what these add up to."""
    return {name: term.mean(sums[name].sum(), counts[name].sum()) for name, term in TERMS.items()}


def stacked_terms(sums: Mapping[str, Tensor], counts: Mapping[str, Tensor]) -> Tensor:
    """Of B pages [2 terms, B]: the sums of all terms, then the normalisers; without a gradient, in float32."""
    return torch.stack([*sums.values(), *counts.values()]).detach().float()


def named_losses(totals: Tensor, weights: Mapping[str, float]) -> dict[str, float]:
    """The loss and its terms by their names in the log, of `totals` [2 terms]: what `stacked_terms` add up to. A term
    of which there was nothing, such as boxes on pages of text alone, has no name there."""
    sums, counts = (dict(zip(TERMS, half, strict=True)) for half in totals.double().chunk(2))
    means = term_means(sums, counts)
    told = {TERMS[name].log_name: mean for name, mean in means.items() if counts[name]}
    losses = {"loss": weighted_sum(means, weights)} | told
    return {name: value.item() for name, value in losses.items()}


def weighted_sum(means: Mapping[str, Tensor], weights: Mapping[str, float]) -> Tensor:
    """The loss: each term times its weight."""
    return sum(weights[name] * mean for name, mean in means.items())
