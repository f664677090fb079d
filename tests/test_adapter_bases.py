"""An adapter finds its base from any folder and after both were moved; what is local is never asked for at the Hub."""

import json
import shutil

import pytest
import torch

from ocr2_hf.data.load import load_dataset
from ocr2_hf.errors import UsageError
from ocr2_hf.modeling.adapters import apply_policy, write_portable_adapter
from ocr2_hf.modeling.load import base_of_adapter, context_length, load_model
from ocr2_hf.modeling.model_files import TINY_NAMES, check_model_name
from ocr2_hf.modeling.tiny import TINY_SIZES, save_tiny
from ocr2_hf.recipe import ModelArguments


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """models/base and runs/adapter, which was trained there by the relative name models/base."""
    home = tmp_path_factory.mktemp("home")
    save_tiny(home / "models" / "base", seed=3)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(home)
        adapted = apply_policy(load_model("models/base"), ModelArguments())
        adapted.save_pretrained("runs/adapter")
        write_portable_adapter("runs/adapter")
    return home


@pytest.fixture
def moved(home, tmp_path):
    """Both at another place, and not where they were."""
    shutil.copytree(home, tmp_path / "moved")
    hidden = home.with_name("hidden")
    home.rename(hidden)
    yield tmp_path / "moved"
    hidden.rename(home)


@pytest.fixture(autouse=True)
def hub(monkeypatch):
    """What the Hub is asked for."""
    asked = []

    def ask(name, **_):
        asked.append(name)
        raise FileNotFoundError

    monkeypatch.setattr("huggingface_hub.snapshot_download", ask)
    return asked


def test_an_adapter_finds_its_base_from_any_folder(home, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    base, adapted = load_model(home / "models" / "base"), load_model(home / "runs" / "adapter")
    weight = "model.language_model.embed_tokens.weight"
    assert torch.equal(adapted.get_base_model().state_dict()[weight], base.state_dict()[weight])


def test_an_adapter_finds_its_base_when_both_were_moved(moved, monkeypatch):
    monkeypatch.chdir(moved.parent)
    assert context_length(moved / "runs" / "adapter") == context_length("tiny")
    assert (moved / "models" / "base").samefile(base_of_adapter(moved / "runs" / "adapter"))


def test_a_missing_base_is_told_and_not_asked_for(moved, hub):
    adapter = moved / "runs" / "adapter"
    shutil.rmtree(moved / "models" / "base")
    (adapter / "base").mkdir()  # holds no model
    with pytest.raises(
        UsageError, match=r"the adapter .*adapter was trained on '.*/models/base', and there is no folder"
    ):
        load_model(adapter)
    save_tiny(adapter / "base", seed=3)  # what the message says to do
    assert base_of_adapter(adapter) == str(adapter / "base") and not hub


def test_an_adapter_that_is_its_own_base(home, tmp_path):
    adapter = tmp_path / "adapter"
    shutil.copytree(home / "runs" / "adapter", adapter)
    (adapter / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": str(adapter)}))
    (adapter / "config.json").write_text("{}")
    with pytest.raises(UsageError, match="is an adapter itself"):
        load_model(adapter)


@pytest.mark.parametrize("name", ["runs/adapted", "runs/adapter/deeper", "run/adapter", "rums", "./runs/adapted"])
def test_a_mistyped_folder_is_told_with_the_nearest_and_not_asked_for(home, name, monkeypatch, hub):
    monkeypatch.chdir(home)
    if name == "run/adapter":  # nothing here has that name: it may be of the Hub
        check_model_name(name)
        return
    near = "" if "deeper" in name else "; did you mean .*/runs"
    with pytest.raises(UsageError, match=f"no model {name!r}: there is no folder {name.removeprefix('./')}{near}"):
        load_model(name)
    assert not hub


def test_what_may_be_of_the_hub_is_asked_for_there(hub):
    with pytest.raises(UsageError, match="no model 'nobody/nothing'"):
        load_model("nobody/nothing")
    assert hub == ["nobody/nothing"]


def test_the_names_of_models_that_are_built():
    assert set(TINY_NAMES) == set(TINY_SIZES)


def test_a_mistyped_folder_of_pages_is_told_and_not_asked_for(home, monkeypatch):
    monkeypatch.chdir(home)
    monkeypatch.setattr("datasets.load_dataset", lambda *_, **__: pytest.fail("the Hub was asked"))
    with pytest.raises(
        UsageError, match=r"'runs/adaptor', and there is no folder runs/adaptor; did you mean .*/adapter?"
    ):
        load_dataset("runs/adaptor")
