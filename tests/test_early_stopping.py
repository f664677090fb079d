"""The best checkpoint and early stopping by CER, with a CER that is made to get worse."""

import json
import shutil

import pytest
import torch

from helpers.tiny_pages import page_dataset, plain_pages, processor, text_model
from ocr2_hf import OCR2Trainer
from ocr2_hf.errors import WorkError
from ocr2_hf.modeling.tiny import build_tiny_model
from ocr2_hf.recipe import OCR2TrainingArguments
from ocr2_hf.training.curves import CurvesCallback
from ocr2_hf.training.run_folder import (
    already_finished,
    complete_checkpoints,
    evaluations_waited,
    mark_complete,
    resume_from,
    stopped_early,
)
from ocr2_hf.training.trainer import load_weights

# The CER of every evaluation, by step: the best is at step 4, and step 8 is only as good.
SCRIPT = {2: 0.5, 4: 0.2, 6: 0.4, 8: 0.2, 10: 0.9, 12: 0.8, 14: 0.7, 16: 0.6}


class ScriptedTrainer(OCR2Trainer):
    """Trains as always; what is scripted is the CER it reads."""

    def _loss_terms(self, model, pages):
        return super()._loss_terms(model, pages) | {"cer": SCRIPT[self.state.global_step]}


def trainer_for(folder, **values) -> ScriptedTrainer:
    settings = {
        "max_steps": 16,
        "per_device_train_batch_size": 1,
        "logging_steps": 1,
        "eval_strategy": "steps",
        "eval_steps": 2,
        "save_strategy": "steps",
        "save_steps": 2,
        "save_total_limit": 2,
        "load_best_model_at_end": True,
        "metric_for_best_model": "cer",
        "eval_pages": 0,
        "loss_chunks": 1,
        "disable_tqdm": True,
    }
    args = OCR2TrainingArguments(output_dir=str(folder), **(settings | values))
    # As cheap as can be, for what is read is scripted: no tiles, a frozen vision tower, one page to evaluate.
    data = plain_pages()
    torch.manual_seed(0)
    pages = {"train_dataset": data, "eval_dataset": data.select([0])}
    trainer = ScriptedTrainer(text_model(), args, processor=processor(), **pages)
    trainer.remove_callback(CurvesCallback)  # drawn at every save they would take longer than the steps
    return trainer


def losses(trainer) -> list[float]:
    return [row["loss"] for row in trainer.state.log_history if "loss" in row]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    trainer = trainer_for(tmp_path_factory.mktemp("undisturbed"), early_stopping_patience=3)
    trainer.train()
    return trainer


def test_it_stops_after_its_patience_and_keeps_the_best(undisturbed):
    assert undisturbed.state.global_step == 10, "steps 6, 8 and 10 brought nothing better than step 4"
    assert undisturbed.state.best_metric == 0.2
    assert undisturbed.state.best_model_checkpoint.endswith("checkpoint-4")
    kept = complete_checkpoints(undisturbed.args.output_dir)
    assert [path.name for path in kept] == ["checkpoint-4", "checkpoint-10"]
    saved = OCR2Trainer(build_tiny_model(), undisturbed.args, processor=processor(), eval_dataset=page_dataset())
    load_weights(saved.model, str(kept[0]))
    for name, weight in saved.model.named_parameters():
        assert torch.equal(weight, dict(undisturbed.model.named_parameters())[name]), name


def test_without_patience_it_goes_on_and_still_keeps_the_best(tmp_path):
    trainer = trainer_for(tmp_path)
    trainer.train()
    assert trainer.state.global_step == 16 and trainer.state.best_model_checkpoint.endswith("checkpoint-4")


def test_a_resumed_run_counts_on(undisturbed, tmp_path):
    """Killed after step 6, one evaluation after the best: it stops at step 10 too, not at 12."""
    first = trainer_for(tmp_path, early_stopping_patience=3, save_total_limit=9)
    first.train()
    for step in (8, 10):
        shutil.rmtree(tmp_path / f"checkpoint-{step}")
    again = trainer_for(tmp_path, early_stopping_patience=3)
    checkpoint = resume_from(again.args)
    assert checkpoint.endswith("checkpoint-6")
    again.train(resume_from_checkpoint=checkpoint)
    assert again.state.global_step == 10 and losses(again) == losses(undisturbed)


def test_killed_after_it_stopped_it_stops_there_again(undisturbed, tmp_path):
    """From the checkpoint at which it stopped it would train on: it goes on from the one before."""
    shutil.copytree(undisturbed.args.output_dir, tmp_path / "run")
    again = trainer_for(tmp_path / "run", early_stopping_patience=3)
    checkpoint = resume_from(again.args)
    assert checkpoint.endswith("checkpoint-4")
    again.train(resume_from_checkpoint=checkpoint)
    assert again.state.global_step == 10 and losses(again) == losses(undisturbed)


def test_more_patience_goes_on_from_where_it_stopped(undisturbed, tmp_path):
    shutil.copytree(undisturbed.args.output_dir, tmp_path / "run")
    more = trainer_for(tmp_path / "run", early_stopping_patience=5)
    checkpoint = resume_from(more.args)
    assert checkpoint.endswith("checkpoint-10")
    more.train(resume_from_checkpoint=checkpoint)
    assert more.state.global_step == 14


def test_patience_may_come_with_the_resume(tmp_path):
    trainer = trainer_for(tmp_path, max_steps=6)
    trainer.train()
    later = trainer_for(tmp_path, early_stopping_patience=2)
    later.train(resume_from_checkpoint=str(tmp_path / "checkpoint-6"))
    assert later.state.global_step == 10, "the count begins with the resume: steps 8 and 10"


def test_a_run_that_stopped_early_is_finished(undisturbed, tmp_path):
    shutil.copytree(undisturbed.args.output_dir, tmp_path / "run")
    trainer = trainer_for(tmp_path / "run", early_stopping_patience=3)
    assert not already_finished(trainer.args)
    undisturbed.state.save_to_json(str(tmp_path / "run" / "trainer_state.json"))
    mark_complete(tmp_path / "run")
    assert already_finished(trainer.args)
    assert not already_finished(trainer_for(tmp_path / "run", early_stopping_patience=4).args)
    assert not already_finished(trainer_for(tmp_path / "run").args)


def test_a_metric_that_these_pages_do_not_have_is_told(tmp_path):
    """Pages without boxes have no IoU."""
    trainer = trainer_for(tmp_path, metric_for_best_model="bbox_iou")
    with pytest.raises(WorkError, match="metric_for_best_model: eval_bbox_iou cannot be measured on these"):
        trainer.train()


def test_evaluations_after_training_do_not_count(undisturbed):
    waited = undisturbed.state.stateful_callbacks["EarlyStopping"]["attributes"]["early_stopping_patience_counter"]
    undisturbed.evaluate()
    state = json.loads(json.dumps({"stateful_callbacks": undisturbed.state.stateful_callbacks}))
    assert waited == evaluations_waited(state) == 3
    assert stopped_early(state, 3) and not stopped_early(state, 4) and not stopped_early(state, None)
