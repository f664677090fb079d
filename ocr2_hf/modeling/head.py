"""The language model head that also turns hidden states into loss terms, without ever holding all their logits.

The logits of a batch are the largest tensor of a training step: [tokens, 129,280] in float32, several times over. Here
they exist for a piece of the supervised tokens at a time, in one buffer that becomes probabilities and then gradients
in place; the backward pass computes them again. The gradient of the head's weight is added up in one tensor.

It is the head's own forward, not a function around it: DDP, FSDP and ZeRO act where a module is called.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx, once_differentiable

from ocr2_hf.document.grounding import COORDINATE_MAX

WEIGHT_BLOCK = 8192  # rows of a weight's gradient that are computed in 16 bits before they are added in float32


class OCR2Head(nn.Linear):
    """A linear layer; called with labels it returns the terms of the loss in place of logits."""

    def forward(
        self,
        hidden: Tensor,
        labels_N: Tensor | None = None,
        weights_N: Tensor | None = None,
        coordinate_rows_C: Tensor | None = None,
        coordinate_ids: Tensor | None = None,
        chunks: int = 1,
    ) -> Tensor | tuple[Tensor, Tensor, Tensor]:
        """Logits of `hidden` [..., H]; or, for N tokens `hidden` [N, H] with `labels_N`:

        their cross-entropies times `weights_N` [N]; how many of those with a weight are predicted right; and for the C
        tokens `coordinate_rows_C` of them the mean [C] of the softmax over `coordinate_ids`, the tokens of
        "0".."999", in [0, 1]. Logits are computed in the dtype of the weight or of autocast, everything else in
        float32, in `chunks` pieces.
        """
        if labels_N is None:
            return super().forward(hidden)
        dtype = autocast_dtype(hidden) or self.weight.dtype
        if dtype.itemsize < self.weight.dtype.itemsize:
            chunks *= 2  # logits are held in both dtypes, beside a copy of the weight
        return _ChunkedTerms.apply(
            hidden, self.weight, labels_N, weights_N, coordinate_rows_C, coordinate_ids, chunks, dtype
        )


class _ChunkedTerms(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: FunctionCtx,
        hidden: Tensor,
        weight: Tensor,
        labels: Tensor,
        weights: Tensor,
        rows: Tensor,
        ids: Tensor,
        chunks: int,
        dtype: torch.dtype,
    ) -> tuple[Tensor, Tensor, Tensor]:
        head = weight.to(dtype)
        correct = torch.zeros((), device=hidden.device, dtype=torch.long)
        normalisers = torch.empty(len(labels), device=hidden.device)  # logsumexp of every token's logits
        losses = torch.empty_like(normalisers)
        for part in _pieces(len(labels), chunks):
            logits = _logits(hidden[part], head)
            truth = logits.gather(1, labels[part, None])[:, 0]
            largest, predicted = logits.max(dim=1)
            torch.log(logits.sub_(largest[:, None]).exp_().sum(dim=1), out=normalisers[part]).add_(largest)
            torch.mul(normalisers[part] - truth, weights[part], out=losses[part])
            correct += ((predicted == labels[part]) & (weights[part] > 0)).sum()
        _, expected = _coordinates(hidden[rows], head[ids])
        ctx.save_for_backward(hidden, weight, labels, weights, rows, ids, normalisers)
        ctx.chunks, ctx.dtype = chunks, dtype
        ctx.mark_non_differentiable(correct)
        return losses, correct, expected

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, loss_gradients: Tensor, _: Tensor, expected_gradient: Tensor) -> tuple:
        hidden, weight, labels, weights, rows, ids, normalisers = ctx.saved_tensors
        head, scale = weight.to(ctx.dtype), weights * loss_gradients
        hidden_gradient = torch.empty_like(hidden) if ctx.needs_input_grad[0] else None
        weight_gradient = torch.zeros_like(weight, dtype=torch.float32) if ctx.needs_input_grad[1] else None
        for part in _pieces(len(labels), ctx.chunks):
            gradient = _logits(hidden[part], head).sub_(normalisers[part, None]).exp_().mul_(scale[part, None])
            gradient.scatter_add_(1, labels[part, None], -scale[part, None])
            gradient = gradient.to(ctx.dtype)
            if hidden_gradient is not None:
                hidden_gradient[part] = gradient @ head
            if weight_gradient is not None:
                _add_product(weight_gradient, gradient, hidden[part].to(ctx.dtype))
        probabilities, expected = _coordinates(hidden[rows], head[ids])
        gradient = probabilities * (_places(probabilities) - expected[:, None]) * expected_gradient[:, None]
        gradient = gradient.to(ctx.dtype)
        if hidden_gradient is not None:
            hidden_gradient.index_add_(0, rows, (gradient @ head[ids]).to(hidden.dtype))
        if weight_gradient is not None:
            weight_gradient.index_add_(0, ids, (gradient.T @ hidden[rows].to(ctx.dtype)).float())
            weight_gradient = weight_gradient.to(weight.dtype)
        return hidden_gradient, weight_gradient, None, None, None, None, None, None


def autocast_dtype(tensor: Tensor) -> torch.dtype | None:
    """Autocast's dtype on the tensor's device, for products that autocast does not know; None where it is off, or there
    is none (the meta device)."""
    device = tensor.device.type
    if not torch.amp.is_autocast_available(device) or not torch.is_autocast_enabled(device):
        return None
    return torch.get_autocast_dtype(device)


def _pieces(tokens: int, chunks: int) -> list[slice]:
    size = max(1, -(-tokens // chunks))
    return [slice(start, min(start + size, tokens)) for start in range(0, tokens, size)]


def _logits(hidden: Tensor, head: Tensor) -> Tensor:
    return F.linear(hidden.to(head.dtype), head).float()


def _coordinates(hidden: Tensor, head: Tensor) -> tuple[Tensor, Tensor]:
    """The softmax over the coordinate tokens [C, 1000], and its mean in [0, 1]."""
    probabilities = _logits(hidden, head).softmax(dim=1)
    # A sum of products, not `@`: autocast would make that a bfloat16 one, too coarse for coordinates.
    return probabilities, (probabilities * _places(probabilities)).sum(dim=1)


def _places(like: Tensor) -> Tensor:
    return torch.arange(COORDINATE_MAX + 1, device=like.device, dtype=like.dtype) / COORDINATE_MAX


def _add_product(total: Tensor, left: Tensor, right: Tensor) -> None:
    """`total += left.T @ right`, added in float32 also where the factors have 16 bits, without a second such tensor."""
    if left.dtype == total.dtype:
        total.addmm_(left.T, right)
        return
    for start in range(0, len(total), WEIGHT_BLOCK):
        block = slice(start, start + WEIGHT_BLOCK)
        total[block] += left[:, block].T @ right
