"""How much memory a training step takes at its peak, by part: the step is run on tensors that have no values.

It is the training code itself that runs, under the dtypes of the recipe, autocast and checkpointing included. An
estimate it is still: what a kernel takes for itself, the allocator's waste and what libraries hold are not seen.
"""

import warnings
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch._subclasses import FakeTensorMode
from transformers import DeepseekOcr2Config

from ocr2_hf.data.images import ImageSettings
from ocr2_hf.modeling.adapters import base_of
from ocr2_hf.modeling.losses import TERMS, ForwardPass, LossSettings
from ocr2_hf.modeling.model import OCR2Model
from ocr2_hf.planning.budget import Step, model_config, outline
from ocr2_hf.planning.trace import LiveBytes, stand_ins
from ocr2_hf.recipe import ModelArguments

# Bytes of optimizer state per trained parameter; what is not listed counts as AdamW: two float32 moments.
OPTIMIZER_BYTES = {"adafactor": 0, "sgd": 0, "8bit": 2}
RESERVE = 1.1  # fragmentation, and what libraries take for themselves
ADVICE = {
    "weights": "split them over GPUs (zero3, fsdp2), or train adapters with bf16: true, which loads them in bfloat16",
    "half-precision copies": "train less in full (train_language: lora), or split: zero3, fsdp2",
    "gradients": "train less in full (train_language: lora), or split: zero2, zero3, fsdp2",
    "optimizer": "train less in full (train_language: lora), use optim: adamw_8bit, or split: zero2, zero3, fsdp2",
    "activations": "set gradient_checkpointing: true, or a smaller per_device_train_batch_size or max_patches",
    "logits": "raise loss_chunks",
}
PARTS = tuple(ADVICE)


@dataclass(frozen=True)
class Precision:
    """`weights`: the dtype they are loaded in (what trains is float32); `mixed`: autocast's dtype, or none."""

    weights: torch.dtype
    mixed: torch.dtype | None


@dataclass(frozen=True)
class StepMemory:
    """Bytes of one process: `weights`, `gradients`, `optimizer` in all; and what else was alive at the peak of forward
    and backward pass: `activations`, `copies` of weights in 16 bits, `logits`, and so many `early` gradients."""

    weights: int
    gradients: int
    optimizer: int
    activations: int
    copies: int
    logits: int
    early: int

    def parts(self) -> dict[str, int]:
        """What is there at the step's peak, which is in the backward pass or in the optimizer's step."""
        held = dict.fromkeys(PARTS, 0) | {"weights": self.weights, "optimizer": self.optimizer}
        backward = held | {"half-precision copies": self.copies, "gradients": self.early}
        backward |= {"activations": self.activations, "logits": self.logits}
        return max(backward, held | {"gradients": self.gradients}, key=lambda parts: sum(parts.values()))

    @property
    def peak(self) -> int:
        return sum(self.parts().values())


def step_memory(
    policy: ModelArguments,
    images: ImageSettings,
    step: Step,
    precision: Precision,
    optimizer: str,
    accumulates: bool = False,
    box_head: bool = False,
) -> StepMemory:
    """Run forward and backward pass of a micro-batch; with `accumulates` all gradients are there from the start."""
    dtype = str(precision.weights).removeprefix("torch.")
    weights = _bytes([*(whole := outline(policy, dtype, box_head)).parameters(), *whole.buffers()])
    model = outline(policy, dtype, box_head, _shortened(policy)).train()
    with FakeTensorMode(), stand_ins(autocast=True):
        _prepare(model, step.checkpointing)
        counted = _run(model, images, step, precision)
        trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
        gradients = _bytes(trained)
        return StepMemory(
            weights=weights,
            gradients=gradients,
            optimizer=sum(parameter.numel() for parameter in trained) * _optimizer_bytes(optimizer),
            activations=counted["activations"],
            copies=counted["copies"],
            logits=counted["logits"],
            early=gradients if accumulates else counted["gradients"],
        )


def fits(needed: int, gpu_memory: int) -> bool:
    """Whether so many bytes fit in so many GB, with a tenth in reserve."""
    return needed * RESERVE <= gpu_memory * 1e9


def verdict(parts: dict[str, int], gpu_memory: int) -> str:
    """Whether the bytes of a step's parts fit in so many GB, and if not, what would help most."""
    needed = sum(parts.values())
    told = f"{gpu_memory} GB: {needed * RESERVE / 1e9:.1f} GB with a tenth in reserve"
    if fits(needed, gpu_memory):
        return f"fits in {told}"
    largest = max(parts, key=parts.get)
    return f"does not fit in {told}; most is {largest}: {ADVICE[largest]}"


def _shortened(policy: ModelArguments) -> DeepseekOcr2Config:
    """The model's configuration; of a vision tower that does not train one layer of each kind is enough: it keeps
    nothing of a layer once that is done."""
    config = model_config(policy.model)
    if policy.train_vision == "none":
        sam, encoder = config.vision_config.sam_config, config.vision_config.encoder_config
        sam.num_hidden_layers, sam.global_attn_indexes = 2, [1] if sam.global_attn_indexes else []
        encoder.num_hidden_layers, encoder.layer_types = 1, encoder.layer_types[:1]
    return config


def _prepare(model: nn.Module, checkpointing: bool) -> None:
    """From the meta device, which has no autocast, to a CPU's tensors without values."""
    base_of(model).choose_experts("grouped_mm")
    model._apply(lambda tensor: torch.empty(tensor.shape, dtype=tensor.dtype))  # `to_empty` wants fakes to begin with
    if checkpointing:
        # Without values there is no state of random numbers to keep.
        options = {"use_reentrant": False, "preserve_rng_state": False}
        with warnings.catch_warnings(action="ignore", category=FutureWarning):  # the name in transformers 5.17
            base_of(model).gradient_checkpointing_enable(gradient_checkpointing_kwargs=options)
    base = base_of(model).model
    # The stock method counts the image tokens, which takes values.
    base.get_placeholder_mask = lambda ids, *_: (ids == base.config.image_token_id).unsqueeze(-1)


def _run(model: nn.Module, images: ImageSettings, step: Step, precision: Precision) -> Counter:
    base = base_of(model)
    vocabulary = base.config.text_config.vocab_size
    weights = {id(parameter) for parameter in model.parameters()}

    def kind(operation, arguments: tuple, tensor: Tensor) -> str:
        if operation is torch.ops.aten._to_copy.default and id(arguments[0]) in weights:
            return "copies"
        return "logits" if tensor.dim() > 1 and tensor.shape[-1] == vocabulary else "activations"

    live = LiveBytes(model, kind)
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.register_post_accumulate_grad_hook(lambda tensor: live.rename(tensor.grad, "gradients"))
    with live:
        _micro_batch(base, images, step, precision.mixed)
    return live.at_peak


def _micro_batch(base: OCR2Model, images: ImageSettings, step: Step, mixed: torch.dtype | None) -> None:
    """As `OCR2Model.forward` and the trainer do it; its indices of supervised tokens, which take values, are given."""
    pixels = {"pixel_values": torch.empty(step.batch, 3, images.global_side, images.global_side)}
    if step.tiles:
        pixels["pixel_values_local"] = torch.empty(step.batch * step.tiles, 3, images.tile_side, images.tile_side)
        pixels["num_local_patches"] = [step.tiles] * step.batch
    with torch.autocast("cpu", mixed, enabled=mixed is not None):
        hidden = base.model(
            input_ids=torch.zeros(step.batch, step.length, dtype=torch.long),
            attention_mask=torch.ones(step.batch, 1, step.length, step.length, dtype=torch.bool),
            use_cache=False,
            **pixels,
        ).last_hidden_state
        rows = hidden[:, -step.target_tokens - 1 : -1].flatten(0, 1)
        labels, weights = torch.zeros(len(rows), dtype=torch.long), torch.ones(len(rows))
        no_boxes, ids = torch.empty(0, dtype=torch.long), torch.zeros(1000, dtype=torch.long)
        text_sum, _, expected = base.lm_head(rows, labels, weights, no_boxes, ids, step.chunks)
        done = ForwardPass(hidden, text_sum, expected.view(-1, 4), torch.empty(0, 4), LossSettings(()))
        loss = sum(term.sum(done) for term in TERMS.values())
    loss.backward()


def _bytes(tensors: Iterable[Tensor]) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def _optimizer_bytes(optimizer: str) -> int:
    return next((size for piece, size in OPTIMIZER_BYTES.items() if piece in optimizer), 8)
