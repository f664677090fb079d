"""The processes of one evaluation as a launcher started them; alone where there was none."""

import gc
import os
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist

# The first to finish waits for the last, and a share of a large evaluation takes hours.
_PATIENCE = timedelta(days=7)


@dataclass(frozen=True)
class Processes:
    """This process's `rank` among `count`, and the `device` it reads on.

    They meet over gloo, on GPUs too: what they exchange is the names of pages.
    """

    rank: int = 0
    count: int = 1
    device: str = "cpu"

    @classmethod
    def join(cls) -> "Processes":
        """Meet the others that the launcher started (it set WORLD_SIZE, RANK, LOCAL_RANK)."""
        count, rank = int(os.environ.get("WORLD_SIZE", "1")), int(os.environ.get("RANK", "0"))
        if count > 1:
            dist.init_process_group("gloo", timeout=_PATIENCE, rank=rank, world_size=count)
        on_gpu = torch.cuda.is_available() and os.environ.get("ACCELERATE_USE_CPU", "false").lower() != "true"
        local = int(os.environ.get("LOCAL_RANK", "0"))
        # More processes than GPUs share them.
        device = f"cuda:{local % torch.cuda.device_count()}" if on_gpu else "cpu"
        return cls(rank, count, device)

    @property
    def main(self) -> bool:
        """Whether this is the one that gathers, scores and prints."""
        return self.rank == 0

    def share(self, value: Any) -> Any:
        """What the main process has; the others wait for it."""
        box = [value]
        if self.count > 1:
            dist.broadcast_object_list(box, src=0)
        return box[0]

    def wait(self) -> None:
        """Until all are here."""
        if self.count > 1:
            dist.barrier()

    def part(self) -> None:
        """The last thing that they do together."""
        if self.count > 1:
            dist.barrier()
            gc.collect()  # gloo's threads must not free tensors while Python shuts down
            dist.destroy_process_group()
