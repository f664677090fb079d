"""What scoring costs and how that grows: `ocr2 evaluate --predictions` over synthetic pages, each time a new process.

    python -m ocr2_hf.benchmark.scoring --output scoring.json [--pages 200 2000 20000] [--against CHECKOUT]

`--against` is the folder of another checkout of this package, which scores the same files in turn. Memory is what all
processes of a command hold together, shared memory counted once, looked at ten times a second; Linux tells it.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

import ocr2_hf
from ocr2_hf.benchmark.predictions import make_predictions
from ocr2_hf.document.atomic_files import write_json
from ocr2_hf.document.predictions import PREDICTIONS_FILE, write_predictions
from ocr2_hf.errors import UsageError, WorkError, run_command

OURS, AGAINST = "ours", "against"
MEASURED = {"seconds": "wall s", "processor_seconds": "processor s", "peak_mb": "peak MB"}


def main(argv: list[str] | None = None) -> int:
    """Measure, print the table, write it as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pages", type=int, nargs="+", default=[200, 2000, 20_000])
    parser.add_argument("--against", type=Path, metavar="CHECKOUT")
    parser.add_argument("--output", type=Path, required=True)
    args = parser.parse_args(argv)
    if min(args.pages) < 1:
        raise UsageError(f"--pages {min(args.pages)}: name numbers of at least 1")
    checkouts = {OURS: Path(ocr2_hf.__file__).parents[1]}
    if args.against:
        if not (args.against / "ocr2_hf").is_dir():
            raise UsageError(f"--against {args.against}: no ocr2_hf there; name the folder of a checkout")
        checkouts[AGAINST] = args.against.resolve()
    results = growth(sorted(set(args.pages)), checkouts)
    write_json(args.output, results)
    print(table(results))
    return 0


def growth(pages: Sequence[int], checkouts: dict[str, Path]) -> dict[str, Any]:
    """`runs`: {checkout: a row for each number of pages}; `exponents` of the processor seconds; `equal`: whether all
    checkouts give the same metrics."""
    runs: dict[str, list[dict[str, float]]] = {name: [] for name in checkouts}
    metrics = []
    with tempfile.TemporaryDirectory(prefix="bench-scoring-") as work:
        for count in pages:
            folder = Path(work) / str(count)
            write_predictions(folder / PREDICTIONS_FILE, make_predictions(count))
            for name, checkout in checkouts.items():
                output = folder / name
                runs[name].append({"pages": count, **timed_evaluation(folder / PREDICTIONS_FILE, output, checkout)})
                metrics.append((count, json.loads((output / "metrics.json").read_text(encoding="utf-8"))))
    equal = all(found == wanted for count, found in metrics for other, wanted in metrics if other == count)
    exponents = {name: growth_exponent(rows) for name, rows in runs.items()} if len(pages) > 1 else {}
    return {"runs": runs, "exponents": exponents, "equal": equal}


def timed_evaluation(predictions: Path, output: Path, checkout: Path) -> dict[str, float]:
    """Score a file by the package in `checkout`; `MEASURED` of the process and those that it starts."""
    command = [sys.executable, "-m", "ocr2_hf", "evaluate", "--predictions", predictions, "--output_dir", output]
    environment = os.environ | {"PYTHONPATH": str(checkout)}
    before, start = os.times(), perf_counter()
    process = subprocess.Popen(
        command, cwd=predictions.parent, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    peaks = [0]
    done = threading.Event()
    watch = threading.Thread(target=_watch, args=(process.pid, peaks, done))
    watch.start()
    told = process.communicate()[1]
    seconds, after = perf_counter() - start, os.times()
    done.set()
    watch.join()
    if process.returncode:
        raise WorkError(f"{checkout} could not score {predictions.name}: {told.strip()[-500:]}")
    used = after.children_user + after.children_system - before.children_user - before.children_system
    return {"seconds": seconds, "processor_seconds": used, "peak_mb": max(peaks) / 1e6}


def _watch(process: int, peaks: list[int], done: threading.Event) -> None:
    while not done.wait(0.1):
        peaks.append(sum(map(_own_share, _family(process))))


def _family(process: int) -> Iterator[int]:
    """A process and all that it started."""
    yield process
    try:
        children = Path(f"/proc/{process}/task/{process}/children").read_text()
    except OSError:  # it has ended
        return
    for child in map(int, children.split()):
        yield from _family(child)


def _own_share(process: int) -> int:
    """Bytes that a process holds, its part of what it shares included."""
    try:
        rows = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return sum(1024 * int(row.split()[1]) for row in rows if row.startswith("Pss:"))


def growth_exponent(rows: Sequence[dict[str, float]]) -> float:
    """Of the power of the pages that the processor seconds grow by."""
    pages, seconds = ([row[name] for row in rows] for name in ("pages", "processor_seconds"))
    return float(np.polyfit(np.log(pages), np.log(seconds), 1)[0])


def table(results: dict[str, Any]) -> str:
    """The results as the lines of a markdown table, and what is the same in all of it."""
    lines = [f"| pages | | {' | '.join(MEASURED.values())} |", "|---" * (2 + len(MEASURED)) + "|"]
    for rows in zip(*results["runs"].values(), strict=True):
        for name, row in zip(results["runs"], rows, strict=True):
            values = " | ".join(f"{row[value]:,.1f}" for value in MEASURED)
            lines.append(f"| {row['pages']:,} | {name} | {values} |")
    told = [f"{name}: processor seconds grow by pages^{power:.2f}" for name, power in results["exponents"].items()]
    told += [f"metrics of the checkouts: {'equal' if results['equal'] else 'NOT equal'}"] * (len(results["runs"]) > 1)
    return "\n".join([*lines, "", *told])


if __name__ == "__main__":
    sys.exit(run_command(main))
