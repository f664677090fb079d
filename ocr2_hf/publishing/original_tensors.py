"""The tensors of the original repository's checkpoint, name by name: written down from its architecture.

It does not come from the library's conversion mapping, so that the two can be held against each other.
"""

from collections.abc import Iterator

from transformers import DeepseekOcr2Config, DeepseekOcr2TextConfig
from transformers.models.deepseek_ocr2.configuration_deepseek_ocr2 import (
    DeepseekOcr2SamVisionConfig,
    DeepseekOcr2VisionEncoderConfig,
)

Shape = tuple[int, ...]
SAM, ENCODER, LANGUAGE = "model.sam_model", "model.qwen2_model", "model"
QUERIES = {"query_768": 144, "query_1024": 256}  # by the side of a view in pixels: visual tokens


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
    yield from _layer(f"{SAM}.patch_embed.proj", width, config.num_channels, patch, patch, bias=True)
    yield f"{SAM}.pos_embed", (1, side, side, width)
    for number in range(config.num_hidden_layers):
        block = f"{SAM}.blocks.{number}"
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
    yield f"{SAM}.neck.0.weight", (neck, width, 1, 1)
    yield from _layer(f"{SAM}.neck.1", neck, bias=True)
    yield f"{SAM}.neck.2.weight", (neck, neck, 3, 3)
    yield from _layer(f"{SAM}.neck.3", neck, bias=True)
    yield f"{SAM}.net_2.weight", (middle, neck, 3, 3)
    yield f"{SAM}.net_3.weight", (last, middle, 3, 3)


def _encoder(config: DeepseekOcr2VisionEncoderConfig) -> Iterator[tuple[str, Shape]]:
    for name, count in QUERIES.items():
        yield f"{ENCODER}.{name}.weight", (count, config.hidden_size)
    for number in range(config.num_hidden_layers):
        layer = f"{ENCODER}.model.model.layers.{number}"
        yield from _attention(layer, config, bias=True)
        yield from _mlp(f"{layer}.mlp", config.hidden_size, config.intermediate_size)
    yield from _layer(f"{ENCODER}.model.model.norm", config.hidden_size)


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
