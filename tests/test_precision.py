"""Mixed precision and gradient checkpointing train what full precision without it trains."""

import pytest
import torch
import yaml
from transformers import TrainerCallback

from helpers.tiny_pages import page_dataset, processor
from helpers.trainings import rows, trainer_for
from ocr2_hf import OCR2Trainer
from ocr2_hf.errors import UsageError
from ocr2_hf.modeling.adapters import apply_policy
from ocr2_hf.modeling.tiny import build_tiny_model
from ocr2_hf.recipe import ModelArguments, OCR2TrainingArguments, load_recipe
from ocr2_hf.recipe_fields import LIBRARY
from ocr2_hf.training.launch_checks import check_machine

SOURCES = {"expectation": {}, "head": {"train_box_head": True}}


def build(source: str = "expectation", **policy):
    """A tiny model, adapted as a recipe would."""
    torch.manual_seed(0)
    model = build_tiny_model()
    if source == "head":
        model.add_box_head()
    return apply_policy(model, ModelArguments(**SOURCES[source], **policy))


FULL = {"train_vision": "all", "train_projector": True, "train_language": "full"}
POLICIES = {
    "full": FULL,
    "lora": {"train_language": "lora", "train_projector": True},
    "lora on both": {"train_language": "lora", "train_vision": "lora"},
}


class Gradients(TrainerCallback):
    """Copies the gradients of the first optimizer step."""

    def __init__(self):
        self.first: dict[str, torch.Tensor] = {}

    def on_pre_optimizer_step(self, args, state, control, model, **kwargs):
        if not self.first:
            self.first = {n: p.grad.detach().clone() for n, p in model.named_parameters() if p.grad is not None}


@pytest.mark.slow
@pytest.mark.parametrize("source", ["expectation", "head"])
def test_bf16_autocast_trains_close_to_float32(tmp_path, source):
    """Within 2% of the float32 losses over ten steps; weights and losses stay float32, products are bfloat16."""
    pages = page_dataset(((150, 300),), (2,))  # one, with tiles: bfloat16 is slow on most CPUs
    seen = set()
    losses = {}
    for bf16 in (False, True):
        trainer = trainer_for(
            tmp_path, build(source, **FULL), pages, bf16=bf16, box_source=source, num_train_epochs=10, box_weight=5.0
        )
        projection = trainer.model.model.language_model.layers[0].self_attn.q_proj
        projection.register_forward_hook(lambda _, __, output, bf16=bf16: seen.add((bf16, output.dtype)))
        trainer.train()
        losses[bf16] = [(row["loss_text"], row["loss_box"]) for row in rows(trainer)]
        assert {parameter.dtype for parameter in trainer.model.parameters()} == {torch.float32}
    assert seen == {(False, torch.float32), (True, torch.bfloat16)}
    assert losses[True][-1][0] < 0.7 * losses[True][0][0]
    for half, single in zip(losses[True], losses[False], strict=True):
        assert half == pytest.approx(single, rel=0.02)
        assert half != single


def test_coordinates_are_not_rounded_to_bfloat16(tmp_path):
    """Near 1 bfloat16 has steps of 1/256: four of the model's 999 would be one."""
    model = build(**FULL)
    trainer = trainer_for(tmp_path, model, bf16=True)
    batch = trainer._prepare_inputs(trainer.data_collator([trainer.train_dataset[0]]))
    with torch.no_grad(), trainer.accelerator.autocast():
        predicted = model(**batch).bbox_preds
    assert predicted.dtype == torch.float32
    assert not torch.equal(predicted, predicted.bfloat16().float())


@pytest.mark.parametrize("name", POLICIES)
def test_gradient_checkpointing_changes_no_gradient(tmp_path, name):
    """Every layer of the vision tower and the text model runs twice; the gradients are the same to rounding."""
    gradients, calls = {}, {}
    for checkpointing in (False, True):
        model = build(**POLICIES[name])
        # Its name in transformers 5.17; later ones call it otherwise and warn about it.
        key = "activation_checkpointing" if "activation_checkpointing" in LIBRARY else "gradient_checkpointing"
        trainer = trainer_for(tmp_path, model, max_steps=1, max_grad_norm=1e9, **{key: checkpointing})
        base = model.get_base_model() if hasattr(model, "get_base_model") else model
        layers = {
            "sam": base.model.vision_tower.sam_encoder.layers[0],
            "encoder": base.model.vision_tower.vision_encoder.layers[0],
            "language": base.model.language_model.layers[1],
        }
        count = calls.setdefault(checkpointing, dict.fromkeys(layers, 0))
        for part, layer in layers.items():
            # Its attention: hooks of the layer itself stay outside of what is computed again.
            attention = next(layer.children())
            attention.register_forward_pre_hook(
                lambda *_, part=part, count=count: count.update({part: count[part] + 1})
            )
        trainer.add_callback(copied := Gradients())
        trainer.train()
        gradients[checkpointing] = copied.first
    trained = {"full": set(layers), "lora": {"language"}, "lora on both": {"encoder", "language"}}[name]
    for part in trained:
        assert calls[True][part] == 2 * calls[False][part], part
    assert gradients[True].keys() == gradients[False].keys() and gradients[True]
    for parameter, gradient in gradients[True].items():
        torch.testing.assert_close(gradient, gradients[False][parameter], rtol=1e-4, atol=1e-6, msg=parameter)


def recipe_arguments(tmp_path, **values):
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump({"model": "tiny", "dataset": "x", "output_dir": str(tmp_path)} | values))
    recipe = load_recipe(path)
    args = recipe.training_arguments()
    check_machine(recipe, args)
    return args


def test_fp16_without_a_gpu_is_refused(tmp_path):
    """accelerate would train in float32 and say nothing."""
    with pytest.raises(UsageError, match="fp16: there is no GPU here, and a CPU would train in float32 without a word"):
        recipe_arguments(tmp_path, fp16=True)


@pytest.mark.parametrize("policy", [FULL, {"train_language": "lora", "train_projector": True}], ids=["full", "lora"])
def test_weights_that_train_themselves_are_not_float16(tmp_path, policy):
    with pytest.raises(UsageError, match="dtype: float16: weights that train themselves"):
        recipe_arguments(tmp_path, dtype="float16", **policy)
    recipe_arguments(tmp_path, dtype="float16", train_language="lora")


@pytest.mark.gpu
@pytest.mark.parametrize("name", ["full", "lora"])
def test_fp16_trains_with_a_scaler_on_a_gpu(tmp_path, name):
    """The scaler is there, its scaled gradients are unscaled before they are clipped and logged, the loss falls."""
    values = {"per_device_train_batch_size": 2, "num_train_epochs": 10, "logging_steps": 1, "loss_chunks": 1}
    norms = {}
    for fp16 in (False, True):
        args = OCR2TrainingArguments(
            output_dir=str(tmp_path), fp16=fp16, learning_rate=1e-3, save_strategy="no", disable_tqdm=True, **values
        )
        trainer = OCR2Trainer(build(**POLICIES[name]), args, processor=processor(), train_dataset=page_dataset())
        assert trainer.args.device.type == "cuda"
        trainer.train()
        log = rows(trainer)
        assert log[-1]["loss"] < 0.9 * log[0]["loss"]
        norms[fp16] = next(row["grad_norm"] for row in log if row["grad_norm"] < float("inf"))
    assert trainer.accelerator.scaler is not None and trainer.accelerator.scaler.get_scale() > 1
    assert norms[True] == pytest.approx(norms[False], rel=0.3)
