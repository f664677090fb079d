"""Two processes killed or told to stop in the middle of training: the same command goes on with the same losses.

A mixture, of one source of which an epoch has a part: under ZeRO-2 with batches by a budget of tokens; under DDP killed
first, then stopped by SIGTERM twice.
"""

import os
import subprocess

import psutil
import pytest
import yaml

from helpers.commands import build, run, write_pages
from helpers.launches import launcher
from helpers.signals import itself, kill_when, signalled
from helpers.tiny_pages import page_row
from helpers.trainings import history
from ocr2_hf.training.run_folder import COMPLETE, complete_checkpoints

RECIPE = {
    "model": "tiny",
    "dataset": {"resumed": 2, "others": 1},
    "train_language": "full",
    "train_vision": "all",
    "train_projector": True,
    "tasks": {"markdown": 1.0, "ocr": 1.0, "locate": 1.0},
    "loss_chunks": 1,
    "per_device_train_batch_size": 1,
    "gradient_accumulation_steps": 2,
    "learning_rate": 1e-3,
    "num_train_epochs": 4,
    "logging_steps": 1,
    "eval_strategy": "epoch",
    "eval_split": "train",
    "eval_pages": 0,
    "save_strategy": "steps",
    "save_steps": 3,  # in the middle of an epoch
    "save_total_limit": 3,
}

TOKENS = {"tokens_per_batch": 4096, "per_device_train_batch_size": 2, "gradient_accumulation_steps": 1}


@pytest.fixture(scope="module")
def workplace(tmp_path_factory):
    folder = tmp_path_factory.mktemp("resume")
    rows = [page_row(f"p{i}", (120 + 10 * i, 90), [f"Line {i}", "Total"], i % 3) for i in range(9)]
    for name, pages in (("resumed", rows[:4]), ("others", rows[4:])):  # an epoch has all 4, and 2 of the 5
        build(name, write_pages(folder / name, pages), "--val", "0", "--test", "0")
    (folder / "recipe.yaml").write_text(yaml.safe_dump(RECIPE))
    return folder


def command(strategy: str, workplace, **overrides) -> list:
    words = [word for key, value in overrides.items() for word in (f"--{key}", value)]
    return [*launcher(strategy), "-m", "ocr2_hf", "train", workplace / "recipe.yaml", *words, "--output_dir"]


def trained(*words) -> str:
    """Run the command to its end; what it said."""
    done = run(*words, OMP_NUM_THREADS="1")
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stderr


def kill(words: list, folder) -> None:
    kill_when(lambda: (folder / "checkpoint-3" / COMPLETE).is_file(), *words, folder)
    assert complete_checkpoints(folder) and not (folder / COMPLETE).exists()


def same_run(folder, whole, rows: int) -> None:
    assert len(history(whole)) == rows
    assert history(folder) == history(whole)
    assert (folder / "model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes()


def second_process(process: subprocess.Popen) -> int:
    """The launcher starts its workers in the order of their ranks."""
    workers = [
        child for child in psutil.Process(process.pid).children(recursive=True) if os.getsid(child.pid) == child.pid
    ]
    return sorted(worker.pid for worker in workers)[1]


@pytest.mark.slow
def test_zero2_killed_goes_on_with_the_same_losses(workplace):
    whole, killed = workplace / "zero2-whole", workplace / "zero2-killed"
    words = command("zero2", workplace, **TOKENS)
    trained(*words, whole)
    kill(words, killed)
    assert "going on from" in trained(*words, killed)
    same_run(killed, whole, rows=4 * (2 + 1) + 1)  # 4 batches of tokens, 2 steps an epoch


def test_ddp_killed_then_stopped_whoever_hears_it_goes_on_with_the_same_losses(workplace):
    whole, stopped = workplace / "ddp-whole", workplace / "ddp-stopped"
    words = command("ddp", workplace)
    trained(*words, whole)
    kill(words, stopped)
    words[-1:-1] = ["--save_steps", "1000"]  # from here on nothing is saved but for the signal
    for whom in (second_process, itself):  # one worker alone; then the launcher, which tells all of them
        status, told = signalled([*words, stopped], whom)
        assert status != 0 and "going on from" in told
        assert told.count("stopped by SIGTERM after step") == 1, "one process speaks"
        step = int(told.partition("stopped by SIGTERM after step ")[2].partition(";")[0])
        assert complete_checkpoints(stopped)[-1].name == f"checkpoint-{step}"
        assert f"checkpoint-{step} is saved, and the same command goes on from there" in told
        assert not (stopped / COMPLETE).exists()
    assert f"going on from {stopped}/checkpoint-{step}" in trained(*words, stopped)
    same_run(stopped, whole, rows=4 * (2 + 1) + 1)  # 6 pages, 2 processes x 2: a full and a half step an epoch
