"""What a part of the model computes and keeps for the backward pass, counted on the meta device: no weights, no data.

The library's own code runs on tensors that have a shape and nothing else; the operations are counted, and so are the
bytes that autograd saves. Attention is counted as fused kernels do it: they keep queries, keys, values and the
result, never the scores.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.utils.flop_counter import FlopCounterMode
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.masking_utils import sdpa_mask

FUSED = "counted_as_fused"


@dataclass(frozen=True)
class Work:
    """FLOPs of the forward and of the backward pass; `saved`: bytes kept between the two."""

    forward: int
    backward: int
    saved: int


def count(run: Callable[[], Tensor], model: nn.Module) -> Work:
    """Run a part of `model` forward, and backward if its result has a gradient; weights are not counted as saved."""
    own = {_key(parameter) for parameter in model.parameters()}
    saved: dict[int, Tensor] = {}

    def keep(tensor: Tensor) -> Tensor:
        saved[_key(tensor)] = tensor  # held, so that no other storage takes its key
        return tensor

    counter = FlopCounterMode(display=False, custom_mapping={torch.ops.aten._grouped_mm: _grouped_flops})
    with _without_autocast(), counter:
        with saved_tensors_hooks(keep, lambda tensor: tensor):
            result = run()
        forward = counter.get_total_flops()
        size = sum(t.untyped_storage().nbytes() for key, t in saved.items() if key not in own)
        if result.requires_grad:
            result.sum().backward()
        backward = counter.get_total_flops() - forward
    for parameter in model.parameters():
        parameter.grad = None
    return Work(forward, backward, size)


@contextmanager
def _without_autocast() -> Iterator[None]:
    """peft turns autocast off where it merges adapters of experts; torch knows no autocast for the meta device."""
    autocast = torch.autocast
    torch.autocast = lambda *_, **__: nullcontext()
    try:
        yield
    finally:
        torch.autocast = autocast


def _key(tensor: Tensor) -> int:
    return tensor.untyped_storage()._cdata


def _grouped_flops(a_shape, b_shape, *_, **__) -> int:
    """Every row goes through one expert: [rows, in] x [experts, in, out], or its gradient [in, rows] x [rows, out]."""
    return 2 * a_shape[0] * a_shape[1] * b_shape[-1]


class _FusedAttention(torch.autograd.Function):
    """The matrix products of a fused attention kernel, and its memory; the values are of no interest."""

    @staticmethod
    def forward(context, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        result = query @ key.transpose(-1, -2) @ value
        context.save_for_backward(query, key, value, result)
        return result

    @staticmethod
    def backward(context, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        query, key, value, _ = context.saved_tensors
        scores = query @ key.transpose(-1, -2)  # computed again, as fused kernels do
        score_gradient = gradient @ value.transpose(-1, -2)
        return (
            score_gradient @ key,
            score_gradient.transpose(-1, -2) @ query,
            scores.transpose(-1, -2) @ gradient,
        )


def _fused(module: nn.Module, query: Tensor, key: Tensor, value: Tensor, *_, **__) -> tuple[Tensor, None]:
    groups = query.shape[1] // key.shape[1]
    key, value = key.repeat_interleave(groups, dim=1), value.repeat_interleave(groups, dim=1)
    return _FusedAttention.apply(query, key, value).transpose(1, 2), None


AttentionInterface.register(FUSED, _fused)
AttentionMaskInterface.register(FUSED, sdpa_mask)
