"""A trained directory in the layout of the original repository, deepseek-ai/DeepSeek-OCR-2: what vLLM and SGLang read.
`ocr2_hf/modeling/original_layout.py` reads it back.

Key names and per-expert tensors are what the library writes anyway; config, tokenizer and processor files differ. Facts
are from that repository's config.json and from the readers' code; nothing here was run with vLLM or SGLang.

original_layout.json has what these files say of every model; null where they say what a model has.

What is written is held against a list of all tensors, name by name (`original_tensors`). The list is made from the
architecture and not from the library's conversion mapping, so that each can prove the other wrong.
"""

import logging
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from safetensors import safe_open
from transformers import DeepseekOcr2Config, DeepseekOcr2TextConfig, PreTrainedConfig
from transformers.models.deepseek_ocr2.configuration_deepseek_ocr2 import (
    DeepseekOcr2SamVisionConfig,
    DeepseekOcr2VisionEncoderConfig,
)
from transformers.models.deepseek_ocr2.processing_deepseek_ocr2 import DeepseekOcr2Processor

from ocr2_hf.document.atomic_files import write_json
from ocr2_hf.errors import WorkError
from ocr2_hf.modeling.load import load_processor
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
from ocr2_hf.publishing.contents import read_json
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

Shape = tuple[int, ...]
SAM_MODEL, ENCODER_MODEL, LANGUAGE = "model.sam_model", "model.qwen2_model", "model"
QUERIES = {"query_768": 144, "query_1024": 256}  # by the side of a view in pixels: visual tokens


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
    written: dict[str, Shape] = {}
    for path in folder.glob("*.safetensors"):
        with safe_open(path, framework="pt") as file:
            written |= {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
    wanted = original_tensors(config)
    wrong = sorted(name for name in wanted.keys() | written.keys() if wanted.get(name) != written.get(name))
    if wrong:
        told = "; ".join(f"{name}: {written.get(name)}, should be {wanted.get(name)}" for name in wrong[:5])
        raise WorkError(
            f"{len(wrong)} tensors are not the original layout's ({told}): use a tested transformers release"
        )


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


def original_tensors(config: DeepseekOcr2Config) -> dict[str, Shape]:
    """Name -> shape of every tensor of the original layout, for a model of this config."""
    sam, encoder, text = config.vision_config.sam_config, config.vision_config.encoder_config, config.text_config
    tensors = {
        "lm_head.weight": (text.vocab_size, text.hidden_size),
        "model.embed_tokens.weight": (text.vocab_size, text.hidden_size),
        "model.norm.weight": (text.hidden_size,),
        "model.view_seperator": (text.hidden_size,),  # spelt so in the original
        **dict(_layer("model.projector.layers", text.hidden_size, encoder.hidden_size, bias=True)),
    }
    return tensors | dict(_sam(sam)) | dict(_encoder(encoder)) | dict(_language(text))


def _layer(name: str, *shape: int, bias: bool = False) -> Iterator[tuple[str, Shape]]:
    """A weight of this shape, outputs first, as linear layers, convolutions and norms have it; the bias beside it."""
    yield f"{name}.weight", shape
    if bias:
        yield f"{name}.bias", shape[:1]


def _mlp(name: str, width: int, inner: int) -> Iterator[tuple[str, Shape]]:
    yield from _layer(f"{name}.gate_proj", inner, width)
    yield from _layer(f"{name}.up_proj", inner, width)
    yield from _layer(f"{name}.down_proj", width, inner)


def _attention(
    layer: str, config: DeepseekOcr2TextConfig | DeepseekOcr2VisionEncoderConfig, bias: bool
) -> Iterator[tuple[str, Shape]]:
    """The attention of a transformer layer, and the layer's norms."""
    width, heads = config.hidden_size, config.num_attention_heads
    head = width // heads
    for part, count in {"q": heads, "k": config.num_key_value_heads, "v": config.num_key_value_heads}.items():
        yield from _layer(f"{layer}.self_attn.{part}_proj", count * head, width, bias=bias)
    yield from _layer(f"{layer}.self_attn.o_proj", width, heads * head)
    for norm in ("input_layernorm", "post_attention_layernorm"):
        yield from _layer(f"{layer}.{norm}", width)


def _sam(config: DeepseekOcr2SamVisionConfig) -> Iterator[tuple[str, Shape]]:
    width, patch, side = config.hidden_size, config.patch_size, config.image_size // config.patch_size
    head = width // config.num_attention_heads
    yield from _layer(f"{SAM_MODEL}.patch_embed.proj", width, config.num_channels, patch, patch, bias=True)
    yield f"{SAM_MODEL}.pos_embed", (1, side, side, width)
    for number in range(config.num_hidden_layers):
        block = f"{SAM_MODEL}.blocks.{number}"
        yield from _layer(f"{block}.attn.qkv", 3 * width, width, bias=True)
        yield from _layer(f"{block}.attn.proj", width, width, bias=True)
        seen = side if number in config.global_attn_indexes else config.window_size
        yield f"{block}.attn.rel_pos_h", (2 * seen - 1, head)
        yield f"{block}.attn.rel_pos_w", (2 * seen - 1, head)
        yield from _layer(f"{block}.mlp.lin1", config.mlp_dim, width, bias=True)
        yield from _layer(f"{block}.mlp.lin2", width, config.mlp_dim, bias=True)
        yield from _layer(f"{block}.norm1", width, bias=True)
        yield from _layer(f"{block}.norm2", width, bias=True)
    neck, (middle, last) = config.output_channels, config.downsample_channels
    yield f"{SAM_MODEL}.neck.0.weight", (neck, width, 1, 1)
    yield from _layer(f"{SAM_MODEL}.neck.1", neck, bias=True)
    yield f"{SAM_MODEL}.neck.2.weight", (neck, neck, 3, 3)
    yield from _layer(f"{SAM_MODEL}.neck.3", neck, bias=True)
    yield f"{SAM_MODEL}.net_2.weight", (middle, neck, 3, 3)
    yield f"{SAM_MODEL}.net_3.weight", (last, middle, 3, 3)


def _encoder(config: DeepseekOcr2VisionEncoderConfig) -> Iterator[tuple[str, Shape]]:
    for name, count in QUERIES.items():
        yield f"{ENCODER_MODEL}.{name}.weight", (count, config.hidden_size)
    for number in range(config.num_hidden_layers):
        layer = f"{ENCODER_MODEL}.model.model.layers.{number}"
        yield from _attention(layer, config, bias=True)
        yield from _mlp(f"{layer}.mlp", config.hidden_size, config.intermediate_size)
    yield from _layer(f"{ENCODER_MODEL}.model.model.norm", config.hidden_size)


def _language(config: DeepseekOcr2TextConfig) -> Iterator[tuple[str, Shape]]:
    width = config.hidden_size
    for number, kind in enumerate(config.mlp_layer_types):
        layer = f"{LANGUAGE}.layers.{number}"
        yield from _attention(layer, config, bias=False)
        if kind == "dense":
            yield from _mlp(f"{layer}.mlp", width, config.intermediate_size)
            continue
        yield from _layer(f"{layer}.mlp.gate", config.n_routed_experts, width)
        for expert in range(config.n_routed_experts):
            yield from _mlp(f"{layer}.mlp.experts.{expert}", width, config.moe_intermediate_size)
        shared = config.n_shared_experts * config.moe_intermediate_size
        yield from _mlp(f"{layer}.mlp.shared_experts", width, shared)
