"""A trained directory in the layout of the original repository, deepseek-ai/DeepSeek-OCR-2: what vLLM and SGLang read.
`ocr2_hf/modeling/original_layout.py` reads it back.

Key names and per-expert tensors are what the library writes anyway; config, tokenizer and processor files differ. Facts
are from that repository's config.json and from the readers' code; nothing here was run with vLLM or SGLang.

original_layout.json has what these files say of every model; null where they say what a model has.

What is written is held against a list of all tensors, name by name (`ocr2_hf/modeling/tensors.py`).
"""

import logging
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from transformers import DeepseekOcr2Config, PreTrainedConfig
from transformers.models.deepseek_ocr2.processing_deepseek_ocr2 import DeepseekOcr2Processor

from ocr2_hf.document.atomic_files import write_json
from ocr2_hf.errors import WorkError
from ocr2_hf.modeling.load import load_processor
from ocr2_hf.modeling.model_files import read_json
from ocr2_hf.modeling.original_layout import (
    ENCODER,
    ENCODER_NAMES,
    ENCODER_UNSAID,
    IMAGE_NAMES,
    IMAGES_UNSAID,
    SAM,
    SAM_NAMES,
    SAM_UNSAID,
    TEXT_NAMES,
    TEXT_UNSAID,
    Values,
    released_values,
)
from ocr2_hf.modeling.tensors import listed, original_tensors, read_tensors, tensor_problems
from ocr2_hf.publishing.merge import merged_model

logger = logging.getLogger(__name__)

# SGLang knows an OCR-2 by `auto_map`. The module it names is the original repository's code, which is not shipped; its
# other entries, for config and tokenizer, are left out so that no loader asks for that code before it looks at its own.
# `mlp_ratio` is of a tower that this model no longer has; the original kept it. The language model has plain attention:
# the keys of the compressed one are there and empty. `LlamaTokenizerFast` is what the readers ask for: transformers 4
# has no `TokenizersBackend`.
_FIXED = read_json(Path(__file__).with_suffix(".json"))
# What the readers build and cut whatever config and processor say.
READERS_TOWER = ("image_size", "patch_size", "hidden_size", "num_hidden_layers", "num_attention_heads")
READERS_IMAGES = ("tile_size", "min_patches", "max_patches")


def write_original(source: Path, folder: Path, dtype: str) -> None:
    """Write the model of `source` (adapters merged) into `folder` in the original layout.

    `dtype` as in `exports.export`. A box head has no place in that layout and is left out; that, and whatever the
    readers would do otherwise than this model was trained for, is logged as a warning. Raises `WorkError` when the
    tensors written are not exactly the original repository's.
    """
    model, processor = merged_model(source, dtype), load_processor(source)
    if model.box_head is not None:
        logger.warning("the box head is left out: the original layout has none, boxes are read from the text")
        model.box_head = None
    model.save_pretrained(folder)
    check_tensors(folder, model.config)
    write_json(folder / "config.json", original_config(model.config))
    # `vllm serve` takes its defaults for sampling from here: without a temperature it would draw at random.
    reading = read_json(folder / "generation_config.json")
    write_json(folder / "generation_config.json", reading | {"temperature": 0.0})
    write_processor(folder, processor)
    for problem in reader_problems(model.config, processor):
        logger.warning("vLLM and SGLang: %s", problem)


def original_config(config: DeepseekOcr2Config) -> Values:
    """config.json as the original repository has it; the language model's keys stand there twice, as they do here."""
    sam, encoder = config.vision_config.sam_config, config.vision_config.encoder_config
    fixed, language, released = _FIXED["config.json"], _language_config(config), released_values()
    vision = released["vision_config"]
    width = {
        ENCODER: _part(encoder, ENCODER_NAMES, ENCODER_UNSAID, vision["encoder_config"]),
        SAM: _part(sam, SAM_NAMES, SAM_UNSAID, vision["sam_config"]),
    }
    ends = {"input_dim": encoder.hidden_size, "n_embed": config.text_config.hidden_size}
    own = {
        "candidate_resolutions": [[sam.image_size, sam.image_size]],
        "language_config": fixed["language_config"] | language,
        "projector_config": fixed["projector_config"] | ends,
        "vision_config": fixed["vision_config"] | {"image_size": sam.image_size, "width": width},
    }
    return fixed | own | language | _departing(config, ("image_token_id",), released)


def _part(config: PreTrainedConfig, names: dict[str, str], unsaid: Sequence[str], released: Values) -> Values:
    """A part of the model under the original's names, and what departs from the released model under the library's."""
    return {theirs: _plain(getattr(config, ours)) for ours, theirs in names.items()} | _departing(
        config, unsaid, released
    )


def _departing(settings: object, names: Iterable[str], released: Values) -> Values:
    values = {name: _plain(getattr(settings, name)) for name in names}
    return {name: value for name, value in values.items() if value != released[name]}


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _language_config(config: DeepseekOcr2Config) -> Values:
    text, released = config.text_config, released_values()["text_config"]
    theta = text.rope_parameters["rope_theta"]
    return {
        **_part(text, TEXT_NAMES, TEXT_UNSAID, released),
        **({} if theta == released["rope_parameters"]["rope_theta"] else {"rope_theta": theta}),
        **_FIXED["language"],
        "first_k_dense_replace": text.mlp_layer_types.count("dense"),
        "n_group": text.n_group or 1,
        "topk_group": text.topk_group or 1,
        "torch_dtype": str(config.dtype).removeprefix("torch."),
    }


def check_tensors(folder: Path, config: DeepseekOcr2Config) -> None:
    """Raise `WorkError` unless the weights in `folder` are those of the original layout: each name, each shape."""
    if wrong := tensor_problems(read_tensors(folder), original_tensors(config)):
        raise WorkError(f"not the original layout, {listed(wrong)}: use a tested transformers release")


def write_processor(folder: Path, processor: DeepseekOcr2Processor) -> None:
    """Tokenizer and processor files as the original repository names them."""
    images, tokenizer = processor.image_processor, processor.tokenizer
    tokenizer.save_pretrained(folder)
    tokens = {name: str(getattr(tokenizer, name)) for name in ("bos_token", "eos_token", "pad_token")}
    write_json(folder / "special_tokens_map.json", tokens)
    side = images.size["height"]
    own = {
        "tokenizer_config.json": {**tokens, "model_max_length": tokenizer.model_max_length},
        "processor_config.json": {
            "candidate_resolutions": [[side, side]],
            "downsample_ratio": processor.downsample_ratio,
            "image_token": processor.image_token,
            "pad_token": tokens["pad_token"],
            "patch_size": processor.patch_size,
            **{theirs: _plain(getattr(images, ours)) for ours, theirs in IMAGE_NAMES.items()},
            **_departing(images, IMAGES_UNSAID, IMAGES_UNSAID),
        },
    }
    for name, values in own.items():
        write_json(folder / name, _FIXED[name] | values)


def reader_problems(config: DeepseekOcr2Config, processor: DeepseekOcr2Processor) -> list[str]:
    """Where vLLM and SGLang, which have vision tower and tiles fixed in their code, depart from this model."""
    problems = []
    sam, images = config.vision_config.sam_config, processor.image_processor
    tower = _departing(sam, READERS_TOWER, released_values()["vision_config"]["sam_config"])
    if tower:
        told = ", ".join(f"{name} {value}" for name, value in tower.items())
        problems.append(f"cannot load this model, their vision tower is the released one's (here: {told})")
    cut = _departing(images, READERS_IMAGES, IMAGES_UNSAID)
    if cut:
        told = ", ".join(f"{name} {value} (theirs: {IMAGES_UNSAID[name]})" for name, value in cut.items())
        problems.append(f"cut pages otherwise than this model was trained on: {told}")
    return problems
