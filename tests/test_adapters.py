"""What trains: counts at the real size, what moves, and what is there again after saving."""

import json
from importlib.resources import files

import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForImageTextToText, DeepseekOcr2Config

from helpers.tiny_pages import page_dataset, processor
from ocr2_hf.data.collator import TrainingCollator, coordinate_token_ids
from ocr2_hf.data.page_tasks import PageTasks
from ocr2_hf.modeling.adapters import GROUPS, apply_policy, group_of, trainable_counts, write_portable_adapter
from ocr2_hf.modeling.losses import LossSettings
from ocr2_hf.modeling.model import OCR2Model
from ocr2_hf.modeling.tiny import build_tiny_model, save_tiny
from ocr2_hf.recipe import ModelArguments

IDS = coordinate_token_ids(processor().tokenizer)
ROUTED = "attention+shared+routed"


def real_model() -> OCR2Model:
    text = (files("ocr2_hf") / "modeling" / "deepseek_ocr2_config.json").read_text(encoding="utf-8")
    with torch.device("meta"):
        return OCR2Model(DeepseekOcr2Config.from_dict(json.loads(text)))


def test_parameters_of_the_real_model_by_group():
    counts = trainable_counts(real_model())
    assert {group: count.total for group, count in counts.items()} == {
        "vision_sam": 94_979_328,
        "vision_encoder": 357_898_112 + (144 + 256) * 896,  # and the queries
        "projector": 1_148_160 + 1_280,  # and the view separator
        "language": 2_769_255_680 + 165_478_400,  # and the head
    }
    assert sum(count.total for count in counts.values()) == 3_389_119_360


@pytest.mark.parametrize(
    ("policy", "trainable"),
    [
        (ModelArguments(lora_targets="attention"), 1_966_080),
        (ModelArguments(lora_targets="attention+shared"), 3_978_240),
        (ModelArguments(train_language="none", train_vision="lora"), 8_798_208),
        (ModelArguments(lora_targets="attention", train_projector=True), 1_966_080 + 1_148_160),
        (ModelArguments(train_language="full", train_vision="all", train_projector=True), 3_389_119_360),
        (ModelArguments(train_language="none", train_projector=True), 1_148_160 + 1_280),
    ],
)
def test_trainable_counts_at_the_real_size(policy, trainable):
    counts = trainable_counts(apply_policy(real_model(), policy))
    assert sum(count.trainable for count in counts.values()) == trainable


def test_routed_experts_are_reached_by_target_parameters():
    model = apply_policy(real_model(), ModelArguments(lora_targets=ROUTED))
    names = [name for name, p in model.named_parameters() if p.requires_grad and ".mlp.experts." in name]
    layers = {name.split("language_model.layers.")[1].split(".")[0] for name in names}
    assert layers == {str(layer) for layer in range(1, 12)}
    # r=16 for each of 64 experts: gate_up_proj 16 x (1280 + 1792), down_proj 16 x (896 + 1280), 11 layers.
    routed = 11 * 64 * 16 * ((1280 + 2 * 896) + (896 + 1280))
    assert trainable_counts(model)["language"].trainable == 3_978_240 + routed


def test_every_parameter_belongs_to_one_group():
    model = build_tiny_model()
    model.add_box_head()
    assert {group_of(name) for name, _ in model.named_parameters()} == set(GROUPS)
    with pytest.raises(ValueError, match="no group"):
        group_of("model.something_new.weight")


POLICIES = {
    "full": (
        ModelArguments(train_vision="all", train_projector=True, train_language="full"),
        set(GROUPS[:4]),
    ),
    "encoder": (ModelArguments(train_vision="encoder", train_language="none"), {"vision_encoder"}),
    "projector": (ModelArguments(train_projector=True, train_language="none"), {"projector"}),
    "language": (ModelArguments(train_language="full"), {"language"}),
    "lora": (ModelArguments(lora_targets="attention"), {"language"}),
    "lora shared": (ModelArguments(), {"language"}),
    "lora routed": (ModelArguments(lora_targets=ROUTED), {"language"}),
    "lora vision": (ModelArguments(train_language="none", train_vision="lora"), {"vision_encoder"}),
    "lora and projector": (ModelArguments(train_projector=True), {"language", "projector"}),
    "lora and encoder": (ModelArguments(train_vision="encoder"), {"language", "vision_encoder"}),
}


@pytest.fixture(scope="module")
def batch():
    """A page with boxes, and one with tiles."""
    pages = PageTasks(page_dataset(), processor(), {"markdown": 1.0})
    return TrainingCollator(processor())([pages[0], pages[1]])


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return save_tiny(tmp_path_factory.mktemp("base"))


@pytest.mark.parametrize("name", POLICIES)
def test_what_should_move_moves_is_saved_and_loads_with_the_stock_classes(name, base, batch, tmp_path):
    policy, groups = POLICIES[name]
    model = OCR2Model.from_pretrained(base)
    model.loss_settings = LossSettings(IDS, chunks=1)
    model = apply_policy(model, policy)
    before = {n: p.detach().clone() for n, p in model.named_parameters()}
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-2, weight_decay=0)
    for _ in range(2):  # an adapter's first half only moves once its second half is no longer zero
        optimizer.zero_grad()
        model(**batch).loss.backward()
        optimizer.step()
    moved = {n for n, p in model.named_parameters() if not torch.equal(p, before[n])}
    assert moved == {n for n, p in model.named_parameters() if p.requires_grad}
    assert {group_of(n) for n in moved} == groups

    model.eval()
    inputs = {k: v for k, v in batch.items() if not k.startswith(("box_", "token_weights", "labels"))}
    with torch.no_grad():
        trained = model(**inputs).logits
    model.save_pretrained(tmp_path)
    if isinstance(model, PeftModel):
        write_portable_adapter(tmp_path)
        again = PeftModel.from_pretrained(AutoModelForImageTextToText.from_pretrained(base), tmp_path)
    else:
        again = AutoModelForImageTextToText.from_pretrained(tmp_path)
    with torch.no_grad():
        assert torch.equal(again.eval()(**inputs).logits, trained)
        untrained = OCR2Model.from_pretrained(base).eval()(**inputs).logits
    assert (untrained - trained).abs().max() > 1e-3


def test_an_adapter_as_peft_saves_it_would_lose_its_weights(base, batch, tmp_path):
    """Why `write_portable_adapter` is there; when this fails, the libraries have mended it and it can go."""
    model = apply_policy(OCR2Model.from_pretrained(base), ModelArguments(lora_targets="attention"))
    model.save_pretrained(tmp_path)
    with pytest.warns(UserWarning, match="missing adapter keys"):
        PeftModel.from_pretrained(AutoModelForImageTextToText.from_pretrained(base), tmp_path)
