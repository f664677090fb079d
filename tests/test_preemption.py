"""SIGTERM to real runs: saved, ended with a message, and gone on with by the same command as if nothing had been.

Two processes that hear it are in test_resume.py.
"""

import os
import signal
import sys

import pytest
import yaml

from helpers.commands import build, run, write_pages
from helpers.signals import itself, signalled
from helpers.tiny_pages import page_row, plain_pages, processor, text_model
from helpers.trainings import history
from ocr2_hf import OCR2Trainer
from ocr2_hf.commands.train import train
from ocr2_hf.errors import Preempted
from ocr2_hf.recipe import OCR2TrainingArguments, load_recipe
from ocr2_hf.training.curves import CurvesCallback
from ocr2_hf.training.run_folder import COMPLETE, complete_checkpoints

RECIPE = {
    "model": "tiny",
    "dataset": "preempted",
    "train_language": "full",
    "loss_chunks": 1,
    "per_device_train_batch_size": 1,
    "learning_rate": 1e-3,
    "num_train_epochs": 2,
    "logging_steps": 1,
    "eval_strategy": "epoch",
    "eval_split": "train",
    "eval_pages": 0,
    "save_strategy": "steps",
    "save_steps": 1000,  # but for the signal nothing would be saved
}


@pytest.fixture(scope="module")
def workplace(tmp_path_factory):
    folder = tmp_path_factory.mktemp("preempted")
    rows = [page_row(f"p{i}", (120 + 10 * i, 90), [f"Line {i}", "Total"], i % 3) for i in range(8)]
    build("preempted", write_pages(folder / "pages", rows), "--val", "0", "--test", "0")
    (folder / "recipe.yaml").write_text(yaml.safe_dump(RECIPE))
    return folder


def saved_step(folder) -> int:
    assert not (folder / COMPLETE).exists(), "the run is not finished"
    (checkpoint,) = complete_checkpoints(folder)
    return int(checkpoint.name.removeprefix("checkpoint-"))


def test_one_process_saves_and_goes_on_as_if_nothing_had_been(workplace):
    whole, stopped = workplace / "whole", workplace / "stopped"
    command = [sys.executable, "-m", "ocr2_hf", "train", workplace / "recipe.yaml", "--output_dir"]
    recipe = load_recipe(workplace / "recipe.yaml", ["--output_dir", str(whole)])
    train(recipe, recipe.training_arguments())
    status, told = signalled([*command, stopped], itself)
    step = saved_step(stopped)
    assert status == 143 and "Traceback" not in told
    assert f"stopped by SIGTERM after step {step}; {stopped}/checkpoint-{step} is saved" in told
    assert (stopped / "curves.png").is_file()
    again = run(*command, stopped)
    assert again.returncode == 0 and f"going on from {stopped}/checkpoint-{step}" in again.stderr, again.stderr
    assert history(stopped) == history(whole) and len(history(whole)) == 16 + 2 + 1
    assert (stopped / "model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes()


@pytest.fixture
def sigterm():
    """The handler from before the test; after a stop it stays out of use, for the process is about to end."""
    before = signal.getsignal(signal.SIGTERM)
    yield before
    signal.signal(signal.SIGTERM, before)


def test_a_run_that_nobody_stops_gives_the_signal_back(tmp_path, sigterm):
    trainer_for(tmp_path, max_steps=1).train()
    assert signal.getsignal(signal.SIGTERM) is sigterm


def trainer_for(folder, **values) -> OCR2Trainer:
    settings = {
        "num_train_epochs": 2,
        "per_device_train_batch_size": 2,
        "logging_steps": 1,
        "save_strategy": "no",
        "eval_pages": 0,
        "loss_chunks": 1,
        "disable_tqdm": True,
    }
    args = OCR2TrainingArguments(output_dir=str(folder), **(settings | values))
    data = plain_pages()
    trainer = OCR2Trainer(text_model(), args, processor=processor(), train_dataset=data, eval_dataset=data)
    trainer.remove_callback(CurvesCallback)
    return trainer


class Signalling(OCR2Trainer):
    """Gets SIGTERM at the start of the optimizer step after `step`."""

    step = 0

    def get_batch_samples(self, *args):
        if self.state.global_step == self.step:
            os.kill(os.getpid(), signal.SIGTERM)
        return super().get_batch_samples(*args)


@pytest.mark.parametrize(("step", "evaluations"), [(0, 0), (1, 1), (2, 1), (3, 2)])
def test_what_is_due_at_an_epochs_end_is_done_before_the_stop(tmp_path, sigterm, step, evaluations):
    """Two steps an epoch: a stop after the second comes after its evaluation, which a resumed run would leave out."""
    trainer = trainer_for(tmp_path, eval_strategy="epoch")
    trainer.__class__, trainer.step = Signalling, step
    with pytest.raises(Preempted, match=f"after step {step + 1};"):
        trainer.train()
    assert [path.name for path in complete_checkpoints(tmp_path)] == [f"checkpoint-{step + 1}"]
    assert len([row for row in trainer.state.log_history if "eval_loss" in row]) == evaluations


def test_a_signal_during_an_evaluation_stops_after_it(tmp_path, sigterm):
    trainer = trainer_for(tmp_path, eval_strategy="steps", eval_steps=1)
    evaluate = trainer._loss_terms
    trainer._loss_terms = lambda *args: (os.kill(os.getpid(), signal.SIGTERM), evaluate(*args))[1]
    with pytest.raises(Preempted, match="after step 1;"):
        trainer.train()
    assert [path.name for path in complete_checkpoints(tmp_path)] == ["checkpoint-1"]


def test_where_only_the_best_is_saved_the_signal_still_saves(tmp_path, sigterm):
    """After the evaluation of step 3 the library saves nothing, for it was not the best: the end of the epoch does."""
    trainer = trainer_for(
        tmp_path,
        eval_strategy="steps",
        eval_steps=1,
        save_strategy="best",
        metric_for_best_model="bbox_iou",  # 0 and never better
        eval_pages=1,
        eval_max_new_tokens=4,
        max_steps=8,
    )
    trainer.__class__, trainer.step = Signalling, 2
    with pytest.raises(Preempted, match="after step 4;"):
        trainer.train()
    assert [path.name for path in complete_checkpoints(tmp_path)] == ["checkpoint-1", "checkpoint-4"]
