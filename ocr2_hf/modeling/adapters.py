"""What trains: from a recipe's policy to parameters that move, and counts that prove it.

Every parameter belongs to exactly one group. Parts trained in full beside LoRA go through peft's `modules_to_save`:
what is not there would train and then be missing from the saved adapter.
"""

import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from peft import LoraConfig, PeftModel, get_peft_model, get_peft_model_state_dict
from safetensors.torch import load_file, save_file
from torch import nn

from ocr2_hf.document.atomic_files import open_to_readers, whole_file
from ocr2_hf.errors import UsageError
from ocr2_hf.modeling.model import OCR2Model
from ocr2_hf.modeling.model_files import ADAPTER_FILE, ADAPTER_WEIGHTS, place_base, read_json
from ocr2_hf.modeling.tensors import Shape, listed, read_file, tensor_problems
from ocr2_hf.recipe import ModelArguments

# The model's parts: what the names of a part's parameters contain, what it is called, the group it trains in.
PARTS = (
    ("vision_tower.sam_encoder.", "SAM", "vision_sam"),
    ("vision_tower.vision_encoder.", "vision encoder", "vision_encoder"),
    ("vision_tower.query_", "queries", "vision_encoder"),
    ("multi_modal_projector.", "projector", "projector"),
    ("view_separator", "view separator", "projector"),
    ("language_model.", "text model", "language"),
    ("lm_head.", "head", "language"),
    ("box_head.", "box head", "box_head"),
)
GROUPS = tuple(dict.fromkeys(group for *_, group in PARTS))
_LAYER = r"model\.language_model\.layers\.\d+\."
_MLP = r"(gate|up|down)_proj"
_TARGETS = {
    "attention": [rf"{_LAYER}self_attn\.[qkvo]_proj"],
    "shared": [rf"{_LAYER}mlp\.{_MLP}", rf"{_LAYER}mlp\.shared_experts\.{_MLP}"],
    "vision": [rf"model\.vision_tower\.vision_encoder\.layers\.\d+\.(self_attn\.[qkvo]_proj|mlp\.{_MLP})"],
}
# Routed experts are two fused 3D parameters a layer: no module of their own, so no list of module names reaches them.
_ROUTED = ["mlp.experts.gate_up_proj", "mlp.experts.down_proj"]
# What each group is in modules; `view_separator` is a bare parameter and cannot be saved with an adapter.
_MODULES = {
    "vision_sam": ["vision_tower.sam_encoder"],
    "vision_encoder": ["vision_tower.vision_encoder", "query_768_resolution", "query_1024_resolution"],
    "projector": ["multi_modal_projector"],
    "language": ["model.language_model", "lm_head"],
}


@dataclass(frozen=True)
class Count:
    """Parameters of one group."""

    trainable: int
    total: int


def group_of(name: str) -> str:
    """The group of a parameter, by its name in the model or in a peft or distributed wrapper around it."""
    return part_and_group(name)[1]


def part_and_group(name: str) -> tuple[str, str]:
    """The part of the model that a parameter is in, and its group."""
    for piece, part, group in PARTS:
        if piece in name:
            return part, group
    raise ValueError(f"the parameter {name!r} belongs to no group")


def base_of(model: nn.Module) -> OCR2Model:
    """The model itself, without peft's wrapper."""
    return model.get_base_model() if isinstance(model, PeftModel) else model


def apply_policy(model: OCR2Model, policy: ModelArguments) -> OCR2Model | PeftModel:
    """Freeze and adapt `model` in place as the recipe says; with LoRA the result is a `PeftModel` around it.

    What trains is float32 whatever the rest is: steps of training are too small for bfloat16, which would round them
    away, and FSDP wants one dtype for all that trains.
    """
    full = fully_trained_groups(policy)
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(group_of(name) in full)
    if not policy.uses_lora:
        return _train_in_float32(model)
    head = model.box_head
    model.box_head = None  # saved in a file of its own, not by peft, which would freeze it
    adapted = get_peft_model(model, lora_config(policy))
    model.box_head = head
    return _train_in_float32(adapted)


def _train_in_float32(model: nn.Module) -> nn.Module:
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.float()
    return model


def fully_trained_groups(policy: ModelArguments) -> set[str]:
    """The groups whose own weights train (rather than adapters on them)."""
    groups = {
        "vision_sam": policy.train_vision == "all",
        "vision_encoder": policy.train_vision in ("encoder", "all"),
        "projector": policy.train_projector,
        "language": policy.train_language == "full",
        "box_head": policy.train_box_head,
    }
    return {group for group, trains in groups.items() if trains}


def lora_config(policy: ModelArguments) -> LoraConfig:
    """peft's configuration of a policy that uses LoRA."""
    targets, routed = [], []
    if policy.train_language == "lora":
        layers = policy.lora_targets.split("+")
        targets += [pattern for layer in layers if layer != "routed" for pattern in _TARGETS[layer]]
        routed = _ROUTED if "routed" in layers else []
    if policy.train_vision == "lora":
        targets += _TARGETS["vision"]
    saved = [module for group in GROUPS if group in fully_trained_groups(policy) for module in _MODULES.get(group, [])]
    return LoraConfig(
        r=policy.lora_r,
        lora_alpha=policy.lora_alpha,
        lora_dropout=policy.lora_dropout,
        target_modules="|".join(targets),
        target_parameters=routed or None,
        modules_to_save=saved or None,
    )


def same_adapter(model: PeftModel, policy: ModelArguments) -> bool:
    """Whether the model's adapter is the one a policy asks for: it can then go on training."""
    has, wanted = model.active_peft_config, lora_config(policy)
    names = ("r", "lora_alpha", "target_modules", "target_parameters", "modules_to_save")
    return all(_plain(getattr(has, name)) == _plain(getattr(wanted, name)) for name in names)


def continue_adapter(model: PeftModel, policy: ModelArguments, box_head: bool) -> PeftModel:
    """Let a loaded adapter train on; the box head, which peft does not know, as the policy says."""
    base = model.get_base_model()
    if box_head and base.box_head is None:
        base.add_box_head()
    if base.box_head is not None:
        base.box_head.requires_grad_(policy.train_box_head)
    return _train_in_float32(model)


def _plain(value: object) -> object:
    return sorted(value) if isinstance(value, list | set | tuple) else value


def trainable_counts(model: nn.Module) -> dict[str, Count]:
    """Parameters by group; copies that peft made of fully trained parts count instead of their frozen originals."""
    counts = {group: [0, 0] for group in GROUPS}
    for name, parameter in model.named_parameters():
        if ".original_module." in name:
            continue
        # ZeRO-3 leaves an empty tensor in place of a parameter and keeps its size here.
        size = getattr(parameter, "ds_numel", parameter.numel())
        count = counts[group_of(name)]
        count[0] += size if parameter.requires_grad else 0
        count[1] += size
    return {group: Count(*count) for group, count in counts.items() if count[1]}


def counts_table(counts: dict[str, Count]) -> str:
    """The counts as lines of text, a group each and the sum."""
    total = Count(sum(c.trainable for c in counts.values()), sum(c.total for c in counts.values()))
    rows = [*counts.items(), ("all", total)]
    return "\n".join(
        f"  {group:<15}{count.trainable:>15,} of {count.total:>15,} train ({count.trainable / count.total:.2%})"
        for group, count in rows
    )


def load_adapter(model: OCR2Model | PeftModel, directory: Path, trainable: bool = False) -> PeftModel:
    """`model` with the adapter in `directory`; a model that has one gets the weights of that. Raises `UsageError` where
    it is broken, or another model's."""
    written = read_file(directory / ADAPTER_WEIGHTS)
    _check_rank(directory, written)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Found missing adapter keys")  # they are told below
            if isinstance(model, PeftModel):
                adapted = model
                model.load_adapter(directory, model.active_adapters[0], is_trainable=trainable)
            else:
                adapted = PeftModel.from_pretrained(model, directory, is_trainable=trainable)
    except (OSError, ValueError, TypeError, LookupError, AttributeError, RuntimeError, re.error) as error:
        raise UsageError(f"{directory} holds no adapter of this model: {_all_lines(error)}") from error
    # The shapes are compared by what loads them; here only names, of which it would leave some out without a word.
    wanted = get_peft_model_state_dict(adapted, save_embedding_layers=False)
    names = dict.fromkeys(map(_portable_name, wanted), ())
    if wrong := tensor_problems(dict.fromkeys(map(_portable_name, written), ()), names):
        raise UsageError(
            f"{directory / ADAPTER_WEIGHTS} is not the adapter that {ADAPTER_FILE} describes: {listed(wrong)}"
        )
    return adapted


def _check_rank(directory: Path, written: Mapping[str, Shape]) -> None:
    """A rank out of proportion would take all memory before anything is compared."""
    rank = read_json(directory / ADAPTER_FILE).get("r")
    largest = max((size for shape in written.values() for size in shape), default=0)
    if isinstance(rank, int) and rank > largest:
        raise UsageError(f"{directory / ADAPTER_FILE} says r: {rank}, but no weight of the adapter is of that rank")


def _all_lines(error: Exception) -> str:
    return f"{type(error).__name__} {'; '.join(line.strip() for line in str(error).splitlines()[:4])}"


def _portable_name(name: str) -> str:
    return re.sub(r"\bmodel\.language_model\.", "model.", name)


def write_portable_adapter(directory: str | Path) -> None:
    """Rename the saved adapter's weights to what loaders of this model expect, and say where its base is.

    On loading, peft and transformers translate key names of the original repository (`model.layers.`) into the
    library's (`model.language_model.layers.`), and take `language_model.layers.` itself for such a name: every
    adapter weight of the text model would be silently left out (seen with peft 0.21 and transformers 5.17 to 5.24).
    """
    path = Path(directory) / ADAPTER_WEIGHTS
    tensors = {_portable_name(name): tensor for name, tensor in load_file(path).items()}
    with whole_file(path) as beside:
        save_file(tensors, beside, metadata={"format": "pt"})
    open_to_readers(path.parent, ADAPTER_WEIGHTS)
    base = read_json(path.with_name(ADAPTER_FILE)).get("base_model_name_or_path")
    if base and Path(base).is_dir():
        place_base(path.parent, Path(base))
