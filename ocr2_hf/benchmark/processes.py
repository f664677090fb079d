"""The same benchmark in several processes: started by accelerate's own launcher, each with its results in a file."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ocr2_hf.benchmark.measure import Work
from ocr2_hf.errors import WorkError

ALONE = ("--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", "0")


def launched_run(recipe: Sequence[str], work: Work, processes: int) -> dict[str, Any]:
    """The run of some work in so many processes, each with the work's batch size and its share of the cores; `recipe`:
    its path and overrides."""
    several = ["--multi_gpu"] if processes > 1 else []
    threads = max(1, (os.cpu_count() or 1) // processes)
    sizes = ["--num_processes", str(processes), "--num_cpu_threads_per_process", str(threads)]
    launch = [sys.executable, "-m", "accelerate.commands.launch", *several, *sizes, *ALONE]
    with tempfile.TemporaryDirectory(prefix="ocr2-bench-") as folder:
        output = Path(folder) / "processes.json"
        command = [*launch, "-m", "ocr2_hf", "bench", *recipe, *_words(work), "--output", str(output)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode or not output.is_file():
            raise WorkError(f"{processes} processes did not end well:\n{done.stderr.strip()[-2000:]}")
        results = json.loads(output.read_text(encoding="utf-8"))
    if results["machine"]["processes"] != processes:
        raise WorkError(f"{processes} processes were asked for, {results['machine']['processes']} ran together")
    return {"processes": processes, **results["runs"][0]}


def _words(work: Work) -> list[str]:
    numbers = {"batch_sizes": work.batch_size, "pages": work.drawn}
    numbers |= {name: getattr(work, name) for name in ("steps", "warmup", "rounds")}
    mixes = {"tiles": work.mix.tiles, "target_tokens": work.mix.target_tokens}
    shares = {name: ",".join(f"{value}:{share}" for value, share in mix.items()) for name, mix in mixes.items()}
    return [word for name, value in (numbers | shares).items() for word in (f"--{name}", str(value))]
