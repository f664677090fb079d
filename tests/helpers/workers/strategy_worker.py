"""All that a strategy is tested for, in one launch: splits of one optimizer step, stages, a training.

    python strategy_worker.py RESULT_DIR SPLITS_RECIPE SPLITS STAGES RECIPE [--key value ...]

SPLITS is a JSON list of {"name", overrides...}; each is trained by a trainer of its own. Plain gradient descent with
rate 1 and no clipping: what a saved weight differs by from the fresh one is its gradient. RESULT_DIR/NAME/ is the run,
RESULT_DIR/NAME.json its log row. STAGES is a list of words: a recipe with stages and what overrides it, or nothing;
RESULT_DIR/staged is that run. RECIPE and what follows it are the training's, as in `train_worker.py`.
"""

import gc
import json
from pathlib import Path

from helpers.workers.train_worker import program_words, train_and_end
from ocr2_hf.recipe import load_recipe
from ocr2_hf.training.curves import CurvesCallback
from ocr2_hf.training.job import build_trainer, run
from ocr2_hf.training.stages import run_stages


def one_split(result: Path, recipe_path: str, name: str, overrides: dict) -> None:
    words = [word for key, value in overrides.items() for word in (f"--{key}", str(value))]
    recipe = load_recipe(recipe_path, [*words, "--output_dir", str(result / name)])
    trainer = build_trainer(recipe, recipe.training_arguments())
    trainer.remove_callback(CurvesCallback)  # of one step there is no curve to see, and drawing takes a second
    run(trainer, recipe)
    accelerator = trainer.accelerator
    if accelerator.is_main_process:
        told = trainer.state.log_history[0] | {
            "world": accelerator.num_processes,
            "distributed": str(accelerator.distributed_type),
        }
        (result / f"{name}.json").write_text(json.dumps(told))
    accelerator.wait_for_everyone()
    accelerator.free_memory()


if __name__ == "__main__":
    gc.freeze()  # what is loaded stays: no collection need walk over it again
    folder, splits_recipe, splits, stages, recipe_path, *overrides = program_words()
    for split in json.loads(splits):
        one_split(Path(folder), splits_recipe, split.pop("name"), split)
        gc.collect()
    if stages := json.loads(stages):
        recipe = load_recipe(stages[0], [*stages[1:], "--output_dir", f"{folder}/staged"])
        run_stages(recipe, recipe.training_arguments())
    train_and_end(Path(folder), recipe_path, overrides)
