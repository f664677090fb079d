r"""Fine-tune by a recipe.

    accelerate launch [--config_file accelerate_configs/ddp.yaml] \
        -m ocr2_hf train RECIPE [--key value ...]
    deepspeed --module ocr2_hf train RECIPE \
        --deepspeed accelerate_configs/ds_zero3.json
"""

import argparse
import gc
import logging
from functools import partial
from typing import TYPE_CHECKING

from ocr2_hf.commands.arguments import read_recipe
from ocr2_hf.document.folder_lock import launch_lock
from ocr2_hf.errors import writing_to

if TYPE_CHECKING:
    from accelerate import Accelerator

    from ocr2_hf.recipe import OCR2TrainingArguments, Recipe

logger = logging.getLogger("ocr2_hf")


class _Parser(argparse.ArgumentParser):
    """Knows the recipe's keys when it is asked for help; `load_recipe` parses them."""

    def format_help(self) -> str:
        from ocr2_hf.recipe_help import add_keys

        add_keys(self)
        return super().format_help()


def main(argv: list[str] | None = None) -> int:
    """Train by a recipe, or go on where it was stopped; push where the recipe says so."""
    options, overrides = _parser().parse_known_args(argv)
    recipe = read_recipe(options.recipe, overrides)
    with launch_lock(recipe.training("output_dir")) as refusal:
        _train_and_push(recipe, refusal)
    return 0


def _train_and_push(recipe: "Recipe", refusal: str | None) -> None:
    """`refusal`: why the first process of this launch may not write into the run's folder."""
    args = recipe.training_arguments()
    from ocr2_hf.publishing.hub import PushOptions, push_model
    from ocr2_hf.training.launch_checks import end_all
    from ocr2_hf.training.run_folder import already_finished

    end_all(refusal)
    pushes = bool(recipe.training("push_to_hub")) and args.process_index == 0
    _set_up_logging(args)
    for line in recipe.without_effect():
        logger.warning(line)
    check(recipe, args, pushes)
    if already_finished(args):
        logger.info("%s is finished; train longer with --num_train_epochs or --max_steps", args.output_dir)
    else:
        with writing_to(args.output_dir):
            accelerator = train(recipe, args)
        # gloo's threads must not free tensors while Python shuts down: first everything goes, then the group.
        gc.collect()
        accelerator.end_training()
    if pushes:
        pushed = PushOptions(private=bool(args.hub_private_repo), example=args.hub_example)
        logger.info("pushed: %s", push_model(args.output_dir, args.hub_model_id, pushed))


def check(recipe: "Recipe", args: "OCR2TrainingArguments", pushes: bool) -> None:
    """Raise `UsageError` or `WorkError` for what would go wrong after hours of training."""
    from ocr2_hf.publishing.hub import check_target
    from ocr2_hf.training.launch_checks import check_launch
    from ocr2_hf.training.run_folder import check_folder, check_same_run

    check_launch(recipe, args)
    check_folder(args.output_dir)
    check_same_run(recipe, args.output_dir)
    if pushes:
        check_target(args.hub_model_id, bool(args.hub_private_repo), False, "nothing was started")


def train(recipe: "Recipe", args: "OCR2TrainingArguments") -> "Accelerator":
    """Build the trainer and run it, or the stages one after the other; what is returned outlives them."""
    from ocr2_hf.training.job import build_trainer, run
    from ocr2_hf.training.launch_checks import check_context, check_pages
    from ocr2_hf.training.stages import run_stages

    check_context(recipe)
    check_pages(recipe)
    if recipe.stages:
        return run_stages(recipe, args)
    trainer = build_trainer(recipe, args)
    accelerator = trainer.accelerator
    run(trainer, recipe)
    accelerator.wait_for_everyone()
    return accelerator


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="ocr2 train",
        usage="ocr2 train RECIPE [--key value ...]",
        description=__doc__,
        formatter_class=partial(argparse.RawDescriptionHelpFormatter, max_help_position=8),
        allow_abbrev=False,
    )
    parser.add_argument("recipe", metavar="RECIPE", help="a recipe YAML; --key value overrides one of its keys")
    return parser


def _set_up_logging(args: "OCR2TrainingArguments") -> None:
    from transformers.utils.logging import set_verbosity_warning

    level = logging.INFO if args.process_index == 0 else logging.ERROR
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    logger.setLevel(level)
    set_verbosity_warning()
