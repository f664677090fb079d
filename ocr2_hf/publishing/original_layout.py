"""A trained directory in the layout of the original repository, deepseek-ai/DeepSeek-OCR-2: what vLLM and SGLang read.

Key names and per-expert tensors are what the library writes anyway; config, tokenizer and processor files differ. Facts
are from that repository's config.json and from the readers' code; nothing here was run with vLLM or SGLang.
"""

import logging
from pathlib import Path
from typing import Any

from safetensors import safe_open
from transformers import DeepseekOcr2Config, PreTrainedTokenizerFast
from transformers.models.deepseek_ocr2.processing_deepseek_ocr2 import DeepseekOcr2Processor

from ocr2_hf.document.atomic_files import whole_folder, write_json
from ocr2_hf.errors import WorkError
from ocr2_hf.modeling.load import load_processor
from ocr2_hf.publishing.contents import read_json
from ocr2_hf.publishing.merge import copy_recipe, merged_model
from ocr2_hf.publishing.original_tensors import original_tensors

logger = logging.getLogger(__name__)

ARCHITECTURE = "DeepseekOCR2ForCausalLM"
# SGLang knows an OCR-2 by this entry. The module it names is the original repository's code, which is not shipped; its
# other entries, for config and tokenizer, are left out so that no loader asks for that code before it looks at its own.
AUTO_MAP = {"AutoModel": f"modeling_deepseekocr2.{ARCHITECTURE}"}
# What the readers assume where the language config is silent, as the original's is.
ROPE_THETA, RMS_NORM_EPS = 10_000.0, 1e-6
# What the readers build and cut whatever config and processor say.
READERS_TOWER = {
    "image_size": 1024, "patch_size": 16, "hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12,
}  # fmt: skip
READERS_IMAGES = {"tile_size": 768, "min_patches": 2, "max_patches": 6}


def export_original(source: str | Path, output_dir: str | Path, dtype: str = "auto") -> Path:
    """Write the model of `source` (adapters merged) to `output_dir` in the original layout.

    `dtype` as in `merge`. A box head has no place in that layout and is left out; that, and whatever the readers would
    do otherwise than this model was trained for, is logged as a warning. Raises `WorkError` when the tensors written
    are not exactly the original repository's.
    """
    with whole_folder(output_dir) as folder:
        model, processor = merged_model(source, dtype), load_processor(source)
        if model.box_head is not None:
            logger.warning("the box head is left out: the original layout has none, boxes are read from the text")
            model.box_head = None
        model.save_pretrained(folder)
        config = model.config
        check_tensors(folder, config)
        write_json(folder / "config.json", original_config(config))
        # `vllm serve` takes its defaults for sampling from here: without a temperature it would draw at random.
        reading = read_json(folder / "generation_config.json")
        write_json(folder / "generation_config.json", reading | {"temperature": 0.0})
        write_processor(folder, processor)
        copy_recipe(source, folder)
    for problem in reader_problems(config, processor):
        logger.warning("vLLM and SGLang: %s", problem)
    return Path(output_dir)


def original_config(config: DeepseekOcr2Config) -> dict[str, Any]:
    """config.json as the original repository has it; the language model's keys stand there twice, as they do here."""
    sam, encoder = config.vision_config.sam_config, config.vision_config.encoder_config
    language = _language_config(config)
    return {
        "architectures": [ARCHITECTURE],
        "auto_map": AUTO_MAP,
        "candidate_resolutions": [[sam.image_size, sam.image_size]],
        "global_view_pos": "head",
        "language_config": {"architectures": ["DeepseekV2ForCausalLM"], **language},
        "model_type": "deepseek_vl_v2",
        "projector_config": {
            "input_dim": encoder.hidden_size,
            "model_type": "mlp_projector",
            "n_embed": config.text_config.hidden_size,
            "projector_type": "linear",
        },
        "tile_tag": "2D",
        "vision_config": {
            "image_size": sam.image_size,
            "mlp_ratio": 3.7362,  # of a tower that this model no longer has; the original kept it
            "model_name": "deepencoderv2",
            "model_type": "vision",
            "width": {
                "qwen2-0-5b": {"dim": encoder.hidden_size},
                "sam_vit_b": {
                    "downsample_channels": list(sam.downsample_channels),
                    "global_attn_indexes": list(sam.global_attn_indexes),
                    "heads": sam.num_attention_heads,
                    "layers": sam.num_hidden_layers,
                    "width": sam.hidden_size,
                },
            },
        },
        **language,
    }


def _language_config(config: DeepseekOcr2Config) -> dict[str, Any]:
    text = config.text_config
    same = (
        *("bos_token_id", "eos_token_id", "hidden_size", "intermediate_size", "max_position_embeddings"),
        *("moe_intermediate_size", "n_routed_experts", "n_shared_experts", "num_attention_heads"),
        *("num_experts_per_tok", "num_hidden_layers", "num_key_value_heads", "topk_method", "vocab_size"),
    )
    departing = {"rope_theta": (text.rope_parameters["rope_theta"], ROPE_THETA)}
    departing["rms_norm_eps"] = (text.rms_norm_eps, RMS_NORM_EPS)
    return {
        **{name: getattr(text, name) for name in same},
        **{name: value for name, (value, assumed) in departing.items() if value != assumed},
        "first_k_dense_replace": text.mlp_layer_types.count("dense"),
        "n_group": text.n_group or 1,
        "topk_group": text.topk_group or 1,
        # Plain attention: the keys of the compressed one are there and empty.
        "use_mla": False,
        "kv_lora_rank": None,
        "q_lora_rank": None,
        "qk_nope_head_dim": 0,
        "qk_rope_head_dim": 0,
        "v_head_dim": 0,
        "lm_head": True,
        "rm_head": False,
        "torch_dtype": str(config.dtype).removeprefix("torch."),
    }


def check_tensors(folder: Path, config: DeepseekOcr2Config) -> None:
    """Raise `WorkError` unless the weights in `folder` are those of the original layout: each name, each shape."""
    written: dict[str, tuple[int, ...]] = {}
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
    write_json(folder / "tokenizer_config.json", _tokenizer_config(tokenizer))
    special = {name: str(getattr(tokenizer, name)) for name in ("bos_token", "eos_token", "pad_token")}
    write_json(folder / "special_tokens_map.json", special)
    side = images.size["height"]
    settings = {
        "add_special_token": False,
        "candidate_resolutions": [[side, side]],
        "downsample_ratio": processor.downsample_ratio,
        "ignore_id": -100,
        "image_mean": list(images.image_mean),
        "image_std": list(images.image_std),
        "image_token": processor.image_token,
        "mask_prompt": False,
        "normalize": images.do_normalize,
        "pad_token": str(tokenizer.pad_token),
        "patch_size": processor.patch_size,
        "processor_class": "DeepseekVLV2Processor",
        "sft_format": "deepseek",
    }
    write_json(folder / "processor_config.json", settings)


def _tokenizer_config(tokenizer: PreTrainedTokenizerFast) -> dict[str, Any]:
    """With the class name that the readers ask for: transformers 4 has no `TokenizersBackend`."""
    return {
        "add_bos_token": True,
        "add_eos_token": False,
        "bos_token": str(tokenizer.bos_token),
        "clean_up_tokenization_spaces": False,
        "eos_token": str(tokenizer.eos_token),
        "legacy": True,
        "model_max_length": tokenizer.model_max_length,
        "pad_token": str(tokenizer.pad_token),
        "sp_model_kwargs": {},
        "tokenizer_class": "LlamaTokenizerFast",
        "unk_token": None,
    }


def reader_problems(config: DeepseekOcr2Config, processor: DeepseekOcr2Processor) -> list[str]:
    """Where vLLM and SGLang, which have vision tower and tiles fixed in their code, depart from this model."""
    problems = []
    sam, images = config.vision_config.sam_config, processor.image_processor
    other = [f"{name} {getattr(sam, name)}" for name, value in READERS_TOWER.items() if getattr(sam, name) != value]
    if other:
        problems.append(f"cannot load this model, their vision tower is the released one's (here: {', '.join(other)})")
    other = [
        f"{name} {getattr(images, name)} (theirs: {value})"
        for name, value in READERS_IMAGES.items()
        if getattr(images, name) != value
    ]
    if other:
        problems.append(f"cut pages otherwise than this model was trained on: {', '.join(other)}")
    return problems
