"""The tensors of saved weights: which there are, by the headers of the files, and which there must be, by a config.

The library fills in what is missing with random values and only warns. So headers are read first: a checkpoint with a
tensor too few, too many or of another shape is refused before any weight is. The list of what there must be is made
from the architecture and not from the library's conversion mapping, so that each can prove the other wrong.
"""

import json
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path

from safetensors import SafetensorError, safe_open
from transformers import DeepseekOcr2Config, DeepseekOcr2TextConfig
from transformers.models.deepseek_ocr2.configuration_deepseek_ocr2 import (
    DeepseekOcr2SamVisionConfig,
    DeepseekOcr2VisionEncoderConfig,
)

from ocr2_hf.errors import UsageError

WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"
Shape = tuple[int, ...]
SAM_MODEL, ENCODER_MODEL, LANGUAGE = "model.sam_model", "model.qwen2_model", "model"
QUERIES = {"query_768": 144, "query_1024": 256}  # by the side of a view in pixels: visual tokens
_NATIVE = "model.language_model."  # begins names of the library's own modules, which it reads but does not write
_NAMED = 5  # problems that a message has
_MOST = 100_000  # tensors: forty times those of the released model; a broken config may ask for any number
# What older files may have beside the weights; the library passes over it too.
_IGNORED = ("rotary_emb.inv_freq", "position_ids")


def check_weights(folder: Path, config: DeepseekOcr2Config) -> bool:
    """Raise `UsageError` unless the weights in `folder` are those of a model of `config`: each name, each shape.

    False where that cannot be told, as they have the names of the library's own modules.
    """
    written = read_tensors(folder)
    if any(name.startswith(_NATIVE) for name in written):
        return False
    if wrong := tensor_problems(written, original_tensors(config)):
        raise UsageError(f"the weights in {folder} are not those of the model in its config.json: {listed(wrong)}")
    return True


def read_tensors(folder: Path) -> dict[str, Shape]:
    """Name -> shape of every tensor of a model's weights. Raises `UsageError` for a file that is missing or broken."""
    tensors: dict[str, Shape] = {}
    for path in weight_files(folder):
        tensors |= read_file(path)
    return tensors


def weight_files(folder: Path) -> list[Path]:
    """The files with a model's weights. Raises `UsageError` where there are none, or an index is broken."""
    if (folder / WEIGHTS).is_file() or not (index := folder / INDEX).is_file():
        return [folder / WEIGHTS]
    try:
        names = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
        if not names or any(Path(name).name != name for name in names):
            raise ValueError("weight_map must name files of its own folder")
    except (OSError, ValueError, TypeError, LookupError, AttributeError) as error:
        raise UsageError(f"{index} is no index of weights: {type(error).__name__} {error}") from None
    return [folder / name for name in names]


def read_file(path: Path) -> dict[str, Shape]:
    """Name -> shape of every tensor of a safetensors file. Raises `UsageError` where it is missing or broken."""
    if not path.is_file():
        raise UsageError(f"cannot load the model: {path} is missing; weights are read from safetensors files only")
    try:
        path.open("rb").close()  # the library says of one that may not be read that there is none
    except OSError as error:
        raise UsageError(f"cannot load the model: {path} cannot be read ({error.strerror})") from None
    try:
        with safe_open(path, framework="pt") as file:
            return {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise UsageError(
            f"{path} is no whole safetensors file ({error}): it was cut off, or is something else; fetch it again"
        ) from None


def tensor_problems(written: Mapping[str, Shape], wanted: Mapping[str, Shape]) -> list[str]:
    """What is missing, misshapen or too much, a tensor each."""
    problems = []
    for name, shape in wanted.items():
        if name not in written:
            problems.append(f"{name} is missing")
        elif written[name] != shape:
            problems.append(f"{name} is {list(written[name])}, should be {list(shape)}")
    much = (name for name in written if name not in wanted and not name.endswith(_IGNORED))
    return problems + [f"{name} does not belong there" for name in much]


def listed(problems: list[str]) -> str:
    """The number of problems and the first of them."""
    count = f"{len(problems)} tensor{'s' * (len(problems) > 1)}"
    return f"{count}: {'; '.join(problems[:_NAMED])}{'; ...' * (len(problems) > _NAMED)}"


def original_tensors(config: DeepseekOcr2Config) -> dict[str, Shape]:
    """Name -> shape of every tensor of the original layout, for a model of this config.

    Raises ValueError for numbers that no model can have, TypeError, AttributeError or ZeroDivisionError for some.
    """
    tensors = dict(islice(_tensors(config), _MOST + 1))
    if len(tensors) > _MOST:
        raise ValueError(f"it asks for more than {_MOST:,} tensors")
    return tensors


def _tensors(config: DeepseekOcr2Config) -> Iterator[tuple[str, Shape]]:
    sam, encoder, text = config.vision_config.sam_config, config.vision_config.encoder_config, config.text_config
    yield "lm_head.weight", (text.vocab_size, text.hidden_size)
    yield "model.embed_tokens.weight", (text.vocab_size, text.hidden_size)
    yield "model.norm.weight", (text.hidden_size,)
    yield "model.view_seperator", (text.hidden_size,)  # spelt so in the original
    yield from _layer("model.projector.layers", text.hidden_size, encoder.hidden_size, bias=True)
    yield from _sam(sam)
    yield from _encoder(encoder)
    yield from _language(text)


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
    width, kinds = config.hidden_size, config.mlp_layer_types
    if len(kinds) != config.num_hidden_layers:
        raise ValueError(f"num_hidden_layers is {config.num_hidden_layers}, mlp_layer_types has {len(kinds)}")
    if not 0 < config.num_experts_per_tok <= config.n_routed_experts:
        raise ValueError(f"num_experts_per_tok is {config.num_experts_per_tok} of {config.n_routed_experts} experts")
    for number, kind in enumerate(kinds):
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
