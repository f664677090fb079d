"""What each process holds of a training step under a launch configuration: read from accelerate's YAML itself.

Estimates from what DDP, FSDP2 and DeepSpeed document; none was measured on a GPU.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from torch import nn

from ocr2_hf.errors import UsageError
from ocr2_hf.modeling.adapters import base_of
from ocr2_hf.planning.step_memory import StepMemory

# DeepSpeed's own defaults, for what its JSON does not say.
BUCKET = 5e8
LIVE_PARAMETERS = 1e9


@dataclass(frozen=True)
class Launch:
    """A launch configuration. `splits`: what is split over `processes`, of weights, gradients and optimizer;
    `offloads`: what lies in host memory. `whole_layers`: classes whose weights are gathered one at a time (FSDP2);
    `bucket`, `live`: parameters in a DeepSpeed bucket, and gathered at once (ZeRO-3)."""

    name: str
    kind: str
    processes: int
    splits: frozenset[str] = frozenset()
    offloads: frozenset[str] = frozenset()
    whole_layers: tuple[str, ...] = ()
    bucket: float = BUCKET
    live: float = LIVE_PARAMETERS


def read_launches(folder: str | Path, processes: int | None = None) -> list[Launch]:
    """Every configuration of a folder, for its own number of processes or the given one; plain ones first."""
    launches = [_read(path, processes) for path in sorted(Path(folder).glob("*.yaml"))]
    return sorted(launches, key=lambda launch: (len(launch.splits), len(launch.offloads)))


def process_bytes(launch: Launch, memory: StepMemory, model: nn.Module, half_precision: bool) -> int:
    """Estimated bytes of one process at the peak; `model` is an outline with what trains."""
    if launch.processes == 1 or launch.kind == "NO":
        return memory.peak
    width = 2 if half_precision else 4
    if launch.kind == "FSDP":
        return _fsdp(launch, memory, model, width)
    if launch.kind == "DEEPSPEED":
        return _deepspeed(launch, memory, model, width)
    return memory.peak + memory.gradients  # DDP reduces gradients in buckets of their size


def _read(path: Path, processes: int | None) -> Launch:
    try:
        config = yaml.safe_load(path.read_text(encoding="utf-8"))
        kind, own = str(config["distributed_type"]), int(config["num_processes"])
        count = own if processes is None or kind == "NO" else processes
        if kind == "FSDP":
            layers = tuple(config["fsdp_config"]["fsdp_transformer_layer_cls_to_wrap"].split(","))
            everything = frozenset({"weights", "gradients", "optimizer"})
            return Launch(path.stem, kind, count, everything, whole_layers=layers)
        if kind == "DEEPSPEED":
            return _read_deepspeed(path, count, config["deepspeed_config"])
        return Launch(path.stem, kind, count)
    except (OSError, yaml.YAMLError, json.JSONDecodeError, TypeError, KeyError, ValueError) as error:
        raise UsageError(f"{path} is no launch configuration of accelerate: {error!r}") from error


def _read_deepspeed(path: Path, processes: int, config: dict[str, Any]) -> Launch:
    """Settings beside the YAML's, in the JSON it names, or in the YAML itself."""
    zero: dict[str, Any] = {"stage": config.get("zero_stage", 0)}
    offloads = {part for part in ("optimizer", "param") if config.get(f"offload_{part}_device", "none") != "none"}
    if "deepspeed_config_file" in config:
        named = path.parent / Path(config["deepspeed_config_file"]).name
        zero = json.loads(named.read_text(encoding="utf-8"))["zero_optimization"]
        offloads = {part for part in ("optimizer", "param") if f"offload_{part}" in zero}
    stage = int(zero["stage"])
    splits = [part for part, since in (("optimizer", 1), ("gradients", 2), ("weights", 3)) if stage >= since]
    return Launch(
        path.stem,
        "DEEPSPEED",
        processes,
        frozenset(splits),
        frozenset({"weights" if part == "param" else part for part in offloads}),
        bucket=_number(zero.get("reduce_bucket_size"), BUCKET),
        live=_number(zero.get("stage3_max_live_parameters"), LIVE_PARAMETERS),
    )


def _number(value: Any, default: float) -> float:
    return default if value in (None, "auto") else float(value)


def _fsdp(launch: Launch, memory: StepMemory, model: nn.Module, width: int) -> int:
    """A layer and the next are whole at a time; what is in no layer (embeddings, head) is whole all the time, and so
    are its gradients."""
    layers = [module for module in base_of(model).modules() if type(module).__name__ in launch.whole_layers]
    sizes = [sum(parameter.numel() for parameter in layer.parameters()) for layer in layers]
    outside = set(model.parameters()) - {parameter for layer in layers for parameter in layer.parameters()}
    whole = 2 * max(sizes, default=0) + sum(parameter.numel() for parameter in outside)
    whole += sum(parameter.numel() for parameter in outside if parameter.requires_grad)
    split = (memory.weights + memory.gradients + memory.optimizer) // launch.processes
    return split + width * whole + memory.activations + memory.logits


def _deepspeed(launch: Launch, memory: StepMemory, model: nn.Module, width: int) -> int:
    """Weights and gradients in the dtype of training; the optimizer's partition has float32 copies of the weights."""
    every = sum(parameter.numel() for parameter in model.parameters())
    trained = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
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
