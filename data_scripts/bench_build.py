"""How fast pages are built, and in how much memory: beside a plain copy of the same files and beside imagefolder.

imagefolder, which has the same images and the annotations as metadata, writes the images' paths; a build writes the
images themselves.

    python data_scripts/bench_build.py --output bench_build.json

Draws its own pages, warms the disk cache, and takes turns: copy, build, imagefolder, again and again; each build in a
fresh process. Values are medians over the rounds, ratios are of values of one run. The pages carry the full checks
that a build makes by default.
"""

import argparse
import json
import os
import random
import resource
import shutil
import statistics
import string
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import redirect_stdout
from importlib import import_module
from multiprocessing import get_context
from pathlib import Path
from typing import Any

if __name__ == "__main__":  # the package of this checkout, also where none or another is installed
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import datasets
from PIL import Image, ImageDraw, ImageFont

from data_scripts.arguments import count, page_size, script_parser
from data_scripts.build_dataset import build_or_reuse
from data_scripts.build_dataset import parse_arguments as parse_build_arguments
from ocr2_hf.document.atomic_files import write_json
from ocr2_hf.errors import run_command

DRAWN = 20  # pages that are drawn; the others are copies of them under other names
REGIONS = 20
SUFFIXES = {"PNG": ".png", "JPEG": ".jpg"}
MIB = 2**20


def main(argv: list[str] | None = None) -> int:
    """Measure, print the table, and write it where that is asked for."""
    args = parse_arguments(argv)
    os.environ["HF_DATASETS_DISABLE_PROGRESS_BARS"] = "1"  # of the processes that build
    with tempfile.TemporaryDirectory(prefix="bench-build-", dir=args.work_dir) as work:
        results = {kind: bench(Path(work), kind, args) for kind in args.kinds}
    settings = {name: getattr(args, name) for name in ("pages", "size", "num_proc", "rounds")}
    print_table(results)
    if args.output:
        write_json(args.output, {"settings": settings, "cpus": os.cpu_count(), "results": results})
    return 0


def parse_arguments(argv: list[str] | None) -> argparse.Namespace:
    """The arguments of a measurement; status 2 where they are wrong."""
    parser = script_parser(__doc__)
    add = parser.add_argument
    add("--pages", type=count, default=2000)
    add("--size", type=page_size, default=(1240, 1754), metavar="WIDTHxHEIGHT", help="pixels (default 1240x1754)")
    add("--kinds", nargs="+", choices=SUFFIXES, default=list(SUFFIXES))
    add("--num_proc", type=count, default=2, help="processes of the build and of imagefolder (default 2)")
    add("--rounds", type=count, default=5, help="times that each is run (default 5)")
    add("--work_dir", type=Path, help="on the disk to measure (default: the system's temporary folder)")
    add("--output", type=Path, help="JSON with every value")
    return parser.parse_args(argv)


def bench(work: Path, kind: str, args: argparse.Namespace) -> dict[str, Any]:
    """What was measured with one kind of image; `pages_per_second` by what was run, medians."""
    folder = draw_pages(work / kind, kind, args.pages, args.size)
    described = describe_images(folder, work / f"{kind}-described")
    megabytes = sum(path.stat().st_size for path in folder.rglob("*")) / 1e6  # reading sizes warms the folders
    copy_files(folder, work / "warm")
    runs: dict[str, list[float]] = {"copy": [], "build": [], "imagefolder": []}
    for number in range(args.rounds):
        runs["copy"].append(copy_files(folder, work / "copied"))
        runs["build"].append(fresh(build_pages, folder, work / f"cache-{number}", args.num_proc)[0])
        runs["imagefolder"].append(fresh(load_imagefolder, described, work / "imagefolder", args.num_proc)[0])
        shutil.rmtree(work / "imagefolder")
    again, _ = fresh(build_pages, folder, work / f"cache-{args.rounds - 1}", args.num_proc)
    _, peak = fresh(build_pages, folder, work / "cache-alone", 1)
    few = draw_pages(work / f"{kind}-few", kind, 1, args.size)
    _, base = fresh(build_pages, few, work / "cache-few", 1)
    rates = {name: args.pages / statistics.median(seconds) for name, seconds in runs.items()}
    for left in work.glob("cache-*"):
        shutil.rmtree(left)
    return {
        "megabytes": megabytes,
        "pages_per_second": rates,
        "seconds": runs,
        "build_over_copy": rates["build"] / rates["copy"],
        "build_over_imagefolder": rates["build"] / rates["imagefolder"],
        "seconds_when_unchanged": again,
        "extra_memory_mib": (peak - base) / MIB,
    }


def draw_pages(folder: Path, kind: str, pages: int, size: tuple[int, int]) -> Path:
    """A plain annotation folder of full pages: PNG as programs write them, JPEG as scanners do."""
    for part in ("images", "annotations"):
        (folder / part).mkdir(parents=True)
    drawn = [folder / f"drawn{number}" for number in range(min(DRAWN, pages))]
    for number, path in enumerate(drawn):
        draw_page(random.Random(number), size, kind == "JPEG").save(path, kind)
    for number in range(pages):
        shutil.copyfile(drawn[number % len(drawn)], folder / "images" / f"{number:06d}{SUFFIXES[kind]}")
        boxes = [[10, 10 + 20 * i, size[0] - 10, 25 + 20 * i] for i in range(min(REGIONS, size[1] // 20 - 2))]
        texts = [f"line {i} of page {number}" for i in range(len(boxes))]
        page = {"text": "\n".join(texts), "bboxes": boxes, "labels": ["text"] * len(boxes), "texts": texts}
        (folder / "annotations" / f"{number:06d}.json").write_text(json.dumps(page))
    for path in drawn:
        path.unlink()
    return folder


def draw_page(rng: random.Random, size: tuple[int, int], grain: bool) -> Image.Image:
    """Letters and lines; with `grain` on the paper of a scanner, else on the clean white of a program."""
    width, height = size
    paper = (
        Image.effect_noise(size, 12).point(lambda value: min(255, value + 115)) if grain else Image.new("L", size, 255)
    )
    draw = ImageDraw.Draw(paper)
    font = ImageFont.load_default(18)
    for y in range(height // 20, height - height // 20, 28):
        words = ("".join(rng.choices(string.ascii_lowercase, k=rng.randint(2, 10))) for _ in range(width // 90))
        draw.text((width // 12, y), " ".join(words), fill=30, font=font)
    return paper


def describe_images(folder: Path, target: Path) -> Path:
    """The same pages as `imagefolder` takes them: the images, linked, and all annotations in `metadata.jsonl`."""
    target.mkdir()
    with open(target / "metadata.jsonl", "w") as lines:
        for image in sorted((folder / "images").iterdir()):
            (target / image.name).hardlink_to(image)
            page = json.loads((folder / "annotations" / f"{image.stem}.json").read_text())
            lines.write(json.dumps({"file_name": image.name, **page}) + "\n")
    return target


def copy_files(folder: Path, target: Path) -> float:
    """Seconds of a plain copy; the copy is removed."""
    start = time.perf_counter()
    shutil.copytree(folder, target, copy_function=shutil.copyfile)
    seconds = time.perf_counter() - start
    shutil.rmtree(target)
    return seconds


def fresh(work: Callable[..., None], *arguments: Any) -> tuple[float, int]:
    """Run in a process of its own: (seconds, peak memory in bytes); its imports are not counted as time."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(_measured, work, *arguments).result()


def _measured(work: Callable[..., None], *arguments: Any) -> tuple[float, int]:
    datasets.disable_progress_bars()
    import_module("data_scripts.build_run")  # a build imports it when it begins
    start = time.perf_counter()
    with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere):
        work(*arguments)
    return time.perf_counter() - start, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def build_pages(folder: Path, cache: Path, num_proc: int) -> None:
    """A build of the folder, everything in `train`."""
    datasets.config.HF_DATASETS_CACHE = cache
    words = ["bench", "--annotations", str(folder), "--val", "0", "--test", "0", "--num_proc", str(num_proc)]
    build_or_reuse(parse_build_arguments(words))


def load_imagefolder(folder: Path, cache: Path, num_proc: int) -> None:
    """The same pages by `imagefolder`."""
    datasets.logging.set_verbosity_error()
    datasets.load_dataset("imagefolder", data_dir=str(folder), cache_dir=str(cache), num_proc=num_proc)


def print_table(results: dict[str, dict[str, Any]]) -> None:
    """A row for each measure, a column for each kind of image."""
    rows = [
        ("MB in all", lambda result: f"{result['megabytes']:,.0f}"),
        *(
            (f"{name}, pages/s", lambda result, name=name: f"{result['pages_per_second'][name]:,.0f}")
            for name in ("copy", "build", "imagefolder")
        ),
        ("build / copy", lambda result: f"{result['build_over_copy']:.2f}"),
        ("build / imagefolder", lambda result: f"{result['build_over_imagefolder']:.2f}"),
        ("called again, seconds", lambda result: f"{result['seconds_when_unchanged']:.2f}"),
        ("extra memory, MiB", lambda result: f"{result['extra_memory_mib']:,.0f}"),
    ]
    print(f"{'':<24}" + "".join(f"{kind:>12}" for kind in results))
    for title, value in rows:
        print(f"{title:<24}" + "".join(f"{value(result):>12}" for result in results.values()))


if __name__ == "__main__":
    sys.exit(run_command(main))
