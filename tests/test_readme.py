"""Every command, path, flag and snippet in the READMEs is checked against the code."""

import ast
import configparser
import io
import re
import runpy
import shlex
import subprocess
import sys
from contextlib import redirect_stdout
from dataclasses import fields
from functools import cache
from importlib import import_module
from pathlib import Path

import pytest
from accelerate.commands.launch import launch_command_parser

from ocr2_hf.__main__ import COMMANDS
from ocr2_hf.__main__ import main as ocr2
from ocr2_hf.errors import UsageError
from ocr2_hf.recipe import load_recipe
from ocr2_hf.recipe_fields import BLOCKS, KEYS

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ("accelerate_configs", "data_scripts", "ocr2_hf", "recipes", "tests")
READMES = sorted(
    path.relative_to(ROOT).as_posix()
    for top in (".", *FOLDERS)
    for path in (ROOT / top).glob("*.md" if top == "." else "**/*.md")
)
# Where the rest of a command line is another program's own business.
FOREIGN = ("conda", "hf", "pip", "vllm")
# Clients of other programs, which nothing here needs.
FOREIGN_MODULES = ("openai",)


def text_of(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def blocks(language: str) -> list[tuple[str, str]]:
    """(file, content) of the fenced blocks in a language."""
    pattern = re.compile(rf"^```{language}\n(.*?)^```$", re.MULTILINE | re.DOTALL)
    return [(name, block) for name in READMES for block in pattern.findall(text_of(name))]


def shell_lines() -> list[str]:
    blocks_joined = [block.replace("\\\n", " ") for _, block in blocks("bash")]
    lines = [line for block in blocks_joined for line in block.splitlines() if line.strip()]
    lines = [line for line in lines if not re.match(r"\w+=", line)]  # sets a variable of the shell
    return [part.strip() for line in lines for part in re.sub(r"\s#.*", "", line).split("&&")]


@cache
def help_of(*command: str) -> str:
    """What a script, or `-m ocr2_hf COMMAND`, says to --help; in this process, which has imported everything."""
    said = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(said), pytest.raises(SystemExit) as ended:
        patch.setattr(sys, "argv", [command[0], "--help"])
        if command[:2] == ("-m", "ocr2_hf"):
            ocr2(["--help"] if len(command) == 2 else [command[2], "--help"])
        elif command[0] == "-m":
            runpy.run_module(command[1], run_name="__main__")
        else:
            runpy.run_path(str(ROOT / command[0]), run_name="__main__")
    assert ended.value.code == 0, command
    return said.getvalue()


def flags(words: list[str]) -> list[str]:
    return [word.partition("=")[0] for word in words if word.startswith("--")]


def check_flags(words: list[str], help_text: str) -> None:
    known = set(re.findall(r"--\w+", help_text))
    for flag in flags(words):
        assert flag in known, f"{flag} is not an option"


def check_recipe_command(command: str, words: list[str]) -> None:
    """`plan`, `train` and `bench` take recipe fields as options: the recipe with these overrides must be accepted."""
    own = set(re.findall(r"--\w+", help_of("-m", "ocr2_hf", command))) - {f"--{name}" for name in KEYS}
    recipe, *rest = words
    overrides, skip = [], False
    for word in rest:
        if word.startswith("--"):
            skip = word in own
        if not skip:
            overrides.append(word)
    load_recipe(ROOT / recipe, overrides)


def check_ours(words: list[str]) -> None:
    command, *rest = words
    assert command in COMMANDS
    if command in ("plan", "train", "bench"):
        check_recipe_command(command, rest)
    else:
        check_flags(rest, help_of("-m", "ocr2_hf", command))


def check_line(line: str) -> None:
    words = shlex.split(line)
    if words[0] == "make":
        subprocess.run(["make", "-n", *words[1:]], cwd=ROOT, capture_output=True, check=True)
    elif words[0] == "ocr2":
        check_ours(words[1:])
    elif words[:3] == ["python", "-m", "sglang.launch_server"]:
        return
    elif words[:2] == ["python", "-m"]:
        check_flags(words[3:], help_of(*words[1:3]))
    elif words[0] == "python":
        assert words[1].startswith(("data_scripts/", "recipes/", "tests/helpers/"))
        check_flags(words[2:], help_of(words[1]))
    elif words[:2] == ["accelerate", "launch"]:
        arguments = launch_command_parser().parse_args(words[2:])
        assert (arguments.module, arguments.training_script) == (True, "ocr2_hf")
        assert not arguments.config_file or (ROOT / arguments.config_file).is_file()
        check_ours(arguments.training_script_args)
    elif words[0].endswith(".sh"):
        assert (ROOT / words[0]).is_file()
        assert not flags(words)
    elif words[0] == "sbatch":  # the script hands its words on to train
        assert (ROOT / words[1]).is_file()
        check_recipe_command("train", words[2:])
    elif words[0] == "deepspeed":
        at = words.index("ocr2_hf")
        assert words[at - 1] == "--module"
        assert set(flags(words[1:at])) <= {"--module", "--num_gpus"}
        check_ours(words[at + 1 :])
    else:
        assert words[0] in FOREIGN, f"no check for {words[0]!r}"


@pytest.mark.parametrize("line", shell_lines())
def test_shell_commands(line):
    check_line(line)


@pytest.mark.parametrize(
    "line",
    [
        "ocr2 dream recipes/tiny/full.yaml",
        "ocr2 evaluate --model m --dataset d --output_folder o",
        "ocr2 plan recipes/tiny/full.yaml --memory 24",
        "accelerate launch -m ocr2_hf train recipes/tiny/full.yaml --learning_rat 1",
        "accelerate launch --config_file accelerate_configs/gone.yaml -m ocr2_hf train recipes/tiny/full.yaml",
        "python data_scripts/build_dataset.py letters --annotation x",
        "make everything",
        "ocr3 plan",
    ],
)
def test_the_check_itself_sees_what_is_wrong(line):
    with pytest.raises((AssertionError, UsageError, SystemExit, subprocess.CalledProcessError)):
        check_line(line)


@pytest.mark.parametrize("name", READMES)
def test_paths_exist(name):
    starts = "|".join(FOLDERS)
    named = set(re.findall(rf"(?<![\w/.-])((?:{starts})/[\w./-]*\w|(?:{starts})(?=`))", text_of(name)))
    assert named
    missing = sorted(path for path in named if not (ROOT / path).exists())
    assert not missing, f"{name} names {missing}"


@pytest.mark.parametrize("name", READMES)
def test_flags_and_fields_in_the_text_are_known(name):
    known = {f"--{item.name}" for block in BLOCKS for item in fields(block)} | {"--key"}
    named = [("-m", "ocr2_hf", command) for command in COMMANDS if f"ocr2 {command}" in text_of(name)]
    named += [(script,) for script in set(re.findall(r"python ((?:data_scripts|recipes)/\S+\.py)", text_of(name)))]
    known |= {flag for command in named for flag in re.findall(r"--\w+", help_of(*command))}
    known |= {"--config_file", "--num_processes"} if "accelerate launch" in text_of(name) else set()
    inline = re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```$", "", text_of(name), flags=re.MULTILINE | re.DOTALL))
    for piece in inline:
        for flag in re.findall(r"(?<![\w-])--\w+", piece):
            assert flag in known, f"{name}: {flag} is unknown"
        if field := re.fullmatch(r"(\w+): \S+", piece):
            assert f"--{field[1]}" in known, f"{name}: {field[1]} is no recipe field"


def test_python_snippets():
    """They compile, and every name they import is there."""
    snippets = blocks("python")
    assert snippets
    for _, snippet in snippets:
        for node in ast.walk(ast.parse(snippet)):
            if isinstance(node, ast.ImportFrom) and node.module not in FOREIGN_MODULES:
                module = import_module(node.module)
                for alias in node.names:
                    assert hasattr(module, alias.name), f"{node.module} has no {alias.name}"


def test_extras_named_exist():
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg", encoding="utf-8")
    named = re.findall(r"pip install -e '\.\[([\w,]+)\]'", text_of("README.md"))
    assert named
    for extras in named:
        assert set(extras.split(",")) <= set(setup["options.extras_require"])
    torch = re.search(r"'torch([^']+)'", text_of("README.md"))[1]
    assert f"torch{torch}" in setup["options"]["install_requires"].split()


def test_every_recipe_and_launch_file_is_listed():
    listed = text_of("recipes/README.md")
    files = [*(ROOT / "recipes").rglob("*.yaml"), *(ROOT / "accelerate_configs").glob("*")]
    for path in files:
        assert f"`{path.relative_to(ROOT).as_posix()}`" in listed


def test_the_annotation_example_is_one(tmp_path):
    """The JSON of step 1 is a page that the builder takes."""
    from PIL import Image

    (_, example), *_ = blocks("json")
    (tmp_path / "annotations").mkdir()
    (tmp_path / "images").mkdir()
    (tmp_path / "annotations" / "page.json").write_text(example, encoding="utf-8")
    Image.new("RGB", (200, 200), "white").save(tmp_path / "images" / "page.png")
    command = [sys.executable, "data_scripts/build_dataset.py", "readme", "--annotations", str(tmp_path)]
    done = subprocess.run([*command, "--max_bad", "0"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert re.search(r"^rejected\s+0$", done.stdout, re.MULTILINE), done.stdout
