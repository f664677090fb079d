"""`ocr2 train`: its messages and statuses, and that nothing is lost when it is killed."""

import json
import logging
import re
import subprocess
import sys

import pytest
import yaml
from transformers import AutoModelForImageTextToText, TrainingArguments

from helpers.commands import BIN, ROOT, build, environment, python, run, write_pages
from helpers.signals import kill_when
from helpers.tiny_pages import page_row
from ocr2_hf.commands import train as train_command
from ocr2_hf.errors import run_command
from ocr2_hf.recipe_fields import KEYS
from ocr2_hf.recipe_help import default_text
from ocr2_hf.training.run_folder import COMPLETE, complete_checkpoints

RECIPE = {
    "model": "tiny",
    "dataset": "lines",
    "train_language": "full",
    "train_projector": True,
    "loss_chunks": 1,
    "per_device_train_batch_size": 2,
    "learning_rate": 1e-3,
    "max_steps": 12,
    "logging_steps": 1,
    "save_strategy": "steps",
    "save_steps": 2,
    "save_total_limit": 2,
}


@pytest.fixture(scope="module")
def workplace(tmp_path_factory):
    folder = tmp_path_factory.mktemp("train")
    rows = [page_row(f"p{i}", (120 + 10 * i, 90), [f"Line {i}", "Total"], 2) for i in range(6)]
    build("lines", write_pages(folder / "pages", rows), "--val", "0", "--test", "0")
    (folder / "recipe.yaml").write_text(yaml.safe_dump(RECIPE))
    return folder


def train(workplace, *words: str, **extra: str) -> subprocess.CompletedProcess:
    return python("-m", "ocr2_hf", "train", workplace / "recipe.yaml", *words, **extra)


def losses(folder) -> list[float]:
    history = json.loads((folder / "trainer_state.json").read_text())["log_history"]
    return [row["loss"] for row in history if "loss" in row]


def test_killed_and_started_again_it_goes_on_and_takes_the_same_steps(workplace, caplog, capfd):
    whole, killed = workplace / "whole", workplace / "killed"
    recipe = str(workplace / "recipe.yaml")
    with caplog.at_level(logging.INFO, "ocr2_hf"):
        assert train_command.main([recipe, "--output_dir", str(whole)]) == 0
        assert "what trains:" in caplog.text and "language" in caplog.text
    saved = json.loads((whole / "trainable.json").read_text())
    assert saved["policy"]["train_language"] == "full"
    assert saved["parameters"]["language"]["trainable"] == saved["parameters"]["language"]["total"] > 0
    assert saved["parameters"]["vision_sam"]["trainable"] == 0
    words = (sys.executable, "-m", "ocr2_hf", "train", workplace / "recipe.yaml", "--output_dir", killed)
    kill_when(lambda: (killed / "checkpoint-4" / COMPLETE).is_file(), *words)
    left = complete_checkpoints(killed)
    assert left and not (killed / "model.safetensors").exists()
    (killed / "checkpoint-11").mkdir()  # as a save cut short leaves it: the highest number, half a checkpoint

    again = train(workplace, "--output_dir", str(killed))
    assert again.returncode == 0, again.stderr
    assert f"going on from {left[-1]}" in again.stderr and "checkpoint-11: it was not saved to the end" in again.stderr
    assert losses(killed) == losses(whole) and len(losses(whole)) == 12
    assert (killed / "model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes()
    AutoModelForImageTextToText.from_pretrained(killed)

    with caplog.at_level(logging.INFO, "ocr2_hf"):
        assert train_command.main([recipe, "--output_dir", str(whole)]) == 0
        assert "is finished" in caplog.text
    assert run_command(train_command.main, [recipe, "--output_dir", str(whole), "--learning_rate", "5e-4"]) == 2
    told = capfd.readouterr().err
    assert "holds a run of another recipe" in told and "learning_rate: 0.001 there, 0.0005 now" in told


@pytest.mark.parametrize("columns", [80, 120])
def test_help_lists_every_key_with_its_default(monkeypatch, capsys, columns):
    monkeypatch.setenv("COLUMNS", str(columns))
    with pytest.raises(SystemExit):
        train_command.main(["--help"])
    text = capsys.readouterr().out
    assert max(map(len, text.splitlines())) <= columns
    told = dict(re.findall(r"^  --(\w+) (.*(?:\n {8}.*)*)", text, re.MULTILINE))
    assert told.keys() == KEYS.keys()
    for name, key in KEYS.items():
        words = re.sub(r"(?<=\w-)\n\s+", "", told[name])  # a default is broken at its hyphen
        default = default_text(key.default)
        assert (
            words.startswith(f"{default}\n")
            if key.declared_in is TrainingArguments
            else (" ".join(words.split()).endswith(f" (default: {default})"))
        ), name
    assert told["lora_r"].startswith("integer>0\n") and "Rank of the adapters" in told["lora_r"]
    assert told["train_vision"].startswith("none|encoder|all|lora\n")
    blocks = [text.index(f"\n{block}:\n") for block in ("Model", "Data", "Loss", "Training")]
    assert blocks == sorted(blocks) and blocks[2] < text.index("--box_weight") < blocks[3]


def test_help_loads_no_trainer():
    code = "import sys, ocr2_hf.commands.train; print([m for m in sys.modules if m.startswith('ocr2_hf.training')])"
    assert python("-c", code).stdout.strip() == "[]"


def test_a_recipe_may_come_by_a_pipe(workplace):
    """It can be read once only."""
    code = "import sys; from ocr2_hf.__main__ import cli; sys.argv = ['ocr2', 'train', '/dev/stdin']; cli()"
    told = {"input": "learning_rte: 1", "capture_output": True, "text": True, "env": environment()}
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False, **told)
    assert done.returncode == 2 and "learning_rte: unknown key" in done.stderr


def test_three_mistakes_stop_it_at_once_with_one_message(workplace):
    done = train(workplace, "--learning_rte", "1", "--lora_r", "many", "--train_vision", "some")
    assert done.returncode == 2
    assert "3 problems in the recipe" in done.stderr and "Traceback" not in done.stderr
    assert done.stderr.count("\n") < 12


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--dataset", "nowhere"], "no dataset is built under the name 'nowhere'; built datasets: "),
        (["--dataset", "data_scripts"], "run build_dataset first"),
        (["--train_split", "test"], "has no split 'test'"),
        (["--model", "data_scripts"], "holds no model: config.json or adapter_config.json is missing"),
        (["--max_length", "20"], "no training pages are left"),
        (["--logging_steps", "1.5"], "the recipe's training block is refused"),
    ],
)
def test_what_cannot_work_is_told_in_one_message(workplace, tmp_path, capfd, words, told):
    words = [str(workplace / "recipe.yaml"), "--output_dir", str(tmp_path / "run"), *words]
    assert run_command(train_command.main, words) in (1, 2)
    said = capfd.readouterr().err
    assert told in said and "Traceback" not in said
    assert not (tmp_path / "run" / "model.safetensors").exists()


def test_lora_by_accelerate_launch_keeps_its_base_and_loads_again(workplace, tmp_path):
    words = ["--train_language", "lora", "--output_dir", tmp_path / "run", "--max_steps", "2"]
    launch = [BIN / "accelerate", "launch", "--config_file", "accelerate_configs/cpu.yaml", "-m", "ocr2_hf"]
    done = run(*launch, "train", workplace / "recipe.yaml", *words)
    assert done.returncode == 0, done.stderr
    names = {path.name for path in (tmp_path / "run").iterdir()}
    assert {"adapter_model.safetensors", "adapter_config.json", "base", "recipe.yaml", "trainer_state.json"} <= names
    assert "model.safetensors" not in names
    moved = tmp_path / "elsewhere"
    (tmp_path / "run").rename(moved)
    from ocr2_hf.modeling.load import load_model

    assert load_model(moved).get_base_model().num_parameters() > 1_000_000
