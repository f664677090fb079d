"""Progressive training: what a stage may set, one launch, kills, adapters; two processes: test_multiprocess.py."""

import logging
import sys

import pytest
import torch
import yaml
from safetensors.torch import load_file

from helpers.commands import build, run, write_pages
from helpers.signals import kill_when
from helpers.tiny_pages import page_row
from helpers.trainings import STAGED_RECIPE, logged
from ocr2_hf.__main__ import main
from ocr2_hf.errors import UsageError
from ocr2_hf.modeling.load import load_model
from ocr2_hf.recipe import load_recipe
from ocr2_hf.training.run_folder import COMPLETE
from ocr2_hf.training.stages import run_stages, stage_recipe


@pytest.fixture(scope="module")
def workplace(tmp_path_factory):
    folder = tmp_path_factory.mktemp("stages")
    rows = [page_row(f"p{i}", (120 + 10 * i, 90), [f"Line {i}", "Total"], 2) for i in range(4)]
    build("staged", write_pages(folder / "pages", rows), "--val", "0", "--test", "0")
    (folder / "recipe.yaml").write_text(yaml.safe_dump(STAGED_RECIPE))
    return folder


def refused(tmp_path, stages) -> str:
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump(STAGED_RECIPE | {"stages": stages}))
    with pytest.raises(UsageError) as caught:
        load_recipe(path)
    return str(caught.value)


@pytest.mark.parametrize(
    ("stages", "told"),
    [
        ("text", "must be a list of mappings"),
        ([{"share": 1}], "must be a list of mappings, each with a name"),
        ([{"name": "a/b", "box_weight": 0}], "its name becomes a folder's"),
        ([{"name": "a", "share": 0, "box_weight": 0}], "share: 0 is not a number above 0"),
        ([{"name": "a", "share": 0.4, "box_weight": 0}], "add up to 0.4, not to 1"),
        ([{"name": "a", "box_weight": 0}, {"name": "a", "box_weight": 0}], "two have one name"),
        ([{"name": "a", "box_wieght": 0}], "stage a: box_wieght: unknown key; did you mean box_weight?"),
        ([{"name": "a", "lora_r": "x"}], "stage a: lora_r: 'x': input should be a valid integer"),
        ([{"name": "a", "seed": 1}], "stage a: seed: is the same in all stages"),
        ([{"name": "a", "box_weight": 0.5}], "stage a: box_source: head needs train_box_head"),
    ],
)
def test_what_is_wrong_with_a_stage_is_told(tmp_path, stages, told):
    assert told in refused(tmp_path, stages)


def test_a_stage_takes_its_share_of_steps_or_epochs(workplace, tmp_path):
    recipe = load_recipe(workplace / "recipe.yaml")
    first, second = (stage_recipe(recipe, n, tmp_path / str(n), "m") for n in (0, 1))
    assert (first.training("max_steps"), second.training("max_steps")) == (4, 4)
    assert (first.training("learning_rate"), second.training("learning_rate")) == (1e-3, 5e-4)
    assert not first.model.train_box_head and second.model.train_box_head and second.model.model == "m"
    by_epochs = load_recipe(workplace / "recipe.yaml", ["--max_steps", "-1", "--num_train_epochs", "3"])
    assert stage_recipe(by_epochs, 0, tmp_path, "m").training("num_train_epochs") == 1.5


def test_the_resolved_recipe_has_its_stages(workplace, tmp_path):
    first = load_recipe(workplace / "recipe.yaml")
    first.save(tmp_path / "recipe.yaml")
    assert load_recipe(tmp_path / "recipe.yaml").resolved() == first.resolved()


def train(recipe, folder, *words: str) -> None:
    """As `ocr2 train`, in this process: to start another takes longer than these few steps."""
    loaded = load_recipe(recipe, ["--output_dir", str(folder), *words])
    run_stages(loaded, loaded.training_arguments())


def test_one_launch_trains_both_stages_and_a_kill_in_the_second_resumes_there(workplace, caplog):
    whole, killed = workplace / "whole", workplace / "killed"
    train(workplace / "recipe.yaml", whole)
    log = logged(whole)
    assert [row["stage"] for row in log] == ["text"] * 4 + ["joint"] * 4
    assert [row["step"] for row in log] == list(range(1, 9))
    heads = [load_file(whole / name / "box_head.safetensors") for name in ("stage-1-text", "stage-2-joint")]
    fresh = load_model("tiny")
    fresh.add_box_head()
    start = fresh.box_head.state_dict()
    assert all(torch.equal(heads[0][name], start[name]) for name in start)  # frozen in the first stage
    assert any(not torch.equal(heads[1][name], start[name]) for name in start)
    assert (whole / "model.safetensors").read_bytes() == (whole / "stage-2-joint" / "model.safetensors").read_bytes()
    assert load_model(whole).box_head is not None

    command = (sys.executable, "-m", "ocr2_hf", "train", workplace / "recipe.yaml", "--output_dir", killed)
    kill_when(lambda: (killed / "stage-2-joint" / "checkpoint-2" / COMPLETE).is_file(), *command)
    assert not (killed / "model.safetensors").exists()
    again = run(*command)
    assert again.returncode == 0, again.stderr
    assert "stage-1-text is finished" in again.stderr and "going on from" in again.stderr
    assert [row["loss"] for row in logged(killed)] == [row["loss"] for row in log]
    assert (killed / "model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes()

    caplog.set_level(logging.INFO, logger="ocr2_hf")
    assert main(["train", str(workplace / "recipe.yaml"), "--output_dir", str(killed)]) == 0
    assert f"{killed} is finished" in caplog.text


def test_an_adapter_goes_on_in_the_next_stage_and_its_base_is_kept(workplace, tmp_path):
    words = ["--train_language", "lora", "--save_strategy", "no", "--max_steps", "4"]
    train(workplace / "recipe.yaml", tmp_path / "run", *words)
    first = load_file(tmp_path / "run" / "stage-1-text" / "adapter_model.safetensors")
    last = load_file(tmp_path / "run" / "adapter_model.safetensors")
    assert set(first) == set(last)
    assert all(tensor.any() for name, tensor in first.items() if "lora_B" in name)
    assert any(not torch.equal(tensor, first[name]) for name, tensor in last.items())
    assert (tmp_path / "run" / "base" / "model.safetensors").is_file()
    (tmp_path / "run").rename(tmp_path / "moved")
    load_model(tmp_path / "moved")
    load_model(tmp_path / "moved" / "stage-1-text")


def test_another_adapter_in_the_next_stage_starts_from_the_merged_model(tmp_path, workplace):
    stages = [{"name": "one", "box_weight": 0}, {"name": "two", "box_weight": 0, "train_projector": True}]
    recipe = tmp_path / "recipe.yaml"
    values = STAGED_RECIPE | {"train_language": "lora", "stages": stages, "max_steps": 2, "save_strategy": "no"}
    recipe.write_text(yaml.safe_dump(values))
    train(recipe, tmp_path / "run")
    merged = load_model(tmp_path / "run" / "stage-1-one").merge_and_unload().state_dict()
    base = load_model(tmp_path / "run" / "base").state_dict()
    for name, tensor in base.items():
        torch.testing.assert_close(tensor, merged[name], rtol=1e-6, atol=1e-6)
