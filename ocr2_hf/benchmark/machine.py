"""The machine a benchmark ran on: what it is, how fast it multiplies matrices, how to wait for it."""

import datetime
import os
import platform
import statistics
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import torch
import torch.distributed

PACKAGES = ("torch", "transformers", "accelerate", "peft", "datasets")
SIDES = {"cpu": 1024, "cuda": 8192}  # of the square matrices; large enough for the full rate
REPEATS = 5


def synchronize(device: torch.device) -> None:
    """Wait until the device has done what it was told; a CPU is done when the call returns."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def seconds_of(call: Callable[[], object], device: torch.device) -> float:
    """Seconds until the device has done what the call tells it."""
    synchronize(device)
    start = time.perf_counter()
    call()
    synchronize(device)
    return time.perf_counter() - start


def is_main_process() -> bool:
    """Whether this is the process that tells and writes, of those a launcher started."""
    return os.environ.get("RANK", "0") == "0"


def end_processes() -> None:
    """Take leave of the other processes, where there are any."""
    if torch.distributed.is_initialized():
        torch.distributed.barrier()
        torch.distributed.destroy_process_group()


def describe(device: torch.device) -> dict[str, str | int]:
    """What a reader needs to judge figures: processor, cores, versions, date."""
    return {
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        "processor": _processor(),
        "cores": os.cpu_count() or 1,
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        **{name: version(name) for name in PACKAGES},
    }


def matrix_rate(device: torch.device, dtype: torch.dtype) -> dict[str, float | int | str]:
    """FLOP/s of a product of two square matrices, the median of a few."""
    side = SIDES.get(device.type, SIDES["cpu"])
    left, right = (torch.randn(side, side, device=device, dtype=dtype) for _ in range(2))
    seconds = [seconds_of(lambda: left @ right, device) for _ in range(REPEATS + 1)]
    rate = 2 * side**3 / statistics.median(seconds[1:])
    return {"side": side, "dtype": str(dtype).removeprefix("torch."), "flops_per_second": rate}


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if not cpuinfo.is_file():
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in cpuinfo.read_text().splitlines() if "model name" in line]
    return names[0] if names else platform.machine()
