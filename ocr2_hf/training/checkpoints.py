"""Which checkpoints of a run can be trusted.

The library saves a checkpoint in place and resumes from the highest number, finished or not. Here a checkpoint
counts only once the file `complete` lies in it, which is written last, after every process has saved its part.
"""

import shutil
from pathlib import Path

COMPLETE = "complete"


def mark_complete(checkpoint: str | Path) -> None:
    (Path(checkpoint) / COMPLETE).touch()


def mark_incomplete(checkpoint: str | Path) -> None:
    (Path(checkpoint) / COMPLETE).unlink(missing_ok=True)


def complete_checkpoints(output_dir: str | Path) -> list[Path]:
    """The checkpoints of a run that were saved to the end, in the order of their steps."""
    return sorted((path for path in _all(output_dir) if (path / COMPLETE).is_file()), key=step_of)


def remove_incomplete(output_dir: str | Path) -> list[Path]:
    """Delete what a killed save left behind; returns what was deleted."""
    broken = [path for path in _all(output_dir) if not (path / COMPLETE).is_file()]
    for path in broken:
        shutil.rmtree(path)
    return broken


def rotate(output_dir: str | Path, limit: int | None, keep: str | None) -> None:
    """Delete the oldest checkpoints above `limit`, never the newest nor `keep` (the best one)."""
    if not limit or limit <= 0:
        return
    checkpoints = complete_checkpoints(output_dir)
    spared = {checkpoints[-1]} | ({Path(keep)} if keep else set()) if checkpoints else set()
    removable = [path for path in checkpoints if path not in spared]
    for path in removable[: max(0, len(checkpoints) - limit)]:
        mark_incomplete(path)  # from here on it no longer counts, whenever the rest is interrupted
        shutil.rmtree(path)


def _all(output_dir: str | Path) -> list[Path]:
    return [path for path in Path(output_dir).glob("checkpoint-*") if path.is_dir() and path.name[11:].isdigit()]


def step_of(path: Path) -> int:
    return int(path.name.removeprefix("checkpoint-"))
