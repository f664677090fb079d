"""What work costs on this machine: beside its peers, and as pages grow; the tables of recipes/README.md.

    python recipes/tiny/costs.py peers     training, collators, images, building, ONNX Runtime beside what others have
    python recipes/tiny/costs.py growth    building, the start of a run, reading, scoring: over three decades of pages

Each writes peers.json or growth.json, the table in Markdown and, for growth, a plot into --output_dir. With --keep the
table goes into recipes/README.md, and what it is made of beside this script. What is there already is not measured
again: a killed call goes on where it was, and another measurement needs another --output_dir.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

# Threads that wait for others count as work, the more of it the busier the machine.
os.environ["OMP_NUM_THREADS"] = "1"

import datasets
import torch

from data_scripts.bench_build import draw_pages
from ocr2_hf.benchmark import growth, peers
from ocr2_hf.benchmark.machine import describe
from ocr2_hf.benchmark.predictions import make_predictions
from ocr2_hf.commands.arguments import positive_integer
from ocr2_hf.document.atomic_files import write_json, write_whole
from ocr2_hf.document.predictions import write_predictions
from ocr2_hf.errors import UsageError, run_command
from ocr2_hf.publishing.exports import export
from ocr2_hf.recipe import load_recipe

ROOT = Path(__file__).resolve().parent.parent.parent
HERE = "recipes/tiny"
BASE = f"{HERE}/base"
LORA, FULL, REAL = f"{HERE}/lora.yaml", f"{HERE}/full.yaml", "recipes/deepseek_ocr2/lora.yaml"
README = "recipes/README.md"
PLOT = "pages_growth.png"
STORED = ("--augment", "none", "--cache_vision_features", "true")
# Work -> the words of `ocr2 bench --against trainer`, for pages of 300 target tokens of which half have two tiles.
TRAININGS = {
    "LoRA, 1 page a batch": (LORA, "--batch_sizes", "1"),
    "LoRA, 4 pages a batch": (LORA, "--batch_sizes", "4"),
    "in full, 4 pages a batch": (FULL, "--batch_sizes", "4"),
    "LoRA, stored features, 4 pages a batch": (LORA, "--batch_sizes", "4", *STORED),
}
PAGES = ("--tiles", "0:1,2:1", "--target_tokens", "300", "--pages", "8")
SMALL = (160, 224)  # pixels of the pages that costs are counted over
# Work -> the most pages, and how many times fewer the next points have.
LARGEST = {"build": 30_000, "start": 10_000, "read": 300, "evaluate": 2_000}
DECADES = (1000, 100, 10, 1)
LEAST_SHARE = 0.01
DATASET = "costs"
# What the commands load when they begin to work: before they are forked.
IMPORTED = ("data_scripts.build_run", "ocr2_hf.evaluation.report", "ocr2_hf.reading.file_reader")
IMPORTED += ("ocr2_hf.training.launch_checks", "ocr2_hf.training.stages")


def main(argv: list[str] | None = None) -> int:
    """Measure what is missing, print and write the table."""
    args = _parse(argv)
    if not (Path(HERE) / "costs.py").is_file():
        raise UsageError(f"{HERE} is not here: run this from the root of the checkout")
    if not LEAST_SHARE <= args.share <= 1 / LEAST_SHARE:
        raise UsageError(
            f"--share {args.share:g}: from {LEAST_SHARE}, of which two pages are left, to {1 / LEAST_SHARE:g}"
        )
    datasets.config.HF_DATASETS_CACHE = (args.output_dir / "datasets").resolve()  # what is kept there is taken away
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    results = {"peers": measure_peers, "growth": measure_growth}[args.what](args.output_dir, args)
    table = table_of(args.what, results)
    write_json(args.output_dir / f"{args.what}.json", results)
    write_whole(args.output_dir / f"{args.what}.md", table)
    print(table, end="")
    if args.keep:
        keep(args.what, results, table)
        print(f"{README} has the table")
    return 0


def _parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("peers", "growth"))
    parser.add_argument("--rounds", type=positive_integer, default=2, help="the least of so many counts (2)")
    parser.add_argument("--share", type=float, default=1.0, help="of the pages of every row and point (1)")
    parser.add_argument("--works", nargs="+", choices=LARGEST, default=list(LARGEST), help="of growth, all by default")
    parser.add_argument("--output_dir", type=Path, default=Path("runs/costs"))
    parser.add_argument("--keep", action="store_true", help=f"put the table into {README}")
    return parser.parse_args(argv)


def keep(what: str, results: dict[str, Any], table: str) -> None:
    """Beside this script the figures and the plot, in the README the table between its two marks."""
    write_json(Path(HERE) / f"{what}.json", results)
    if what == "growth":
        growth.draw_growth(curves_of(results), Path(HERE) / PLOT)
    begin, end = (f"<!-- {mark}{what} -->" for mark in ("", "end of "))
    text = Path(README).read_text(encoding="utf-8")
    told = f"{begin}\n\n{told_results(what, results, table)}\n{end}"
    write_whole(README, re.sub(f"{begin}.*?{end}", lambda _: told, text, flags=re.DOTALL))


def told_results(what: str, results: dict[str, Any], table: str) -> str:
    """When and on what it was measured, the table, and where the plot is."""
    machine = results["machine"]
    on = f"{machine['cores']} cores, torch {machine['torch']}, transformers {machine['transformers']}"
    plot = f"\n![Processor seconds against pages](tiny/{PLOT})\n" if what == "growth" else ""
    rounds = "one round" if results["rounds"] == 1 else f"the least of {results['rounds']} rounds"
    return f"Measured on {machine['date'][:10]}: {on}; {rounds}.\n\n{table}{plot}"


def table_of(what: str, results: dict[str, Any]) -> str:
    """The table of what peers.json or growth.json holds."""
    if what == "growth":
        return growth.growth_table(curves_of(results))
    return peers.peers_table([peers.PeerRow(**row) for row in results["rows"]])


def _machine(args: argparse.Namespace) -> dict[str, Any]:
    return {"machine": describe(torch.device("cpu")), "rounds": args.rounds, "share": args.share}


def _once(path: Path, make: Callable[[], Any]) -> Any:
    """What the file holds; it is made where it is not there."""
    if not path.is_file():
        print(f"measuring {path.stem}", flush=True)
        write_json(path, make())
    return json.loads(path.read_text(encoding="utf-8"))


# --- beside peers


def measure_peers(folder: Path, args: argparse.Namespace) -> dict[str, Any]:
    """All rows."""
    kept = _once(folder / "peers" / "machine.json", partial(_machine, args))
    return kept | {"rows": [peers.PeerRow(*row)._asdict() for row in peer_rows(folder / "peers", args)]}


def peer_rows(folder: Path, args: argparse.Namespace) -> Iterable[list[Any]]:
    """Every row, measured or as it was."""
    bench, rounds, many = ("-m", "ocr2_hf", "bench"), ("--rounds", args.rounds), partial(_share, args.share)
    for work, words in TRAININGS.items():
        words = (*words, "--against", "trainer", *PAGES, "--steps", many(3), "--warmup", 1)
        yield peers.training_row(f"training, {work}", _written(folder / f"{_slug(work)}.json", *bench, *words, *rounds))
    words = (REAL, "--data", "--pages", many(8))
    yield peers.collator_row(_written(folder / "collators.json", *bench, *words, *rounds))
    yield _once(folder / "images.json", partial(peers.image_row, load_recipe(REAL), many(8), args.rounds))
    graphs = export(BASE, "onnx", folder / "onnx")
    yield _once(folder / "onnx.json", partial(peers.reading_row, BASE, graphs, many(8), args.rounds))
    words = ("data_scripts/bench_build.py", "--pages", many(1000))
    yield from peers.building_rows(_written(folder / "building.json", *words, *rounds))


def _share(share: float, count: int) -> int:
    return max(1, round(count * share))


def _written(output: Path, *words: Any) -> dict[str, Any]:
    """What a command writes to --output, whole, where it is not there yet."""
    if not output.is_file():
        print(f"measuring {output.stem}", flush=True)
        subprocess.run([sys.executable, *map(str, words), "--output", str(output)], check=True)
    return json.loads(output.read_text(encoding="utf-8"))


# --- as pages grow


def measure_growth(folder: Path, args: argparse.Namespace) -> dict[str, Any]:
    """All curves; draws the plot."""
    kept = _once(folder / "growth" / "machine.json", partial(_machine, args))
    for name in IMPORTED:
        import_module(name)
    curves: dict[str, dict[int, list[float]]] = {}
    for number in range(args.rounds):
        for work, largest in LARGEST.items():
            for pages in sorted({1, *(_share(args.share / by, largest) for by in DECADES)}):
                if work in args.works:
                    for name, seconds in _point(folder / "growth", work, pages, number).items():
                        curves.setdefault(name, {}).setdefault(pages, []).append(seconds)
    growth.draw_growth(curves, folder / PLOT)
    return kept | {"curves": curves}


def curves_of(results: dict[str, Any]) -> dict[str, dict[int, list[float]]]:
    """The curves with their numbers of pages, which are words in JSON."""
    return {
        name: {int(pages): seconds for pages, seconds in curve.items()} for name, curve in results["curves"].items()
    }


def _point(folder: Path, work: str, pages: int, number: int) -> dict[str, float]:
    """Name of a curve -> processor seconds at so many pages, in the round `number`."""

    def measure() -> dict[str, float]:
        shutil.rmtree(datasets.config.HF_DATASETS_CACHE, ignore_errors=True)
        place = Path(tempfile.mkdtemp(prefix=f"{work}-{pages}-", dir=folder))  # nothing of a killed call helps
        measured = WORKS[work](place, pages)
        shutil.rmtree(place)
        return measured

    return _once(folder / f"{work}-{pages}-{number}.json", measure)


def _seconds(place: Path, command: str, *words: Any) -> float:
    command_main = import_module(f"ocr2_hf.commands.{command}").main
    return growth.processor_seconds(partial(command_main, [*map(str, words)]), place / "log")


def _drawn(place: Path, pages: int) -> Path:
    """So many small pages; drawn once."""
    drawn = place.parent / f"pages-{pages}"
    if not drawn.is_dir():
        draw_pages(place / "pages", "PNG", pages, SMALL).rename(drawn)
    return drawn


def _building(place: Path, pages: int) -> dict[str, float]:
    words = (DATASET, "--annotations", _drawn(place, pages), "--val", 0, "--test", 0)
    return {"build": _seconds(place, "build", *words)}


def _starting(place: Path, pages: int) -> dict[str, float]:
    """One step of training with pages that were never seen, and again in another run."""
    _building(place, pages)
    own = ("--dataset", DATASET, "--max_steps", 1, "--per_device_train_batch_size", 1, "--report_to", "none")
    own += ("--eval_strategy", "no", "--save_strategy", "no", "--use_cpu", "true")
    runs = {"start": place / "run", "start again": place / "run-again"}
    return {name: _seconds(place, "train", FULL, *own, "--output_dir", run) for name, run in runs.items()}


def _reading(place: Path, pages: int) -> dict[str, float]:
    """The harness: an answer has one token."""
    words = ("--model", BASE, "--max_new_tokens", 1, "--output_dir", place / "read")
    return {"read": _seconds(place, "read", _drawn(place, pages) / "images", *words)}


def _scoring(place: Path, pages: int) -> dict[str, float]:
    file = place / "predictions.jsonl"
    write_predictions(file, make_predictions(pages))
    return {"evaluate": _seconds(place, "evaluate", "--predictions", file, "--output_dir", place / "scored")}


WORKS = {"build": _building, "start": _starting, "read": _reading, "evaluate": _scoring}


def _slug(name: str) -> str:
    return re.sub(r"\W+", "_", name.lower())


if __name__ == "__main__":
    sys.exit(run_command(main))
