"""Loading: by directory, adapters, the tiny model; and what is refused, with its message."""

import json
import sys

import pytest
import torch
from transformers import AutoModelForImageTextToText

from helpers.tiny_pages import processor
from ocr2_hf.errors import UsageError
from ocr2_hf.modeling.adapters import apply_policy, write_portable_adapter
from ocr2_hf.modeling.box_head import save_box_head
from ocr2_hf.modeling.load import choose_attention, image_backend, load_model, load_processor
from ocr2_hf.modeling.model import OCR2Model
from ocr2_hf.modeling.tiny import build_tiny_model, save_tiny
from ocr2_hf.recipe import ModelArguments


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return save_tiny(tmp_path_factory.mktemp("base"), seed=3)


def same(left, right) -> bool:
    right = right.state_dict()
    return all(torch.equal(tensor, right[name]) for name, tensor in left.state_dict().items())


def test_a_saved_model_loads_as_ours_with_every_weight(base):
    model = load_model(base)
    assert isinstance(model, OCR2Model) and same(model, build_tiny_model(seed=3))
    assert not same(model, build_tiny_model(seed=4))


def test_a_checkpoint_saved_by_the_stock_class_loads_with_every_weight(base, tmp_path):
    """It writes the original repository's key names, an expert a tensor; they are translated on loading."""
    AutoModelForImageTextToText.from_pretrained(base).save_pretrained(tmp_path)
    assert same(load_model(tmp_path), build_tiny_model(seed=3))


def test_ours_and_the_stock_class_write_the_same_file(base, tmp_path):
    AutoModelForImageTextToText.from_pretrained(base).save_pretrained(tmp_path)
    assert (tmp_path / "model.safetensors").read_bytes() == (base / "model.safetensors").read_bytes()


def test_the_tiny_model_is_the_same_for_the_same_seed():
    assert same(load_model("tiny"), load_model("tiny"))


def test_an_adapters_directory_loads_base_adapter_and_box_head(base, tmp_path):
    model = load_model(base)
    model.add_box_head()
    adapted = apply_policy(model, ModelArguments(train_projector=True, train_box_head=True))
    with torch.no_grad():
        for parameter in adapted.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.ones_like(parameter) * 0.01)
    adapted.save_pretrained(tmp_path)
    write_portable_adapter(tmp_path)
    save_box_head(model.box_head.state_dict(), tmp_path)
    assert same(load_model(tmp_path), adapted)


def test_the_processor_comes_back_with_its_settings(base):
    loaded, built = load_processor(base), processor()
    assert loaded.image_processor.to_dict()["image_mean"] == built.image_processor.to_dict()["image_mean"]
    assert (loaded.patch_size, loaded.downsample_ratio) == (built.patch_size, built.downsample_ratio)
    assert loaded.tokenizer.get_vocab() == built.tokenizer.get_vocab()


def test_a_torchvision_that_does_not_import_counts_as_missing(base, monkeypatch):
    monkeypatch.setitem(sys.modules, "torchvision.transforms.v2.functional", None)
    assert image_backend() == "pil"
    assert type(load_processor(base).image_processor).__name__ == "DeepseekOcr2ImageProcessorPil"


def test_what_is_there_is_used_for_attention(monkeypatch):
    assert choose_attention("auto", torch.bfloat16)["text_config"] == "sdpa"
    with pytest.raises(UsageError, match="flash_attention_2 needs flash-attn"):
        choose_attention("flash_attention_2", torch.bfloat16)
    monkeypatch.setattr("ocr2_hf.modeling.load._flash_possible", lambda dtype: dtype == torch.bfloat16)
    assert choose_attention("auto", torch.bfloat16) == {
        "": "sdpa",
        "vision_config": "sdpa",
        "text_config": "flash_attention_2",
    }
    assert choose_attention("auto", torch.float32)["text_config"] == "sdpa"


def test_the_attention_asked_for_is_the_one_that_runs(base):
    config = load_model(base, attn_implementation="eager").config
    assert config.text_config._attn_implementation == "eager"
    assert load_model(base).config.text_config._attn_implementation == "sdpa"


@pytest.mark.parametrize(("dtype", "expected"), [("auto", torch.float32), ("bfloat16", torch.bfloat16)])
def test_the_dtype_asked_for(base, dtype, expected):
    dtypes = {name: parameter.dtype for name, parameter in load_model(base, dtype).named_parameters()}
    routers = {name for name in dtypes if name.endswith(".gate.weight")}  # in float32 from transformers 5.24 on
    assert routers and {dtypes[name] for name in dtypes.keys() - routers} == {expected}


def test_an_empty_directory_holds_no_model(tmp_path):
    with pytest.raises(UsageError, match=r"holds no model: config\.json"):
        load_model(tmp_path)


def test_another_model_points_to_the_one_to_use(base, tmp_path):
    config = json.loads((base / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"model_type": "qwen2"}))
    with pytest.raises(UsageError, match=r"is a 'qwen2' model.*deepseek-community/DeepSeek-OCR-2"):
        load_model(tmp_path)


def test_an_unknown_name_says_what_names_are(tmp_path):
    with pytest.raises(UsageError, match="no model 'nobody/nothing'"):
        load_model("nobody/nothing")


def test_pickled_weights_are_not_loaded(base, tmp_path):
    (tmp_path / "config.json").write_text((base / "config.json").read_text())
    torch.save(build_tiny_model().state_dict(), tmp_path / "pytorch_model.bin")
    with pytest.raises(UsageError, match="cannot load the model"):
        load_model(tmp_path)


def test_an_adapter_that_names_no_base(tmp_path):
    (tmp_path / "adapter_config.json").write_text("{}")
    with pytest.raises(UsageError, match="does not say on which base: put that base into"):
        load_model(tmp_path)
