"""How much memory a training step takes at its peak, by part, in one process or under a launch configuration.

The step is run on tensors that have no values. The training code itself runs, under the dtypes of the recipe, autocast
and checkpointing included. The result is still an estimate: what a kernel takes for itself, the allocator's waste and
what libraries hold are not seen. What several processes hold is estimated from what DDP, FSDP2 and DeepSpeed document;
none of it was measured on a GPU.
"""

import json
import warnings
import weakref
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import Tensor, nn
from torch._subclasses import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from transformers import DeepseekOcr2Config

from ocr2_hf.data.images import ImageSettings
from ocr2_hf.document.plain_yaml import read_plain_yaml
from ocr2_hf.errors import UsageError
from ocr2_hf.modeling.adapters import base_of
from ocr2_hf.modeling.losses import TERMS, ForwardPass, LossSettings
from ocr2_hf.modeling.model import OCR2Model
from ocr2_hf.planning.budget import Step, fake_kernels, model_config, outline
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
OFFLOADS = {"optimizer": "optimizer", "param": "weights"}  # DeepSpeed's name -> ours


class LiveBytes(TorchDispatchMode):
    """The bytes of all tensors made inside that are still alive; views of weights take none.

    `kind` says what a new tensor is; `now` has the bytes of each kind, `at_peak` those when their sum was largest.
    """

    def __init__(self, model: nn.Module, kind: Callable[[object, tuple, Tensor], str] = lambda *_: "all") -> None:
        super().__init__()
        self.kind, self.now, self.at_peak = kind, Counter(), Counter()
        self._alive: dict[int, tuple[weakref.ref, str]] = {}  # the storage, and its kind
        self._weights = {tensor.untyped_storage()._cdata for tensor in (*model.parameters(), *model.buffers())}

    @property
    def peak(self) -> int:
        """Bytes of all kinds together when their sum was largest."""
        return sum(self.at_peak.values())

    def __torch_dispatch__(self, operation, types, arguments=(), keywords=None):
        result = operation(*arguments, **(keywords or {}))
        for tensor in tree_leaves(result):
            if isinstance(tensor, Tensor):
                self._add(tensor.untyped_storage(), self.kind(operation, arguments, tensor))
        return result

    def rename(self, tensor: Tensor, kind: str) -> None:
        """Count a tensor that is alive as of another kind from now on."""
        key = tensor.untyped_storage()._cdata
        if key in self._alive:
            (storage, before), size = self._alive[key], tensor.untyped_storage().nbytes()
            self.now[before] -= size
            self.now[kind] += size
            self._alive[key] = storage, kind

    def _add(self, storage: torch.UntypedStorage, kind: str) -> None:
        key, size = storage._cdata, storage.nbytes()
        if key in self._alive or key in self._weights:
            return

        def end(_: weakref.ref) -> None:
            self.now[self._alive.pop(key)[1]] -= size

        self._alive[key] = weakref.ref(storage, end), kind
        self.now[kind] += size
        if sum(self.now.values()) > self.peak:
            self.at_peak = self.now.copy()


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
        """Bytes of all parts together."""
        return sum(self.parts().values())


def step_memory(
    policy: ModelArguments,
    images: ImageSettings,
    step: Step,
    dtype: str,
    mixed: torch.dtype | None,
    optimizer: str,
    accumulates: bool = False,
    box_head: bool = False,
) -> StepMemory:
    """Run forward and backward pass of a micro-batch; with `accumulates` all gradients are there from the start.

    `dtype`: in which the weights are loaded (what trains is float32); `mixed`: autocast's, or none.
    """
    whole = outline(policy, dtype, box_head)
    model = outline(policy, dtype, box_head, _shortened(policy)).train()
    with FakeTensorMode(), fake_kernels(autocast=True):
        _prepare(model, step.checkpointing)
        counted = _run(model, images, step, mixed)
        gradients = _bytes(_trained(model))
        moments = next((size for name, size in OPTIMIZER_BYTES.items() if name in optimizer), 8)
        return StepMemory(
            weights=_bytes((*whole.parameters(), *whole.buffers())),
            gradients=gradients,
            optimizer=_numel(_trained(model)) * moments,
            early=gradients if accumulates else counted["gradients"],
            **{name: counted[name] for name in ("activations", "copies", "logits")},
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


def _run(model: nn.Module, images: ImageSettings, step: Step, mixed: torch.dtype | None) -> Counter:
    base = base_of(model)
    vocabulary = base.config.text_config.vocab_size
    weights = {id(parameter) for parameter in model.parameters()}

    def kind(operation, arguments: tuple, tensor: Tensor) -> str:
        if operation is torch.ops.aten._to_copy.default and id(arguments[0]) in weights:
            return "copies"
        return "logits" if tensor.dim() > 1 and tensor.shape[-1] == vocabulary else "activations"

    live = LiveBytes(model, kind)
    for parameter in _trained(model):
        parameter.register_post_accumulate_grad_hook(lambda tensor: live.rename(tensor.grad, "gradients"))
    with live:
        _micro_batch(base, images, step, mixed)
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
        losses, _, expected = base.lm_head(rows, labels, weights, no_boxes, ids, step.chunks)
        text = losses.view(step.batch, -1).sum(dim=1)
        done = ForwardPass(hidden, text, expected.view(-1, 4), torch.empty(0, 4), no_boxes, LossSettings(()))
        loss = sum(term.sums(done).sum() for term in TERMS.values())
    loss.backward()


def _bytes(tensors: Iterable[Tensor]) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def _numel(parameters: Iterable[Tensor]) -> int:
    return sum(parameter.numel() for parameter in parameters)


def _trained(model: nn.Module) -> list[Tensor]:
    return [parameter for parameter in model.parameters() if parameter.requires_grad]


@dataclass(frozen=True)
class Launch:
    """A launch configuration. `splits`: what is split over `processes`, of weights, gradients and optimizer;
    `offloads`: what lies in host memory. `whole_layers`: classes whose weights are gathered one at a time (FSDP2);
    `bucket`, `live`: parameters in a DeepSpeed bucket, and gathered at once (ZeRO-3), by default as in DeepSpeed."""

    name: str
    kind: str
    processes: int
    splits: frozenset[str] = frozenset()
    offloads: frozenset[str] = frozenset()
    whole_layers: tuple[str, ...] = ()
    bucket: float = 5e8
    live: float = 1e9


def read_launches(folder: str | Path, processes: int | None = None) -> list[Launch]:
    """Every configuration of a folder, for its own number of processes or the given one; plain ones first."""
    launches = [_read(path, processes) for path in sorted(Path(folder).glob("*.yaml"))]
    return sorted(launches, key=lambda launch: (len(launch.splits), len(launch.offloads)))


def process_bytes(launch: Launch, memory: StepMemory, model: nn.Module, width: int) -> int:
    """Estimated bytes of one process at the peak; `model` is an outline with what trains, `width` the bytes of a number
    that is computed with."""
    if launch.processes == 1 or launch.kind == "NO":
        return memory.peak
    if launch.kind == "FSDP":
        return _fsdp(launch, memory, model, width)
    if launch.kind == "DEEPSPEED":
        return _deepspeed(launch, memory, model, width)
    return memory.peak + memory.gradients  # DDP reduces gradients in buckets of their size


def _read(path: Path, processes: int | None) -> Launch:
    try:
        config = read_plain_yaml(path)
        kind, own = str(config["distributed_type"]), int(config["num_processes"])
        launch = Launch(path.stem, kind, own if processes is None or kind == "NO" else processes)
        if kind == "FSDP":
            layers = tuple(config["fsdp_config"]["fsdp_transformer_layer_cls_to_wrap"].split(","))
            return replace(launch, splits=frozenset({"weights", "gradients", "optimizer"}), whole_layers=layers)
        if kind == "DEEPSPEED":
            return replace(launch, **_deepspeed_settings(path, config["deepspeed_config"]))
        return launch
    except (OSError, yaml.YAMLError, TypeError, KeyError, ValueError, RecursionError) as error:
        raise UsageError(f"{path} is no launch configuration of accelerate: {error!r}") from error


def _deepspeed_settings(path: Path, config: dict[str, Any]) -> dict[str, Any]:
    """Fields of a `Launch`, from the JSON that the YAML names, which lies beside it, or from the YAML itself."""
    zero: dict[str, Any] = {"stage": config.get("zero_stage", 0)}
    offloads = [part for part in OFFLOADS if config.get(f"offload_{part}_device", "none") != "none"]
    if "deepspeed_config_file" in config:
        named = path.parent / Path(config["deepspeed_config_file"]).name
        zero = json.loads(named.read_text(encoding="utf-8"))["zero_optimization"]
        offloads = [part for part in OFFLOADS if f"offload_{part}" in zero]
    stage = int(zero["stage"])
    splits = [part for part, since in (("optimizer", 1), ("gradients", 2), ("weights", 3)) if stage >= since]
    names = {"bucket": "reduce_bucket_size", "live": "stage3_max_live_parameters"}
    sizes = {field: float(zero[name]) for field, name in names.items() if zero.get(name) not in (None, "auto")}
    return {"splits": frozenset(splits), "offloads": frozenset(OFFLOADS[part] for part in offloads), **sizes}


def _fsdp(launch: Launch, memory: StepMemory, model: nn.Module, width: int) -> int:
    """A layer and the next are whole at a time; what is in no layer (embeddings, head) is whole all the time, and so
    are its gradients."""
    layers = [module for module in base_of(model).modules() if type(module).__name__ in launch.whole_layers]
    outside = set(model.parameters()) - {parameter for layer in layers for parameter in layer.parameters()}
    whole = 2 * max((_numel(layer.parameters()) for layer in layers), default=0) + _numel(outside)
    whole += _numel(parameter for parameter in outside if parameter.requires_grad)
    split = (memory.weights + memory.gradients + memory.optimizer) // launch.processes
    return split + width * whole + memory.activations + memory.logits


def _deepspeed(launch: Launch, memory: StepMemory, model: nn.Module, width: int) -> int:
    """Weights and gradients in the dtype of training; the optimizer's partition has float32 copies of the weights."""
    every, trained = _numel(model.parameters()), _numel(_trained(model))
    held = {"weights": width * every, "gradients": width * trained, "optimizer": memory.optimizer + 4 * trained}
    if "optimizer" in launch.offloads:
        held["optimizer"] = held["gradients"] = 0
    if "weights" in launch.offloads:
        held["weights"] = 0
    parts = sum(size // (launch.processes if part in launch.splits else 1) for part, size in held.items())
    if "gradients" in launch.splits:
        parts += round(2 * width * min(launch.bucket, trained))  # one is filled while another is sent
    if "weights" in launch.splits:
        parts += round(width * min(launch.live, every))
    return parts + memory.activations + memory.logits
