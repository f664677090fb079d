"""How fast a recipe trains and in how much memory: random weights at its size, pages drawn here; nothing is downloaded.

    ocr2 bench RECIPE --output FILE.json [--against trainer] [--batch_sizes 1,2,4] [--tiles 0:1,6:2]
        [--target_tokens 600] [--sweep tiles:0,2,6 ...] [--key value ...]

Writes FILE.json and the same as a picture, FILE.png. `--against trainer` runs the same work with the stock `Trainer`,
the model's own loss and a plain collator around the stock processor, taking turns, and tells ratios. Of a recipe with
stages the first is benched.
"""

import argparse
import sys
from pathlib import Path

from ocr2_hf.benchmark.measure import Work
from ocr2_hf.benchmark.pages import PageMix
from ocr2_hf.benchmark.plot import draw_benchmark
from ocr2_hf.benchmark.results import SWEEPS, Sweep, bench
from ocr2_hf.commands.arguments import positive_integer, whole_number
from ocr2_hf.errors import run_command
from ocr2_hf.evaluation.files import write_json
from ocr2_hf.recipe import Recipe, load_recipe


def main(argv: list[str] | None = None) -> int:
    options, overrides = _parser().parse_known_args(argv)
    recipe = load_recipe(options.recipe, overrides)
    if recipe.stages:
        recipe = Recipe.of(recipe.values | recipe.stages[0].values)
    batch_sizes = options.batch_sizes or (recipe.training("per_device_train_batch_size"),)
    work = Work(
        PageMix(options.tiles, options.target_tokens),
        batch_sizes[0],
        options.steps,
        options.warmup,
        options.rounds,
        options.pages,
    )
    results = bench(recipe, work, batch_sizes, options.against == "trainer", options.sweep, print)
    output = Path(options.output)
    write_json(output, {"recipe": options.recipe, "overrides": overrides, **results})
    draw_benchmark(results, output.with_suffix(".png"))
    print(f"wrote {output} and {output.with_suffix('.png')}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="ocr2 bench",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("recipe", help="a recipe YAML; every further --key value overrides one of its keys")
    add("--output", required=True, metavar="FILE.json")
    add("--against", choices=("trainer",), help="compare with the stock Trainer in the same call")
    add("--batch_sizes", type=_numbers, metavar="N,N", help="default: the recipe's per_device_train_batch_size")
    add("--tiles", type=_shares, default={6: 1.0}, metavar="T:SHARE,T:SHARE", help="tiles of a page (6:1)")
    add("--target_tokens", type=_shares, default={600: 1.0}, metavar="N:SHARE", help="tokens of a target (600:1)")
    add("--sweep", type=_sweep, nargs="+", default=[], metavar="NAME:V,V", help=f"vary one of {', '.join(SWEEPS)}")
    add("--steps", type=positive_integer, default=8, help="optimizer steps of a round that count (8)")
    add("--warmup", type=whole_number, default=2, help="steps before them that do not (2)")
    add("--rounds", type=positive_integer, default=3, help="rounds; figures are medians over them (3)")
    add("--pages", type=positive_integer, default=32, help="pages drawn; longer runs meet them again (32)")
    return parser


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(positive_integer(word) for word in text.split(","))


def _shares(text: str) -> dict[int, float]:
    """`0:1,6:2` -> {0: 1.0, 6: 2.0}; a number alone has the share 1."""
    shares = {}
    for word in text.split(","):
        value, _, share = word.partition(":")
        try:
            shares[whole_number(value)] = float(share or 1)
        except ValueError as error:
            raise argparse.ArgumentTypeError(f"{word!r} is not NUMBER:SHARE") from error
    if min(shares.values()) < 0 or sum(shares.values()) <= 0:
        raise argparse.ArgumentTypeError(f"{text!r}: shares must not be negative, and not all 0")
    return shares


def _sweep(text: str) -> Sweep:
    name, _, values = text.partition(":")
    if name not in SWEEPS:
        raise argparse.ArgumentTypeError(f"{name!r} is none of {', '.join(SWEEPS)}")
    return Sweep(name, tuple(whole_number(value) for value in values.split(",")))


if __name__ == "__main__":
    sys.exit(run_command(main))
