"""`ocr2 build | inspect | crop | synthesize`: the mains of the data scripts."""

import sys

import pytest

from data_scripts import build_dataset, crop_regions, inspect_dataset, synthesize
from ocr2_hf import load_dataset
from ocr2_hf.__main__ import COMMANDS, main
from ocr2_hf.errors import run_command
from ocr2_hf.recipe_fields import ModelArguments

SCRIPTS = {"build": build_dataset, "inspect": inspect_dataset, "crop": crop_regions, "synthesize": synthesize}


@pytest.mark.parametrize("command", SCRIPTS)
def test_help_is_the_scripts_under_the_commands_name(command, capsys, monkeypatch):
    assert command in COMMANDS
    with pytest.raises(SystemExit) as ended:
        main([command, "--help"])
    as_command = capsys.readouterr().out
    assert ended.value.code == 0 and as_command.startswith(f"usage: ocr2 {command} ")
    script = f"{SCRIPTS[command].__name__.rpartition('.')[2]}.py"
    monkeypatch.setattr(sys, "argv", [f"data_scripts/{script}", "--help"])
    with pytest.raises(SystemExit):
        SCRIPTS[command].main()
    as_script = capsys.readouterr().out
    assert as_script.startswith(f"usage: {script} ")
    assert as_command.partition("\n\n")[2] == as_script.partition("\n\n")[2]


def test_the_four_commands_do_what_the_scripts_do(tmp_path, datasets_cache, capsys):
    assert run_command(main, ["synthesize", str(tmp_path / "raw"), "--kind", "receipts", "--pages", "4"]) == 0
    assert f"next: ocr2 build receipts --annotations {tmp_path / 'raw'}" in capsys.readouterr().out
    assert run_command(main, ["build", "receipts", "--annotations", str(tmp_path / "raw"), "--val", "0.25"]) == 0
    assert len(load_dataset("receipts", split="validation")) == 1
    assert run_command(main, ["crop", "receipts", str(tmp_path / "crops")]) == 0
    assert list(tmp_path.glob("crops/images/train/*.png"))
    words = ["inspect", "receipts", "--output_dir", str(tmp_path / "seen"), "--tokenizer", "tiny"]
    assert run_command(main, words) == 0
    assert (tmp_path / "seen/summary.json").is_file()


def test_lengths_are_counted_by_the_model_that_recipes_start_from():
    assert ModelArguments.model == inspect_dataset.BASE_MODEL
