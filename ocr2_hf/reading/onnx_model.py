"""A folder of ONNX graphs as a model that `generate` reads pages with, through ONNX Runtime on the CPU."""

import logging
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import Cache, DeepseekOcr2Config, DynamicCache, GenerationMixin, PreTrainedModel
from transformers.cache_utils import DynamicLayer
from transformers.modeling_outputs import CausalLMOutputWithPast

from ocr2_hf.errors import UsageError
from ocr2_hf.modeling.model_files import load_config

logger = logging.getLogger(__name__)

PAGES, TOKENS, DECODER = "embed_pages.onnx", "embed_tokens.onnx", "decoder.onnx"


def is_onnx_folder(name: str | Path) -> bool:
    """Whether a model's name is a folder that `ocr2 export --to onnx` wrote."""
    return (Path(name) / DECODER).is_file()


def load_onnx_model(
    folder: str | Path, device: str | torch.device | None = None, dtype: str | torch.dtype = "auto"
) -> "OnnxModel":
    """The graphs of a folder, ready to read. They run on the CPU, in float32; another wish is answered by a warning.

    Raises `UsageError` where the `onnx` extra is missing, a graph is missing or broken, or one wants to read weights
    from anywhere but files of its own folder.
    """
    folder = Path(folder)
    missing = [name for name in ("onnx", "onnxruntime") if find_spec(name) is None]
    if missing:
        raise UsageError(f"{folder} holds ONNX graphs, which need {', '.join(missing)}: pip install 'ocr2_hf[onnx]'")
    from ocr2_hf.reading.onnx_files import open_session

    if torch.device(device or "cpu").type != "cpu" or dtype not in ("auto", "float32", torch.float32):
        logger.warning("%s holds ONNX graphs: read on the CPU in float32, not on %s in %s", folder, device, dtype)
    config = load_config(folder)
    sessions = {name: open_session(folder / name) for name in (PAGES, TOKENS, DECODER)}
    return OnnxModel(config, sessions)


class OnnxModel(PreTrainedModel, GenerationMixin):
    """The parts of the stock model that `generate` calls, computed by ONNX Runtime: no weights, the same answers."""

    config_class = DeepseekOcr2Config
    main_input_name = "input_ids"
    device, dtype = torch.device("cpu"), torch.float32

    def __init__(self, config: DeepseekOcr2Config, sessions: Mapping[str, Any]):
        super().__init__(config)
        self.sessions = dict(sessions)

    def forward(
        self,
        input_ids: Tensor,
        position_ids: Tensor,
        attention_mask: Tensor | None = None,
        cache: Cache | None = None,
        pixel_values: Tensor | None = None,
        pixel_values_local: Tensor | None = None,
        num_local_patches: Tensor | None = None,
        past_key_values: Cache | None = None,
        **kwargs,
    ) -> CausalLMOutputWithPast:
        """Logits [B, 1, V] of the last of L tokens, and the cache with them.

        `input_ids`, `position_ids` [B, L], `attention_mask` [B, P + L] with P tokens in the cache (`generate` leaves it
        out where nothing is padded); the pixels as the processor returns them, looked at while the cache is empty.
        `past_key_values` is what `generate` calls the cache up to transformers 5.23.
        """
        cache = past_key_values if cache is None else cache
        seen = 0 if cache is None else cache.get_seq_length()
        first = seen == 0
        if attention_mask is None:
            attention_mask = input_ids.new_ones(input_ids.shape[0], seen + input_ids.shape[1])
        ids = {"input_ids": input_ids.numpy()}
        pixels = self._pixels(pixel_values, pixel_values_local, num_local_patches) if first else {}
        (embeds,) = self.sessions[PAGES if first else TOKENS].run(None, ids | pixels)
        past = self._empty(len(embeds)) if first else _arrays(cache)
        feed = {"inputs_embeds": embeds, "attention_mask": attention_mask.numpy(), "position_ids": position_ids.numpy()}
        logits, *present = self.sessions[DECODER].run(None, feed | past)
        return CausalLMOutputWithPast(None, torch.from_numpy(logits)[:, None], _cache(present))  # no loss

    def _pixels(self, pages: Tensor, tiles: Tensor | None, counts: Tensor) -> dict[str, np.ndarray]:
        if tiles is None:
            side = self.sessions[PAGES].get_inputs()[1].shape[2]
            tiles = pages.new_zeros(0, pages.shape[1], side, side)
        named = {"pixel_values": pages, "pixel_values_local": tiles, "num_local_patches": counts}
        return {name: tensor.numpy() for name, tensor in named.items()}

    def _empty(self, batch: int) -> dict[str, np.ndarray]:
        text = self.config.text_config
        empty = np.zeros((batch, text.num_key_value_heads, 0, text.head_dim), np.float32)
        return {name: empty for layer in range(text.num_hidden_layers) for name in _names(layer)}


def _arrays(cache: Cache) -> dict[str, np.ndarray]:
    arrays: dict[str, np.ndarray] = {}
    for number, layer in enumerate(cache.layers):
        arrays |= zip(_names(number), (layer.keys.numpy(), layer.values.numpy()), strict=True)
    return arrays


def _cache(present: list[np.ndarray]) -> DynamicCache:
    """The decoder's keys and values as the library's cache, without a copy: `update` would make one at every token."""
    cache = DynamicCache()
    for key, value in zip(present[::2], present[1::2], strict=True):
        layer = DynamicLayer()
        layer.keys, layer.values = torch.from_numpy(key), torch.from_numpy(value)
        layer.dtype, layer.device, layer.is_initialized = layer.keys.dtype, layer.keys.device, True
        cache.layers.append(layer)
    return cache


def _names(layer: int) -> tuple[str, str]:
    return f"past_key_values.{layer}.key", f"past_key_values.{layer}.value"
