"""Every launch configuration is read by accelerate or DeepSpeed itself, and says how it is used."""

import json
import re
from pathlib import Path

import pytest
import yaml
from accelerate.commands.config.config_args import load_config_from_file
from accelerate.commands.launch import _validate_launch_command, launch_command_parser
from transformers.integrations.deepspeed import HfTrainerDeepSpeedConfig
from transformers.models.deepseek_ocr2 import modeling_deepseek_ocr2

from ocr2_hf.recipe import OCR2TrainingArguments

FOLDER = Path(__file__).resolve().parent.parent / "accelerate_configs"
YAMLS = sorted(path.name for path in FOLDER.glob("*.yaml"))
JSONS = sorted(path.name for path in FOLDER.glob("*.json"))
# One config, how accelerate starts it: (DeepSpeed, FSDP, several GPUs, CPU).
LAUNCHERS = {
    "cpu.yaml": (False, False, False, True),
    "ddp.yaml": (False, False, True, False),
    "fsdp2.yaml": (False, True, False, False),
    "multi_node_zero3.yaml": (True, False, False, False),
    "zero2.yaml": (True, False, False, False),
    "zero3.yaml": (True, False, False, False),
    "zero3_offload.yaml": (True, False, False, False),
}


def test_the_folder_holds_what_is_listed_here():
    assert list(LAUNCHERS) == YAMLS
    assert JSONS == ["ds_zero2.json", "ds_zero3.json"]


@pytest.mark.parametrize("name", YAMLS)
def test_first_comment_is_the_use_and_the_command(repo, name):
    head, _, _ = (FOLDER / name).read_text(encoding="utf-8").partition("compute_environment:")
    comment = head.splitlines()
    assert not comment[0].startswith("# accelerate")
    (command,) = [line for line in comment if line.startswith("# accelerate launch")]
    assert f"--config_file accelerate_configs/{name} " in command
    for path in re.findall(r"\S+\.(?:yaml|json)", "\n".join(comment)):
        assert (repo / path).exists() or (FOLDER / path).exists(), f"{name} names {path}, which is not there"


@pytest.mark.parametrize("name", YAMLS)
def test_accelerate_reads_it_as_meant(monkeypatch, repo, name):
    monkeypatch.chdir(repo)
    config = load_config_from_file(str(FOLDER / name))
    assert not config.mixed_precision, "the recipe's bf16 decides, not the launcher"
    words = f"--config_file {FOLDER / name} --num_processes 2 -m ocr2_hf train recipe.yaml".split()
    args, _, precision_from_config = _validate_launch_command(launch_command_parser().parse_args(words))
    assert (args.use_deepspeed, args.use_fsdp, args.multi_gpu, bool(args.use_cpu)) == LAUNCHERS[name]
    assert args.num_processes == 2
    assert not precision_from_config
    assert args.training_script_args == ["train", "recipe.yaml"]


def test_fsdp2_wraps_layers_that_exist_and_saves_whole_checkpoints():
    settings = yaml.safe_load((FOLDER / "fsdp2.yaml").read_text(encoding="utf-8"))["fsdp_config"]
    wrapped = settings["fsdp_transformer_layer_cls_to_wrap"].split(",")
    assert set(wrapped) == set(modeling_deepseek_ocr2.DeepseekOcr2PreTrainedModel._no_split_modules)
    assert settings["fsdp_version"] == 2
    assert settings["fsdp_state_dict_type"] == "FULL_STATE_DICT"


@pytest.mark.parametrize("name", JSONS)
@pytest.mark.parametrize("bf16", [False, True])
def test_deepspeed_takes_everything_from_the_recipe(tmp_path, name, bf16):
    """`auto` values are filled from the arguments; the library raises for any that contradict them."""
    content = json.loads((FOLDER / name).read_text(encoding="utf-8"))
    # An optimizer section would make one parameter group of ours, with one learning rate.
    assert not {"optimizer", "scheduler"} & set(content)
    assert content["zero_optimization"]["stage"] == int(re.search(r"zero(\d)", name)[1])
    arguments = OCR2TrainingArguments(
        output_dir=str(tmp_path), bf16=bf16, use_cpu=True, gradient_accumulation_steps=3, max_grad_norm=0.7
    )
    config = HfTrainerDeepSpeedConfig(str(FOLDER / name))
    config.trainer_config_process(arguments)
    assert config.get_value("bf16.enabled") is bf16
    assert config.get_value("gradient_accumulation_steps") == 3
    assert config.get_value("gradient_clipping") == 0.7
    assert config.get_value("train_micro_batch_size_per_gpu") == arguments.per_device_train_batch_size
    assert not config.mismatches


@pytest.mark.parametrize("name", [name for name, kind in LAUNCHERS.items() if kind[0]])
def test_deepspeed_yaml_names_a_json_or_a_stage(repo, name):
    settings = yaml.safe_load((FOLDER / name).read_text(encoding="utf-8"))["deepspeed_config"]
    if "deepspeed_config_file" in settings:
        assert (repo / settings["deepspeed_config_file"]).is_file()
        # accelerate refuses these beside a JSON: they would say the same thing twice.
        assert not {"zero_stage", "gradient_accumulation_steps", "gradient_clipping"} & set(settings)
    else:
        assert settings["zero_stage"] == 3
        assert settings["gradient_accumulation_steps"] == "auto"
