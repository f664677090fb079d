"""What a recipe computes: parameters, visual tokens and FLOPs of a training step; no weights, no GPU.

Parameters and tokens are exact. FLOPs are counted from the matrix products of the library's own code, which runs on
tensors that have a shape and no values. Attention is counted as a fused kernel does it: it keeps queries, keys, values
and the result, never the scores.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode
from transformers import DeepseekOcr2Config

from ocr2_hf.data.images import ImageSettings
from ocr2_hf.document.hub_names import BASE_MODEL, ORIGINAL_MODEL
from ocr2_hf.document.model_tokens import IMAGE
from ocr2_hf.errors import UsageError
from ocr2_hf.modeling.adapters import PARTS, apply_policy, base_of, part_and_group
from ocr2_hf.modeling.load import load_processor
from ocr2_hf.modeling.model import OCR2Model
from ocr2_hf.modeling.model_files import BROKEN_MODEL, first_line, load_config
from ocr2_hf.modeling.released import REAL_CONFIG, REAL_IMAGES
from ocr2_hf.modeling.tiny import TINY_SIZES, build_tiny_tokenizer, tiny_config
from ocr2_hf.recipe import ModelArguments

REAL_IDS = (BASE_MODEL, ORIGINAL_MODEL)  # the same weights


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
        """Tokens of a page."""
        return self.visual_tokens + self.prompt_tokens + self.target_tokens


@dataclass(frozen=True)
class Flops:
    """Of the forward and of the backward pass."""

    forward: int
    backward: int


@dataclass(frozen=True)
class StepFlops:
    """FLOPs of a micro-batch, by part; the head saves nothing, its logits are computed again. A vision tower of which
    nothing trains saves nothing either, and is not computed again."""

    vision: Flops
    text: Flops
    head: Flops
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
        return tiny_config(len(tokenizer), tokenizer.convert_tokens_to_ids(IMAGE), TINY_SIZES[name])
    if name in REAL_IDS:
        return DeepseekOcr2Config.from_json_file(REAL_CONFIG)
    return load_config(name)


def image_settings(name: str, max_patches: int | None) -> ImageSettings:
    """How the recipe's processor cuts pages."""
    settings = REAL_IMAGES if name in REAL_IDS else ImageSettings.of(load_processor(name))
    return settings if max_patches is None else replace(settings, max_patches=max_patches)


def outline(
    policy: ModelArguments, dtype: str, box_head: bool = False, config: DeepseekOcr2Config | None = None
) -> nn.Module:
    """The model as it trains, on the meta device: shapes, dtypes and what trains, no values."""
    config = model_config(policy.model) if config is None else config
    with torch.device("meta"):
        try:
            model = OCR2Model(config).to(getattr(torch, dtype))
        except BROKEN_MODEL as error:
            told = f"{type(error).__name__} {first_line(error)}"
            raise UsageError(f"the config of {policy.model!r} is of no model that can be built: {told}") from error
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


def step_flops(policy: ModelArguments, images: ImageSettings, step: Step) -> StepFlops:
    """Count a micro-batch's FLOPs, with activations in bfloat16, which the experts' kernel wants."""
    model = outline(policy, "bfloat16").to(torch.bfloat16)
    base = base_of(model)
    base.choose_experts("grouped_mm")
    vision = count_flops(lambda: _vision_forward(base, images, step), model)
    text = count_flops(lambda: _text_forward(base, step, input_trains=vision.backward > 0), model)
    head = count_flops(lambda: base.lm_head(_empty(base, step.batch * step.target_tokens).requires_grad_()), model)
    head = replace(head, backward=head.backward + head.forward)  # logits are computed again in the backward pass
    trains = any(parameter.requires_grad for parameter in base.model.vision_tower.parameters())
    return StepFlops(vision, text, head, trains)


def _empty(base: OCR2Model, *shape: int) -> Tensor:
    """A hidden state of the text model on the meta device."""
    return torch.empty(*shape, base.config.text_config.hidden_size, device="meta", dtype=base.dtype)


def _vision_forward(base: OCR2Model, images: ImageSettings, step: Step) -> Tensor:
    features = []
    for side, views in ((images.global_side, step.batch), (images.tile_side, step.batch * step.tiles)):
        if views:
            pixels = torch.empty(views, 3, side, side, device="meta", dtype=base.dtype)
            features.append(base.model.vision_tower(pixels).last_hidden_state.flatten(0, 1))
    return base.model.multi_modal_projector(torch.cat(features))


def _text_forward(base: OCR2Model, step: Step, input_trains: bool) -> Tensor:
    return base.model.language_model(
        inputs_embeds=_empty(base, step.batch, step.length).requires_grad_(input_trains),
        attention_mask=torch.ones(step.batch, 1, step.length, step.length, dtype=torch.bool, device="meta"),
        use_cache=False,
    ).last_hidden_state


def flop_counter() -> FlopCounterMode:
    """torch's counter of FLOPs, which does not know the experts' matrix product."""
    return FlopCounterMode(display=False, custom_mapping={torch.ops.aten._grouped_mm: _grouped_flops})


def count_flops(run: Callable[[], Tensor], model: nn.Module) -> Flops:
    """Run a part of `model`, on the meta device, forward, and backward if its result, a tensor of any shape, has a
    gradient."""
    with fake_kernels(), flop_counter() as counter:
        result = run()
        forward = counter.get_total_flops()
        if result.requires_grad:
            result.sum().backward()
    model.zero_grad()
    return Flops(forward, counter.get_total_flops() - forward)


@contextmanager
def fake_kernels(autocast: bool = False) -> Iterator[None]:
    """Kernels that tensors without values have not: attention and the experts' products as a GPU runs them. The meta
    device has no autocast either, which peft wants to turn off; `autocast` leaves it as it is."""
    kept = torch.autocast, F.scaled_dot_product_attention, F.grouped_mm
    F.scaled_dot_product_attention, F.grouped_mm = _fused_attention, _grouped_product
    if not autocast:
        torch.autocast = lambda *_, **__: nullcontext()
    try:
        yield
    finally:
        torch.autocast, F.scaled_dot_product_attention, F.grouped_mm = kept


def _grouped_product(rows: Tensor, experts: Tensor, offs: Tensor) -> Tensor:
    """Every row goes through one expert: as much work, and tensors of the same sizes, as if all went through the
    first."""
    return rows @ experts[0]


def _grouped_flops(a_shape, b_shape, *_, **__) -> int:
    """Every row goes through one expert: [rows, in] x [experts, in, out], or its gradient [in, rows] x [rows, out]."""
    return 2 * a_shape[0] * a_shape[1] * b_shape[-1]


def _fused_attention(query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None = None, **_) -> Tensor:
    """The kernel a GPU runs. A mask of booleans costs it nothing; a bias that is added to the scores does."""
    groups = query.shape[1] // key.shape[1]
    key, value = key.repeat_interleave(groups, dim=1), value.repeat_interleave(groups, dim=1)
    bias = attn_mask if attn_mask is not None and attn_mask.is_floating_point() else None
    kernel = torch.ops.aten._scaled_dot_product_efficient_attention
    return kernel(query, key, value, bias, compute_log_sumexp=torch.is_grad_enabled())[0]
