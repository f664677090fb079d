"""The original repository's layout: every name and shape, there and back bit for bit, and what its readers look at."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoTokenizer, DeepseekOcr2Config, DeepseekOcr2ForConditionalGeneration
from transformers.core_model_loading import revert_weight_conversion

from helpers.trained_folders import trained
from ocr2_hf.commands.export import main
from ocr2_hf.errors import WorkError, run_command
from ocr2_hf.modeling.load import load_model, load_processor
from ocr2_hf.modeling.released import REAL_CONFIG
from ocr2_hf.modeling.tensors import original_tensors
from ocr2_hf.modeling.tiny import build_tiny_processor, save_tiny
from ocr2_hf.publishing.original_layout import check_tensors, original_config, reader_problems
from ocr2_hf.recipe import ModelArguments


@pytest.fixture(scope="module")
def real_config():
    return DeepseekOcr2Config.from_dict(json.loads(REAL_CONFIG.read_text()))


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory) -> Path:
    """Adapters of every kind and a box head."""
    folder = tmp_path_factory.mktemp("original")
    policy = ModelArguments(lora_targets="attention+shared+routed", train_vision="lora")
    trained(save_tiny(folder / "base"), policy, folder / "run", box_head=True)
    (folder / "run" / "recipe.yaml").write_text("prompts: {}\n")
    return folder / "run"


@pytest.fixture(scope="module")
def original(run_folder) -> Path:
    target = run_folder.parent / "exported"
    assert run_command(main, [str(run_folder), "--to", "original", "--output_dir", str(target)]) == 0
    return target


def test_every_name_and_shape_of_the_real_model_is_the_librarys_mapping_reversed(real_config):
    with torch.device("meta"):
        model = DeepseekOcr2ForConditionalGeneration(real_config)
    reversed_mapping = revert_weight_conversion(model, model.state_dict())
    wanted = original_tensors(real_config)
    assert {name: tuple(tensor.shape) for name, tensor in reversed_mapping.items()} == wanted
    assert len(wanted) == 2707 and sum(torch.Size(shape).numel() for shape in wanted.values()) == 3_389_119_360
    # As published files have them.
    assert wanted["model.layers.11.mlp.experts.63.up_proj.weight"] == (896, 1280)
    assert wanted["model.qwen2_model.model.model.layers.23.self_attn.k_proj.bias"] == (128,)
    assert wanted["model.qwen2_model.query_768.weight"] == (144, 896)
    assert wanted["model.sam_model.blocks.11.attn.rel_pos_h"] == (127, 64)
    assert wanted["model.sam_model.net_3.weight"] == (896, 512, 3, 3)
    assert wanted["model.view_seperator"] == (1280,)


def test_there_and_back_bit_for_bit(run_folder, original):
    adapted = load_model(run_folder).merge_and_unload()
    back = DeepseekOcr2ForConditionalGeneration.from_pretrained(original, config=adapted.config)
    theirs, ours = back.state_dict(), adapted.state_dict()
    stock = {name for name in ours if not name.startswith("box_head.")}
    assert theirs.keys() == stock and all(torch.equal(theirs[name], ours[name]) for name in stock)
    back.generation_config.temperature = None  # transformers 5.17 saves none for greedy decoding
    back.save_pretrained(original.parent / "native")
    first, second = (load_file(folder / "model.safetensors") for folder in (original, original.parent / "native"))
    assert first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)
    assert "model.layers.1.mlp.experts.3.gate_proj.weight" in first and "model.view_seperator" in first


def test_the_folder_holds_what_readers_load_and_nothing_they_would_choke_on(run_folder, original):
    """vLLM reads every .safetensors file: a box head among them would stop it."""
    assert (run_folder / "box_head.safetensors").is_file()
    assert sorted(path.name for path in original.iterdir()) == [
        "chat_template.jinja",
        "config.json",
        "export.json",
        "generation_config.json",
        "model.safetensors",
        "processor_config.json",
        "recipe.yaml",
        "special_tokens_map.json",
        "tokenizer.json",
        "tokenizer_config.json",
    ]
    generation = json.loads((original / "generation_config.json").read_text())
    assert (generation["temperature"], generation["eos_token_id"]) == (0.0, 1)


def test_the_config_of_the_released_model(real_config):
    """The keys that vLLM's and SGLang's config classes take, with the values of deepseek-ai/DeepSeek-OCR-2."""
    config = original_config(real_config)
    language = {
        "vocab_size": 129280, "hidden_size": 1280, "intermediate_size": 6848, "moe_intermediate_size": 896,
        "num_hidden_layers": 12, "num_attention_heads": 10, "num_key_value_heads": 10, "n_routed_experts": 64,
        "n_shared_experts": 2, "num_experts_per_tok": 6, "first_k_dense_replace": 1, "n_group": 1, "topk_group": 1,
        "topk_method": "greedy", "use_mla": False, "kv_lora_rank": None, "q_lora_rank": None, "qk_nope_head_dim": 0,
        "qk_rope_head_dim": 0, "v_head_dim": 0, "max_position_embeddings": 8192, "bos_token_id": 0, "eos_token_id": 1,
        "lm_head": True, "rm_head": False, "torch_dtype": "bfloat16",
    }  # fmt: skip
    assert config["language_config"] == language | {"architectures": ["DeepseekV2ForCausalLM"]}
    assert config.items() >= language.items()
    assert (config["model_type"], config["architectures"]) == ("deepseek_vl_v2", ["DeepseekOCR2ForCausalLM"])
    assert (config["tile_tag"], config["global_view_pos"], config["candidate_resolutions"]) == (
        "2D",
        "head",
        [[1024, 1024]],
    )
    projector = {"input_dim": 896, "n_embed": 1280, "projector_type": "linear", "model_type": "mlp_projector"}
    assert config["projector_config"] == projector
    assert config["vision_config"]["model_name"] == "deepencoderv2" and config["vision_config"]["image_size"] == 1024
    assert config["vision_config"]["width"]["sam_vit_b"]["downsample_channels"] == [512, 896]
    assert config["auto_map"] == {"AutoModel": "modeling_deepseekocr2.DeepseekOCR2ForCausalLM"}


def test_what_departs_from_the_readers_defaults_is_written(original, real_config):
    assert "rope_theta" not in original_config(real_config)
    config = json.loads((original / "config.json").read_text())
    assert (
        config["language_config"]["num_hidden_layers"] == 3 and config["language_config"]["first_k_dense_replace"] == 1
    )
    other = DeepseekOcr2Config.from_dict(json.loads(REAL_CONFIG.read_text()))
    other.text_config.rope_parameters = {"rope_type": "default", "rope_theta": 5e5}
    assert original_config(other)["language_config"]["rope_theta"] == 5e5


def test_the_tokenizer_says_the_same_and_the_processor_has_the_original_keys(run_folder, original):
    text = "<image>\n<|grounding|>Convert <td>12, 345</td> Tür\n"
    tokenizer = AutoTokenizer.from_pretrained(original)
    assert tokenizer(text).input_ids == load_processor(run_folder).tokenizer(text).input_ids
    assert json.loads((original / "tokenizer_config.json").read_text())["tokenizer_class"] == "LlamaTokenizerFast"
    processor = json.loads((original / "processor_config.json").read_text())
    assert (processor["image_token"], processor["patch_size"], processor["downsample_ratio"]) == ("<image>", 4, 4)
    assert (processor["image_mean"], processor["normalize"]) == ([1.0, 1.0, 1.0], True)


def test_what_readers_do_otherwise_is_told(original, real_config, run_folder, tmp_path, caplog):
    tiny = load_processor(run_folder)
    told = reader_problems(load_model(run_folder).config, tiny)
    assert "cannot load this model" in told[0] and "image_size 256" in told[0]
    assert "tile_size 192 (theirs: 768)" in told[1]
    real = build_tiny_processor()
    real.image_processor.tile_size = 768
    assert reader_problems(real_config, real) == []
    real.image_processor.max_patches = 4
    (told,) = reader_problems(real_config, real)
    assert "max_patches 4 (theirs: 6)" in told


def test_a_wrong_or_missing_tensor_is_refused(original, real_config):
    with pytest.raises(WorkError, match=r"not the original layout, \d+ tensors: lm_head\.weight is \[1261, 128\]"):
        check_tensors(original, real_config)
