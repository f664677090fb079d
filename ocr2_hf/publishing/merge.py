"""A trained directory as one model of the library's own layout: adapters added into the weights they adapt."""

import shutil
from pathlib import Path

import torch
from peft import PeftModel
from transformers import AutoConfig, GenerationConfig

from ocr2_hf.document.atomic_files import whole_folder
from ocr2_hf.modeling.load import base_of_adapter, load_model, load_processor
from ocr2_hf.modeling.model import OCR2Model
from ocr2_hf.modeling.model_files import ADAPTER_FILE
from ocr2_hf.publishing.generation_config import reading_config
from ocr2_hf.recipe_file import RECIPE_FILE

DTYPES = ("auto", "float32", "bfloat16", "float16")


def merge(source: str | Path, output_dir: str | Path, dtype: str = "auto") -> Path:
    """Write the model of `source` (a directory with or without adapters) to `output_dir`, with its processor.

    `dtype` is what is written (auto: that of the base, or of `source` where it has no adapters). A box head and the
    recipe go along. Raises `UsageError` for what is no model or where `output_dir` is there already.
    """
    with whole_folder(output_dir) as folder:
        merged_model(source, dtype).save_pretrained(folder)
        load_processor(source).save_pretrained(folder)
        copy_recipe(source, folder)
    return Path(output_dir)


def merged_model(source: str | Path, dtype: str = "auto", attn_implementation: str = "sdpa") -> OCR2Model:
    """The model of `source` without adapters, in `dtype`, with a generation config that reads whole pages.

    On the CPU, whatever GPU there is, and added in float32, so that the logits are the adapter model's to 1e-4 in
    float32: needs 4 bytes of memory a parameter, 13.6 GB for DeepSeek-OCR-2, and room for one more of its weights.
    """
    model = load_model(source, dtype="float32", attn_implementation=attn_implementation)
    if isinstance(model, PeftModel):
        model = model.merge_and_unload(safe_merge=True)
    reading = reading_config(model.config.to_dict(), model.generation_config.to_dict())
    model.generation_config = GenerationConfig(**reading)
    return model.to(_written_dtype(source, dtype))


def copy_recipe(source: str | Path, folder: Path) -> None:
    """The recipe goes with its model: the reader takes tasks and prompts from it."""
    recipe = Path(source) / RECIPE_FILE
    if recipe.is_file():
        shutil.copyfile(recipe, folder / RECIPE_FILE)


def _written_dtype(source: str | Path, dtype: str) -> torch.dtype:
    if dtype != "auto":
        return getattr(torch, dtype)
    is_adapter = (Path(source) / ADAPTER_FILE).is_file()
    base = base_of_adapter(Path(source)) if is_adapter else source
    saved = AutoConfig.from_pretrained(base).dtype
    return torch.float32 if saved is None else saved
