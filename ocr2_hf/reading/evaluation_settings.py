"""`evaluation.json` beside a predictions file: the settings it was made with, so that no two are mixed in it."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ocr2_hf.document.atomic_files import write_json

SETTINGS_FILE = "evaluation.json"

_WEIGHTS_AND_SETTINGS = (".safetensors", ".bin", ".onnx", ".onnx_data", ".json", ".yaml", ".jinja")


def start_or_resume(path: str | Path, settings: Mapping[str, Any]) -> str:
    """Make the predictions file at `path` belong to `settings`; returns "new", "resumed" or "anew".

    Where the settings it was made with differ, the old predictions are removed.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    found = [file for file in (path, *parts_of(path)) if file.exists()]
    if found and read_kept(path.parent) == json.loads(json.dumps(settings)):
        return "resumed"
    for file in found:
        file.unlink()
    write_json(path.with_name(SETTINGS_FILE), settings)
    return "anew" if found else "new"


def parts_of(path: Path) -> list[Path]:
    """What processes other than the first wrote and a kill left behind."""
    return sorted(path.parent.glob(f"{path.stem}.process-*{path.suffix}"))


def part_of(path: Path, rank: int) -> Path:
    """The file a process streams to: the first one's is the predictions file itself."""
    return path.with_name(f"{path.stem}.process-{rank}{path.suffix}") if rank else path


def read_kept(folder: str | Path, file: str = SETTINGS_FILE) -> dict[str, Any]:
    """The settings of the evaluation in `folder`, or another JSON mapping there; {} where it is missing or broken."""
    try:
        kept = json.loads((Path(folder) / file).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return kept if isinstance(kept, dict) else {}


def fingerprint(model: str | Path) -> list[list[Any]] | None:
    """Name, size and time of the files a directory's answers depend on; None for a Hub id."""
    if not Path(model).is_dir():
        return None
    files = sorted(file for file in Path(model).iterdir() if file.suffix in _WEIGHTS_AND_SETTINGS)
    return [[file.name, file.stat().st_size, file.stat().st_mtime_ns] for file in files]
