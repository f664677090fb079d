"""Directories as `train` writes them, for tests of what is done with them; nothing is trained."""

from pathlib import Path

import torch
from peft import PeftModel

from helpers.tiny_pages import processor
from ocr2_hf.modeling.adapters import apply_policy, write_portable_adapter
from ocr2_hf.modeling.box_head import save_box_head, split_box_head
from ocr2_hf.modeling.model import OCR2Model
from ocr2_hf.recipe import ModelArguments


def trained(base: Path, policy: ModelArguments, folder: Path, box_head: bool = False) -> Path:
    """`folder` as `train` writes it by this policy, its trained weights moved far from where they began."""
    model = OCR2Model.from_pretrained(base)
    if box_head:
        model.add_box_head()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)  # an adapter's first matrices are drawn; with some, experts that are equally good change
        model = apply_policy(model, policy)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter += 0.1 * torch.randn(parameter.shape, generator=generator)
    model.save_pretrained(folder)
    if isinstance(model, PeftModel):
        write_portable_adapter(folder)
        save_box_head(split_box_head(model.state_dict())[1], folder)
    processor().save_pretrained(folder)
    return folder
