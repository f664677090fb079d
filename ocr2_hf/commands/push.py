"""Push a trained directory to the Hub.

    ocr2 push runs/letters ORG/letters [--private]

Weights (adapters as adapters), processor, a generation config that stops loops, recipe, metrics, curves, an example
picture and a model card, in one commit. Figures are those of `ocr2 evaluate` in folders inside the directory that are
of its present weights, or those of the folders named with --evaluation. "pushed" is printed once the Hub has been read
back; a push that was broken off is finished by the same command. Log in with `hf auth login`, or set HF_TOKEN.
"""

import argparse
import logging
from pathlib import Path

from ocr2_hf.commands.arguments import command_parser
from ocr2_hf.publishing.hub import PushOptions, push_model


def main(argv: list[str] | None = None) -> int:
    """Push a directory, and say where it went."""
    args = _parse(argv)
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    evaluations = None if args.evaluation is None else tuple(map(Path, args.evaluation))
    options = PushOptions(
        args.private, args.overwrite, not args.no_example, evaluations, args.base, license_id=args.license
    )
    print(f"pushed: {push_model(args.source, args.repo, options)}")
    return 0


def _parse(argv: list[str] | None) -> argparse.Namespace:
    parser = command_parser("push", __doc__)
    parser.add_argument("source", metavar="DIR", help="what `train` or `export --to merged` wrote")
    parser.add_argument("repo", metavar="ORG/NAME", help="created where it is not there")
    parser.add_argument("--private", action="store_true", help="of a new repository; a public one is refused then")
    parser.add_argument("--license", metavar="ID", help="for the card, e.g. apache-2.0 (default: the base's)")
    parser.add_argument("--base", metavar="ORG/NAME", help="the base on the Hub, where it was trained from a copy")
    parser.add_argument(
        "--evaluation", nargs="*", metavar="DIR", help="output_dirs of `evaluate` (default: those inside DIR)"
    )
    parser.add_argument("--no_example", action="store_true", help="publish no picture of a page")
    parser.add_argument("--overwrite", action="store_true", help="also into a repository that holds something else")
    return parser.parse_args(argv)
