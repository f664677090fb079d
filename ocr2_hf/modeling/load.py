"""Load a model and its processor: from the Hub, a directory, an adapter's directory, or a tiny model."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from peft import PeftModel
from transformers import AutoProcessor
from transformers.utils import is_flash_attn_2_available

from ocr2_hf.document.hub_names import hub_id, missing_path
from ocr2_hf.errors import UsageError
from ocr2_hf.modeling.adapters import load_adapter
from ocr2_hf.modeling.box_head import load_box_head
from ocr2_hf.modeling.model import OCR2Model
from ocr2_hf.modeling.model_files import (
    ADAPTER_FILE,
    BASE_FOLDER,
    BROKEN_MODEL,
    TINY_NAMES,
    files_beside,
    first_line,
    has_original_processor,
    load_config,
    local_base,
    read_json,
)
from ocr2_hf.modeling.original_layout import read_original_processor
from ocr2_hf.modeling.processor import complete_processor
from ocr2_hf.modeling.tensors import check_weights, listed
from ocr2_hf.modeling.tiny import TINY_SIZES, build_tiny_model, build_tiny_processor, tiny_config

logger = logging.getLogger(__name__)


def load_model(
    name: str | Path,
    dtype: str | torch.dtype = "auto",
    attn_implementation: str = "auto",
    trainable: bool = False,
) -> OCR2Model | PeftModel:
    """Load a model by Hub id or directory (full or adapter, in either layout), or a fresh tiny one by its name.

    `dtype`: a torch dtype or its name; auto: as saved on a GPU, float32 on a CPU; from transformers 5.24 on the routers
    of the experts stay in float32. `attn_implementation`: of the text model; auto: flash-attention 2 where it is
    installed and the GPU and dtype allow it, else sdpa; which one is logged. Adapters give a `PeftModel`, their weights
    frozen unless `trainable`. Raises `UsageError` for what is not there or not this model.
    """
    if str(name) in TINY_SIZES:
        model = build_tiny_model(name=str(name)).to(torch.float32 if dtype == "auto" else _dtype(dtype))
        model.set_attn_implementation(choose_attention(attn_implementation, model.dtype))
        return model
    beside = files_beside(name)
    is_adapter = (beside / ADAPTER_FILE).is_file()
    if is_adapter:
        model = load_model(base_of_adapter(beside), dtype, attn_implementation)
    else:
        model = _load_full(name, _dtype(dtype), attn_implementation)
    if (head := load_box_head(beside, model.config.text_config.hidden_size)) is not None:
        model.add_box_head(head)
    return load_adapter(model, beside, trainable) if is_adapter else model


def load_merged(name: str | Path, dtype: str | torch.dtype = "auto", attn_implementation: str = "auto") -> OCR2Model:
    """As `load_model`; adapters are added into the weights they adapt, and the model is what an export of them gives.

    They are added in float32 on the CPU, which takes 4 bytes of memory a parameter, 13.6 GB for DeepSeek-OCR-2, and
    rounded as the base is saved before they become `dtype`.
    """
    beside = files_beside(name)
    if not (beside / ADAPTER_FILE).is_file():
        return load_model(name, dtype, attn_implementation)
    saved, wanted = saved_dtype(beside), _dtype(dtype)
    attention = choose_attention(attn_implementation, wanted)
    merged = merge_adapter(load_model(name, "float32", "sdpa"))
    whole = merged._keep_in_fp32_modules_strict or ()  # as the library loads them, whatever the dtype
    for parameter, weights in merged.named_parameters():  # without the buffers, which no file has
        is_whole = any(part in parameter for part in whole)
        weights.data = weights.data.to(saved).to(torch.float32 if is_whole else wanted)
    merged.set_attn_implementation(attention)
    return merged


def merge_adapter(model: OCR2Model | PeftModel) -> OCR2Model:
    """A model whose adapters are added into its weights; one without stays as it is."""
    return model.merge_and_unload(safe_merge=True) if isinstance(model, PeftModel) else model


def saved_dtype(name: str | Path) -> torch.dtype:
    """The dtype that a model is saved in, an adapter's base where it is one."""
    beside = files_beside(name)
    base = base_of_adapter(beside) if (beside / ADAPTER_FILE).is_file() else name
    return torch.float32 if str(base) in TINY_SIZES else load_config(base).dtype or torch.float32


def _load_full(name: str | Path, dtype: torch.dtype, attn_implementation: str) -> OCR2Model:
    config, folder = load_config(name), files_beside(name, weights=True)
    attention = choose_attention(attn_implementation, dtype)
    try:
        fit = folder.is_dir() and check_weights(folder, config)
        with _without_report():
            model, found = OCR2Model.from_pretrained(
                name,
                use_safetensors=True,
                config=config,
                dtype=dtype,
                attn_implementation=attention,
                output_loading_info=True,
            )
    except BROKEN_MODEL as error:
        raise UsageError(f"cannot load the model {str(name)!r}: {type(error).__name__} {first_line(error)}") from error
    wrong = [f"{key} is missing" for key in sorted(found["missing_keys"])]
    wrong += [f"{key} does not belong there" for key in sorted(found["unexpected_keys"])]
    if wrong and not fit:
        raise UsageError(f"the weights of {str(name)!r} are not those of the model in its config.json: {listed(wrong)}")
    if model.generation_config.temperature == 0:  # greedy for servers; the library warns of it
        model.generation_config.temperature = None
    return model


@contextmanager
def _without_report() -> Iterator[None]:
    """The library reports as a table what is told as an error here."""
    library = logging.getLogger("transformers.modeling_utils")

    def is_other(record: logging.LogRecord) -> bool:
        return "LOAD REPORT" not in record.getMessage()

    library.addFilter(is_other)
    try:
        yield
    finally:
        library.removeFilter(is_other)


def context_length(name: str | Path) -> int:
    """How many tokens a sequence of the model may have, by its configuration; no weights are read.

    Raises `UsageError` as `load_model` does.
    """
    if str(name) in TINY_SIZES:
        config = tiny_config(vocab_size=8, image_token_id=0, size=TINY_SIZES[str(name)])
    elif ((beside := files_beside(name)) / ADAPTER_FILE).is_file():
        return context_length(base_of_adapter(beside))
    else:
        config = load_config(name)
    return config.get_text_config().max_position_embeddings


def base_of_adapter(directory: Path) -> str:
    """The base model an adapter was trained on: a folder of this machine, or a Hub id. Raises `UsageError` where there
    is none, or it is an adapter itself."""
    named = str(read_json(directory / ADAPTER_FILE).get("base_model_name_or_path") or "")
    folder = local_base(directory)
    if folder is None and named not in TINY_NAMES and not hub_id(named):
        what = f"was trained on {named!r}, and {missing_path(Path(named))}" if named else "does not say on which base"
        raise UsageError(
            f"the adapter {directory} {what}: put that base into {directory / BASE_FOLDER}, or write its folder or Hub "
            f"id into {directory / ADAPTER_FILE} as base_model_name_or_path"
        )
    base = named if folder is None else str(folder)
    if (files_beside(base) / ADAPTER_FILE).is_file():
        raise UsageError(
            f"the adapter {directory} names {base!r} as its base, which is an adapter itself: merge it first"
        )
    return base


def load_processor(name: str | Path):
    """The `DeepseekOcr2Processor` of a model: torchvision's image processor where torchvision works, else Pillow's.

    It is completed (`ocr2_hf.modeling.processor`), so whatever saves it saves a processor that stock classes can use.
    """
    if str(name) in TINY_SIZES:
        return build_tiny_processor(str(name))
    beside = files_beside(name)
    if (beside / ADAPTER_FILE).is_file():
        name = beside  # without a network the library finds no processor in a repository of adapters
    try:
        if has_original_processor(beside):
            processor = read_original_processor(beside, image_backend())
        else:
            processor = AutoProcessor.from_pretrained(name, backend=image_backend())
    except BROKEN_MODEL as error:
        raise UsageError(f"cannot load the processor of {str(name)!r}: {first_line(error)}") from error
    # The library hands the word on to the tokenizer too, which would be saved as no fast one.
    processor.tokenizer.backend = processor.tokenizer.init_kwargs["backend"] = "tokenizers"
    processor.tokenizer.init_kwargs.pop("local_files_only", None)  # of this machine, where it is offline
    return complete_processor(processor)


def image_backend() -> str:
    """`torchvision` or `pil`. An installed torchvision that does not fit the installed torch fails at import: it counts
    as missing."""
    try:
        import torchvision.transforms.v2.functional  # noqa: F401
    except (ImportError, RuntimeError, AttributeError):
        return "pil"
    return "torchvision"


def choose_attention(requested: str, dtype: torch.dtype) -> dict[str, str]:
    """The attention of each part; the vision tower has relative position biases, which flash-attention has not."""
    text = requested
    if requested == "auto":
        text = "flash_attention_2" if _flash_possible(dtype) else "sdpa"
    elif requested == "flash_attention_2" and not _flash_possible(dtype):
        raise UsageError(
            "attn_implementation: flash_attention_2 needs flash-attn, an Ampere or newer GPU, and bfloat16 or float16 "
            f"weights (here: {dtype}); use sdpa or auto"
        )
    vision = "eager" if requested == "eager" else "sdpa"
    logger.info("attention: %s for the text model, %s for the vision tower", text, vision)
    return {"": vision, "vision_config": vision, "text_config": text}


def _flash_possible(dtype: torch.dtype) -> bool:
    able = torch.cuda.is_available() and torch.cuda.get_device_capability()[0] >= 8  # Ampere
    return able and dtype in (torch.bfloat16, torch.float16) and is_flash_attn_2_available()


def _dtype(dtype: str | torch.dtype) -> torch.dtype:
    if isinstance(dtype, torch.dtype):
        return dtype
    if dtype == "auto":
        return torch.bfloat16 if torch.cuda.is_available() else torch.float32
    return {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}[dtype]
