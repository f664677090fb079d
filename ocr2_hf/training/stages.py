"""Progressive training: one trainer per stage, each from the weights of the stage before, in one launch.

Stage N of a run lies in `OUTPUT_DIR/stage-N-NAME/` like a run of its own; the last stage's model is the run's.
"""

import gc
import json
import logging
from pathlib import Path

from accelerate import Accelerator

from ocr2_hf.document.atomic_files import copy_whole, write_whole
from ocr2_hf.modeling.model_files import ADAPTER_FILE, BASE_FOLDER, local_base, place_base
from ocr2_hf.publishing.contents import CURVES_FILE, STATE_FILE
from ocr2_hf.recipe import RECIPE_FILE, OCR2TrainingArguments, Recipe
from ocr2_hf.training.curves import draw_curves
from ocr2_hf.training.guard import BASE_FILE
from ocr2_hf.training.job import build_trainer, run
from ocr2_hf.training.run_folder import COMPLETE, already_finished, mark_complete, save_identity, trainer_state

logger = logging.getLogger(__name__)


def run_stages(recipe: Recipe, args: OCR2TrainingArguments) -> Accelerator:
    """Run the stages that are not finished yet, one after the other; then put the result together."""
    if args.process_index == 0:
        save_identity(recipe, args.output_dir)
    folders = [Path(args.output_dir) / f"stage-{number}-{stage.name}" for number, stage in enumerate(recipe.stages, 1)]
    model = recipe.model.model
    for number, folder in enumerate(folders):
        guard_base = folders[number - 1] / BASE_FILE
        if number and args.process_index == 0 and guard_base.is_file():
            # The guard compares with the run's base, not with what the stage before made of it.
            copy_whole(guard_base, folder / BASE_FILE)
        accelerator = run_stage(stage_recipe(recipe, number, folder, model))
        model = str(folder)
    if args.process_index == 0:
        put_together(recipe, folders, Path(args.output_dir))
    accelerator.wait_for_everyone()
    logger.info("saved %s", args.output_dir)
    return accelerator


def stage_recipe(recipe: Recipe, number: int, folder: Path, model: str) -> Recipe:
    """The recipe of one stage: the run's with the stage's keys over it, and its share of the epochs and steps."""
    stage = recipe.stages[number]
    steps = recipe.training("max_steps")
    values = recipe.values | stage.values | {"output_dir": str(folder), "model": model}
    values["num_train_epochs"] = recipe.training("num_train_epochs") * stage.share
    values["max_steps"] = max(1, round(steps * stage.share)) if steps > 0 else -1
    return Recipe.of(values)


def run_stage(recipe: Recipe) -> Accelerator:
    """Train one stage, or find it finished; nothing of its trainer is left but the accelerator."""
    args = recipe.training_arguments()
    if already_finished(args):
        logger.info("%s is finished", args.output_dir)
        return Accelerator(cpu=args.use_cpu)
    logger.info("== %s", Path(args.output_dir).name)
    trainer = build_trainer(recipe, args)
    run(trainer, recipe)
    accelerator = trainer.accelerator
    accelerator.wait_for_everyone()
    accelerator.free_memory()
    del trainer
    gc.collect()
    return accelerator


def put_together(recipe: Recipe, folders: list[Path], output_dir: Path) -> None:
    """Copy the last stage's model into the run's folder and write down the steps of all stages."""
    for path in folders[-1].iterdir():
        if path.is_file() and path.name not in (RECIPE_FILE, STATE_FILE, COMPLETE):
            copy_whole(path, output_dir / path.name)
    if (output_dir / ADAPTER_FILE).is_file():
        _move_base(output_dir, folders[-1])
    states = [trainer_state(folder) for folder in folders]
    state = _joined(recipe, states)
    write_whole(output_dir / STATE_FILE, json.dumps(state, indent=2))  # a step's values may be no finite numbers
    draw_curves(state["log_history"], output_dir / CURVES_FILE)
    mark_complete(output_dir)


def _move_base(output_dir: Path, last: Path) -> None:
    """A base that a stage kept belongs to the run: it comes to lie beside the run's adapter."""
    base = local_base(last)
    if base is None:
        return
    if output_dir.resolve() in base.resolve().parents:
        kept = output_dir / BASE_FOLDER
        if base.resolve() != kept.resolve():
            base.replace(kept)
        base = kept
    place_base(output_dir, base)


def _joined(recipe: Recipe, states: list[dict]) -> dict:
    """One trainer state: steps and epochs counted on, every row with the name of its stage."""
    joined = states[-1] | {"log_history": [], "global_step": 0, "epoch": 0.0}
    for stage, state in zip(recipe.stages, states, strict=True):
        for row in state["log_history"]:
            place = {"step": row["step"] + joined["global_step"], "epoch": row["epoch"] + joined["epoch"]}
            joined["log_history"].append(row | place | {"stage": stage.name})
        joined["global_step"] += state["global_step"]
        joined["epoch"] += state["epoch"]
    return joined
