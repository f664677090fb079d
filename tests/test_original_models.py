"""Models in the layout of the original repository: read as the library's own, from a folder and by name."""

import io
import json
import shutil
from pathlib import Path

import pytest
import torch
from PIL import Image
from transformers import DeepseekOcr2Config

from data_scripts.token_lengths import TokenLengths
from helpers.commands import ROOT
from helpers.hub_client import run_commands
from helpers.hub_server import LARGE_SUFFIXES, File, HubServer, Repo
from helpers.tiny_pages import page_dataset, page_row
from ocr2_hf import DocumentReader
from ocr2_hf.errors import UsageError, WorkError
from ocr2_hf.modeling.adapters import apply_policy, write_portable_adapter
from ocr2_hf.modeling.load import load_model, load_processor
from ocr2_hf.modeling.model_files import load_config
from ocr2_hf.modeling.original_layout import native_values, released_values
from ocr2_hf.modeling.released import REAL_IMAGES
from ocr2_hf.planning import budget
from ocr2_hf.publishing.contents import read_contents
from ocr2_hf.publishing.exports import export
from ocr2_hf.publishing.original_layout import original_config
from ocr2_hf.recipe import ModelArguments, OCR2TrainingArguments
from ocr2_hf.training.trainer import OCR2Trainer

READER = ROOT / "recipes/tiny/base"  # it reads typed slips
# As public code that reads deepseek-ai/DeepSeek-OCR-2 has it; `[512, 1024]` is not what its weights have.
LANGUAGE = {
    "architectures": ["DeepseekV2ForCausalLM"], "auto_map": {}, "bos_token_id": 0, "eos_token_id": 1,
    "first_k_dense_replace": 1, "hidden_size": 1280, "intermediate_size": 6848, "kv_lora_rank": None, "lm_head": True,
    "max_position_embeddings": 8192, "moe_intermediate_size": 896, "n_group": 1, "n_routed_experts": 64,
    "n_shared_experts": 2, "num_attention_heads": 10, "num_experts_per_tok": 6, "num_hidden_layers": 12,
    "num_key_value_heads": 10, "q_lora_rank": None, "qk_nope_head_dim": 0, "qk_rope_head_dim": 0, "rm_head": False,
    "topk_group": 1, "topk_method": "greedy", "torch_dtype": "bfloat16", "use_mla": False, "v_head_dim": 0,
    "vocab_size": 129280,
}  # fmt: skip
RELEASED = {
    **{name: value for name, value in LANGUAGE.items() if name != "architectures"},
    "architectures": ["DeepseekOCR2ForCausalLM"],
    "auto_map": {"AutoModel": "modeling_deepseekocr2.DeepseekOCR2ForCausalLM"},
    "candidate_resolutions": [[1024, 1024]],
    "global_view_pos": "head",
    "language_config": LANGUAGE,
    "model_type": "deepseek_vl_v2",
    "projector_config": {
        "input_dim": 896, "model_type": "mlp_projector", "n_embed": 1280, "projector_type": "linear",
    },
    "tile_tag": "2D",
    "transformers_version": "4.46.3",
    "vision_config": {
        "image_size": 1024, "mlp_ratio": 3.7362, "model_name": "deepencoderv2", "model_type": "vision",
        "width": {
            "qwen2-0-5b": {"dim": 896},
            "sam_vit_b": {
                "downsample_channels": [512, 1024], "global_attn_indexes": [2, 5, 8, 11], "heads": 12, "layers": 12,
                "width": 768,
            },
        },
    },
}  # fmt: skip


def native(original: dict) -> dict:
    return DeepseekOcr2Config.from_dict(native_values(original)).to_dict()


def comparable(config: DeepseekOcr2Config) -> dict:
    """All but where it was loaded from, the dtype that parts get with their weights, and what follows from other
    values and nobody reads: the trainer of transformers 5.17 writes the text model's tokens at the top too."""
    values = config.to_dict() | {"_name_or_path": None}
    for name in ("bos_token_id", "eos_token_id", "pad_token_id"):
        values.pop(name, None)
    vision = values["vision_config"]
    for part in (values["text_config"], vision, vision["encoder_config"], vision["sam_config"]):
        part.pop("dtype")
    vision["sam_config"].pop("scale")
    return values


def slip() -> Image.Image:
    """A page that the tiny base has something to say about."""
    row = page_row("slip", (190, 180), ["Tea 3 x 4.50", "Total 13.50", "Danke"], 0)
    return Image.open(io.BytesIO(row["image"]["bytes"]))


@pytest.fixture(scope="module")
def layouts(tmp_path_factory) -> tuple[Path, Path]:
    """The tiny base as it is, and exported to the original layout."""
    folder = tmp_path_factory.mktemp("layouts") / "original"
    return READER, export(READER, "original", folder)


@pytest.fixture(scope="module")
def original(layouts) -> Path:
    return layouts[1]


def test_the_released_config_is_read_field_by_field():
    real = DeepseekOcr2Config.from_dict(released_values())
    assert native(RELEASED) == real.to_dict()
    assert native(RELEASED)["vision_config"]["sam_config"]["downsample_channels"] == [512, 896]
    assert native(original_config(real)) == real.to_dict()
    assert native({name: value for name, value in RELEASED.items() if name not in LANGUAGE}) == real.to_dict()


def test_nothing_that_only_small_models_say_is_in_the_released_models_files():
    written = original_config(DeepseekOcr2Config.from_dict(released_values()))
    encoder, sam = (written["vision_config"]["width"][name] for name in ("qwen2-0-5b", "sam_vit_b"))
    assert encoder == {"dim": 896} and sam.keys() == RELEASED["vision_config"]["width"]["sam_vit_b"].keys()
    assert written["language_config"].keys() == LANGUAGE.keys() - {"auto_map"}
    assert written.keys() == RELEASED.keys() - {"transformers_version"}


@pytest.fixture(scope="module")
def twins(real_checkpoint, tmp_path_factory) -> tuple[Path, Path]:
    """The checkpoint with the real tokenizer's twin, and exported."""
    return real_checkpoint, export(real_checkpoint, "original", tmp_path_factory.mktemp("twins") / "original")


@pytest.mark.parametrize("which", ["layouts", "twins"])
def test_there_and_back_the_model_is_the_same(which, request):
    """Config, weights, processor, and what it answers."""
    here, there = request.getfixturevalue(which)
    ours, theirs = (DocumentReader.from_pretrained(folder) for folder in (here, there))
    assert comparable(theirs.model.config) == comparable(ours.model.config)
    weights = theirs.model.state_dict()
    assert weights.keys() == ours.model.state_dict().keys()
    assert all(torch.equal(weights[name], tensor) for name, tensor in ours.model.state_dict().items())
    assert theirs.processor.to_dict() == ours.processor.to_dict()
    page = Image.open(READER.parent / "growth.png").convert("RGB").resize((500, 700))
    first, second = (
        reader.processor(images=page, text="<image>\nFree OCR. <td>12, 7</td>", return_tensors="pt")
        for reader in (ours, theirs)
    )
    assert first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)
    if which == "layouts":  # the twin takes seconds a page
        answers = [reader.read(slip(), "ocr", max_new_tokens=8).text for reader in (ours, theirs)]
        assert answers[0] == answers[1] != ""


def test_what_is_read_is_saved_in_the_librarys_own_layout(original, tmp_path):
    args = OCR2TrainingArguments(output_dir=str(tmp_path), max_steps=1, eval_pages=0, disable_tqdm=True, augment="none")
    processor = load_processor(original)
    trainer = OCR2Trainer(load_model(original), args, processor=processor, train_dataset=page_dataset())
    trainer.train()
    trainer.save_model()
    assert json.loads((tmp_path / "config.json").read_text())["model_type"] == "deepseek_ocr2"
    assert json.loads((tmp_path / "processor_config.json").read_text())["processor_class"] == "DeepseekOcr2Processor"
    assert "temperature" not in json.loads((tmp_path / "generation_config.json").read_text())
    assert comparable(load_config(tmp_path)) == comparable(load_config(READER))
    assert load_processor(tmp_path).to_dict() == load_processor(READER).to_dict()


def test_adapters_on_a_base_of_the_original_layout(original, tmp_path):
    adapted = apply_policy(load_model(original), ModelArguments())
    with torch.no_grad():
        for parameter in adapted.parameters():
            if parameter.requires_grad:
                parameter += 0.01
    adapted.save_pretrained(tmp_path / "run")
    write_portable_adapter(tmp_path / "run")
    load_processor(original).save_pretrained(tmp_path / "run")
    named = json.loads((tmp_path / "run/adapter_config.json").read_text())["base_model_name_or_path"]
    assert named == str(original)
    merged = load_model(tmp_path / "run").merge_and_unload().state_dict()
    wanted = adapted.merge_and_unload().state_dict()
    assert all(torch.equal(tensor, wanted[name]) for name, tensor in merged.items())
    exported = export(tmp_path / "run", "merged", tmp_path / "merged")
    assert comparable(load_config(exported)) == comparable(load_config(READER))


def test_adapters_on_it_are_pushed_with_the_name_that_stock_classes_load(original, tmp_path):
    (tmp_path / "adapter_model.safetensors").write_bytes(b"x")
    (tmp_path / "adapter_config.json").write_text('{"base_model_name_or_path": "deepseek-ai/DeepSeek-OCR-2"}')
    contents = read_contents(tmp_path, "me/x", {})
    assert contents.base == "deepseek-community/DeepSeek-OCR-2"
    assert json.loads(contents.files["adapter_config.json"])["base_model_name_or_path"] == contents.base
    (tmp_path / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": str(original)}))
    with pytest.raises(UsageError, match=r"stock classes do not load.*the merged model, or say --base"):
        read_contents(tmp_path, "me/x", {})
    named = read_contents(tmp_path, "me/x", {}, base="org/base")
    assert json.loads(named.files["generation_config.json"])["eos_token_id"] == 1


def test_plans_and_token_lengths_take_it(original):
    assert budget.image_settings(str(original), None) == budget.image_settings(str(READER), None)
    assert comparable(budget.model_config(str(original))) == comparable(budget.model_config(str(READER)))
    assert budget.image_settings("deepseek-ai/DeepSeek-OCR-2", None) == REAL_IMAGES
    row = page_row("a", (190, 180), ["Tea 3 x 4.50", "Total"], 2)
    theirs, ours = TokenLengths(str(original)), TokenLengths(str(READER))
    assert theirs.measure(row) == ours.measure(row) and theirs.context == ours.context


def test_a_tokenizer_that_names_another_class_is_taken_from_its_file(twins):
    """`LlamaTokenizerFast`, as the original says, would build another tokenizer from the same file."""
    real_checkpoint, original = twins
    assert json.loads((original / "tokenizer_config.json").read_text())["tokenizer_class"] == "LlamaTokenizerFast"
    texts = ["Tür 1,234 <td>5</td>", "  two  blanks\n\n# R", "表格 <|ref|>text<|/ref|>"]
    ours, theirs = load_processor(real_checkpoint).tokenizer, load_processor(original).tokenizer
    assert [theirs(text).input_ids for text in texts] == [ours(text).input_ids for text in texts]


VERSION_1 = {"model_name": "deeplip_b_l", "width": {"clip-l-14-224": {"width": 1024}, "sam_vit_b": {"width": 768}}}


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"vision_config": VERSION_1}, "not DeepSeek-OCR-2: its vision tower is 'deeplip_b_l'"),
        ({"vision_config": {"model_name": "siglip_so400m_patch14_384", "width": 1152}}, "its vision tower is 'siglip"),
        ({"vision_config": None}, "not DeepSeek-OCR-2"),
        ({"vision_config": {"width": {"qwen2-0-5b": {"dim": 896}}}}, "is no config of DeepSeek-OCR-2: .*sam_vit_b"),
        ({"language_config": "?"}, "is no config of DeepSeek-OCR-2"),
        ({"language_config": LANGUAGE | {"hidden_size": "wide"}}, r"has a broken config\.json"),
        ({"model_type": "deepseek_v3"}, "is a 'deepseek_v3' model, not 'deepseek_ocr2'"),
    ],
)
def test_another_model_is_refused_in_one_sentence(changed, told, tmp_path):
    (tmp_path / "config.json").write_text(json.dumps(RELEASED | changed))
    with pytest.raises(UsageError, match=told):
        load_model(tmp_path)


@pytest.mark.parametrize("content", ["[]", "{", '{"processor_class": "DeepseekVLV2Processor"}'])
def test_a_broken_processor_is_refused(content, original, tmp_path):
    shutil.copytree(original, tmp_path / "broken")
    (tmp_path / "broken/processor_config.json").write_text(content)
    with pytest.raises((UsageError, WorkError), match="cannot load the processor"):
        load_processor(tmp_path / "broken")


def test_by_its_name_on_the_hub(layouts, tmp_path):
    """No code of the repository's is asked for."""
    files = {path.name: File(path.read_bytes(), path.suffix in LARGE_SUFFIXES) for path in layouts[1].iterdir()}
    page = tmp_path / "page.png"
    slip().save(page)
    with HubServer() as hub:
        hub.repos["models/me/original"] = Repo(False, [files])
        read = ("read", [page, "--model", "me/original", "--task", "ocr", "--max_new_tokens", "8"])
        ((status, out, err),) = run_commands(hub, tmp_path / "home", read)
    ours = DocumentReader.from_pretrained(layouts[0]).read(page, "ocr", max_new_tokens=8)
    assert status == 0 and out == f"{ours.markdown}\n" != "\n", err
