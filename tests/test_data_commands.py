"""`ocr2 build | inspect | crop | synthesize`: the mains of the data scripts, which load little before they work."""

import subprocess
import sys

import pytest

from data_scripts import build_dataset, crop_regions, inspect_dataset, synthesize
from helpers.commands import environment
from helpers.page_folders import write_pages
from ocr2_hf import load_dataset
from ocr2_hf.__main__ import COMMANDS, main
from ocr2_hf.errors import run_command
from ocr2_hf.recipe_fields import ModelArguments

SCRIPTS = {"build": build_dataset, "inspect": inspect_dataset, "crop": crop_regions, "synthesize": synthesize}
HEAVY = {"torch", "transformers", "datasets", "accelerate", "peft", "matplotlib", "pandas"}


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
    assert run_command(main, ["build", "receipts", "--annotations", str(tmp_path / "raw"), "--val", "0.5"]) == 0
    assert len(load_dataset("receipts", split="validation")) == 2
    assert run_command(main, ["crop", "receipts", str(tmp_path / "crops")]) == 0
    assert list(tmp_path.glob("crops/images/train/*.png"))
    words = ["inspect", "receipts", "--output_dir", str(tmp_path / "seen"), "--tokenizer", "tiny"]
    assert run_command(main, words) == 0
    assert (tmp_path / "seen/summary.json").is_file()


CALLS = [*([command, "--help"] for command in SCRIPTS)]
CALLS += [
    ["build", "x", "--annotations", "gone"],
    ["build", "x", "--annotations", "pages", "--level", "line"],
    ["build"],
]
CALLS += [["synthesize", "out", "--kind", "receipts", "--pages", "0"], ["inspect", "x"], ["crop", "x", "pages"]]


def test_a_wrong_call_loads_nothing_heavy(tmp_path):
    write_pages(tmp_path / "pages", 1)
    look = f"""
import contextlib, io, sys
from ocr2_hf.__main__ import main
from ocr2_hf.errors import run_command
for words in {CALLS!r}:
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        try:
            status = run_command(main, words)
        except SystemExit as ended:
            status = ended.code
    assert status == (0 if "--help" in words else 2), (words, status)
print(sorted({HEAVY!r} & sys.modules.keys()))
"""
    done = subprocess.run([sys.executable, "-c", look], cwd=tmp_path, env=environment(), capture_output=True, text=True)
    assert (done.stdout.strip(), done.stderr) == ("[]", "")


def test_lengths_are_counted_by_the_model_that_recipes_start_from():
    assert ModelArguments.model == inspect_dataset.DEFAULT_TOKENIZER
