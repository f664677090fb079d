"""The guard: a run that unlearns to read a general set ends, says so, and compares with the base whatever happens."""

import json
import logging
import re

import pytest
import yaml
from datasets import Dataset

from helpers.commands import build, python, run, write_pages
from helpers.launches import launcher
from helpers.tiny_pages import page_row, processor, text_model
from ocr2_hf import OCR2Trainer
from ocr2_hf.commands import train
from ocr2_hf.data.columns import FEATURES
from ocr2_hf.errors import UsageError, WorkError
from ocr2_hf.modeling.adapters import apply_policy
from ocr2_hf.modeling.load import load_model
from ocr2_hf.modeling.model import OCR2Model
from ocr2_hf.modeling.tiny import build_tiny_model
from ocr2_hf.recipe import ModelArguments, OCR2TrainingArguments, load_recipe
from ocr2_hf.training.curves import CurvesCallback
from ocr2_hf.training.guard import BASE_FILE
from ocr2_hf.training.job import build_trainer
from ocr2_hf.training.run_folder import COMPLETE

GENERAL = [page_row(f"g{i}", (120 + 10 * i, 90), ["Tea"], 1) for i in range(4)]
SPECIAL = [page_row(f"s{i}", (120 + 10 * i, 90), ["Danke, Summe 1.50"], 1) for i in range(4)]
STAGE_FOLDERS = ("stage-1-first", "stage-2-second")
RECIPE = {
    "dataset": "special",
    "tasks": {"ocr": 1.0},
    "guard_dataset": "general",
    "guard_pages": 3,
    "guard_tolerance": 0.5,
    "train_language": "full",
    "loss_chunks": 1,
    "per_device_train_batch_size": 2,
    "learning_rate": 3e-3,
    "max_steps": 24,
    "logging_steps": 1,
    "eval_strategy": "steps",
    "eval_split": "train",
    "eval_steps": 4,
    "eval_pages": 0,
    "eval_max_new_tokens": 24,
    "save_strategy": "steps",
    "save_steps": 2,
}


def rows_of(pages: list[dict]) -> Dataset:
    return Dataset.from_list(pages, features=FEATURES)


def trainer_for(folder, model, train, guard=None, **values) -> OCR2Trainer:
    settings = {name: value for name, value in RECIPE.items() if hasattr(OCR2TrainingArguments, name)}
    args = OCR2TrainingArguments(
        output_dir=str(folder), disable_tqdm=True, **(settings | {"tasks": {"ocr": 1.0}} | values)
    )
    pages = {"train_dataset": train, "eval_dataset": train, "guard_dataset": guard}
    trainer = OCR2Trainer(model, args, processor=processor(), **pages)
    trainer.remove_callback(CurvesCallback)
    return trainer


@pytest.fixture(scope="module")
def workplace(tmp_path_factory):
    """Two datasets, and a base that has learned, for real, what stands on the general pages."""
    folder = tmp_path_factory.mktemp("guard")
    build("special", write_pages(folder / "special", SPECIAL), "--val", "0", "--test", "0")
    build("general", write_pages(folder / "general", GENERAL), "--val", "0", "--test", "0")
    general = rows_of(GENERAL)
    base = trainer_for(folder / "base", text_model(), general, eval_strategy="no", save_strategy="no", max_steps=40)
    base.train()
    base.save_model()
    recipe = RECIPE | {"model": str(folder / "base"), "guard_split": "train"}
    (folder / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    return folder


def base_of(workplace) -> OCR2Model:
    """The base, of which the text model alone trains."""
    return apply_policy(load_model(workplace / "base"), ModelArguments(train_language="full"))


def guard_rows(folder) -> dict[int, float]:
    history = json.loads((folder / "trainer_state.json").read_text())["log_history"]
    return {row["step"]: row["eval_guard_cer"] for row in history if "eval_guard_cer" in row}


def test_it_is_the_cer_of_generation_on_these_pages(workplace, tmp_path):
    general = rows_of(GENERAL)
    trainer = trainer_for(tmp_path, base_of(workplace), general, general, eval_pages=3)
    metrics = trainer.evaluate()
    assert metrics["eval_guard_cer"] == metrics["eval_cer"] == 0.0
    untrained = trainer_for(tmp_path, build_tiny_model(), general, general, eval_pages=3).evaluate()
    assert untrained["eval_guard_cer"] == untrained["eval_cer"] > 0.5


def test_a_run_that_unlearns_ends_with_one_message_and_the_last_good_checkpoint(workplace, caplog):
    folder = workplace / "unlearns"
    words = [str(workplace / "recipe.yaml"), "--output_dir", str(folder)]
    done = python("-m", "ocr2_hf", "train", *words)
    assert done.returncode == 1 and "Traceback" not in done.stderr, done.stderr
    assert json.loads((folder / BASE_FILE).read_text())["cer"] == 0.0
    cers = guard_rows(folder)
    *passed, last = sorted(cers)
    assert cers[last] > 0.5 and all(cers[step] <= 0.5 for step in passed)
    told = f"at step {last} the CER on guard_dataset is {cers[last]:.4f}; the base's is 0.0000"
    assert told in done.stderr and "guard_tolerance allows 0.5 more" in done.stderr
    good = (
        f"The last good checkpoint is {folder}/checkpoint-{passed[-1]};" if passed else "No checkpoint was saved while"
    )
    assert good in done.stderr
    assert not (folder / COMPLETE).exists() and not (folder / "model.safetensors").exists()
    assert not (folder / f"checkpoint-{last}").exists(), "nothing bad is saved"

    with pytest.raises(WorkError, match=re.escape(told)), caplog.at_level(logging.INFO, "ocr2_hf"):
        train.main(words)
    assert "going on from" in caplog.text

    # The base's CER is read, not measured again from the half-trained model: with another in the file the run goes on.
    saved = json.loads((folder / BASE_FILE).read_text())
    (folder / BASE_FILE).write_text(json.dumps(saved | {"cer": 50.0}))
    assert train.main(words) == 0
    assert (folder / "model.safetensors").is_file() and set(guard_rows(folder)) >= set(range(last, 25, 4))


def test_two_processes_decide_as_one(workplace):
    folder = workplace / "two"
    command = [*launcher("ddp"), "-m", "ocr2_hf", "train", workplace / "recipe.yaml", "--output_dir", folder]
    done = run(*command, "--per_device_train_batch_size", "1")
    assert done.returncode == 1
    assert done.stderr.count("error: guard: at step") == 1, done.stderr
    assert max(guard_rows(folder).values()) > 0.5 and not (folder / COMPLETE).exists()


def test_a_resumed_run_without_the_bases_figure_does_not_guess(workplace, tmp_path):
    trainer = trainer_for(tmp_path, base_of(workplace), rows_of(SPECIAL), rows_of(GENERAL), max_steps=2)
    trainer.train()
    (tmp_path / BASE_FILE).unlink()
    again = trainer_for(tmp_path, base_of(workplace), rows_of(SPECIAL), rows_of(GENERAL), max_steps=4)
    with pytest.raises(
        UsageError, match="is missing, and the base's CER cannot be measured from a model after 2 steps"
    ):
        again.train(resume_from_checkpoint=str(tmp_path / "checkpoint-2"))


def test_other_settings_of_generation_are_told(workplace, tmp_path):
    (tmp_path / BASE_FILE).write_text(
        json.dumps({"cer": 0.0, "eval_max_new_tokens": 24, "no_repeat_ngram": 20, "no_repeat_window": 90})
    )
    general = rows_of(GENERAL)
    trainer = trainer_for(tmp_path, base_of(workplace), general, general, eval_max_new_tokens=8)
    with pytest.raises(UsageError, match="eval_max_new_tokens: 24 then, 8 now"):
        trainer.train()


def test_a_run_that_keeps_reading_is_left_alone(workplace, tmp_path):
    general = rows_of(GENERAL)
    trainer = trainer_for(tmp_path, base_of(workplace), general, general, guard_tolerance=0.0, max_steps=4)
    trainer.train()
    assert trainer.state.log_history[-2]["eval_guard_cer"] == 0.0


def test_a_limit_that_cuts_references_is_told_once_for_each_set(workplace, tmp_path, caplog):
    words = ["--output_dir", str(tmp_path), "--eval_pages", "2", "--eval_max_new_tokens"]
    for limit, told in (("6", ["6 cuts 2 of the 2 references read in evaluation"]), ("null", [])):
        recipe = load_recipe(workplace / "recipe.yaml", [*words, limit])
        caplog.clear()
        with caplog.at_level(logging.WARNING, "ocr2_hf"):
            build_trainer(recipe, recipe.training_arguments())
        assert [line.partition(": ")[0] for line in caplog.messages] == [f"eval_max_new_tokens {each}" for each in told]


def test_guard_pages_without_text_are_told(workplace, tmp_path):
    empty = rows_of([page_row("e", (120, 90), [""], 0)])
    trainer = trainer_for(tmp_path, base_of(workplace), rows_of(GENERAL), empty)
    with pytest.raises(WorkError, match="no text to read"):
        trainer.evaluate()


def test_every_stage_is_compared_with_the_runs_base(workplace, tmp_path):
    """The second stage starts from a model that reads worse; measured from that, everything would be allowed."""
    stages = [{"name": "first", "guard_tolerance": 99}, {"name": "second", "learning_rate": 1e-6}]
    recipe = yaml.safe_load((workplace / "recipe.yaml").read_text()) | {"stages": stages, "max_steps": 32}
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    with pytest.raises(WorkError, match="guard: at step 4 the CER on guard_dataset is"):
        train.main([str(tmp_path / "recipe.yaml"), "--output_dir", str(tmp_path / "run")])
    first, second = (json.loads((tmp_path / "run" / name / BASE_FILE).read_text()) for name in STAGE_FOLDERS)
    assert first == second and first["cer"] == 0.0
