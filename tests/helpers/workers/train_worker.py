"""For the workers that launchers start: trains by a recipe like `ocr2 train` and writes down what a test wants to see.

RESULT_DIR/RANK.json: world size, distributed type, tiles of every micro-batch; RESULT_DIR/logits.pt (rank 0): the
trained model's logits for `probe_batch`.
"""

import gc
import json
import sys
from pathlib import Path

import torch
from PIL import Image

from ocr2_hf.data.collator import GenerationCollator
from ocr2_hf.recipe import load_recipe
from ocr2_hf.training import job
from ocr2_hf.training.trainer import OCR2Trainer


def probe_batch(processor) -> dict[str, torch.Tensor]:
    """Two pages that no training saw, one with tiles and one without."""
    pages = [Image.linear_gradient("L").resize(size).convert("RGB") for size in ((120, 90), (300, 250))]
    return GenerationCollator(processor)(pages, ["<image>\nFree OCR."] * 2)


class WatchedTrainer(OCR2Trainer):
    """Notes how many tiles each micro-batch has."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.tiles = []

    def get_batch_samples(self, *args):
        batches, sums = super().get_batch_samples(*args)
        self.tiles += [int(batch["num_local_patches"].sum()) for batch in batches]
        return batches, sums


def main(result: Path, recipe_path: str, overrides: list[str]):
    recipe = load_recipe(recipe_path, overrides)
    args = recipe.training_arguments()
    job.OCR2Trainer = WatchedTrainer
    trainer = job.build_trainer(recipe, args)
    job.run(trainer, recipe)
    accelerator = trainer.accelerator
    with torch.no_grad():
        trainer.model_wrapped.eval()
        logits = trainer.model_wrapped(**probe_batch(trainer.processor)).logits
    told = {
        "world": accelerator.num_processes,
        "distributed": str(accelerator.distributed_type),
        "wrapped": type(trainer.model_wrapped).__name__,
        "tiles": trainer.tiles,
        "log": trainer.state.log_history,
    }
    (result / f"{accelerator.process_index}.json").write_text(json.dumps(told))
    if accelerator.is_main_process:
        torch.save(logits.float(), result / "logits.pt")
    accelerator.wait_for_everyone()
    return accelerator


def program_words() -> list[str]:
    """This program's words, without the flag that the deepspeed launcher puts first."""
    return [word for word in sys.argv[1:] if not word.startswith("--local_rank")]


def train_and_end(result: Path, recipe_path: str, overrides: list[str]) -> None:
    result.mkdir(parents=True, exist_ok=True)
    group = main(result, recipe_path, overrides)
    gc.collect()
    group.end_training()
