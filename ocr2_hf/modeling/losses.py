"""Losses as sums with named terms.

No term is averaged here: the trainer divides each by a normaliser that is summed over the whole optimizer step (every
micro-batch, every process), so how a batch is split changes nothing.

They live beside the model, not the trainer, because they run inside the wrapped model's forward: called from
outside, the language model head would pass by the hooks of DDP, FSDP and ZeRO.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from ocr2_hf.data.grounding import COORDINATE_MAX


@dataclass(frozen=True)
class LossSettings:
    """What the loss terms of a model are made of.

    `box_source`: where predicted boxes come from. `expectation`: the mean of the softmax over the 1000 coordinate
    tokens at the four coordinate positions; `head`: the box head on the hidden state at `<|det|>`.
    `box_beta`: where SmoothL1 turns from quadratic to linear, in units of the page's side.
    `coordinate_ids`: the token ids of "0".."999".
    `chunks`: in how many pieces the logits are computed. A fixed number, not a fixed size: every process then calls
    the head equally often, which ZeRO-3 needs.
    """

    coordinate_ids: tuple[int, ...]
    text_weight: float = 1.0
    box_weight: float = 0.5
    box_beta: float = 0.1
    box_source: str = "expectation"
    chunks: int = 8


@dataclass
class TokenTerms:
    """Sums over the supervised tokens; `correct` over those with a weight.

    `expected` [tokens]: the mean coordinate in [0, 1] where one is predicted, else 0.
    """

    text_sum: Tensor
    correct: Tensor
    expected: Tensor


def token_terms(
    lm_head: nn.Module,
    hidden_NH: Tensor,
    labels_N: Tensor,
    weights_N: Tensor,
    is_coordinate_N: Tensor,
    coordinate_ids: Tensor,
    chunks: int,
) -> TokenTerms:
    """Weighted cross-entropy of N supervised tokens, `chunks` pieces at a time.

    Only one piece's logits [N / chunks, vocabulary] exist at once: each is computed again in the backward pass.
    """
    pieces = []
    size = max(1, -(-hidden_NH.shape[0] // chunks))
    for start in range(0, size * chunks, size):
        part = slice(start, start + size)
        arguments = (hidden_NH[part], labels_N[part], weights_N[part], is_coordinate_N[part], coordinate_ids)
        if chunks > 1 and torch.is_grad_enabled():
            pieces.append(checkpoint(_chunk_terms, lm_head, *arguments, use_reentrant=False))
        else:
            pieces.append(_chunk_terms(lm_head, *arguments))
    text_sums, corrects, expecteds = zip(*pieces, strict=True)
    return TokenTerms(torch.stack(text_sums).sum(), torch.stack(corrects).sum(), torch.cat(expecteds))


def _chunk_terms(
    lm_head: nn.Module, hidden: Tensor, labels: Tensor, weights: Tensor, is_coordinate: Tensor, ids: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    logits = lm_head(hidden).float()
    text_sum = (F.cross_entropy(logits, labels, reduction="none") * weights).sum()
    correct = ((logits.argmax(dim=-1) == labels) & (weights > 0)).sum()
    coordinates = torch.arange(COORDINATE_MAX + 1, device=logits.device, dtype=logits.dtype) / COORDINATE_MAX
    expected = logits.new_zeros(logits.shape[0])
    # A sum of products, not `@`: autocast would make that a bfloat16 one, too coarse for coordinates.
    expected[is_coordinate] = (logits[is_coordinate][:, ids].softmax(dim=-1) * coordinates).sum(dim=-1)
    return text_sum, correct, expected


def box_sum(predicted_N4: Tensor, target_N4: Tensor, beta: float) -> Tensor:
    """SmoothL1 of N boxes in [0, 1]: the mean over the four coordinates, summed over boxes.

    An error of 0.05 costs 0.00125 at beta 1 and 0.0125 at beta 0.1. Without boxes: a zero that is attached to the
    graph.
    """
    return F.smooth_l1_loss(predicted_N4.float(), target_N4.float(), beta=beta, reduction="none").mean(dim=-1).sum()
