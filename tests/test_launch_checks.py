"""What cannot be trained as it was launched is refused by name, before data or weights are looked at."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from helpers.commands import BIN, python, run
from ocr2_hf.errors import UsageError
from ocr2_hf.recipe import load_recipe
from ocr2_hf.training import launch_checks
from ocr2_hf.training.launch_checks import check_launch

# A dataset and a model that are not there: who looks for them before the checks says so.
ROOT_CONFIGS = Path(__file__).resolve().parent.parent / "accelerate_configs"
ALONE = {"WORLD_SIZE": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29633"}
RECIPE = {"model": "nowhere", "dataset": "nowhere", "train_projector": True, "projector_learning_rate": 1e-4}


@pytest.fixture
def recipe(tmp_path):
    def load(**values):
        path = tmp_path / "recipe.yaml"
        path.write_text(yaml.safe_dump(RECIPE | {"output_dir": str(tmp_path / "run")} | values))
        return load_recipe(path)

    return load


def refused(recipe, args=None) -> str:
    with pytest.raises(UsageError, match="cannot be trained as it was launched") as caught:
        check_launch(recipe, args or recipe.training_arguments())
    return str(caught.value)


def test_what_can_be_trained_passes(recipe):
    loaded = recipe()
    check_launch(loaded, loaded.training_arguments())


@pytest.mark.parametrize("launcher", ["accelerate", "deepspeed"])
def test_rates_of_groups_beside_deepspeeds_own_optimizer(tmp_path, recipe, launcher):
    """A real launch: DeepSpeed's settings come by accelerate's config or by the recipe."""
    path = tmp_path / "optimizer.json"
    zero = json.loads((ROOT_CONFIGS / "ds_zero2.json").read_text())
    path.write_text(json.dumps(zero | {"optimizer": {"type": "AdamW", "params": {"lr": "auto"}}}))
    recipe()
    words = ["-m", "ocr2_hf", "train", tmp_path / "recipe.yaml"]
    if launcher == "accelerate":
        config = yaml.safe_load((ROOT_CONFIGS / "zero2.yaml").read_text())
        config["deepspeed_config"]["deepspeed_config_file"] = str(path)
        (tmp_path / "zero2.yaml").write_text(yaml.safe_dump(config))
        start = ["launch", "--config_file", tmp_path / "zero2.yaml", "--num_processes", "1", "--main_process_port", "0"]
        done = run(BIN / "accelerate", *start, *words)
    else:
        done = python(*words, "--deepspeed", path, RANK="0", LOCAL_RANK="0", **ALONE)
    assert done.returncode in (1, 2)  # accelerate makes 1 of every status
    assert "projector_learning_rate: the DeepSpeed JSON has an optimizer of its own" in done.stderr
    assert "nowhere" not in done.stderr.replace(str(tmp_path), "")


def test_rates_of_a_stage_count_too(recipe):
    stages = [{"name": "one"}, {"name": "two", "projector_learning_rate": 1e-4}]
    loaded = recipe(projector_learning_rate=None, stages=stages)
    args = loaded.training_arguments()
    args.deepspeed_plugin = SimpleNamespace(deepspeed_config={"optimizer": {"type": "AdamW"}})
    assert "projector_learning_rate: the DeepSpeed JSON" in refused(loaded, args)
    args.deepspeed_plugin.deepspeed_config = {}
    check_launch(loaded, args)


def test_processes_that_would_train_alone(recipe, monkeypatch):
    """Launched twice but not connected, both would write the same folder."""
    loaded = recipe()
    args = loaded.training_arguments()
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert "2 processes were launched, but 1 train together" in refused(loaded, args)


def test_one_process_with_many_gpus(recipe):
    loaded = recipe()
    args = loaded.training_arguments()
    args._n_gpu = 2  # the library would copy the model to both and tear pages from their boxes
    assert "one process sees 2 GPUs: start one for each with accelerate launch --num_processes 2" in refused(
        loaded, args
    )


def test_fsdp_of_the_first_version(recipe, monkeypatch):
    loaded = recipe()
    args = loaded.training_arguments()
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    assert "set fsdp_version: 2" in refused(loaded, args)
    monkeypatch.setenv("FSDP_VERSION", "2")
    check_launch(loaded, args)


def test_batches_that_are_cut_by_rows(recipe):
    loaded = recipe(accelerator_config={"dispatch_batches": True})
    args = loaded.training_arguments()
    args.parallelism_config = SimpleNamespace(tp_size=2, cp_size=1)
    message = refused(loaded, args)
    assert "dispatch_batches" in message and "parallelism_config: tp_size 2" in message


def test_what_the_machine_has_not_is_told_beside_what_the_launch_cannot(recipe, monkeypatch):
    monkeypatch.setattr(launch_checks, "get_available_reporting_integrations", lambda: ["mlflow"])
    stages = [{"name": "one", "report_to": "none"}, {"name": "two", "report_to": ["mlflow", "wandb"]}]
    loaded = recipe(accelerator_config={"dispatch_batches": True}, report_to="tensorboard", stages=stages)
    args = loaded.training_arguments()
    message = refused(loaded, args)
    assert "report_to: tensorboard is not installed here" in message and "report_to: wandb is not" in message
    assert "dispatch_batches" in message and message.count("\n") == 3


def test_batches_of_unequal_size_are_not_split(recipe):
    loaded = recipe(accelerator_config={"split_batches": True}, tokens_per_batch=8192)
    assert "split_batches cuts batches of equal size" in refused(loaded)
    plain = recipe(accelerator_config={"split_batches": True})
    check_launch(plain, plain.training_arguments())
