"""What a recipe needs: parameters, what trains, tokens per page, FLOPs and memory; no weights, no GPU, no network.

    ocr2 plan RECIPE [--gpu_memory GB] [--page 1240x1754] [--target_tokens N] [--num_processes N] [--key value]

Parameters and tokens are exact; FLOPs are counted from the model's own code on tensors without values, and so is the
memory of one process. Memory under the launch configurations is an estimate. Tokens are those of the recipe's dataset
where it is built; FLOPs are of its median page, memory is of its longest. --page and --target_tokens ask for another.
"""

import argparse

from ocr2_hf.commands.arguments import command_parser, page_size, positive_integer, read_recipe


def main(argv: list[str] | None = None) -> int:
    """Print what a recipe needs."""
    options, overrides = _parser().parse_known_args(argv)
    recipe = read_recipe(options.recipe, overrides)
    from ocr2_hf.planning.plan import make_plan
    from ocr2_hf.planning.printed import print_plan

    plan = make_plan(recipe, recipe.training_arguments(), options.page, options.target_tokens)
    print(f"{options.recipe}: {recipe.model.model}, weights in {plan.dtype}")
    print_plan(plan, options.launchers, options.num_processes, options.gpu_memory)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = command_parser("plan", __doc__, allow_abbrev=False)
    add = parser.add_argument
    add("recipe", help="a recipe YAML; every further --key value overrides one of its keys")
    add("--gpu_memory", type=positive_integer, metavar="GB", help="memory of one GPU: does it fit?")
    add("--page", type=page_size, help="page in pixels (1240x1754, A4 at 150 dpi, where no dataset is built)")
    add("--target_tokens", type=positive_integer, help="text tokens of a page (600, where no dataset is built)")
    add("--num_processes", type=positive_integer, metavar="N", help="of the launch configurations (default: their own)")
    add("--launchers", default="accelerate_configs", metavar="DIR", help="folder of launch configurations")
    return parser
