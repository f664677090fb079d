"""One more loss term is one more entry in `TERMS`: whoever handles terms loops over it."""

from dataclasses import dataclass

import pytest
import torch

from helpers.tiny_pages import page_dataset, processor, text_model
from helpers.trainings import QUICK, rows
from ocr2_hf import OCR2Trainer
from ocr2_hf.modeling.losses import TERMS, ForwardPass, LossTerm, by_page
from ocr2_hf.recipe import OCR2TrainingArguments
from ocr2_hf.recipe_fields import LOSS_WEIGHTS, best_model_metrics
from ocr2_hf.training.curves import all_panels


@dataclass
class Arguments(OCR2TrainingArguments):
    """A recipe's, with the weight of a term that no recipe has."""

    centre_weight: float = 3.0


def far_from_the_centre(forward: ForwardPass) -> torch.Tensor:
    losses = (forward.predicted_N4.float() - 0.5).square().sum(dim=1)
    return by_page(losses, forward.box_rows_N, len(forward.text_B))


@pytest.fixture
def third(monkeypatch) -> LossTerm:
    term = LossTerm("centre", far_from_the_centre, TERMS["box"].counts, least=1.0)
    monkeypatch.setitem(TERMS, term.name, term)
    return term


def trainer_for(folder, **values) -> OCR2Trainer:
    args, data = Arguments(output_dir=str(folder), **(QUICK | values)), page_dataset()
    return OCR2Trainer(text_model(), args, processor=processor(), train_dataset=data, eval_dataset=data)


def test_a_third_term_trains_is_logged_and_evaluated(tmp_path, third):
    trainer = trainer_for(tmp_path, eval_strategy="epoch")
    trainer.train()
    measured = [row for row in trainer.state.log_history if "eval_loss" in row]
    assert len(rows(trainer)) == 4 and len(measured) == 2
    for prefix, log in (("", rows(trainer)), ("eval_", measured)):
        for row in log:
            text, box, centre = (row[f"{prefix}loss_{name}"] for name in TERMS)
            assert centre > 0 and row[f"{prefix}loss"] == pytest.approx(text + 0.5 * box + 3.0 * centre, rel=1e-5)
    assert list(rows(trainer)[0])[:4] == ["loss", "loss_text", "loss_box", "loss_centre"]


def test_it_alone_moves_the_model_and_falls(tmp_path, third):
    trainer = trainer_for(tmp_path, text_weight=0.0, box_weight=0.0)
    before = {name: tensor.clone() for name, tensor in trainer.model.named_parameters()}
    trainer.train()
    log = rows(trainer)
    assert log[-1]["loss_centre"] < log[0]["loss_centre"] and all(row["grad_norm"] > 0 for row in log)
    assert any(not torch.equal(tensor, before[name]) for name, tensor in trainer.model.named_parameters())


def test_splitting_the_batch_changes_nothing_of_it(tmp_path, third):
    whole, split = (
        trainer_for(tmp_path / str(size), per_device_train_batch_size=size, gradient_accumulation_steps=4 // size)
        for size in (4, 1)
    )
    whole.train()
    split.train()
    for row, same in zip(rows(split), rows(whole), strict=True):
        for name in ("loss", "loss_centre", "grad_norm"):
            assert row[name] == pytest.approx(same[name], rel=1e-4), name


def test_its_curve_has_a_panel_of_its_own(third):
    titles = [panel.title for panel in all_panels()]
    assert titles[:3] == ["Loss", "Box loss", "Centre loss"]
    assert set(all_panels()[2].columns) == {"loss_centre", "eval_loss_centre"}


def test_weights_are_recipe_keys_and_columns_can_choose_the_best_checkpoint():
    assert list(TERMS) == ["text", "box"] and all(name == term.name for name, term in TERMS.items())
    assert tuple(term.weight_key for term in TERMS.values()) == LOSS_WEIGHTS
    assert {term.log_name for term in TERMS.values()} < best_model_metrics().keys()
