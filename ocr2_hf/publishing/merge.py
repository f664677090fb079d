"""A trained directory as one model of the library's own layout: adapters added into the weights they adapt."""

from pathlib import Path

import torch
from transformers import GenerationConfig

from ocr2_hf.modeling.load import load_model, load_processor, merge_adapter, saved_dtype
from ocr2_hf.modeling.model import OCR2Model
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
    model = merge_adapter(load_model(source, dtype="float32", attn_implementation=attn_implementation))
    reading = reading_config(model.config.to_dict(), model.generation_config.to_dict())
    model.generation_config = GenerationConfig(**reading)
    return model.to(saved_dtype(source) if dtype == "auto" else getattr(torch, dtype))
