"""The weights of a checkpoint: what the library leaves out when it saves them, and what it gets wrong on loading."""

from pathlib import Path

import torch
from peft import PeftModel
from torch import Tensor, nn

from ocr2_hf.modeling.adapters import base_of, write_portable_adapter
from ocr2_hf.modeling.box_head import load_box_head, save_box_head, split_box_head
from ocr2_hf.modeling.model import OCR2Model


def complete_adapter(model: PeftModel, directory: str | Path, state_dict: dict[str, Tensor] | None) -> None:
    """Give a saved adapter names that loaders of this model know, and the box head beside it."""
    write_portable_adapter(directory)
    save_box_head(split_box_head(model.state_dict() if state_dict is None else state_dict)[1], directory)


def load_weights(model: nn.Module, checkpoint: str) -> None:
    """Load what `save_pretrained` wrote: its key names are the original repository's, and the library's own
    `load_state_dict` would load none of them and only warn."""
    if isinstance(model, PeftModel):
        model.load_adapter(checkpoint, model.active_adapters[0], is_trainable=True)
    else:
        # What trains is float32 also where the rest is not.
        saved = OCR2Model.from_pretrained(checkpoint, dtype=torch.float32, use_safetensors=True)
        model.load_state_dict(saved.state_dict(), strict=False)
    if (head := load_box_head(checkpoint)) is not None:
        base_of(model).box_head.load_state_dict(head)
