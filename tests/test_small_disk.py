"""Every command that writes on a disk that is full, then on the same disk when it has grown, and on a read-only one."""

import json
import random
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest
import yaml

from helpers.commands import build, run, write_pages
from helpers.tiny_pages import page_row
from ocr2_hf.modeling.tiny import save_tiny

WORKER = "tests/helpers/workers/small_disk.py"
NO_DISK = 3  # the worker's status where it may mount none
FEW = ["--max_new_tokens", "6", "--batch_size", "2"]
RECIPE = {
    "dataset": "full_disk",
    "train_projector": True,
    "train_language": "none",
    "loss_chunks": 1,
    "per_device_train_batch_size": 2,
    "max_steps": 4,
    "save_strategy": "steps",
    "save_steps": 2,
    "save_total_limit": 2,
    "eval_strategy": "no",
}
# Of each command: bytes of a disk that is full in the middle of its work.
SIZES = {
    "build": 8192,
    "build with two workers": 8192,
    "inspect": 20_000,
    "crop": 12_000,
    "synthesize": 20_000,
    "evaluate": 20_000,
    "read": 12_000,
    "statements": 12_000,
    "merged": 7_000_000,
    "original": 7_000_000,
    "train": 9_000_000,
}
ROOM = 10**9
TIMELESS = (".safetensors", ".arrow", ".png", ".csv", ".md")


@pytest.fixture(scope="module")
def workplace(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("workplace")
    rows = [page_row(f"p{i}", (120 + 10 * i, 90), [f"Line {i}", "Total"], 2) for i in range(6)]
    build("full_disk", write_pages(folder / "pages", rows), "--val", "0", "--test", "0.5", "--split", "rank")
    base = save_tiny(folder / "base")
    (folder / "recipe.yaml").write_text(yaml.safe_dump(RECIPE | {"model": str(base)}))
    return folder


def words(command: str, place: Path, out: str) -> list[str]:
    base, pages = str(place / "base"), str(place / "pages")
    building = ["build", "other", "--annotations", pages, "--val", "0", "--test", "0"]
    reading = [f"{pages}/p1.png", "--model", base, "--output_dir", out, *FEW]
    return {
        "build": building,
        "build with two workers": [*building, "--num_proc", "2"],
        "inspect": ["inspect", "full_disk", "--tokenizer", base, "--output_dir", out],
        "crop": ["crop", "full_disk", out],
        "synthesize": ["synthesize", out, "--kind", "receipts", "--pages", "2"],
        "evaluate": ["evaluate", "--model", base, "--dataset", "full_disk", "--output_dir", out, *FEW],
        "read": ["read", *reading],
        "statements": ["statements", *reading, "--to", "json", "csv", "xlsx"],
        "merged": ["export", base, "--to", "merged", "--output_dir", out],
        "original": ["export", base, "--to", "original", "--output_dir", out],
        "train": ["train", f"{place}/recipe.yaml", "--output_dir", out],
        "bench": ["bench", f"{place}/recipe.yaml", "--loss", "1x64", "--rounds", "1", "--output", f"{out}/bench.json"],
    }[command]


def twice(command: str, place: Path, folder: Path, size: int | str) -> tuple[list[int], str]:
    """The status on a disk of that size and, unless it is 0, on the same with room; what the first call printed."""
    disk, results = folder / "disk", folder / f"results-{size}"
    disk.mkdir(exist_ok=True)
    extra = {"HF_DATASETS_CACHE": str(disk)} if command.startswith("build") else {}
    done = run(sys.executable, WORKER, disk, str(size), results, *words(command, place, f"{disk}/out"), **extra)
    if done.returncode == NO_DISK:
        pytest.skip("no disk can be mounted here")
    assert done.returncode == 0, done.stderr
    return json.loads((results / "statuses.json").read_text()), (results / "first.txt").read_text()


def files(folder: Path) -> dict[str, bytes | None]:
    """What is there at the end by name, and the content of what has no time in it."""
    found = [path for path in folder.rglob("*") if path.is_file() and "tfevents" not in path.name]
    return {str(path.relative_to(folder)): path.read_bytes() if path.suffix in TIMELESS else None for path in found}


def check_refused(statuses: list[int], told: str, reason: str) -> None:
    assert statuses == [1, 0], told
    assert told.count("error: ") == 1 and reason in told and "Traceback" not in told


def some_slow(commands: Iterable[str], quick: Iterable[str]) -> list:
    return [each if each in quick else pytest.param(each, marks=pytest.mark.slow) for each in commands]


@pytest.mark.parametrize(
    "command", some_slow(SIZES, ("build with two workers", "evaluate", "statements", "merged", "train"))
)
def test_full_then_grown(workplace, tmp_path, command):
    check_refused(*twice(command, workplace, tmp_path, SIZES[command]), "No space left on device; make room")
    assert twice(command, workplace, tmp_path, ROOM)[0] == [0]
    whole = files(tmp_path / f"results-{ROOM}" / "first")
    assert files(tmp_path / f"results-{SIZES[command]}" / "second") == whole != {}


@pytest.mark.parametrize("command", some_slow([*SIZES, "bench"], ("build", "train")))
def test_read_only(workplace, tmp_path, command):
    check_refused(*twice(command, workplace, tmp_path, "ro"), "Read-only file system; see that this user may")
    assert not files(tmp_path / "results-ro" / "first")


@pytest.mark.slow
@pytest.mark.parametrize("command", SIZES)
def test_full_at_any_byte(workplace, tmp_path, command):
    drawn = random.Random(command)
    for size in drawn.sample(range(4096, 3 * SIZES[command]), 8):
        statuses, told = twice(command, workplace, tmp_path, size)
        if statuses[0]:
            check_refused(statuses, told, "make room")
