"""What a recipe needs: parameters, what trains, tokens per page, FLOPs and memory; no weights, no GPU, no network.

    ocr2 plan RECIPE [--gpu_memory GB] [--page 1240x1754] [--target_tokens N] [--key value ...]

Parameters and tokens are exact; FLOPs are counted from the model's own code on tensors without values; memory is an
estimate for one process without sharding.
"""

import argparse
import sys

from ocr2_hf.commands.arguments import positive_integer
from ocr2_hf.data.images import ImageSettings
from ocr2_hf.errors import UsageError, run_command
from ocr2_hf.modeling import budget
from ocr2_hf.modeling.adapters import counts_table, trainable_counts
from ocr2_hf.recipe import OCR2TrainingArguments, load_recipe
from ocr2_hf.training.job import training_dtype

PAGES = ((640, 640), (1024, 1024), (1240, 1754), (1754, 1240), (1700, 2200), (2480, 3508))


def main(argv: list[str] | None = None) -> int:
    options, overrides = _parser().parse_known_args(argv)
    recipe = load_recipe(options.recipe, overrides)
    args = recipe.training_arguments()
    policy, dtype = recipe.model, training_dtype(recipe, args)
    half = args.bf16 or args.fp16 or dtype != "float32"
    images = budget.image_settings(policy.model, args.max_patches)
    model = budget.outline(policy, dtype, box_head=args.box_source == "head")
    print(f"{options.recipe}: {policy.model}, weights in {dtype}")
    _print_parameters(model)
    _print_tokens(images, args.max_length)
    step = _step(images, args, options)
    work = budget.step_work(policy, images, step)
    _print_flops(work, step, args)
    _print_memory(budget.memory(model, work, step, str(args.optim), half), options.gpu_memory)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="ocr2 plan",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("recipe", help="a recipe YAML; every further --key value overrides one of its keys")
    parser.add_argument("--gpu_memory", type=positive_integer, metavar="GB", help="memory of one GPU: does it fit?")
    parser.add_argument("--page", type=_size, default=(1240, 1754), help="page in pixels (1240x1754: A4 at 150 dpi)")
    parser.add_argument("--target_tokens", type=positive_integer, default=600, help="text tokens of a page (600)")
    return parser


def _size(text: str) -> tuple[int, int]:
    width, _, height = text.partition("x")
    try:
        return positive_integer(width), positive_integer(height)
    except argparse.ArgumentTypeError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not WIDTHxHEIGHT in pixels") from error


def _step(images: ImageSettings, args: OCR2TrainingArguments, options: argparse.Namespace) -> budget.Step:
    tiles = images.tiles(*options.page)
    length = images.tokens(tiles) + options.target_tokens
    if length > args.max_length:
        raise UsageError(
            f"a page of {length:,} tokens ({images.tokens(tiles):,} visual) is longer than max_length "
            f"{args.max_length} and would be left out: raise max_length, lower max_patches, "
            "or set --page and --target_tokens"
        )
    return budget.Step(
        batch=args.per_device_train_batch_size,
        tiles=tiles,
        visual_tokens=images.tokens(tiles),
        target_tokens=options.target_tokens,
        chunks=args.loss_chunks,
        checkpointing=args.gradient_checkpointing,
    )


def _print_parameters(model) -> None:
    parts = budget.parameters_by_part(model)
    print("\nparameters")
    for part, size in [*parts.items(), ("all", sum(parts.values()))]:
        print(f"  {part:<15}{size:>15,}")
    print(f"\ntrains\n{counts_table(trainable_counts(model))}")


def _print_tokens(images: ImageSettings, max_length: int) -> None:
    print("\nvisual tokens of a page (the rest, up to max_length, is for prompt and target)")
    for width, height in PAGES:
        tiles = images.tiles(width, height)
        tokens = images.tokens(tiles)
        left = f"{max_length - tokens:>6,} left" if tokens < max_length else "too long"
        print(f"  {width:>5} x {height:<5} {tiles} tiles {tokens:>6,} tokens, {left}")


def _print_flops(work: budget.StepWork, step: budget.Step, args: OCR2TrainingArguments) -> None:
    flops = work.flops(step.checkpointing)
    pages = step.batch * args.gradient_accumulation_steps
    print(f"\nFLOPs of a page with {step.visual_tokens:,} visual and {step.target_tokens:,} target tokens")
    for part, number in flops.items():
        print(f"  {part:<15}{number / step.batch / 1e12:>12.4f} TFLOP")
    total = sum(flops.values()) / step.batch / 1e12
    print(f"  {'all':<15}{total:>12.4f} TFLOP, {total * pages:.4f} in a step of {pages} pages per process")


def _print_memory(parts: dict[str, int], gpu_memory: int | None) -> None:
    total = sum(parts.values())
    print("\nmemory of one process, estimated")
    for part, size in [*parts.items(), ("all", total)]:
        print(f"  {part:<24}{size / 1e9:>9.2f} GB")
    if gpu_memory is not None:
        print(f"  {budget.verdict(parts, gpu_memory)}")


if __name__ == "__main__":
    sys.exit(run_command(main))
