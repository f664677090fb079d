"""Peak memory of training steps: as CUDA's allocator counts it, or, on a CPU, as the sum of live tensors."""

from collections.abc import Callable

import torch
from transformers import Trainer

from ocr2_hf.planning.trace import LiveBytes


def peak_of_training(trainer: Trainer, train: Callable[[], object]) -> dict[str, int | str]:
    """Run `train` and return `bytes` at the peak and `how` they were measured.

    On a CPU a kernel's own scratch space is not seen. Counting slows the steps down: they are not for timing there.
    """
    device = trainer.args.device
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        train()
        return {"bytes": torch.cuda.max_memory_allocated(device), "how": "torch.cuda.max_memory_allocated"}
    with LiveBytes(trainer.model) as live:
        train()
    held = (*trainer.model.parameters(), *trainer.model.buffers())
    weights = sum(tensor.untyped_storage().nbytes() for tensor in held)
    how = "counted: weights, and every tensor made by an operation, from its birth to its end"
    return {"bytes": weights + live.peak, "how": how}
