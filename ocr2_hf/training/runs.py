"""A run and its folder: whether to start, go on, or leave it alone."""

import json
import logging
from pathlib import Path

from ocr2_hf.errors import UsageError
from ocr2_hf.publishing.contents import STATE_FILE
from ocr2_hf.recipe import OCR2TrainingArguments, Recipe
from ocr2_hf.recipe_fields import IDENTITY
from ocr2_hf.recipe_file import read_saved
from ocr2_hf.training.checkpoints import COMPLETE, complete_checkpoints, remove_incomplete
from ocr2_hf.training.early_stopping import stopped_early

logger = logging.getLogger(__name__)


def check_same_run(recipe: Recipe, output_dir: str | Path) -> None:
    """Raise `UsageError` when the folder holds a run of another recipe: going on from it would mix two runs."""
    before, now = read_saved(output_dir), recipe.resolved()
    changed = [name for name in IDENTITY if name in before and before[name] != now.get(name)]
    if changed:
        told = "\n".join(f"  - {name}: {before[name]!r} there, {now.get(name)!r} now" for name in changed)
        raise UsageError(
            f"{output_dir} holds a run of another recipe; choose another --output_dir or remove it\n{told}"
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
    if args.resume_from_checkpoint and args.resume_from_checkpoint != "true":
        return args.resume_from_checkpoint
    with args.main_process_first(desc="looking for checkpoints"):
        if args.process_index == 0:
            for path in remove_incomplete(args.output_dir):
                logger.warning("removed %s: it was not saved to the end", path)
        checkpoints = [
            path
            for path in complete_checkpoints(args.output_dir)
            if not stopped_early(trainer_state(path), args.early_stopping_patience)
        ]
    return str(checkpoints[-1]) if checkpoints else None


def trainer_state(folder: Path) -> dict:
    """The trainer state of a run or of a checkpoint."""
    return json.loads((folder / STATE_FILE).read_text(encoding="utf-8"))
