"""Run the project's commands as a user would: real processes, from the root of the checkout."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent


def environment(**extra: str) -> dict[str, str]:
    """This process's, with the checkout importable also where it is not installed."""
    return os.environ | {"PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}", "TQDM_DISABLE": "1"} | extra


def run(*words: str | Path, timeout: float = 800, **extra: str) -> subprocess.CompletedProcess:
    """Run a command to its end; what it printed is in `stdout` and `stderr`."""
    command = [str(word) for word in words]
    return subprocess.run(
        command, cwd=ROOT, env=environment(**extra), capture_output=True, text=True, timeout=timeout, check=False
    )


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
