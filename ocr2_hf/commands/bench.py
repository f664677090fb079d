"""How fast a recipe trains and in how much memory: random weights at its size, pages drawn here; nothing is downloaded.

    ocr2 bench RECIPE --output FILE.json [--against trainer | KEY=VALUE ...] [--batch_sizes 1,2,4]
        [--tiles 0:1,6:2] [--target_tokens 600] [--sweep tiles:0,2,6 ...] [--key value ...]

Writes FILE.json and the same as a picture, FILE.png. `--against trainer` runs the same work with the stock `Trainer`,
the model's own loss and a plain collator around the stock processor, taking turns, and tells ratios; `--against
KEY=VALUE` does so with this trainer and the recipe with that changed. Of a recipe with stages the first is benched.
"""

import argparse
import json
from functools import partial
from typing import TYPE_CHECKING

from ocr2_hf.benchmark.workload import SWEEPS, PageMix, Workload, sweep
from ocr2_hf.commands.arguments import command_parser, page_size, positive_integer, read_recipe, shares, whole_number
from ocr2_hf.commands.outputs import output_file
from ocr2_hf.document.atomic_files import write_json

if TYPE_CHECKING:
    from ocr2_hf.recipe import Recipe


def main(argv: list[str] | None = None) -> int:
    """Run the benchmark and write its results."""
    options, overrides = _parser().parse_known_args(argv)
    recipe, output = read_recipe(options.recipe, overrides), output_file(options.output)
    from ocr2_hf.benchmark.contenders import baseline, first_stage
    from ocr2_hf.benchmark.machine import end_processes, is_main_process, launched_run
    from ocr2_hf.benchmark.plot import draw_benchmark
    from ocr2_hf.benchmark.results import bench
    from ocr2_hf.training.launch_checks import check_machine

    recipe = first_stage(recipe)
    check_machine(recipe, recipe.training_arguments())
    batch_sizes = options.batch_sizes or (recipe.training("per_device_train_batch_size"),)
    mix = PageMix(options.tiles, options.target_tokens)
    workload = Workload(mix, batch_sizes[0], options.steps, options.warmup, options.rounds, options.pages)
    results = _alone(recipe, workload, options) or bench(
        recipe,
        workload,
        batch_sizes,
        baseline(recipe, options.against, options.recipe, overrides) if options.against else None,
        options.sweep,
        partial(launched_run, [options.recipe, *overrides], workload),
        print if is_main_process() else lambda line: None,
    )
    if is_main_process():
        write_json(output, {"recipe": options.recipe, "overrides": overrides, **results})
        if "runs" in results:
            draw_benchmark(results, output.with_suffix(".png"))
        print(f"wrote {output}")
    end_processes()
    return 0


def _alone(recipe: "Recipe", workload: Workload, options: argparse.Namespace) -> dict | None:
    """--loss or --data, which run no training."""
    from ocr2_hf.benchmark.machine import describe
    from ocr2_hf.benchmark.microbenchmarks import bench_data, bench_loss, recipe_loss

    if options.loss:
        results = bench_loss(recipe_loss(recipe, *options.loss, options.supervised), options.rounds)
    elif options.data:
        results = bench_data(recipe, workload.mix, workload.drawn, workload.batch_size, workload.rounds)
    else:
        return None
    print(json.dumps(results, indent=2))
    return {"machine": describe(recipe.training_arguments().device), "loss" if options.loss else "data": results}


def _parser() -> argparse.ArgumentParser:
    parser = command_parser("bench", __doc__, allow_abbrev=False)
    add = parser.add_argument
    add("recipe", help="a recipe YAML; every further --key value overrides one of its keys")
    add("--output", required=True, metavar="FILE.json")
    against = "compare, in the same call, with the stock Trainer, or with the recipe with something changed"
    add("--against", type=opponent, nargs="+", metavar="trainer|KEY=VALUE", help=against)
    sizes = "default: the recipe's per_device_train_batch_size"
    add("--batch_sizes", type=positive_integers, metavar="N,N", help=sizes)
    add("--tiles", type=shares, default={6: 1.0}, metavar="T:SHARE,T:SHARE", help="tiles of a page (6:1)")
    add("--target_tokens", type=shares, default={600: 1.0}, metavar="N:SHARE", help="tokens of a target (600:1)")
    add("--sweep", type=sweep, nargs="+", default=[], metavar="NAME:V,V", help=f"vary {', '.join(SWEEPS)}")
    add("--loss", type=page_size, metavar="BATCHxLENGTH", help="the loss alone, beside the stock model's, no training")
    add("--supervised", type=float, default=1 / 3, metavar="SHARE", help="of the tokens, with --loss (a third)")
    add("--data", action="store_true", help="the collators alone, on one core, no training")
    add("--steps", type=positive_integer, default=4, help="optimizer steps of a round that count (4)")
    add("--warmup", type=whole_number, default=2, help="steps before the first that do not (2)")
    add("--rounds", type=positive_integer, default=5, help="rounds; figures are medians over them (5)")
    add("--pages", type=positive_integer, default=32, help="pages drawn; longer runs meet them again (32)")
    return parser


def positive_integers(text: str) -> tuple[int, ...]:
    """For argparse: whole numbers of at least 1, with commas between."""
    return tuple(positive_integer(word) for word in text.split(","))


def opponent(text: str) -> str:
    """For argparse: `trainer`, or `KEY=VALUE` of a recipe."""
    if text != "trainer" and not all(text.partition("=")):
        raise argparse.ArgumentTypeError(f"{text!r} is neither trainer nor KEY=VALUE with a key of the recipe")
    return text
