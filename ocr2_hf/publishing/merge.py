"""A trained directory as one model of the library's own layout: adapters added into the weights they adapt."""

import shutil
from pathlib import Path

import torch
from peft import PeftModel
from transformers import AutoConfig, GenerationConfig

from ocr2_hf.modeling.load import ADAPTER_FILE, base_of_adapter, load_model, load_processor
from ocr2_hf.modeling.model import OCR2Model
from ocr2_hf.publishing.folder import whole_folder

DTYPES = ("auto", "float32", "bfloat16", "float16")
# As the authors' own code decodes whole pages (`infer` of the original repository). Stock `generate` knows no window:
# a shorter n-gram would forbid the rows of empty cells that real tables have.
NO_REPEAT_NGRAM = 35
# What the authors let a page take at most.
MAX_NEW_TOKENS = 8192


def merge(source: str | Path, output_dir: str | Path, dtype: str = "auto") -> Path:
    """Write the model of `source` (a directory with or without adapters) to `output_dir`, with its processor.

    Works on the CPU, in float32, so that adapters are added exactly; `dtype` is what is written (auto: that of the
    base, or of `source` where it has no adapters). Logits in float32 are the adapter model's to 1e-4. A box head and
    the recipe go along. Raises `UsageError` for what is no model or where `output_dir` is there already.
    """
    model = merged_model(source)
    model.generation_config = reading_config(model)
    model = model.to(_written_dtype(source, dtype))
    processor = load_processor(source)
    with whole_folder(output_dir) as folder:
        model.save_pretrained(folder)
        processor.save_pretrained(folder)
        recipe = Path(source) / "recipe.yaml"
        if recipe.is_file():  # prompts and tasks, for the reader
            shutil.copyfile(recipe, folder / recipe.name)
    return Path(output_dir)


def merged_model(source: str | Path, attn_implementation: str = "sdpa") -> OCR2Model:
    """The model of a directory, its adapters added into the weights, on the CPU in float32."""
    model = load_model(source, dtype="float32", attn_implementation=attn_implementation).cpu()
    return model.merge_and_unload(safe_merge=True) if isinstance(model, PeftModel) else model


def reading_config(model: OCR2Model) -> GenerationConfig:
    """How stock `generate` reads a page: greedily, to its end, without loops."""
    known = model.generation_config
    return GenerationConfig(
        bos_token_id=known.bos_token_id,
        eos_token_id=known.eos_token_id,
        pad_token_id=known.eos_token_id if known.pad_token_id is None else known.pad_token_id,
        do_sample=False,
        no_repeat_ngram_size=NO_REPEAT_NGRAM,
        max_new_tokens=min(MAX_NEW_TOKENS, model.config.get_text_config().max_position_embeddings),
    )


def _written_dtype(source: str | Path, dtype: str) -> torch.dtype:
    if dtype != "auto":
        return getattr(torch, dtype)
    is_adapter = (Path(source) / ADAPTER_FILE).is_file()
    base = base_of_adapter(Path(source)) if is_adapter else source
    saved = AutoConfig.from_pretrained(base).dtype
    return torch.float32 if saved is None else saved
