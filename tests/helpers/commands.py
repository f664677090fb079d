"""Run the project's commands as a user would: real processes, from the root of the checkout."""

import os
import subprocess
import sys
from pathlib import Path

from helpers.fork_server import Popen

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent


def environment(**extra: str) -> dict[str, str]:
    """This process's, with the checkout importable also where it is not installed."""
    return os.environ | {"PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}", "TQDM_DISABLE": "1"} | extra


def run(*words: str | Path, timeout: float = 800, **extra: str) -> subprocess.CompletedProcess:
    """Run a command to its end; what it printed is in `stdout` and `stderr`."""
    return run_process([str(word) for word in words], ROOT, environment(**extra), timeout)


def run_process(command: list[str], cwd: Path, env: dict[str, str], timeout: float) -> subprocess.CompletedProcess:
    """`subprocess.run` of a command that may be forked."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with Popen(command, cwd=cwd, env=env, **pipes) as process:
        try:
            told = process.communicate(timeout=timeout)
        finally:
            process.kill()  # nothing where it has ended
    return subprocess.CompletedProcess(command, process.returncode, *told)


def python(*words: str | Path, **options) -> subprocess.CompletedProcess:
    return run(sys.executable, *words, **options)


def build(name: str, folder: Path, *words: str) -> None:
    """Build a dataset from an annotation folder, in this process: to start another would take longer than to build."""
    from data_scripts.build_dataset import main  # now, when conftest.py has set the caches

    assert main([name, "--annotations", str(folder), *words]) == 0


def write_pages(folder: Path, rows: list[dict]) -> Path:
    """Page rows (as `tiny_pages.page_row` makes them) as an annotation folder."""
    import json

    folder.mkdir(parents=True, exist_ok=True)
    for row in rows:
        (folder / f"{row['id']}.png").write_bytes(row["image"]["bytes"])
        keys = ("text", "bboxes", "labels", "texts")
        (folder / f"{row['id']}.json").write_text(json.dumps({key: row[key] for key in keys}), encoding="utf-8")
    return folder
