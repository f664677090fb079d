"""Predictions over a dataset, streamed to a file line by line: a killed run goes on where it stopped."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from datasets import Dataset
from tqdm.auto import tqdm

from ocr2_hf.data.images import to_rgb
from ocr2_hf.data.tasks import build_prompt, build_target, suits
from ocr2_hf.errors import WorkError
from ocr2_hf.evaluation.files import write_json
from ocr2_hf.evaluation.predictions import read_predictions
from ocr2_hf.modeling.generation import prediction_line
from ocr2_hf.reading.reader import MAX_NEW_TOKENS, DocumentReader

_WEIGHTS_AND_SETTINGS = (".safetensors", ".bin", ".json", ".yaml", ".jinja")


def predict_dataset(
    reader: DocumentReader,
    dataset: Dataset,
    task: str,
    path: str | Path,
    batch_size: int = 8,
    max_new_tokens: int = MAX_NEW_TOKENS,
) -> list[dict[str, Any]]:
    """Answer every page of `dataset` (page records) greedily, a line per page in `path`; returns the lines.

    Pages that `path` already has are skipped, and a half-written last line is dropped: the caller sees to it
    that they were made with the same settings (`start_or_resume`). The references are the task's targets;
    reference boxes are read from them, on the grid of 0..999 that the model speaks. Raises `WorkError` when
    two pages have one id, or when no page suits the task; pages that do not suit it are left out and counted
    on the screen.
    """
    path = Path(path)
    ids = _unique(dataset["id"])
    suitable = [index for index, row in enumerate(dataset.remove_columns("image")) if suits(task, row)]
    if not suitable:
        raise WorkError(f"none of the {len(ids)} pages suits the task {task!r}; choose another --task")
    if len(suitable) < len(ids):
        print(f"{len(ids) - len(suitable)} pages have nothing for the task {task!r} and are left out")
    done = {line["id"] for line in _resume(path)}
    with (
        open(path, "a", encoding="utf-8") as file,
        tqdm(total=len(suitable), initial=len(done), desc="reading", unit="page") as progress,
    ):
        # A batch that a kill cut in two is read again whole: answers can depend on a page's neighbours.
        for start in range(0, len(suitable), batch_size):
            batch = suitable[start : start + batch_size]
            missing = [ids[index] for index in batch if ids[index] not in done]
            if missing:
                lines = _answer(reader, [dataset[index] for index in batch], task, max_new_tokens)
                file.writelines(json.dumps(line) + "\n" for line in lines if line["id"] in missing)
                file.flush()
                progress.update(len(missing))
    return read_predictions(path)


def start_or_resume(path: str | Path, settings: Mapping[str, Any]) -> str:
    """Make the predictions file at `path` belong to `settings`; returns "new", "resumed" or "anew".

    `evaluation.json` beside the file holds the settings it was made with. Where they differ, the old
    predictions are removed, so that two models are never mixed in one file.
    """
    path = Path(path)
    header = path.with_name("evaluation.json")
    path.parent.mkdir(parents=True, exist_ok=True)
    state = "new"
    if path.exists():
        if header.exists() and _read_header(header) == json.loads(json.dumps(settings)):
            return "resumed"
        path.unlink()
        state = "anew"
    write_json(header, settings)
    return state


def fingerprint(model: str | Path) -> list[list[Any]] | None:
    """Name, size and time of the files a directory's answers depend on; None for a Hub id."""
    if not Path(model).is_dir():
        return None
    files = sorted(file for file in Path(model).iterdir() if file.suffix in _WEIGHTS_AND_SETTINGS)
    return [[file.name, file.stat().st_size, file.stat().st_mtime_ns] for file in files]


def _read_header(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        return None


def _resume(path: Path) -> list[dict[str, Any]]:
    """The whole lines of an earlier run; a half-written last one is removed from the file."""
    if not path.exists():
        return []
    with open(path, "r+b") as file:
        file.truncate(file.read().rfind(b"\n") + 1)
    return read_predictions(path)


def _unique(ids: Iterable[str]) -> list[str]:
    ids = list(ids)
    twice = [page for page, count in Counter(ids).items() if count > 1]
    if twice:
        raise WorkError(f"{len(twice)} page ids come more than once, e.g. {twice[0]!r}: make them unique")
    return ids


def _answer(
    reader: DocumentReader, rows: list[Mapping[str, Any]], task: str, max_new_tokens: int
) -> list[dict[str, Any]]:
    """The lines of one batch of page records."""
    prompts = [build_prompt(task, row, reader.prompts) for row in rows]
    answers = reader.generate([to_rgb(row["image"]) for row in rows], prompts, max_new_tokens)
    return [
        prediction_line(row["id"], prompt, build_target(task, row), (row["width"], row["height"]), answer)
        for row, prompt, answer in zip(rows, prompts, answers, strict=True)
    ]
