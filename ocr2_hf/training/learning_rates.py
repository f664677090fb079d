"""Learning rates of their own for parts of the model."""

from collections.abc import Collection
from typing import Any

from torch import nn

from ocr2_hf.modeling.adapters import group_of
from ocr2_hf.recipe import OCR2TrainingArguments

# Group of parameters -> the recipe's key of its rate; all others have `learning_rate`.
OWN_RATES = {
    "vision_sam": "vision_learning_rate",
    "vision_encoder": "vision_learning_rate",
    "projector": "projector_learning_rate",
    "box_head": "box_head_learning_rate",
}


def has_own_rates(args: OCR2TrainingArguments) -> bool:
    return any(getattr(args, key) for key in OWN_RATES.values())


def optimizer_groups(model: nn.Module, args: OCR2TrainingArguments, decaying: Collection[str]) -> list[dict[str, Any]]:
    """What trains, a group for each learning rate and weight decay; only parameters named in `decaying` decay.

    The group at the recipe's own rate comes first: it is the one the library logs.
    """
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            own = OWN_RATES.get(group_of(name))
            rate = (getattr(args, own) if own else None) or args.learning_rate
            decay = args.weight_decay if name in decaying else 0.0
            groups.setdefault((rate, decay), []).append(parameter)
    ordered = sorted(groups.items(), key=lambda item: item[0][0] != args.learning_rate)
    return [{"params": params, "lr": rate, "weight_decay": decay} for (rate, decay), params in ordered]
