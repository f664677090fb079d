"""The layout of the original repository, deepseek-ai/DeepSeek-OCR-2, read into the library's own classes.

Its weights have the key names that the library's classes load and save anyway; its config.json and processor files have
others. Where they are silent, the released model's values hold, as in the code of everybody who reads them. A model
that departs from those says so in the same place, under the library's names: small ones do, the released one need not.
`ocr2_hf/publishing/original_layout.py` writes what is read here.
"""

import json
from pathlib import Path
from typing import Any

from transformers import PreTrainedTokenizerFast
from transformers.models.deepseek_ocr2.processing_deepseek_ocr2 import DeepseekOcr2Processor

from ocr2_hf.errors import UsageError
from ocr2_hf.modeling.released import REAL_CONFIG, REAL_IMAGES

Values = dict[str, Any]

ENCODER, SAM = "qwen2-0-5b", "sam_vit_b"  # in vision_config.width
# The library's name -> the original's.
TEXT_NAMES = {
    name: name
    for name in (
        *("bos_token_id", "eos_token_id", "hidden_size", "intermediate_size", "max_position_embeddings"),
        *("moe_intermediate_size", "n_routed_experts", "n_shared_experts", "num_attention_heads"),
        *("num_experts_per_tok", "num_hidden_layers", "num_key_value_heads", "topk_method", "vocab_size"),
    )
}
SAM_NAMES = {
    "downsample_channels": "downsample_channels",
    "global_attn_indexes": "global_attn_indexes",
    "hidden_size": "width",
    "num_attention_heads": "heads",
    "num_hidden_layers": "layers",
}
ENCODER_NAMES = {"hidden_size": "dim"}
IMAGE_NAMES = {"image_mean": "image_mean", "image_std": "image_std", "do_normalize": "normalize"}
# What the original's files never say.
TEXT_UNSAID = ("initializer_range", "pad_token_id", "rms_norm_eps", "routed_scaling_factor")
SAM_UNSAID = ("initializer_range", "layer_norm_eps", "mlp_dim", "output_channels", "patch_size", "window_size")
ENCODER_UNSAID = (
    *("initializer_range", "intermediate_size", "max_position_embeddings", "num_attention_heads"),
    *("num_hidden_layers", "num_key_value_heads", "rms_norm_eps", "rope_parameters"),
)
IMAGES_UNSAID = {
    "background_color": [127, 127, 127],
    "max_patches": REAL_IMAGES.max_patches,
    "min_patches": REAL_IMAGES.min_patches,
    "tile_size": REAL_IMAGES.tile_side,
}
# The library's configs work these out themselves.
_DERIVED = ("head_dim", "layer_types", "scale")


def released_values() -> Values:
    """The released model's config.json, in the library's own layout."""
    return json.loads(REAL_CONFIG.read_text(encoding="utf-8"))


def native_values(original: Values) -> Values:
    """The library's config.json for the original's. Raises `UsageError` for another model's, or a broken one."""
    vision = original.get("vision_config")
    width = vision.get("width") if isinstance(vision, dict) else None
    if not isinstance(width, dict) or not isinstance(width.get(ENCODER), dict):
        tower = vision.get("model_name") if isinstance(vision, dict) else None
        raise UsageError(
            f"is a {original.get('model_type')!r} model, but not DeepSeek-OCR-2: its vision tower is {tower!r} "
            "(DeepSeek-OCR version 1 and DeepSeek-VL2 are other models)"
        )
    try:
        return _translated(original, vision, width[ENCODER], width[SAM])
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise UsageError(f"is no config of DeepSeek-OCR-2: {type(error).__name__} {error}") from error


def _translated(original: Values, vision: Values, encoder: Values, sam: Values) -> Values:
    released = released_values()
    native = released["vision_config"]
    parts = {
        "encoder_config": _part(native["encoder_config"], encoder, ENCODER_NAMES, ENCODER_UNSAID),
        "sam_config": _part(native["sam_config"], sam, SAM_NAMES, SAM_UNSAID),
    }
    parts["sam_config"]["image_size"] = (
        vision.get("image_size") or released["vision_config"]["sam_config"]["image_size"]
    )
    # The released file says [512, 1024]. Its weights are [512, 896]: what SAM ends in is as wide as the encoder.
    channels = parts["sam_config"]["downsample_channels"]
    parts["sam_config"]["downsample_channels"] = [*channels[:-1], parts["encoder_config"]["hidden_size"]]
    language = original | (original.get("language_config") or {})  # its keys stand there twice
    own = {name: original[name] for name in ("image_token_id",) if original.get(name) is not None}
    return {
        **released,
        **own,
        "dtype": language.get("torch_dtype") or language.get("dtype") or released["dtype"],
        "text_config": _text(released["text_config"], language),
        "vision_config": {**native, **parts},
    }


def _part(released: Values, said: Values, names: dict[str, str], unsaid: tuple[str, ...]) -> Values:
    """The released part with what `said` has to say, under the library's names."""
    theirs = names | {name: name for name in unsaid}
    own = {name: said[key] for name, key in theirs.items() if said.get(key) is not None}
    return {name: value for name, value in released.items() if name not in _DERIVED} | own


def _text(released: Values, language: Values) -> Values:
    text = _part(released, language, TEXT_NAMES, TEXT_UNSAID)
    if language.get("rope_theta") is not None:
        text["rope_parameters"] = {"rope_type": "default", "rope_theta": float(language["rope_theta"])}
    # One group is none.
    text |= {name: language[name] for name in ("n_group", "topk_group") if language.get(name) not in (None, 1)}
    dense = language.get("first_k_dense_replace")
    dense = released["mlp_layer_types"].count("dense") if dense is None else dense
    return text | {"mlp_layer_types": ["dense"] * dense + ["sparse"] * (text["num_hidden_layers"] - dense)}


def read_original_processor(folder: Path, backend: str) -> DeepseekOcr2Processor:
    """The stock processor from the original's processor and tokenizer files; `backend`: `torchvision` or `pil`.

    The file of the tokenizer is taken as it is: the class that the original names would build another from it.
    Raises `OSError` or `ValueError` for files that are missing or broken.
    """
    said = json.loads((folder / "processor_config.json").read_text(encoding="utf-8"))
    try:
        side = said["candidate_resolutions"][0][0]
    except (LookupError, TypeError):
        raise ValueError("processor_config.json does not say candidate_resolutions") from None
    own = {name: said[key] for name, key in IMAGE_NAMES.items() if said.get(key) is not None}
    unsaid = {name: said.get(name, value) for name, value in IMAGES_UNSAID.items()}
    images = image_processor_class(backend)(size={"height": side, "width": side}, **own, **unsaid)
    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
    sizes = {name: said[name] for name in ("patch_size", "downsample_ratio") if said.get(name) is not None}
    return DeepseekOcr2Processor(images, tokenizer, **sizes)


def image_processor_class(backend: str) -> type:
    """The library's image processor for `torchvision` or `pil`."""
    if backend == "torchvision":
        from transformers import DeepseekOcr2ImageProcessor

        return DeepseekOcr2ImageProcessor
    from transformers.models.deepseek_ocr2.image_processing_pil_deepseek_ocr2 import DeepseekOcr2ImageProcessorPil

    return DeepseekOcr2ImageProcessorPil
