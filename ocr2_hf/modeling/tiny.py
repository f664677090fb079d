"""The tiny models: DeepSeek-OCR-2's own classes at sizes that train on two CPU cores.

`tiny` stands in for the real weights in tests. Same architecture, same visual token counts per page (256 + 144 per tile
+ 1), the same special tokens, one token for each number 0..999; only widths, depths and pixels are smaller.
`tiny_reader` is the size that `recipes/tiny/pretrain.yaml` teaches to read: cheaper per page still (144 visual tokens
+ 1). `recipes/tiny/guided_start.py` starts its weights for that.
Both are built, not downloaded, and saved and loaded like any checkpoint.
"""

import math
import re
from dataclasses import dataclass
from pathlib import Path

import torch
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers
from torch import Tensor, nn
from transformers import DeepseekOcr2Config, PreTrainedTokenizerFast
from transformers.models.deepseek_ocr2.image_processing_pil_deepseek_ocr2 import DeepseekOcr2ImageProcessorPil
from transformers.models.deepseek_ocr2.processing_deepseek_ocr2 import DeepseekOcr2Processor

from ocr2_hf.document.grounding import TAGS
from ocr2_hf.document.model_tokens import IMAGE
from ocr2_hf.modeling.model import OCR2Model
from ocr2_hf.modeling.processor import TABLE_TOKENS, complete_processor

BOS, EOS, PAD = "<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>", "<｜▁pad▁｜>"
GROUNDING_TOKENS = (IMAGE, *TAGS)

PATCH = 4
TILE_SIDE = 192  # 12x12 visual tokens after the 16x reduction: what the queries need
# A number that stands alone is one token, as in the base's tokenizer; digits inside prices and dates are one token
# each.
_LONE_NUMBER = r"(?<![\p{N}.,:/\-])\p{N}{1,3}(?![\p{N}.:/\-%]|,\p{N})"
# What stands between the tags of prompts and targets and never varies: one token each, nearly as the base has it.
_PROMPT_PARTS = ("\nFree OCR.", "Convert the document to markdown.", "\nLocate ", " in the image.")
_LABELS = ("text", "title", "sub_title", "header", "footer", "table", "equation", "figure")
_BOX_PARTS = ("[[", "]]", ", ", "\n\n")
# Prompt parts and labels fill the whole piece between two tags; in the text of a page they are characters.
_FILLING = "|".join(re.escape(part).replace("\\\n", "\\n").replace("\\ ", " ") for part in (*_PROMPT_PARTS, *_LABELS))
_WHOLE_PIECES = rf"\A(?:{_FILLING})\z|\A\[\[|\]\]\z|, |\n\n"


@dataclass(frozen=True)
class TinySize:
    """Where the tiny models differ. SAM sees 4x4 pixels at a time and is most of a page's cost.

    `global_side`: pixels of the global view, 256 (16x16 visual tokens) or 192 (12x12). `sam`: SAM's width, layers,
    heads, MLP, window in patches, channels of its neck. `text_heads`, `text_rope_theta`: of the text model.
    `whole_tags`: tokens for prompts, labels and brackets of boxes.
    """

    global_side: int
    sam: tuple[int, int, int, int, int, int]
    text_heads: int
    text_rope_theta: float
    whole_tags: bool


# What a size's `sam` is in the configuration.
_SAM_KEYS = ("hidden_size", "num_hidden_layers", "num_attention_heads", "mlp_dim", "window_size", "output_channels")
TINY_SIZES = {
    "tiny": TinySize(256, (64, 2, 4, 256, 8, 64), 4, 1e4, whole_tags=False),
    # With fewer, wider heads and slower rotations more of a head can compare places across hundreds of tokens.
    "tiny_reader": TinySize(192, (32, 1, 1, 64, 6, 32), 2, 1e6, whole_tags=True),
}


def tiny_config(vocab_size: int, image_token_id: int, size: TinySize = TINY_SIZES["tiny"]) -> DeepseekOcr2Config:
    """Less than two million parameters; widths are powers of two, depths one to three."""
    initializer_range = 0.1  # about 1/sqrt(width): at 0.02 the image is lost in the constant part of the features
    return DeepseekOcr2Config(
        vision_config={
            "sam_config": {
                **dict(zip(_SAM_KEYS, size.sam, strict=True)),
                "image_size": size.global_side,
                "patch_size": PATCH,
                "global_attn_indexes": [],  # the encoder mixes the whole page; 4,096 patches at once would cost most
                "downsample_channels": [96, 128],
                "initializer_range": initializer_range,
            },
            "encoder_config": {
                "hidden_size": 128,
                "intermediate_size": 256,
                "num_hidden_layers": 2,
                "num_attention_heads": 4,
                "num_key_value_heads": 2,
                "max_position_embeddings": 1024,
                "rope_parameters": {"rope_type": "default", "rope_theta": 10_000.0},
                "initializer_range": initializer_range,
            },
        },
        text_config={
            "vocab_size": vocab_size,
            "hidden_size": 128,
            "intermediate_size": 256,
            "moe_intermediate_size": 64,
            "num_hidden_layers": 3,
            "mlp_layer_types": ["dense", "sparse", "sparse"],
            "num_attention_heads": size.text_heads,
            "num_key_value_heads": size.text_heads,
            "head_dim": 128 // size.text_heads,
            "n_routed_experts": 4,
            "n_shared_experts": 2,
            "num_experts_per_tok": 2,
            "max_position_embeddings": 4096,
            "rope_parameters": {"rope_type": "default", "rope_theta": size.text_rope_theta},
            "bos_token_id": 0,
            "eos_token_id": 1,
            "pad_token_id": 2,
            "initializer_range": initializer_range,
        },
        image_token_id=image_token_id,
    )


def build_tiny_tokenizer(size: TinySize = TINY_SIZES["tiny"]) -> PreTrainedTokenizerFast:
    """Byte-level tokenizer: every text can be written; characters and bytes are tokens, so are the numbers 0..999."""
    whole = (*_PROMPT_PARTS, *_LABELS, *_BOX_PARTS) if size.whole_tags else ()
    merges = [(str(n // 10), str(n % 10)) for n in range(10, 1000)]
    # 110 is put together from 11 and 0 or from 1 and 10, whichever pair comes first.
    merges += [(str(n // 100), str(n % 100)) for n in range(100, 1000) if n % 100 >= 10]
    characters = sorted(pre_tokenizers.ByteLevel.alphabet())
    symbols = [BOS, EOS, PAD, *characters, *(str(n) for n in range(10, 1000)), *map(_as_bytes, whole)]
    vocabulary = {symbol: index for index, symbol in enumerate(symbols)}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=merges, ignore_merges=size.whole_tags))
    pieces = f"{_WHOLE_PIECES}|{_LONE_NUMBER}" if size.whole_tags else _LONE_NUMBER
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(f"{pieces}|[\\s\\S]"), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in GROUNDING_TOKENS])
    tokenizer.add_tokens([AddedToken(token, special=False) for token in TABLE_TOKENS])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token=BOS, eos_token=EOS, pad_token=PAD, model_max_length=4096
    )


def build_tiny_processor(name: str = "tiny") -> DeepseekOcr2Processor:
    """The stock processor around the small tokenizer; white is zero (mean 1), so empty paper says nothing."""
    size = TINY_SIZES[name]
    image_processor = DeepseekOcr2ImageProcessorPil(
        size={"height": size.global_side, "width": size.global_side},
        tile_size=TILE_SIDE,
        image_mean=[1.0, 1.0, 1.0],
        image_std=[0.25, 0.25, 0.25],
        background_color=[255, 255, 255],
    )
    processor = DeepseekOcr2Processor(
        image_processor=image_processor,
        tokenizer=build_tiny_tokenizer(size),
        patch_size=PATCH,
        downsample_ratio=4,
    )
    return complete_processor(processor)


def build_tiny_model(seed: int = 0, name: str = "tiny") -> OCR2Model:
    """A freshly initialised tiny model in float32; the same seed gives the same weights."""
    size = TINY_SIZES[name]
    tokenizer = build_tiny_tokenizer(size)
    config = tiny_config(len(tokenizer), tokenizer.convert_tokens_to_ids(IMAGE), size)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = OCR2Model(config)
    _start_positions(model)
    model.generation_config.update(bos_token_id=0, eos_token_id=1, pad_token_id=2)
    return model


def save_tiny(directory: str | Path, seed: int = 0, name: str = "tiny") -> Path:
    """Write a fresh tiny model with its processor, as `save_pretrained` writes any checkpoint."""
    build_tiny_model(seed, name).save_pretrained(directory)
    build_tiny_processor(name).save_pretrained(directory)
    return Path(directory)


@torch.no_grad()
def _start_positions(model: nn.Module) -> None:
    """Start the position embedding and the queries from where they are on the page.

    The library starts the first at zero and the second at random; from there a small model needs very long to learn
    where to look.
    """
    vision = model.model.vision_tower
    position = vision.sam_encoder.pos_embed
    position.copy_(_sine_cosine(position.shape[1], position.shape[3])[None])
    for queries, side in ((vision.query_768_resolution, 12), (vision.query_1024_resolution, 16)):
        queries.weight.copy_(_sine_cosine(side, queries.weight.shape[1]).flatten(0, 1))


def _as_bytes(text: str) -> str:
    """`text` in the letters that stand for its bytes in a byte-level vocabulary."""
    return pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False).pre_tokenize_str(text)[0][0]


def _sine_cosine(side: int, width: int) -> Tensor:
    """[side, side, width]: half the channels tell the row, half the column (Vaswani et al. 2017, in two dimensions)."""
    place = torch.arange(side) / side
    frequency = 2 * math.pi * 2 ** torch.linspace(0, math.log2(side / 2), width // 4)
    wave = torch.cat([torch.sin(place[:, None] * frequency), torch.cos(place[:, None] * frequency)], dim=1)
    rows = wave[:, None].expand(side, side, -1)
    columns = wave[None].expand(side, side, -1)
    return torch.cat([rows, columns], dim=2)
