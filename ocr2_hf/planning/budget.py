"""What a recipe computes: parameters, visual tokens and FLOPs of a training step; no weights, no GPU.

Parameters and tokens are exact. FLOPs are counted from the matrix products of the library's code.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import nn
from transformers import AutoConfig, DeepseekOcr2Config

from ocr2_hf.data.images import ImageSettings
from ocr2_hf.modeling.adapters import PARTS, apply_policy, base_of, part_and_group
from ocr2_hf.modeling.load import load_processor
from ocr2_hf.modeling.model import OCR2Model
from ocr2_hf.modeling.model_files import check_model
from ocr2_hf.modeling.tiny import TINY_SIZES, build_tiny_tokenizer, tiny_config
from ocr2_hf.planning.trace import Work, count
from ocr2_hf.recipe import ModelArguments

REAL = ModelArguments.model
REAL_CONFIG = Path(__file__).with_name("deepseek_ocr2_config.json")
REAL_IMAGES = ImageSettings(global_side=1024, tile_side=768, patch=16, downsample=4, min_patches=2, max_patches=6)


@dataclass(frozen=True)
class Step:
    """One micro-batch of training: `batch` pages, each of `tiles` tiles, so many visual tokens, and target tokens with
    the prompt's before them; only the target's get logits, in `chunks` pieces."""

    batch: int
    tiles: int
    visual_tokens: int
    target_tokens: int
    chunks: int
    checkpointing: bool
    prompt_tokens: int = 0

    @property
    def length(self) -> int:
        return self.visual_tokens + self.prompt_tokens + self.target_tokens


@dataclass(frozen=True)
class StepWork:
    """Work of a micro-batch, by part; the head saves nothing, its logits are computed again. A vision tower of which
    nothing trains saves nothing either, and is not computed again."""

    vision: Work
    text: Work
    head: Work
    vision_trains: bool

    def flops(self, checkpointing: bool) -> dict[str, int]:
        """FLOPs: forward by part, backward, and the forward that checkpointing does again."""
        again = [self.text.forward] * (self.text.backward > 0) + [self.vision.forward] * self.vision_trains
        return {
            "vision forward": self.vision.forward,
            "text forward": self.text.forward,
            "head forward": self.head.forward,
            "backward": self.vision.backward + self.text.backward + self.head.backward,
            "recomputed": sum(again) if checkpointing else 0,
        }


def model_config(name: str) -> DeepseekOcr2Config:
    """The configuration of a recipe's model; of the real one from this package, so that nothing is downloaded."""
    if name in TINY_SIZES:
        tokenizer = build_tiny_tokenizer(TINY_SIZES[name])
        return tiny_config(len(tokenizer), tokenizer.convert_tokens_to_ids("<image>"), TINY_SIZES[name])
    if name == REAL:
        return DeepseekOcr2Config.from_json_file(REAL_CONFIG)
    check_model(name)
    return AutoConfig.from_pretrained(name)


def image_settings(name: str, max_patches: int | None) -> ImageSettings:
    """How the recipe's processor cuts pages."""
    settings = REAL_IMAGES if name == REAL else ImageSettings.of(load_processor(name))
    return settings if max_patches is None else replace(settings, max_patches=max_patches)


def outline(
    policy: ModelArguments, dtype: str, box_head: bool = False, config: DeepseekOcr2Config | None = None
) -> nn.Module:
    """The model as it trains, on the meta device: shapes, dtypes and what trains, no values."""
    config = model_config(policy.model) if config is None else config
    with torch.device("meta"):
        model = OCR2Model(config).to(getattr(torch, dtype))
        if box_head:
            model.add_box_head()
        return apply_policy(model, policy)


def parameters_by_part(model: nn.Module) -> dict[str, int]:
    """Parameters of each part of the model itself, adapters and peft's copies left out."""
    sizes = {part: 0 for _, part, _ in PARTS}
    for name, parameter in model.named_parameters():
        if "lora_" not in name and ".modules_to_save." not in name:
            sizes[part_and_group(name)[0]] += parameter.numel()
    return {part: size for part, size in sizes.items() if size}


def step_work(policy: ModelArguments, images: ImageSettings, step: Step) -> StepWork:
    """Count a micro-batch's work, with activations in bfloat16, which the experts' kernel wants."""
    model = outline(policy, "bfloat16").to(torch.bfloat16)
    base = base_of(model)
    base.choose_experts("grouped_mm")
    vision = count(lambda: _vision_forward(base, images, step), model)
    text = count(lambda: _text_forward(base, step, input_trains=vision.backward > 0), model)
    head = count(lambda: base.lm_head(_empty(base, step.batch * step.target_tokens).requires_grad_()), model)
    head = replace(head, backward=head.backward + head.forward)  # logits are computed again in the backward pass
    trains = any(parameter.requires_grad for parameter in base.model.vision_tower.parameters())
    return StepWork(vision, text, head, trains)


def _empty(base: OCR2Model, *shape: int) -> torch.Tensor:
    """A hidden state of the text model on the meta device."""
    return torch.empty(*shape, base.config.text_config.hidden_size, device="meta", dtype=base.dtype)


def _vision_forward(base: OCR2Model, images: ImageSettings, step: Step) -> torch.Tensor:
    features = []
    for side, views in ((images.global_side, step.batch), (images.tile_side, step.batch * step.tiles)):
        if views:
            pixels = torch.empty(views, 3, side, side, device="meta", dtype=base.dtype)
            features.append(base.model.vision_tower(pixels).last_hidden_state.flatten(0, 1))
    return base.model.multi_modal_projector(torch.cat(features))


def _text_forward(base: OCR2Model, step: Step, input_trains: bool) -> torch.Tensor:
    length = step.length
    outputs = base.model.language_model(
        inputs_embeds=_empty(base, step.batch, length).requires_grad_(input_trains),
        attention_mask=torch.ones(step.batch, 1, length, length, dtype=torch.bool, device="meta"),
        use_cache=False,
    )
    return outputs.last_hidden_state
