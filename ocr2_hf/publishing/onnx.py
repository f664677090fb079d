"""A trained directory as ONNX graphs in float32: the whole model as the tutorial draws it, and what reading needs.

    model.onnx          pages, prompt and target tokens, box positions -> text_logits, bbox_preds
    embed_pages.onnx    pages and prompt tokens -> embeddings
    embed_tokens.onnx   tokens -> embeddings
    decoder.onnx        embeddings and the cache -> logits of the last token, the cache
    weights.onnx_data   the weights of all four, each once

Beside them lie the processor, the configs and the recipe, so that `DocumentReader` and `ocr2 read` take the folder.

The model is traced as one module with every size dynamic. The stock forward cannot be: it takes the pages of a batch
one by one in Python (`for idx in range(batch_size)` and `num_local_patches.tolist()` in
`DeepseekOcr2Model.get_image_features`), so a trace has the batch it was made with baked into every reshape of the
vision tower. `place_features` puts the same features in the same places by arithmetic.
"""

import logging
import math
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path

import onnx_ir
import torch
from torch import Tensor, nn
from torch.export import Dim
from transformers import DeepseekOcr2Config, DynamicCache
from transformers.exporters.exporter_onnx import OnnxConfig, OnnxExporter
from transformers.exporters.utils import patch_attributes

from ocr2_hf.data.collator import coordinate_token_ids
from ocr2_hf.data.images import ImageSettings
from ocr2_hf.document.grounding import COORDINATE_MAX
from ocr2_hf.modeling.load import load_processor
from ocr2_hf.modeling.model import OCR2Model
from ocr2_hf.publishing.merge import merged_model
from ocr2_hf.publishing.onnx_graph_split import DYNAMIC_AXES, PAST, write_graphs

OPSET = 18


def write_onnx(source: Path, folder: Path, dtype: str) -> None:
    """Write the model of `source` (a directory with or without adapters) into `folder` as ONNX graphs.

    On the CPU, in float32, which is all that `dtype` may say. `bbox_preds` come from the box head where the model has
    one, else from the coordinate tokens (`expectation`).
    """
    model, processor = merged_model(source, "float32", attn_implementation="eager"), load_processor(source)
    box_source = "expectation" if model.box_head is None else "head"
    write_graphs(trace(model, processor), folder, {"box_source": box_source})
    model.config.save_pretrained(folder)
    model.generation_config.save_pretrained(folder)
    processor.save_pretrained(folder)


def trace(model: OCR2Model, processor) -> onnx_ir.Model:
    """The whole model as one ONNX graph with every input and output of `TraceableModel`."""
    images = ImageSettings.of(processor)
    inputs = example_inputs(model.config, images.global_side, images.tile_side)
    module = TraceableModel(model, coordinate_token_ids(processor.tokenizer)).eval()
    config = OnnxConfig(dynamic=True, dynamic_shapes=dynamic_shapes(inputs), opset_version=OPSET)
    # Every expert computes its own tokens and no others; the library's other exact form runs a loop over what it finds.
    model.choose_experts("grouped_mm")
    reshapes = [(Tensor, name, _without_minus_one) for name in ("reshape", "view")]
    with patch_attributes(reshapes), _quiet(), torch.no_grad():
        exported = OnnxExporter().export(module, inputs, config)
    # transformers 5.17 hands out torch's own program, 5.23 wraps the graph in a class of its own.
    return exported.model if isinstance(exported, torch.onnx.ONNXProgram) else exported.program


class TraceableModel(nn.Module):
    """Every output that one of the graphs needs, of one forward: what is traced once is then split into graphs.

    Shapes, for B pages of length L with T tiles in all and N boxes, P tokens in the cache, hidden size H, vocabulary V:
    `pixel_values` [B, 3, side, side], `pixel_values_local` [T, 3, side, side], `num_local_patches` [B], `input_ids` and
    `position_ids` [B, L], `attention_mask` [B, P + L], `past_key_values`: per layer a key and a value [B, heads, P,
    head size], `box_positions` [N, 6]: the page, and where `<|det|>` and the four coordinates stand in its sequence.
    """

    def __init__(self, model: OCR2Model, coordinate_ids: tuple[int, ...]):
        super().__init__()
        self.tower, self.projector = model.model.vision_tower, model.model.multi_modal_projector
        self.separator = model.model.view_separator
        self.text, self.head, self.box_head = model.model.language_model, model.lm_head, model.box_head
        self.image_token_id = model.config.image_token_id
        self.register_buffer("coordinate_ids", torch.tensor(coordinate_ids), persistent=False)

    def forward(
        self,
        pixel_values: Tensor,
        pixel_values_local: Tensor,
        num_local_patches: Tensor,
        input_ids: Tensor,
        attention_mask: Tensor,
        position_ids: Tensor,
        past_key_values: list[dict[str, Tensor]],
        box_positions: Tensor,
    ) -> dict:
        """`text_logits` [B, L, V], `logits` [B, V] of the last token, `bbox_preds` [N, 4] in [0, 1], `token_embeds` and
        `inputs_embeds` [B, L, H] without and with the pages, `present`: the cache with these tokens."""
        tokens = self.text.embed_tokens(input_ids)
        pages, tiles = self._features(pixel_values), self._features(pixel_values_local)
        embeds = place_features(
            tokens, input_ids == self.image_token_id, pages, tiles, num_local_patches, self.separator
        )
        cache = DynamicCache([(layer["key"], layer["value"]) for layer in past_key_values])
        mask = causal_mask(attention_mask, input_ids.shape[1])
        # By place: what takes the cache is called `past_key_values` up to transformers 5.23, `cache` from 5.24 on.
        hidden = self.text(None, mask, position_ids, cache, embeds, use_cache=True).last_hidden_state
        text_logits = self.head(hidden)
        return {
            "token_embeds": tokens,
            "inputs_embeds": embeds,
            "logits": self.head(hidden[:, -1:])[:, 0],
            "present": [{"key": layer.keys, "value": layer.values} for layer in cache.layers],
            "text_logits": text_logits,
            "bbox_preds": self._boxes(hidden, text_logits, box_positions),
        }

    def _features(self, pixels: Tensor) -> Tensor:
        return self.projector(self.tower(pixels).last_hidden_state)

    def _boxes(self, hidden: Tensor, text_logits: Tensor, box_positions: Tensor) -> Tensor:
        """[N, 4] in [0, 1], as `OCR2Model` predicts them."""
        rows, tokens = box_positions[:, 0], box_positions[:, 1:]
        if self.box_head is not None:
            return self.box_head(hidden[rows, tokens[:, 0]])
        logits = text_logits[rows[:, None], tokens[:, 1:] - 1][:, :, self.coordinate_ids]
        coordinates = torch.arange(COORDINATE_MAX + 1, dtype=logits.dtype) / COORDINATE_MAX
        return (logits.softmax(dim=-1) * coordinates).sum(dim=-1)


def place_features(
    tokens: Tensor, is_image: Tensor, pages: Tensor, tiles: Tensor, tile_counts: Tensor, separator: Tensor
) -> Tensor:
    """Token embeddings [B, L, H] with the image tokens' replaced by features: a page's tiles, its global view, the
    separator.

    `is_image` [B, L], `pages` [B, queries, H], `tiles` [T, queries, H], `tile_counts` [B]. As the stock model's
    `get_image_features` and `masked_scatter` do page by page.
    """
    per_page, per_tile = pages.shape[1], tiles.shape[1]
    table = torch.cat([separator[None], pages.flatten(0, 1), tiles.flatten(0, 1)])
    number = is_image.long().cumsum(dim=1) - 1  # how many image tokens of its page stand before a token
    counts = tile_counts[:, None]
    of_tiles = counts * per_tile
    row = torch.arange(tokens.shape[0], device=tokens.device)[:, None]
    in_pages = 1 + row * per_page + number - of_tiles
    in_tiles = 1 + tokens.shape[0] * per_page + (counts.cumsum(dim=0) - counts) * per_tile + number
    place = torch.where(number < of_tiles, in_tiles, in_pages)
    place = torch.where(is_image & (number < of_tiles + per_page), place, 0)
    return torch.where(is_image[..., None], table[place], tokens)


def causal_mask(attention_mask: Tensor, length: int) -> Tensor:
    """What is added to attention scores [B, 1, L, P + L]: 0 where one of the last L tokens may look, else -3.4e38."""
    keys = torch.arange(attention_mask.shape[1], device=attention_mask.device)
    queries = keys[attention_mask.shape[1] - length :]
    allowed = (keys[None] <= queries[:, None])[None, None] & attention_mask[:, None, None].bool()
    return torch.where(allowed, 0.0, torch.finfo(torch.float32).min)


def example_inputs(config: DeepseekOcr2Config, page_side: int, tile_side: int) -> dict:
    """Inputs of `TraceableModel`. No dynamic size is 0, 1 or any other size in the model, or a trace might bake it
    in."""
    text = config.text_config
    batch, tiles, length, past, boxes = 11, 13, 17, 19, 23
    cached = (batch, text.num_key_value_heads, past, text.head_dim)
    return {
        "pixel_values": torch.zeros(batch, 3, page_side, page_side),
        "pixel_values_local": torch.zeros(tiles, 3, tile_side, tile_side),
        "num_local_patches": torch.ones(batch, dtype=torch.long),
        "input_ids": torch.full((batch, length), text.bos_token_id),
        "attention_mask": torch.ones(batch, past + length, dtype=torch.long),
        "position_ids": torch.arange(past, past + length).repeat(batch, 1),
        "past_key_values": [
            {name: torch.zeros(cached) for name in ("key", "value")} for _ in range(text.num_hidden_layers)
        ],
        "box_positions": torch.zeros(boxes, 6, dtype=torch.long),
    }


def dynamic_shapes(inputs: dict) -> dict:
    """Which sizes of `example_inputs` are dynamic, as `torch.export` wants it."""
    axes = {name: {axis: Dim.AUTO for axis, size in enumerate(DYNAMIC_AXES[name]) if size} for name in inputs}
    return axes | {PAST: [dict.fromkeys(("key", "value"), axes[PAST]) for _ in inputs[PAST]]}


def _without_minus_one(original: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """A reshape that replaces a -1 among the sizes by the size it stands for.

    ONNX cannot tell it for a tensor without elements, which the tiles are of a batch in which no page has any.
    """

    def reshape(tensor: Tensor, *shape):
        sizes = list(shape[0] if len(shape) == 1 and isinstance(shape[0], tuple | list) else shape)
        left = [place for place, size in enumerate(sizes) if isinstance(size, int) and size == -1]
        if not left:
            return original(tensor, *shape)
        known = math.prod(size for place, size in enumerate(sizes) if place != left[0])
        sizes[left[0]] = tensor.numel() // known
        return original(tensor, sizes)

    return reshape


@contextmanager
def _quiet() -> Iterator[None]:
    """Progress to stderr; without what the exporters say about operators that this model has not."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "transformers")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with redirect_stdout(sys.stderr), warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
