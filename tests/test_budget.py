"""The plan's numbers: exact where they can be, and against a real run of the tiny model where they are counted."""

import pytest
import torch

from ocr2_hf.document.hub_names import BASE_MODEL
from ocr2_hf.errors import UsageError
from ocr2_hf.modeling.adapters import apply_policy, base_of, trainable_counts
from ocr2_hf.modeling.model import OCR2Model
from ocr2_hf.planning import budget
from ocr2_hf.recipe import ModelArguments

POLICIES = {
    "full": {"train_vision": "all", "train_projector": True, "train_language": "full"},
    "lora": {"train_language": "lora"},
    "routed": {"train_language": "lora", "lora_targets": "attention+shared+routed"},
    "language": {"train_language": "full"},
    "projector": {"train_language": "none", "train_projector": True},
}


def step(images: budget.ImageSettings, tiles: int, **changes) -> budget.Step:
    values = {"batch": 2, "target_tokens": 99, "chunks": 1, "checkpointing": False, **changes}
    return budget.Step(tiles=tiles, visual_tokens=images.tokens(tiles), **values)


def test_parameters_of_the_real_model():
    model = budget.outline(ModelArguments(model=BASE_MODEL), "bfloat16")
    parts = budget.parameters_by_part(model)
    assert parts == {
        "SAM": 94_979_328,
        "vision encoder": 357_898_112,
        "queries": 358_400,
        "projector": 1_148_160,
        "view separator": 1_280,
        "text model": 2_769_255_680,
        "head": 165_478_400,
    }
    assert sum(parts.values()) == 3_389_119_360
    assert sum(count.trainable for count in trainable_counts(model).values()) == 3_978_240
    assert all(parameter.is_meta for parameter in model.parameters())


def test_parts_are_the_models_own_parameters_whatever_peft_adds():
    plain = budget.parameters_by_part(budget.outline(ModelArguments(model="tiny", train_language="full"), "float32"))
    policy = ModelArguments(model="tiny", train_language="lora", train_projector=True, train_vision="encoder")
    assert budget.parameters_by_part(budget.outline(policy, "float32")) == plain


@pytest.mark.parametrize(
    ("page", "most", "tiles", "tokens"),
    [
        ((768, 768), None, 0, 257),
        ((1500, 700), None, 2, 545),
        ((1240, 1754), None, 6, 1121),
        ((1240, 1754), 2, 2, 545),
    ],
)
def test_visual_tokens_of_a_page(page, most, tiles, tokens):
    images = budget.image_settings(BASE_MODEL, most)
    assert images.tiles(*page) == tiles
    assert images.tokens(tiles) == tokens


def test_flops_of_the_real_model():
    """By hand: 2 FLOPs per weight and token; per token 6 of 64 experts work."""
    images = budget.image_settings(BASE_MODEL, None)
    shape = step(images, 6, batch=1, target_tokens=600, chunks=8)
    work = budget.step_flops(ModelArguments(model=BASE_MODEL), images, shape)
    length, hidden = shape.length, 1280
    attention = 4 * hidden**2 * 12
    experts = 3 * hidden * 896 * (6 + 2) * 11 + hidden * 64 * 11
    by_hand = 2 * length * (attention + experts + 3 * hidden * 6848) + 4 * length**2 * hidden * 12
    lora = 2 * length * 3_978_240
    assert work.text.forward == pytest.approx(by_hand + lora, rel=0.001)
    assert 5e12 < work.vision.forward < 6e12
    assert work.vision.backward == 0
    assert work.head.forward == 2 * 600 * hidden * 129_280
    flops = work.flops(checkpointing=True)
    assert flops["recomputed"] == work.text.forward


@pytest.mark.parametrize("policy", ["full", "lora", "language"])
@pytest.mark.parametrize("tiles", [0, 2])
def test_counted_work_is_that_of_a_real_run(policy, tiles):
    policy = ModelArguments(model="tiny", **POLICIES[policy])
    images = budget.image_settings("tiny", None)
    shape = step(images, tiles)
    work = budget.step_flops(policy, images, shape)
    # Eager attention is made of the same matrix products, which the counter sees.
    forward, total = real_run(policy, images, shape)
    assert work.vision.forward + work.text.forward == pytest.approx(forward, rel=0.001)
    # A fused kernel's backward pass computes the scores once more.
    text = budget.model_config("tiny").text_config
    scores = 2 * shape.batch * shape.length**2 * text.hidden_size * text.num_hidden_layers
    assert work.vision.backward + work.text.backward - scores == pytest.approx(total - forward, rel=0.05)


def real_run(policy, images, shape) -> tuple[int, int]:
    """Forward FLOPs, and FLOPs with the backward pass, on real tensors."""
    config = budget.model_config("tiny")
    config._attn_implementation = "eager"
    model = apply_policy(OCR2Model(config), policy)
    base = base_of(model).model
    with budget.flop_counter() as counter:
        views = [torch.zeros(shape.batch, 3, images.global_side, images.global_side)]
        if shape.tiles:
            views.append(torch.zeros(shape.batch * shape.tiles, 3, images.tile_side, images.tile_side))
        towers = [base.vision_tower(pixels).last_hidden_state.flatten(0, 1) for pixels in views]
        features = base.multi_modal_projector(torch.cat(towers)).view(shape.batch, shape.visual_tokens - 1, -1)
        rest = torch.zeros(shape.batch, shape.length - features.shape[1], features.shape[2])
        inputs = torch.cat([features, rest], dim=1)
        mask = torch.ones(inputs.shape[:2], dtype=torch.long)
        hidden = base.language_model(inputs_embeds=inputs, attention_mask=mask, use_cache=False).last_hidden_state
        forward = counter.get_total_flops()
        hidden.sum().backward()
    return forward, counter.get_total_flops()


@pytest.mark.parametrize(
    ("policy", "again"), [("full", ("vision", "text")), ("lora", ("text",)), ("projector", ("text",))]
)
def test_checkpointing_computes_again_what_has_a_backward_pass(policy, again):
    images = budget.image_settings("tiny", None)
    work = budget.step_flops(ModelArguments(model="tiny", **POLICIES[policy]), images, step(images, 2))
    assert work.flops(checkpointing=False)["recomputed"] == 0
    assert work.flops(checkpointing=True)["recomputed"] == sum(getattr(work, part).forward for part in again)


def test_only_the_real_hub_id_is_known_without_a_download(tmp_path):
    with pytest.raises(UsageError, match="no model 'org/other'"):
        budget.model_config("org/other")
    with pytest.raises(UsageError, match="holds no model"):
        budget.model_config(str(tmp_path))
