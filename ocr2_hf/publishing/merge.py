"""A trained directory as one model of the library's own layout: adapters added into the weights they adapt."""

from pathlib import Path

import torch
from peft import PeftModel
from transformers import GenerationConfig

from ocr2_hf.modeling.load import base_of_adapter, load_model, load_processor
from ocr2_hf.modeling.model import OCR2Model
from ocr2_hf.modeling.model_files import ADAPTER_FILE, load_config
from ocr2_hf.publishing.contents import reading_config


def write_merged(source: Path, folder: Path, dtype: str) -> None:
    """Write the model of `source`, its processor and its box head into `folder`; `dtype` as in `exports.export`."""
    merged_model(source, dtype).save_pretrained(folder)
    load_processor(source).save_pretrained(folder)


def merged_model(source: Path, dtype: str = "auto", attn_implementation: str = "sdpa") -> OCR2Model:
    """The model of `source` without adapters, in `dtype`, with a generation config that reads whole pages.

    On the CPU, whatever GPU there is, and added in float32, so that the logits are the adapter model's to 1e-4 in
    float32: needs 4 bytes of memory a parameter, 13.6 GB for DeepSeek-OCR-2, and room for one more of its weights.
    Raises `UsageError` for what is no model.
    """
    model = load_model(source, dtype="float32", attn_implementation=attn_implementation)
    if isinstance(model, PeftModel):
        model = model.merge_and_unload(safe_merge=True)
    reading = reading_config(model.config.to_dict(), model.generation_config.to_dict())
    model.generation_config = GenerationConfig(**reading)
    if dtype != "auto":
        return model.to(getattr(torch, dtype))
    base = base_of_adapter(source) if (source / ADAPTER_FILE).is_file() else source
    return model.to(load_config(base).dtype or torch.float32)
