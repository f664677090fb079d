"""The tiny model: DeepSeek-OCR-2's own classes at a size that trains on two CPU cores.

It stands in for the real weights in tests and in the quickstart. Same architecture, same visual token counts per page
(256 + 144 per tile + 1), the same special tokens, one token for each number 0..999; only widths, depths and pixels are
smaller. It is built, not downloaded, and saved and loaded like any checkpoint.
"""

import math
from pathlib import Path

import torch
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, processors
from torch import Tensor, nn
from transformers import DeepseekOcr2Config, PreTrainedTokenizerFast
from transformers.models.deepseek_ocr2.image_processing_pil_deepseek_ocr2 import DeepseekOcr2ImageProcessorPil
from transformers.models.deepseek_ocr2.processing_deepseek_ocr2 import DeepseekOcr2Processor

from ocr2_hf.modeling.model import OCR2Model

BOS, EOS, PAD = "<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>", "<｜▁pad▁｜>"
GROUNDING_TOKENS = ("<image>", "<|ref|>", "<|/ref|>", "<|det|>", "<|/det|>", "<|grounding|>")
TABLE_TOKENS = ("<table>", "</table>", "<tr>", "</tr>", "<td>", "</td>")

PATCH = 4
GLOBAL_SIDE, TILE_SIDE = (
    256,
    192,
)  # 16x16 and 12x12 visual tokens after the 16x reduction: what the queries need
# A number that stands alone is one token, as in the base's tokenizer; digits inside prices and dates are one token
# each.
_LONE_NUMBER = r"(?<![\p{N}.,:/\-])\p{N}{1,3}(?![\p{N}.:/\-%]|,\p{N})"


def tiny_config(vocab_size: int, image_token_id: int) -> DeepseekOcr2Config:
    """About 1.3 million parameters; widths are powers of two, depths two or three."""
    initializer_range = 0.1  # about 1/sqrt(width): at 0.02 the image is lost in the constant part of the features
    return DeepseekOcr2Config(
        vision_config={
            "sam_config": {
                "hidden_size": 64,
                "output_channels": 64,
                "num_hidden_layers": 2,
                "num_attention_heads": 4,
                "image_size": GLOBAL_SIDE,
                "patch_size": PATCH,
                "window_size": 8,
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
            "num_attention_heads": 4,
            "num_key_value_heads": 4,
            "n_routed_experts": 4,
            "n_shared_experts": 2,
            "num_experts_per_tok": 2,
            "max_position_embeddings": 4096,
            "rope_parameters": {"rope_type": "default", "rope_theta": 10_000.0},
            "bos_token_id": 0,
            "eos_token_id": 1,
            "pad_token_id": 2,
            "initializer_range": initializer_range,
        },
        image_token_id=image_token_id,
    )


def build_tiny_tokenizer() -> PreTrainedTokenizerFast:
    """Byte-level tokenizer: every text can be written; characters and bytes are tokens, so are the numbers 0..999."""
    symbols = [BOS, EOS, PAD, *sorted(pre_tokenizers.ByteLevel.alphabet())]
    merges = [(str(n // 10), str(n % 10)) for n in range(10, 1000)]
    # 110 is put together from 11 and 0 or from 1 and 10, whichever pair comes first.
    merges += [(str(n // 100), str(n % 100)) for n in range(100, 1000) if n % 100 >= 10]
    symbols = [
        BOS,
        EOS,
        PAD,
        *sorted(pre_tokenizers.ByteLevel.alphabet()),
        *(str(n) for n in range(10, 1000)),
    ]
    bpe = models.BPE(vocab={symbol: index for index, symbol in enumerate(symbols)}, merges=merges)
    tokenizer = Tokenizer(bpe)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(f"{_LONE_NUMBER}|[\\s\\S]"), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{BOS} $A", pair=f"{BOS} $A $B", special_tokens=[(BOS, 0)]
    )
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in GROUNDING_TOKENS])
    tokenizer.add_tokens([AddedToken(token, special=False) for token in TABLE_TOKENS])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token=BOS, eos_token=EOS, pad_token=PAD, model_max_length=4096
    )


def build_tiny_processor() -> DeepseekOcr2Processor:
    """The stock processor around the small tokenizer; white is zero (mean 1), so empty paper says nothing."""
    image_processor = DeepseekOcr2ImageProcessorPil(
        size={"height": GLOBAL_SIDE, "width": GLOBAL_SIDE},
        tile_size=TILE_SIDE,
        image_mean=[1.0, 1.0, 1.0],
        image_std=[0.25, 0.25, 0.25],
        background_color=[255, 255, 255],
    )
    return DeepseekOcr2Processor(
        image_processor=image_processor,
        tokenizer=build_tiny_tokenizer(),
        patch_size=PATCH,
        downsample_ratio=4,
    )


def build_tiny_model(seed: int = 0) -> OCR2Model:
    """A freshly initialised tiny model in float32; the same seed gives the same weights."""
    tokenizer = build_tiny_tokenizer()
    config = tiny_config(len(tokenizer), tokenizer.convert_tokens_to_ids("<image>"))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = OCR2Model(config)
    _start_positions(model)
    model.generation_config.update(bos_token_id=0, eos_token_id=1, pad_token_id=2)
    return model


def save_tiny(directory: str | Path, seed: int = 0) -> Path:
    """Write a fresh tiny model with its processor, as `save_pretrained` writes any checkpoint."""
    build_tiny_model(seed).save_pretrained(directory)
    build_tiny_processor().save_pretrained(directory)
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


def _sine_cosine(side: int, width: int) -> Tensor:
    """[side, side, width]: half the channels tell the row, half the column (Vaswani et al. 2017, in two dimensions)."""
    place = torch.arange(side) / side
    frequency = 2 * math.pi * 2 ** torch.linspace(0, math.log2(side / 2), width // 4)
    wave = torch.cat([torch.sin(place[:, None] * frequency), torch.cos(place[:, None] * frequency)], dim=1)
    rows = wave[:, None].expand(side, side, -1)
    columns = wave[None].expand(side, side, -1)
    return torch.cat([rows, columns], dim=2)
