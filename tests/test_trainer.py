"""`OCR2Trainer` in one process: what it logs, how it normalises, evaluates, saves and resumes."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForImageTextToText

from helpers.tiny_pages import page_dataset
from helpers.trainings import QUICK, rows, trainer_for
from ocr2_hf import OCR2Trainer
from ocr2_hf.errors import UsageError
from ocr2_hf.modeling.adapters import apply_policy
from ocr2_hf.modeling.load import load_model
from ocr2_hf.modeling.tiny import build_tiny_model, save_tiny
from ocr2_hf.recipe import ModelArguments, OCR2TrainingArguments
from ocr2_hf.training.run_folder import COMPLETE, complete_checkpoints, remove_incomplete


def test_every_row_has_the_terms_and_they_add_up(tmp_path):
    trainer = trainer_for(tmp_path, text_weight=0.7, box_weight=2.0)
    trainer.train()
    assert len(rows(trainer)) == 4
    for row in rows(trainer):
        assert {"loss", "loss_text", "loss_box", "grad_norm", "learning_rate"} <= set(row)
        assert row["loss"] == pytest.approx(0.7 * row["loss_text"] + 2.0 * row["loss_box"], rel=1e-5)
    assert rows(trainer)[-1]["loss"] < rows(trainer)[0]["loss"]


def test_a_row_over_several_steps_is_their_mean(tmp_path):
    each, every_second = trainer_for(tmp_path / "a"), trainer_for(tmp_path / "b", logging_steps=2)
    each.train()
    every_second.train()
    for name in ("loss", "loss_text", "loss_box"):
        single = [row[name] for row in rows(each)]
        pairs = [row[name] for row in rows(every_second)]
        assert pairs == pytest.approx([(single[0] + single[1]) / 2, (single[2] + single[3]) / 2], rel=1e-5)


@pytest.mark.parametrize("source", ["expectation", "head"])
def test_gradient_accumulation_changes_nothing(tmp_path, source):
    """The same optimizer steps as 1 x 4, 2 x 2 and 4 x 1: losses, gradients, weights after two of them."""
    results = []
    for size in (4, 2, 1) if source == "expectation" else (4, 1):
        trainer = trainer_for(
            tmp_path / str(size),
            build_tiny_model(),
            page_dataset(),
            per_device_train_batch_size=size,
            gradient_accumulation_steps=4 // size,
            box_source=source,
            optim="sgd",
            max_grad_norm=1e9,
        )
        trainer.train()
        results.append((rows(trainer), {n: p.detach() for n, p in trainer.model.named_parameters()}))
    (first, weights), *others = results
    for log, moved in others:
        for row, same in zip(log, first, strict=True):
            for name in ("loss", "loss_text", "loss_box", "grad_norm"):
                assert row[name] == pytest.approx(same[name], rel=1e-4), name
        for name, weight in weights.items():
            torch.testing.assert_close(moved[name], weight, rtol=1e-4, atol=1e-6, msg=name)


def test_evaluation_is_sums_over_sums_whatever_the_batch(tmp_path):
    model = build_tiny_model()
    results = [trainer_for(tmp_path, model, per_device_eval_batch_size=size).evaluate() for size in (1, 3, 4)]
    for name in ("eval_loss", "eval_loss_text", "eval_loss_box", "eval_token_accuracy"):
        assert results[1][name] == pytest.approx(results[0][name], rel=1e-5)
        assert results[2][name] == pytest.approx(results[0][name], rel=1e-5)


def test_evaluation_reads_pages_by_generation(tmp_path):
    metrics = trainer_for(tmp_path, eval_pages=3, eval_max_new_tokens=8).evaluate()
    assert {"eval_cer", "eval_bbox_iou", "eval_repetition_rate", "eval_missing_eos_rate"} <= set(metrics)
    assert metrics["eval_missing_eos_rate"] == 1.0 and metrics["eval_bbox_iou"] == 0.0


def test_a_stock_model_trains_too(tmp_path):
    stock = AutoModelForImageTextToText.from_config(build_tiny_model().config)
    trainer = trainer_for(tmp_path, stock, max_steps=1)
    trainer.train()
    assert rows(trainer)[0]["loss"] > 0


def test_another_model_is_refused(tmp_path):
    with pytest.raises(TypeError, match="not Linear"):
        trainer_for(tmp_path, torch.nn.Linear(2, 2))


def test_learning_rates_by_group(tmp_path):
    trainer = trainer_for(
        tmp_path,
        build_tiny_model(),
        vision_learning_rate=1e-5,
        projector_learning_rate=2e-5,
        box_head_learning_rate=3e-5,
        box_source="head",
    )
    optimizer = trainer.create_optimizer()
    rate_of = {id(p): group["lr"] for group in optimizer.param_groups for p in group["params"]}
    wanted = {"vision_tower": 1e-5, "multi_modal_projector": 2e-5, "view_separator": 2e-5, "box_head": 3e-5}
    for name, parameter in trainer.model.named_parameters():
        expected = next((rate for part, rate in wanted.items() if part in name), 1e-3)
        assert rate_of[id(parameter)] == expected, name
    assert optimizer.param_groups[0]["lr"] == 1e-3
    decays = {group["weight_decay"] for group in optimizer.param_groups}
    assert decays == {0.0, 0.01}


def same_weights(left, right) -> None:
    right = dict(right.named_parameters())
    for name, parameter in left.named_parameters():
        assert torch.equal(parameter, right[name]), name


@pytest.mark.parametrize(
    "policy", [None, ModelArguments(train_projector=True, train_box_head=True)], ids=["full", "lora"]
)
def test_a_resumed_run_takes_the_same_steps(tmp_path, policy):
    base = save_tiny(tmp_path / "base")

    def build(folder, **values):
        model = load_model(base)
        source = "head" if policy else "expectation"
        if policy:
            model.add_box_head()
            model = apply_policy(model, policy)
        return trainer_for(folder, model, save_strategy="steps", save_steps=2, box_source=source, **values)

    whole = build(tmp_path / "whole")
    whole.train()
    resumed = build(tmp_path / "again")
    checkpoint = complete_checkpoints(tmp_path / "whole")[0]
    assert checkpoint.name == "checkpoint-2"
    resumed.train(resume_from_checkpoint=str(checkpoint))
    assert [row["loss"] for row in rows(resumed)[2:]] == [row["loss"] for row in rows(whole)[2:]]
    same_weights(resumed.model, whole.model)


def test_the_best_checkpoint_is_loaded_with_its_weights(tmp_path):
    trainer = trainer_for(
        tmp_path,
        learning_rate=3.0,  # the later, the worse
        lr_scheduler_type="constant",
        eval_strategy="steps",
        eval_steps=1,
        save_strategy="steps",
        save_steps=1,
        load_best_model_at_end=True,
        metric_for_best_model="loss",
        max_steps=2,
    )
    trainer.train()
    best = trainer.state.best_model_checkpoint
    saved = load_model(best)
    same_weights(saved, trainer.model)
    assert trainer.evaluate()["eval_loss"] == pytest.approx(trainer.state.best_metric, rel=1e-5)


def test_a_full_checkpoint_has_the_model_and_an_adapters_only_what_it_trains(tmp_path):
    """An adapter's checkpoint: adapters, the projector in full, their two Adam moments; no byte of the base."""
    base = build_tiny_model()
    parameters = base.num_parameters()
    policy = ModelArguments(train_language="lora", train_projector=True, lora_r=2)
    for name, model in (("full", base), ("lora", apply_policy(build_tiny_model(), policy))):
        # With tiles, for which there are queries of their own: every weight has moments.
        trainer = trainer_for(tmp_path / name, model, page_dataset(), save_strategy="steps", save_steps=1, max_steps=1)
        trainer.train()
    full, lora = tmp_path / "full" / "checkpoint-1", tmp_path / "lora" / "checkpoint-1"
    assert load_model(full).num_parameters() == parameters
    trained = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    saved = load_file(lora / "adapter_model.safetensors")
    assert sum(tensor.numel() for tensor in saved.values()) == trained < parameters / 10
    assert all("lora_" in key or "multi_modal_projector" in key for key in saved)
    assert not list(lora.glob("model*.safetensors")) and (full / "model.safetensors").stat().st_size > 4 * parameters
    weights = sum(path.stat().st_size for path in lora.iterdir() if path.suffix in (".safetensors", ".pt", ".bin"))
    assert weights < 3 * 4 * trained + 300_000  # one for the weights and two for the moments; names and random states
    assert (full / "optimizer.pt").stat().st_size > 2 * 4 * parameters


def test_only_whole_checkpoints_count_and_the_limit_is_kept(tmp_path):
    trainer = trainer_for(tmp_path, save_strategy="steps", save_steps=1, save_total_limit=2)
    trainer.train()
    assert [path.name for path in complete_checkpoints(tmp_path)] == ["checkpoint-3", "checkpoint-4"]
    (tmp_path / "checkpoint-4" / COMPLETE).unlink()
    (tmp_path / "checkpoint-9").mkdir()
    assert [path.name for path in complete_checkpoints(tmp_path)] == ["checkpoint-3"]
    removed = remove_incomplete(tmp_path)
    assert {path.name for path in removed} == {"checkpoint-4", "checkpoint-9"}
    assert (tmp_path / "checkpoint-3" / "model.safetensors").is_file()


def test_fewer_tiles_are_saved_with_the_processor(tmp_path):
    from ocr2_hf.modeling.load import load_processor
    from ocr2_hf.modeling.tiny import build_tiny_processor

    args = OCR2TrainingArguments(output_dir=str(tmp_path), max_patches=2, **QUICK)
    trainer = OCR2Trainer(build_tiny_model(), args, processor=build_tiny_processor(), train_dataset=page_dataset())
    trainer.save_model()
    assert load_processor(tmp_path).image_processor.max_patches == 2


def test_saving_leaves_everything_stock_loaders_want(tmp_path):
    trainer = trainer_for(tmp_path)
    trainer.save_model()
    names = {path.name for path in Path(tmp_path).iterdir()}
    assert {
        "config.json",
        "model.safetensors",
        "generation_config.json",
        "processor_config.json",
        "tokenizer.json",
    } <= names
    assert json.loads((tmp_path / "config.json").read_text())["model_type"] == "deepseek_ocr2"


def test_a_tokenizer_that_splits_coordinates_is_refused(tmp_path):
    from tokenizers import Regex, pre_tokenizers

    from ocr2_hf.modeling.tiny import build_tiny_processor

    broken = build_tiny_processor()
    broken.tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), behavior="isolated")
    args = OCR2TrainingArguments(output_dir=str(tmp_path), **QUICK)
    with pytest.raises(UsageError, match="as one token"):
        OCR2Trainer(build_tiny_model(), args, processor=broken, train_dataset=page_dataset())
