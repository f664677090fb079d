"""A run's folder: which of its checkpoints count, and whether to start, to go on from one, or to leave it alone.

The library saves a checkpoint in place and resumes from the highest number, finished or not. Here a checkpoint counts
only once the file `complete` lies in it, which is written last, after every process has saved its part. The same file
in the run's folder says that the final model is whole.
"""

import json
import logging
import shutil
from pathlib import Path
from typing import Any

from ocr2_hf.data.load import built_digests
from ocr2_hf.data.shares import shares_of
from ocr2_hf.document.atomic_files import write_json
from ocr2_hf.document.output_folder import check_own_folder
from ocr2_hf.errors import UsageError
from ocr2_hf.modeling.model_files import BASE_FOLDER
from ocr2_hf.publishing.contents import POLICY_FILE, STATE_FILE, read_json
from ocr2_hf.recipe import OCR2TrainingArguments, Recipe
from ocr2_hf.recipe_fields import IDENTITY
from ocr2_hf.recipe_file import RECIPE_FILE, read_saved

logger = logging.getLogger(__name__)

COMPLETE = "complete"
TRAINED_ON_FILE = "trained_on.json"  # name -> digest of the built datasets
# By any of these a folder is known as a run, also as one of an earlier version.
_MARKS = (TRAINED_ON_FILE, POLICY_FILE, STATE_FILE, "checkpoint-*", "stage-*")


def mark_complete(folder: str | Path) -> None:
    """Say that everything of a checkpoint, or of a run, is saved."""
    (Path(folder) / COMPLETE).touch()


def mark_incomplete(folder: str | Path) -> None:
    """Take that back: before something in the folder is written or removed."""
    (Path(folder) / COMPLETE).unlink(missing_ok=True)


def step_of(checkpoint: Path) -> int:
    """The optimizer step after which a checkpoint was saved, by its name."""
    return int(checkpoint.name.removeprefix("checkpoint-"))


def complete_checkpoints(output_dir: str | Path) -> list[Path]:
    """The checkpoints of a run that were saved to the end, in the order of their steps."""
    return sorted((path for path in _checkpoints(output_dir) if (path / COMPLETE).is_file()), key=step_of)


def remove_incomplete(output_dir: str | Path) -> list[Path]:
    """Delete what a killed save left behind; returns what was deleted."""
    broken = [path for path in _checkpoints(output_dir) if not (path / COMPLETE).is_file()]
    for path in broken:
        shutil.rmtree(path)
    return broken


def rotate(output_dir: str | Path, limit: int | None, keep: str | None) -> None:
    """Delete the oldest checkpoints above `limit`, never the newest nor `keep` (the best one)."""
    if not limit or limit <= 0:
        return
    checkpoints = complete_checkpoints(output_dir)
    removable = [path for path in checkpoints[:-1] if path != Path(keep or "")]
    for path in removable[: max(0, len(checkpoints) - limit)]:
        mark_incomplete(path)  # from here on it no longer counts, whenever the rest is interrupted
        shutil.rmtree(path)


def _checkpoints(output_dir: str | Path) -> list[Path]:
    return [path for path in Path(output_dir).glob("checkpoint-*") if path.is_dir() and path.name[11:].isdigit()]


def save_identity(recipe: Recipe, output_dir: str | Path) -> None:
    """Write down what makes the run in the folder this run: its recipe, and the digests of its built datasets."""
    write_json(Path(output_dir) / TRAINED_ON_FILE, _digests(recipe))
    recipe.save(Path(output_dir) / RECIPE_FILE)


def _digests(recipe: Recipe) -> dict[str, str]:
    guard = [recipe.data.guard_dataset] if recipe.data.guard_dataset else []
    return built_digests([*shares_of(recipe.data.dataset), *guard])


def check_folder(output_dir: str | Path) -> None:
    """Raise `UsageError` where the folder holds something, and no run."""
    # A recipe may have been written there by hand; a base is kept before anything else.
    check_own_folder(Path(output_dir), _MARKS, (RECIPE_FILE, BASE_FOLDER), "training")


def check_same_run(recipe: Recipe, output_dir: str | Path) -> None:
    """Raise `UsageError` when the folder holds a run of another recipe, or over other pages: going on from it would mix
    two runs. A run of a version that did not keep its datasets' digests goes on."""
    before, now = read_saved(output_dir), recipe.resolved()
    changed = [name for name in IDENTITY if name in before and before[name] != now.get(name)]
    if changed:
        told = "\n".join(f"  - {name}: {before[name]!r} there, {now.get(name)!r} now" for name in changed)
        raise UsageError(
            f"{output_dir} holds a run of another recipe; choose another --output_dir or remove it\n{told}"
        )
    trained_on = read_json(Path(output_dir) / TRAINED_ON_FILE) if before else {}
    rebuilt = [name for name, digest in _digests(recipe).items() if trained_on.get(name, digest) != digest]
    if rebuilt:
        raise UsageError(
            f"{output_dir} holds a run over other pages: {', '.join(rebuilt)} was built again since, from other files "
            "or with other options; choose another --output_dir or remove it"
        )


def already_finished(args: OCR2TrainingArguments) -> bool:
    """Whether the folder holds the final model, whole, of as many steps and epochs as are asked for, or of as many as
    early stopping let it take."""
    folder = Path(args.output_dir)
    if not (folder / COMPLETE).is_file():
        return False
    state = trainer_state(folder)
    if stopped_early(state, args.early_stopping_patience):
        return True
    if args.max_steps > 0:
        return state["global_step"] >= args.max_steps
    return state["epoch"] is not None and state["epoch"] >= args.num_train_epochs


def resume_from(args: OCR2TrainingArguments) -> str | None:
    """The checkpoint to go on from: the one the recipe names, else the last complete one of the run.

    A run killed after early stopping goes on from before it, and stops once more: from the checkpoint at which it
    stopped it would train on.
    """
    if (named := named_checkpoint(args)) is not None:
        return named
    with args.main_process_first(desc="looking for checkpoints"):
        if args.process_index == 0:
            for path in remove_incomplete(args.output_dir):
                logger.warning("removed %s: it was not saved to the end", path)
        for path in reversed(complete_checkpoints(args.output_dir)):
            if not stopped_early(trainer_state(path), args.early_stopping_patience):
                return str(path)
    return None


def named_checkpoint(args: OCR2TrainingArguments) -> str | None:
    """The checkpoint that the recipe names; None where it names none, or says with `true` that there is one."""
    return None if args.resume_from_checkpoint in (None, "", "true") else args.resume_from_checkpoint


def trainer_state(folder: Path) -> dict[str, Any]:
    """The trainer state of a run or of a checkpoint."""
    return json.loads((folder / STATE_FILE).read_text(encoding="utf-8"))


def stopped_early(state: dict[str, Any], patience: int | None) -> bool:
    """Whether a trainer state is one of a run that had waited long enough."""
    return patience is not None and evaluations_waited(state) >= patience


def evaluations_waited(state: dict[str, Any]) -> int:
    """How many evaluations in a row had brought nothing better, as `callbacks.EarlyStopping` left it in the state."""
    saved = state.get("stateful_callbacks", {}).get("EarlyStopping")
    return saved["attributes"]["early_stopping_patience_counter"] if saved else 0
