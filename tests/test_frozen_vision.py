"""A vision tower that does not train costs its forward pass and nothing else, checkpointing or not."""

import pytest
import torch

from helpers.tiny_pages import coordinate_ids, page_dataset, processor
from ocr2_hf.data.collator import TrainingCollator
from ocr2_hf.data.page_tasks import PageTasks
from ocr2_hf.modeling.adapters import apply_policy
from ocr2_hf.modeling.losses import LossSettings
from ocr2_hf.modeling.model import VIEWS_AT_ONCE
from ocr2_hf.modeling.tiny import build_tiny_model
from ocr2_hf.planning.budget import flop_counter
from ocr2_hf.recipe import ModelArguments

CHECKPOINTING = {"use_reentrant": False}


@pytest.fixture(scope="module")
def batch():
    pages = PageTasks(page_dataset(), processor(), {"markdown": 1.0})
    return TrainingCollator(processor())([pages[i] for i in range(4)])


def model(checkpointing: bool = False, **policy):
    torch.manual_seed(0)  # of fresh adapters
    model = build_tiny_model()
    model.loss_settings = LossSettings(coordinate_ids())
    model = apply_policy(model, ModelArguments(model="tiny", lora_r=4, **policy)).train()
    if checkpointing:
        named = "activation" if hasattr(model, "activation_checkpointing_enable") else "gradient"  # up to 5.17
        getattr(model, f"{named}_checkpointing_enable")(**{f"{named}_checkpointing_kwargs": CHECKPOINTING})
    return model


def trained(model, batch) -> tuple[float, dict[str, torch.Tensor], int]:
    """Loss, gradients, and FLOPs in the vision tower's modules, forward and backward."""
    with flop_counter() as counter:
        loss = model(**batch).loss
        loss.backward()
    (tower,) = [name for name in counter.get_flop_counts() if name.endswith("vision_tower")]
    gradients = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    return loss.item(), gradients, sum(counter.get_flop_counts()[tower].values())


@pytest.mark.parametrize("policy", [{"train_language": "lora"}, {"train_language": "none", "train_projector": True}])
def test_a_frozen_tower_is_run_once_whatever_checkpointing_says(batch, policy):
    plain, again = model(**policy), model(checkpointing=True, **policy)
    loss, gradients, flops = trained(plain, batch)
    loss_again, gradients_again, flops_again = trained(again, batch)
    assert flops_again == flops
    assert loss_again == pytest.approx(loss, rel=1e-6)
    assert set(gradients) == set(gradients_again)
    for name, gradient in gradients.items():
        torch.testing.assert_close(gradients_again[name], gradient, rtol=1e-4, atol=1e-7, msg=name)


def test_a_tower_that_trains_is_differentiated(batch):
    frozen, training = (model(train_language="none", train_projector=True, train_vision=v) for v in ("none", "all"))
    assert trained(training, batch)[2] > 2 * trained(frozen, batch)[2]


def test_many_views_go_through_it_piece_by_piece_and_come_out_the_same():
    tower = model(train_language="lora").get_base_model().model.vision_tower
    torch.manual_seed(0)
    views = torch.randn(VIEWS_AT_ONCE + 2, 3, 192, 192)
    seen = []
    tower.sam_encoder.register_forward_pre_hook(lambda _, inputs: seen.append(len(inputs[0])))
    pieces = tower(views).last_hidden_state
    assert seen == [VIEWS_AT_ONCE, 2]
    one_by_one = torch.cat([tower(view[None]).last_hidden_state for view in views])
    torch.testing.assert_close(pieces, one_by_one, rtol=1e-4, atol=1e-5)
