"""One optimizer step over the same pages, split in several ways; each split by a trainer of its own, in one launch.

    python exactness_worker.py RESULT_DIR RECIPE SPLITS

SPLITS is a JSON list of {"name", overrides...}. Plain gradient descent with rate 1 and no clipping: what a saved weight
differs by from the fresh one is its gradient. RESULT_DIR/NAME/ is the run, RESULT_DIR/NAME.json its log row.
"""

import gc
import json
import sys
from pathlib import Path

from ocr2_hf.recipe import load_recipe
from ocr2_hf.training.job import build_trainer, run


def one_split(result: Path, recipe_path: str, name: str, overrides: dict):
    words = [word for key, value in overrides.items() for word in (f"--{key}", str(value))]
    recipe = load_recipe(recipe_path, [*words, "--output_dir", str(result / name)])
    trainer = build_trainer(recipe, recipe.training_arguments())
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
    return accelerator


if __name__ == "__main__":
    words = [word for word in sys.argv[1:] if not word.startswith("--local_rank")]
    for split in json.loads(words[2]):
        group = one_split(Path(words[0]), words[1], split.pop("name"), split)
        gc.collect()
    group.end_training()
