"""The whole line by its commands, with the oldest and the newest transformers that setup.cfg allows.

Each release is installed, with what it alone needs, beside the environment of the tests, which lends it all the rest.
Nothing that a command prints may say that something it uses is on its way out.
"""

import configparser
import re
import site
import sys
import venv
from pathlib import Path

import psutil
import pytest
from packaging.requirements import Requirement

from helpers.commands import ROOT, run
from helpers.signals import signalled

pytestmark = pytest.mark.slow
BASE = "recipes/tiny/base"
TRAIN = ["-m", "accelerate.commands.accelerate_cli", "launch", "--config_file", "accelerate_configs/cpu.yaml"]
TRAIN += ["-m", "ocr2_hf", "train", "recipes/tiny/lora.yaml", "--model", BASE, "--dataset", "tickets"]
TRAIN += ["--gradient_checkpointing", "true", "--per_device_train_batch_size", "2", "--num_train_epochs", "3"]
TRAIN += ["--logging_steps", "1", "--output_dir"]
ON_ITS_WAY_OUT = re.compile("deprecat|renamed|will be removed|FutureWarning", re.IGNORECASE)


def releases() -> dict[str, Requirement]:
    """What pip is asked for; of the range it takes the newest."""
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg", encoding="utf-8")
    lines = parser["options"]["install_requires"].split()
    (whole,) = (Requirement(line) for line in lines if line.startswith("transformers"))
    (oldest,) = (bound.version for bound in whole.specifier if bound.operator == ">=")
    return {"oldest": Requirement(f"{whole.name}=={oldest}"), "newest": whole}


@pytest.fixture(scope="module", params=["oldest", "newest"])
def interpreter(request, tmp_path_factory) -> Path:
    """The Python of an environment with that release."""
    release = releases()[request.param]
    folder = tmp_path_factory.mktemp(request.param)
    venv.create(folder)
    python = folder / "bin/python"
    (packages,) = folder.glob("lib/python*/site-packages")
    (packages / "lent.pth").write_text("\n".join(site.getsitepackages()))
    options = ["--quiet", "--upgrade", "--retries", "1"]
    done = run(sys.executable, "-m", "pip", "--python", python, "install", *options, str(release))
    if "connection broken" in done.stderr:
        pytest.skip(f"no package index is reached for {release}")
    assert done.returncode == 0, done.stderr
    found = run(python, "-c", "import transformers; print(transformers.__version__)")
    assert found.stdout.strip() in release.specifier, found
    return python


def test_the_line_runs_and_uses_nothing_that_is_on_its_way_out(interpreter, datasets_cache, tmp_path):
    def command(*words: str | Path) -> str:
        done = run(interpreter, *words)
        assert done.returncode == 0, done.stderr
        return checked(done.stdout + done.stderr)

    def ocr2(*words: str | Path) -> str:
        return command("-m", "ocr2_hf", *words)

    pages, model, merged, graphs = (tmp_path / name for name in ("pages", "model", "merged", "graphs"))
    ocr2("synthesize", pages, "--kind", "tickets", "--pages", "16", "--size", "192x192")
    ocr2("build", "tickets", "--annotations", pages, "--val", "0.2", "--test", "0.2")
    status, told = signalled([str(word) for word in (interpreter, *TRAIN, model)], trainer)
    assert status != 0 and "stopped by SIGTERM after step" in checked(told)
    assert "going on from" in command(*TRAIN, model)
    words = ["--dataset", "tickets", "--output_dir", tmp_path / "scores", "--max_new_tokens", "64"]
    ocr2("evaluate", "--model", model, *words)
    ocr2("export", model, "--to", "merged", "--output_dir", merged)
    ocr2("export", model, "--to", "onnx", "--output_dir", graphs)
    page = next((pages / "images").iterdir())
    texts = [ocr2_text(ocr2, page, folder, tmp_path / f"read-{folder.name}") for folder in (model, merged, graphs)]
    assert texts[0] == texts[1] == texts[2] != ""


def ocr2_text(ocr2, page: Path, model: Path, folder: Path) -> str:
    ocr2("read", page, "--model", model, "--output_dir", folder, "--max_new_tokens", "64")
    return (folder / f"{page.stem}.md").read_text(encoding="utf-8").strip()


def checked(told: str) -> str:
    lines = [line for line in told.splitlines() if ON_ITS_WAY_OUT.search(line)]
    assert not lines, "\n".join(lines)
    return told


def trainer(launcher) -> int:
    """accelerate passes no signal on to the one process that it starts."""
    return psutil.Process(launcher.pid).children()[0].pid
