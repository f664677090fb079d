"""A run that was killed after its last checkpoint: what is left to do is the evaluation and the saving, and no step.

After that of an epoch's last step: first comes the epoch's evaluation.
"""

import json
import shutil

import pytest
import yaml

from helpers.commands import build, write_pages
from helpers.tiny_pages import page_row
from ocr2_hf import OCR2Trainer
from ocr2_hf.commands.train import train
from ocr2_hf.recipe import load_recipe
from ocr2_hf.training.run_folder import COMPLETE

RECIPE = {
    "model": "tiny",
    "dataset": "goals",
    "train_language": "full",
    "loss_chunks": 1,
    "per_device_train_batch_size": 2,
    "learning_rate": 1e-3,
    "logging_steps": 1,
    "save_strategy": "steps",
    "save_steps": 2,
    "eval_split": "train",
    "eval_pages": 0,
}
EVALUATED = {"eval_strategy": "epoch"}
COMPARED = (
    "step",
    "epoch",
    "loss",
    "loss_text",
    "loss_box",
    "train_loss",
    "goals_loss",
    "grad_norm",
    "learning_rate",
    "eval_loss",
    "eval_loss_box",
)
# Three steps an epoch.
GOALS = {"evaluated within an epoch": {"max_steps": 2, **EVALUATED}}
MORE_GOALS = {
    "half an epoch": {"num_train_epochs": 0.5},
    "evaluated": {"num_train_epochs": 1, **EVALUATED},
    "steps within an epoch": {"max_steps": 4},
    "whole epochs": {"num_train_epochs": 1},
    "epochs and a half": {"num_train_epochs": 1.5},
    "saved by epochs": {"max_steps": 2, **EVALUATED, "save_strategy": "epoch"},
    "stages": {"max_steps": 4, "stages": [{"name": "first", "share": 0.5}, {"name": "last", "share": 0.5}]},
}
SLOW = [pytest.param(values, id=name, marks=pytest.mark.slow) for name, values in MORE_GOALS.items()]


@pytest.fixture(scope="module")
def workplace(tmp_path_factory):
    folder = tmp_path_factory.mktemp("goals")
    rows = [page_row(f"p{i}", (120 + 10 * i, 90), [f"Line {i}", "Total"], 2) for i in range(6)]
    build("goals", write_pages(folder / "pages", rows), "--val", "0", "--test", "0")
    return folder


def trained(workplace, output, values) -> None:
    (workplace / "recipe.yaml").write_text(yaml.safe_dump(RECIPE | values))
    recipe = load_recipe(workplace / "recipe.yaml", ["--output_dir", str(output)])
    train(recipe, recipe.training_arguments())


def cut_back(run, *checkpoints) -> None:
    """To what a kill leaves that comes right after the last checkpoint, or after one before these."""
    for name in (COMPLETE, "model.safetensors", "config.json", "trainer_state.json", "curves.png"):
        (run / name).unlink(missing_ok=True)
    for name in checkpoints:
        shutil.rmtree(run / name)


def state(run) -> dict:
    """The trainer state without what a clock measured."""
    kept = json.loads((run / "trainer_state.json").read_text())
    rows = [{key: value for key, value in row.items() if key in COMPARED} for row in kept.pop("log_history")]
    return kept | {"log_history": rows}


@pytest.mark.parametrize("goal", [*(pytest.param(values, id=name) for name, values in GOALS.items()), *SLOW])
def test_no_step_is_taken_after_the_last(workplace, tmp_path, monkeypatch, goal):
    run, whole = tmp_path / "run", tmp_path / "whole"
    trained(workplace, run, goal)
    shutil.copytree(run, whole)
    for folder in (run, *sorted(run.glob("stage-*"))[-1:]):
        cut_back(folder)
    monkeypatch.setattr(OCR2Trainer, "training_step", None)
    trained(workplace, run, goal)
    assert state(run) == state(whole)
    assert (run / "model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes()
    names = [sorted(path.relative_to(top).as_posix() for path in top.rglob("*")) for top in (run, whole)]
    assert names[0] == names[1]


@pytest.mark.slow
def test_an_epochs_evaluation_that_a_kill_left_out_is_made_up_for(workplace, tmp_path):
    """The weights say that it draws none of training's random numbers: there is dropout."""
    run, whole = tmp_path / "run", tmp_path / "whole"
    values = {**EVALUATED, "num_train_epochs": 2, "save_steps": 3, "train_language": "lora", "lora_dropout": 0.2}
    trained(workplace, run, values)
    shutil.copytree(run, whole)
    cut_back(run, "checkpoint-6")
    trained(workplace, run, values)
    evaluated = [row["step"] for row in state(run)["log_history"] if "eval_loss" in row]
    assert evaluated == [3, 6, 6] and state(run) == state(whole)
    for name in ("adapter_model.safetensors", "checkpoint-6/adapter_model.safetensors"):
        assert (run / name).read_bytes() == (whole / name).read_bytes()


def test_a_log_row_that_a_kill_fell_into_is_the_undisturbed_runs(workplace, tmp_path):
    """Of steps before and after the checkpoint, as the mean of the whole training is."""
    run, whole = tmp_path / "run", tmp_path / "whole"
    values = {"max_steps": 5, "logging_steps": 3, "dataset": {"goals": 1.0}}
    trained(workplace, run, values)
    shutil.copytree(run, whole)
    cut_back(run, "checkpoint-4", "checkpoint-5")
    trained(workplace, run, values)
    assert state(run) == state(whole)
    assert [row["step"] for row in state(whole)["log_history"]] == [3, 5]
