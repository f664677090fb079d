"""Commands import what they need when work begins: help and wrong calls are answered at once."""

import pytest

from helpers.commands import python
from helpers.page_folders import write_pages
from ocr2_hf.__main__ import COMMANDS

HEAVY = {"torch", "transformers", "datasets", "accelerate", "peft", "matplotlib", "pandas", "scipy", "onnxruntime"}
READ, HERE = ["--model", "gone/for/good"], ["--model", "empty"]
# Command -> wrong calls. What a recipe's keys may be is the library's to say: `train --help` and recipes import it.
WRONG = {
    "plan": [["gone.yaml"], ["page.png"], ["gone.yaml", "--page", "9"], []],
    "train": [["gone.yaml"], ["page.png"]],
    "bench": [["gone.yaml", "--output", "x.json"], ["gone.yaml", "--output", "x.json", "--sweep", "y:1"], []],
    "evaluate": [
        *([*READ, "--dataset", "x", "--output_dir", "page.png"], ["--model", "x", "--output_dir", "out"]),
        *(["--predictions", "gone.jsonl", "--output_dir", "out"], [*READ, "--dataset", "x", "--output_dir", "out"]),
        [*READ, "--dataset", "x", "--task", "y", "--output_dir", "out"],
    ],
    "read": [
        *(["page.png", *READ], ["page.png", *READ, "--task", "y"], ["page.png", *READ, "--output_dir", "page.png"]),
        *(["pages", *READ, "--output_dir", "pages"], ["empty", *READ], ["page.png", *READ, "--pages", "x"]),
    ],
    "statements": [
        ["page.png", *READ, "--to", "csv", "--output_dir", "out"],
        ["page.png", *READ, "--to", "doc", "--output_dir", "out"],
        ["empty", *READ, "--to", "csv", "--output_dir", "out"],
    ],
    "export": [
        *(["gone", "--to", "merged", "--output_dir", "out"], ["empty", "--to", "onnx", "--output_dir", "pages"]),
        *(["empty", "--to", "merged", "--output_dir", "out"], ["empty", "--to", "x", "--output_dir", "out"]),
    ],
    "push": [["gone", "org/name"], ["empty", "no_org"]],
    "build": [["x", "--annotations", "gone"], ["x", "--annotations", "pages", "--level", "line"], []],
    "inspect": [["x"]],
    "crop": [["x", "pages"]],
    "synthesize": [["out", "--kind", "receipts", "--pages", "0"]],
}
CALL = """
import contextlib, io, sys, time
from ocr2_hf.__main__ import main
from ocr2_hf.errors import run_command
for words in {calls}:
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()) as told:
        try:
            status = run_command(main, words)
        except SystemExit as ended:
            status = ended.code
    assert status == {status}, (words, status, told.getvalue())
    loaded = {heavy} & sys.modules.keys()
    assert not loaded, (words, loaded)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """page.png, a folder of pages, and an empty one."""
    folder = tmp_path_factory.mktemp("start")
    image = write_pages(folder / "pages", 1) / "p000.png"
    (folder / "page.png").write_bytes(image.read_bytes())
    (folder / "empty").mkdir()
    return folder


def answered(folder, calls: list[list[str]], status: int) -> None:
    text = CALL.format(calls=calls, status=status, heavy=HEAVY)
    done = python("-c", f"import os; os.chdir({str(folder)!r})\n{text}")
    assert done.returncode == 0, done.stderr


def test_every_command_is_tried_here():
    assert WRONG.keys() == COMMANDS.keys()


def test_help_and_wrong_calls_load_nothing_heavy(folder):
    answered(folder, [[name, "--help"] for name in COMMANDS if name != "train"], 0)
    calls = [[name, *words] for name, several in WRONG.items() for words in several]
    answered(folder, calls, 2)
    answered(
        folder,
        [["read", "gone.png", *HERE], ["statements", "gone.png", *HERE, "--to", "csv", "--output_dir", "out"]],
        1,
    )


RECIPE_CALLS = """
import contextlib, io, sys
from ocr2_hf.__main__ import main
from ocr2_hf.errors import run_command
for words in {calls}:
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        try:
            run_command(main, words)
        except SystemExit:
            pass
    ours = [name for name in sys.modules if name.startswith(("ocr2_hf.training", "ocr2_hf.modeling"))]
    print(words[0], ours, {{"datasets", "matplotlib", "pandas", "onnxruntime"}} & sys.modules.keys())
"""


def test_keys_of_recipes_need_the_librarys_arguments_and_no_trainer(folder):
    path = folder / "recipe.yaml"
    path.write_text("learning_rte: 1\n")
    calls = [["train", "--help"], ["train", str(path)], ["plan", str(path)]]
    done = python("-c", RECIPE_CALLS.format(calls=calls))
    assert done.stdout.splitlines() == [f"{name} [] set()" for name, _ in calls], done.stderr
