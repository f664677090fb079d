"""Two processes killed with SIGKILL in the middle of training: the same command goes on with the same losses.

Under ZeRO-2 also with batches by a budget of tokens, and within an epoch.
"""

import json

import pytest
import yaml
from commands import build, run, write_pages
from test_multiprocess import launcher
from test_train_command import kill_when
from tiny_pages import page_row

from ocr2_hf.training.checkpoints import COMPLETE, complete_checkpoints

RECIPE = {
    "model": "tiny",
    "dataset": "resumed",
    "train_language": "full",
    "train_vision": "all",
    "train_projector": True,
    "tasks": {"markdown": 1.0, "ocr": 1.0, "locate": 1.0},
    "loss_chunks": 1,
    "per_device_train_batch_size": 1,
    "gradient_accumulation_steps": 2,
    "learning_rate": 1e-3,
    "num_train_epochs": 6,
    "logging_steps": 1,
    "save_strategy": "steps",
    "save_steps": 2,
    "save_total_limit": 3,
}


TOKENS = {"tokens_per_batch": 4096, "per_device_train_batch_size": 2, "gradient_accumulation_steps": 1, "save_steps": 3}
STRATEGIES = {"ddp": ({}, "checkpoint-4"), "zero2": (TOKENS, "checkpoint-3")}


@pytest.fixture(scope="module")
def workplace(tmp_path_factory):
    folder = tmp_path_factory.mktemp("resume")
    rows = [page_row(f"p{i}", (120 + 10 * i, 90), [f"Line {i}", "Total"], i % 3) for i in range(6)]
    build("resumed", write_pages(folder / "pages", rows), "--val", "0", "--test", "0")
    (folder / "recipe.yaml").write_text(yaml.safe_dump(RECIPE))
    return folder


def losses(folder) -> list[tuple[float, float]]:
    history = json.loads((folder / "trainer_state.json").read_text())["log_history"]
    return [(row["loss"], row["loss_text"]) for row in history if "loss" in row]


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_killed_run_goes_on_with_the_same_losses(strategy, workplace):
    whole, killed = workplace / f"{strategy}-whole", workplace / f"{strategy}-killed"
    values, checkpoint = STRATEGIES[strategy]
    overrides = [word for key, value in values.items() for word in (f"--{key}", value)]
    command = [*launcher(strategy), "-m", "ocr2_hf", "train", workplace / "recipe.yaml", *overrides, "--output_dir"]
    done = run(*command, whole, OMP_NUM_THREADS="1")
    assert done.returncode == 0, done.stderr[-3000:]
    kill_when(lambda: (killed / checkpoint / COMPLETE).is_file(), *command, killed)
    assert complete_checkpoints(killed) and not (killed / COMPLETE).exists()
    again = run(*command, killed, OMP_NUM_THREADS="1")
    assert again.returncode == 0, again.stderr[-3000:]
    assert "going on from" in again.stderr
    # 6 pages, 2 processes x 2 micro-batches: a full and a half step an epoch. By tokens: 4 batches, 2 steps.
    assert len(losses(whole)) == 12
    assert losses(killed) == losses(whole)
    assert (killed / "model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes()
