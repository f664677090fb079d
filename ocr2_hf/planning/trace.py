"""What the model computes and holds, counted on tensors that have a shape and no values: no weights, no data.

The library's own code runs on them; the matrix products are counted, and so are the bytes of every tensor from its
birth to its end. Attention is counted as a fused kernel does it: it keeps queries, keys, values and the result, never
the scores.
"""

import weakref
from collections import Counter
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
    """FLOPs of the forward and of the backward pass."""

    forward: int
    backward: int


class LiveBytes(TorchDispatchMode):
    """The bytes of all tensors made inside that are still alive; views of weights take none.

    `kind` says what a new tensor is; `now` has the bytes of each kind, `at_peak` those when their sum was largest.
    """

    def __init__(self, model: nn.Module, kind: Callable[[object, tuple, Tensor], str] = lambda *_: "all") -> None:
        super().__init__()
        self.kind, self.now, self.at_peak = kind, Counter(), Counter()
        self._alive: dict[int, weakref.ref] = {}
        self._kinds: dict[int, str] = {}
        self._weights = {tensor.untyped_storage()._cdata for tensor in (*model.parameters(), *model.buffers())}

    @property
    def peak(self) -> int:
        return sum(self.at_peak.values())

    def __torch_dispatch__(self, operation, types, arguments=(), keywords=None):
        result = operation(*arguments, **(keywords or {}))
        for tensor in tree_leaves(result):
            if isinstance(tensor, Tensor):
                self._add(tensor.untyped_storage(), self.kind(operation, arguments, tensor))
        return result

    def rename(self, tensor: Tensor, kind: str) -> None:
        """Count a tensor that is alive as of another kind from now on."""
        key = tensor.untyped_storage()._cdata
        if key in self._alive:
            size = tensor.untyped_storage().nbytes()
            self.now[self._kinds[key]] -= size
            self.now[kind] += size
            self._kinds[key] = kind

    def _add(self, storage: torch.UntypedStorage, kind: str) -> None:
        key, size = storage._cdata, storage.nbytes()
        if key in self._alive or key in self._weights:
            return

        def end(_: weakref.ref) -> None:
            del self._alive[key]
            self.now[self._kinds.pop(key)] -= size

        self._alive[key], self._kinds[key] = weakref.ref(storage, end), kind
        self.now[kind] += size
        if sum(self.now.values()) > self.peak:
            self.at_peak = self.now.copy()


def flop_counter() -> FlopCounterMode:
    """torch's counter of FLOPs, which does not know the experts' matrix product."""
    return FlopCounterMode(display=False, custom_mapping={torch.ops.aten._grouped_mm: _grouped_flops})


def count(run: Callable[[], Tensor], model: nn.Module) -> Work:
    """Run a part of `model`, on the meta device, forward, and backward if its result has a gradient."""
    with stand_ins(), flop_counter() as counter:
        result = run()
        forward = counter.get_total_flops()
        if result.requires_grad:
            result.sum().backward()
    model.zero_grad()
    return Work(forward, counter.get_total_flops() - forward)


@contextmanager
def stand_ins(autocast: bool = False) -> Iterator[None]:
    """Kernels that tensors without values have not: attention and the experts' products as a GPU runs them. The meta
    device has no autocast either, which peft wants to turn off; `autocast` leaves it as it is."""
    kept = torch.autocast, F.scaled_dot_product_attention, F.grouped_mm
    F.scaled_dot_product_attention, F.grouped_mm = _fused_attention, _grouped_product
    if not autocast:
        torch.autocast = lambda *_, **__: nullcontext()
    try:
        yield
    finally:
        torch.autocast, F.scaled_dot_product_attention, F.grouped_mm = kept


def _grouped_product(rows: Tensor, experts: Tensor, offs: Tensor) -> Tensor:
    """Every row goes through one expert: as much work, and tensors of the same sizes, as if all went through the
    first."""
    return rows @ experts[0]


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
