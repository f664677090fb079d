"""Models that are not what they say: weights too few, too many, of another shape or cut off; absurd configs."""

import json
import logging
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from helpers.rights import plain_rights
from ocr2_hf.errors import UsageError
from ocr2_hf.modeling.adapters import apply_policy, write_portable_adapter
from ocr2_hf.modeling.box_head import BoxHead, save_box_head
from ocr2_hf.modeling.load import load_model, load_processor
from ocr2_hf.modeling.tiny import build_tiny_model, save_tiny
from ocr2_hf.recipe import ModelArguments
from ocr2_hf.training.trainer import load_weights

WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"
EXPERT = "model.layers.1.mlp.experts.3.up_proj.weight"
Change = Callable[[Path], object]


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return save_tiny(tmp_path_factory.mktemp("base"), seed=3)


@pytest.fixture(scope="module")
def adapter(base, tmp_path_factory):
    folder = tmp_path_factory.mktemp("adapter")
    model = load_model(base)
    model.add_box_head()
    policy = ModelArguments(train_projector=True, lora_targets="attention+shared+routed", train_box_head=True)
    adapted = apply_policy(model, policy)
    adapted.save_pretrained(folder)
    write_portable_adapter(folder)
    save_box_head(model.box_head.state_dict(), folder)
    return folder


def tensors(change: Callable[[dict[str, Tensor]], object], name: str = WEIGHTS) -> Change:
    def changed(folder: Path) -> None:
        loaded = load_file(folder / name)
        change(loaded)
        save_file(loaded, folder / name, metadata={"format": "pt"})

    return changed


def values(part: str | None = None, name: str = "config.json", **new) -> Change:
    def changed(folder: Path) -> None:
        config = json.loads((folder / name).read_text())
        at = config
        for key in part.split(".") if part else ():
            at = at[key]
        at.update(new)
        (folder / name).write_text(json.dumps(config))

    return changed


def text(name: str, content: str) -> Change:
    return lambda folder: (folder / name).write_text(content)


def sharded(index: object) -> Change:
    def changed(folder: Path) -> None:
        (folder / WEIGHTS).rename(folder / "model-00001-of-00002.safetensors")
        (folder / INDEX).write_text(json.dumps(index))

    return changed


def library_names(change: Callable[[dict[str, Tensor]], object]) -> Change:
    """The weights under the names of the library's modules, as a `state_dict` has them."""

    def changed(folder: Path) -> None:
        state = build_tiny_model(seed=3).state_dict()
        change(state)
        save_file(state, folder / WEIGHTS, metadata={"format": "pt"})

    return changed


NORM = "model.language_model.norm.weight"
BROKEN: dict[str, tuple[Change, str]] = {
    "missing": (tensors(lambda t: t.pop("lm_head.weight")), r"1 tensor: lm_head\.weight is missing"),
    "an expert missing": (tensors(lambda t: t.pop(EXPERT)), rf"1 tensor: {EXPERT} is missing"),
    "unexpected": (tensors(lambda t: t.update(foreign=torch.zeros(3))), "1 tensor: foreign does not belong there"),
    "misshapen": (tensors(lambda t: t.update({EXPERT: torch.zeros(3)})), rf"{EXPERT} is \[3\], should be \[64, 128\]"),
    "foreign": (lambda f: save_file({"a": torch.zeros(3)}, f / WEIGHTS), "126 tensors: lm_head.weight is missing"),
    "cut off": (lambda f: (f / WEIGHTS).write_bytes((f / WEIGHTS).read_bytes()[:100_000]), "no whole safetensors file"),
    "no safetensors": (text(WEIGHTS, "hello" * 100), r"model\.safetensors is no whole safetensors file"),
    "empty": (text(WEIGHTS, ""), r"model\.safetensors is no whole safetensors file"),
    "no weights": (lambda f: (f / WEIGHTS).unlink(), r"model\.safetensors is missing"),
    "a shard missing": (sharded({"weight_map": {"lm_head.weight": "model-2.safetensors"}}), "model-2.* is missing"),
    "an index of nothing": (sharded([1]), "is no index of weights"),
    "an index that leads away": (sharded({"weight_map": {"a": "../a.safetensors"}}), "files of its own folder"),
    "library's names, missing": (library_names(lambda t: t.pop(NORM)), rf"1 tensor: {NORM} is missing"),
    "library's names, unexpected": (library_names(lambda t: t.update(a=torch.zeros(1))), "a does not belong there"),
    "library's names, misshapen": (library_names(lambda t: t.update({NORM: torch.zeros(1)})), "cannot load the model"),
    "config of other layers": (values("text_config", num_hidden_layers=4), "num_hidden_layers is 4.*has 3"),
    "layers below zero": (values("text_config", num_hidden_layers=-1), "num_hidden_layers is -1"),
    "no heads": (values("text_config", num_attention_heads=0), "broken config.json"),
    "no width": (values("text_config", hidden_size=0), r"lm_head\.weight is \[1261, 128\], should be \[1261, 0\]"),
    "a width in words": (values("text_config", hidden_size="wide"), "broken config.json"),
    "a huge vocabulary": (values("text_config", vocab_size=10**12), r"should be \[1000000000000, 128\]"),
    "experts without end": (values("text_config", n_routed_experts=10**8), "more than 100,000 tensors"),
    "more experts a token": (values("text_config", num_experts_per_tok=99), "num_experts_per_tok is 99 of 4 experts"),
    "a huge page": (values("vision_config.sam_config", image_size=10**7), "pos_embed"),
    "patches of nothing": (values("vision_config.sam_config", patch_size=0), "broken config.json"),
    "towers without end": (values("vision_config.sam_config", num_hidden_layers=10**8), "more than 100,000 tensors"),
    "an unknown activation": (values("text_config", hidden_act="nothing"), "cannot load the model.*'nothing'"),
    "an unknown dtype": (values(dtype="float99"), "broken config.json.*float99"),
    "no text config": (values(text_config=None), "broken config.json"),
    "a config that is a list": (text("config.json", "[]"), r"broken config\.json"),
    "a config that is no JSON": (text("config.json", "{nope"), "no model"),
    "towers of another size": (values("vision_config.encoder_config", hidden_size=64), r"should be \[128, 64\]"),
    "generation config of a list": (text("generation_config.json", "[]"), "cannot load the model"),
}


def check_refused(whole: Path, folder: Path, change: Change, message: str) -> None:
    """A copy of what loads does not, once it is changed; the message names it."""
    shutil.copytree(whole, folder)
    change(folder)
    with pytest.raises(UsageError, match=message) as raised:
        load_model(folder)
    assert str(folder) in str(raised.value)


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_model_is_refused_by_name(base, tmp_path, caplog, name):
    check_refused(base, tmp_path / "model", *BROKEN[name])
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]  # one message


def test_weights_under_the_librarys_names_load(base, tmp_path):
    shutil.copytree(base, tmp_path / "model")
    library_names(lambda state: None)(tmp_path / "model")
    wanted = build_tiny_model(seed=3).state_dict()
    assert all(torch.equal(t, wanted[name]) for name, t in load_model(tmp_path / "model").state_dict().items())


FILE, CONFIG, HEAD = "adapter_model.safetensors", "adapter_config.json", "box_head.safetensors"
LORA = "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight"
BROKEN_ADAPTERS: dict[str, tuple[Change, str]] = {
    "missing": (tensors(lambda t: t.pop(LORA), FILE), f"1 tensor: {LORA} is missing"),
    "unexpected": (tensors(lambda t: t.update(foreign=torch.zeros(2)), FILE), "foreign does not belong there"),
    "misshapen": (tensors(lambda t: t.update({LORA: torch.zeros(2, 2)}), FILE), "size mismatch for .*q_proj"),
    "cut off": (text(FILE, "hello" * 100), "is no whole safetensors file"),
    "no weights": (lambda f: (f / FILE).unlink(), f"{FILE} is missing"),
    "another rank": (values(name=CONFIG, r=7), "size mismatch"),
    "a huge rank": (values(name=CONFIG, r=10**9), "says r: 1000000000, but no weight"),
    "a rank below zero": (values(name=CONFIG, r=-1), "positive integer"),
    "another kind": (values(name=CONFIG, peft_type="NOPE"), "holds no adapter of this model.*NOPE"),
    "targets that match nothing": (values(name=CONFIG, target_modules="nothing"), "does not belong there"),
    "targets that are no pattern": (values(name=CONFIG, target_modules="("), "holds no adapter of this model"),
    "a config that is a list": (text(CONFIG, "[]"), "must hold a mapping"),
    "a config that is no JSON": (text(CONFIG, "{nope"), "is no JSON"),
    "a box head cut off": (text(HEAD, "x"), f"{HEAD} is no whole safetensors file"),
    "a box head without bias": (tensors(lambda t: t.pop("box.bias"), HEAD), r"box\.bias is missing"),
    "a box head of another model": (
        lambda folder: save_file(BoxHead(64).state_dict(), folder / HEAD),
        r"not the box head of this model: 3 tensors: hidden\.weight is \[64, 64\], should be \[128, 128\]",
    ),
}


@pytest.mark.parametrize("name", BROKEN_ADAPTERS)
def test_a_broken_adapter_is_refused_by_name(adapter, tmp_path, recwarn, name):
    check_refused(adapter, tmp_path / "model", *BROKEN_ADAPTERS[name])
    assert not [warning for warning in recwarn if "missing adapter keys" in str(warning.message)]


BROKEN_PROCESSORS = {
    "tokenizer.json": ("{nope", "[]", "{}", ""),
    "tokenizer_config.json": ("{nope", "[]", '{"bos_token": 7}'),
    "processor_config.json": ("{nope", "[]", '{"image_processor": 7}', '{"processor_class": "DeepseekVLV2Processor"}'),
}


@pytest.mark.parametrize(("name", "content"), [(n, c) for n, all_c in BROKEN_PROCESSORS.items() for c in all_c])
def test_a_broken_processor_is_refused(base, tmp_path, name, content):
    shutil.copytree(base, tmp_path / "model")
    (tmp_path / "model" / name).write_text(content)
    with pytest.raises(UsageError, match=r"processor|tokenizer") as raised:
        load_processor(tmp_path / "model")
    assert str(tmp_path / "model") in str(raised.value)


@pytest.mark.parametrize("kind", ["model", "adapter"])
def test_a_checkpoint_that_broke_is_not_gone_on_from(base, adapter, tmp_path, kind):
    source, name = (base, WEIGHTS) if kind == "model" else (adapter, FILE)
    shutil.copytree(source, tmp_path / "checkpoint-1")
    model = load_model(source, trainable=True)
    load_weights(model, str(tmp_path / "checkpoint-1"))
    tensors(lambda loaded: loaded.pop(max(loaded)), name)(tmp_path / "checkpoint-1")
    with pytest.raises(UsageError, match=r"1 tensor: .* is missing|KeyError .*projector\.weight"):
        load_weights(model, str(tmp_path / "checkpoint-1"))


def test_weights_that_may_not_be_read(base, tmp_path):
    shutil.copytree(base, tmp_path / "locked")
    (tmp_path / "locked" / WEIGHTS).chmod(0)
    with plain_rights(), pytest.raises(UsageError, match=rf"{WEIGHTS} cannot be read \(Permission denied\)"):
        load_model(tmp_path / "locked")
