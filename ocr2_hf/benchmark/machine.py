"""The machine a benchmark runs on: what it is, how fast it multiplies matrices, how to wait for it, its processes."""

import datetime
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
import torch.distributed

from ocr2_hf.benchmark.workload import Workload
from ocr2_hf.errors import WorkError

PACKAGES = ("torch", "transformers", "accelerate", "peft", "datasets")
SIDES = {"cpu": 1024, "cuda": 8192}  # of the square matrices; large enough for the full rate
REPEATS = 5
ALONE = ("--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", "0")


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


def describe(device: torch.device) -> dict[str, str | int]:
    """What a reader needs to judge the results: processor, cores, versions, date."""
    return {
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        "processor": _processor(),
        "cores": os.cpu_count() or 1,
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        **{name: version(name) for name in PACKAGES},
    }


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if not cpuinfo.is_file():
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in cpuinfo.read_text().splitlines() if "model name" in line]
    return names[0] if names else platform.machine()


def matrix_rate(device: torch.device, dtype: torch.dtype) -> dict[str, float | int | str]:
    """FLOP/s of a product of two square matrices, the median of a few."""
    side = SIDES.get(device.type, SIDES["cpu"])
    left, right = (torch.randn(side, side, device=device, dtype=dtype) for _ in range(2))
    seconds = [seconds_of(lambda: left @ right, device) for _ in range(REPEATS + 1)]
    rate = 2 * side**3 / statistics.median(seconds[1:])
    return {"side": side, "dtype": str(dtype).removeprefix("torch."), "flops_per_second": rate}


def is_main_process() -> bool:
    """Whether this is the process that tells and writes, of those a launcher started."""
    return os.environ.get("RANK", "0") == "0"


def end_processes() -> None:
    """Take leave of the other processes, where there are any."""
    if torch.distributed.is_initialized():
        torch.distributed.barrier()
        torch.distributed.destroy_process_group()


def launched_run(recipe: Sequence[str], workload: Workload, processes: int) -> dict[str, Any]:
    """The run of a workload in so many processes, each with its batch size and its share of the cores; `recipe`: its
    path and overrides. accelerate's own launcher starts them. Raises `WorkError` where they end badly."""
    several = ["--multi_gpu"] if processes > 1 else []
    threads = max(1, (os.cpu_count() or 1) // processes)
    sizes = ["--num_processes", str(processes), "--num_cpu_threads_per_process", str(threads)]
    launch = [sys.executable, "-m", "accelerate.commands.launch", *several, *sizes, *ALONE]
    with tempfile.TemporaryDirectory(prefix="ocr2-bench-") as folder:
        output = Path(folder) / "processes.json"
        command = [*launch, "-m", "ocr2_hf", "bench", *recipe, *_words(workload), "--output", str(output)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode or not output.is_file():
            raise WorkError(f"{processes} processes did not end well:\n{done.stderr.strip()[-2000:]}")
        results = json.loads(output.read_text(encoding="utf-8"))
    if results["machine"]["processes"] != processes:
        raise WorkError(f"{processes} processes were asked for, {results['machine']['processes']} ran together")
    return {"processes": processes, **results["runs"][0]}


def _words(workload: Workload) -> list[str]:
    numbers = {"batch_sizes": workload.batch_size, "pages": workload.drawn}
    numbers |= {name: getattr(workload, name) for name in ("steps", "warmup", "rounds")}
    mixes = {"tiles": workload.mix.tiles, "target_tokens": workload.mix.target_tokens}
    shares = {name: ",".join(f"{value}:{share}" for value, share in mix.items()) for name, mix in mixes.items()}
    return [word for name, value in (numbers | shares).items() for word in (f"--{name}", str(value))]
