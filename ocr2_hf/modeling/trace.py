"""What a part of the model computes and holds, counted on the meta device: no weights, no data.

The library's own code runs on tensors that have a shape and nothing else; the matrix products are counted, and so are
the bytes of every tensor from its birth to its end. Attention is counted as a fused kernel does it: it keeps queries,
keys, values and the result, never the scores.
"""

import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode


@dataclass(frozen=True)
class Work:
    """FLOPs of the forward and of the backward pass; bytes at the forward's `peak`, those of them `saved` for the
    backward pass, and the peak when nothing is saved (`working`)."""

    forward: int
    backward: int
    peak: int
    saved: int
    working: int


class LiveBytes(TorchDispatchMode):
    """The bytes of all tensors made inside that are still alive, and their largest sum; views of weights take none."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.now = self.peak = 0
        self._alive: dict[int, weakref.ref] = {}
        self._weights = {tensor.untyped_storage()._cdata for tensor in (*model.parameters(), *model.buffers())}

    def __torch_dispatch__(self, operation, types, arguments=(), keywords=None):
        result = operation(*arguments, **(keywords or {}))
        for tensor in tree_leaves(result):
            if isinstance(tensor, Tensor):
                self._add(tensor.untyped_storage())
        return result

    def _add(self, storage: torch.UntypedStorage) -> None:
        key, size = storage._cdata, storage.nbytes()
        if key in self._alive or key in self._weights:
            return

        def end(_: weakref.ref) -> None:
            del self._alive[key]
            self.now -= size

        self._alive[key] = weakref.ref(storage, end)
        self.now += size
        self.peak = max(self.peak, self.now)


def flop_counter() -> FlopCounterMode:
    """torch's counter of FLOPs, which does not know the experts' matrix product."""
    return FlopCounterMode(display=False, custom_mapping={torch.ops.aten._grouped_mm: _grouped_flops})


def count(run: Callable[[], Tensor], model: nn.Module) -> Work:
    """Run a part of `model` forward, and backward if its result has a gradient. Weights do not count as bytes."""
    with _stand_ins(), flop_counter() as counter:
        with LiveBytes(model) as live:
            result = run()
            saved = live.now
        forward = counter.get_total_flops()
        if result.requires_grad:
            result.sum().backward()
        backward = counter.get_total_flops() - forward
        with torch.no_grad(), LiveBytes(model) as without_saving:
            run()
    for parameter in model.parameters():
        parameter.grad = None
    return Work(forward, backward, live.peak, saved, without_saving.peak)


@contextmanager
def _stand_ins() -> Iterator[None]:
    """Attention as a fused kernel; and no autocast, which the meta device has not and peft wants to turn off."""
    autocast, attention = torch.autocast, F.scaled_dot_product_attention
    torch.autocast = lambda *_, **__: nullcontext()
    F.scaled_dot_product_attention = _fused_attention
    try:
        yield
    finally:
        torch.autocast, F.scaled_dot_product_attention = autocast, attention


def _grouped_flops(a_shape, b_shape, *_, **__) -> int:
    """Every row goes through one expert: [rows, in] x [experts, in, out], or its gradient [in, rows] x [rows, out]."""
    return 2 * a_shape[0] * a_shape[1] * b_shape[-1]


def _fused_attention(query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None = None, **_) -> Tensor:
    """The kernel a GPU runs. A mask of booleans costs it nothing; a bias that is added to the scores does."""
    groups = query.shape[1] // key.shape[1]
    key, value = key.repeat_interleave(groups, dim=1), value.repeat_interleave(groups, dim=1)
    bias = attn_mask if attn_mask is not None and attn_mask.is_floating_point() else None
    kernel = torch.ops.aten._scaled_dot_product_efficient_attention
    return kernel(query, key, value, bias, compute_log_sumexp=torch.is_grad_enabled())[0]
