"""Look at a built dataset before training on it: counts, lengths, pages that leak between splits, overlays.

    ocr2 inspect letters --output_dir letters_inspected

Writes `summary.json`, `lengths.png`, `duplicates.jsonl` (near-duplicate pages that stand in two splits) and
`overlays/SPLIT-ID.png`: pages with their boxes, labels and reading order, for a person to look at.
"""

import argparse
import sys
from pathlib import Path

if __name__ == "__main__":  # the package of this checkout, also where none or another is installed
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from data_scripts.arguments import count, script_parser
from ocr2_hf.data.column_names import COLUMNS_HELP, parse_columns
from ocr2_hf.document.folder_lock import folder_lock
from ocr2_hf.document.hub_names import BASE_MODEL
from ocr2_hf.errors import run_command, writing_to


def main(argv: list[str] | None = None, prog: str | None = None) -> int:
    """Count, compare, draw and print; `prog` is what --help calls the program.

    Raises `UsageError` where there is no such dataset or tokenizer, `WorkError` where the disk fails.
    """
    args = parse_arguments(argv, prog)
    with folder_lock(args.output_dir):
        inspect_dataset(args)
    return 0


def inspect_dataset(args: argparse.Namespace) -> None:
    """Inspect what `args` name. Raises as `main`."""
    from ocr2_hf.data.load import load_dataset  # loads datasets, which a wrong call does not need

    splits = dict(load_dataset(args.name, columns=args.columns))
    from data_scripts.inspection import inspect  # loads torch and transformers
    from data_scripts.token_lengths import choose_lengths

    lengths, tokenizer = choose_lengths(args.tokenizer, BASE_MODEL)
    with writing_to(args.output_dir):
        inspect(splits, lengths, tokenizer, args)


def parse_arguments(argv: list[str] | None, prog: str | None = None) -> argparse.Namespace:
    """The arguments of an inspection; status 2 where they are wrong."""
    parser = script_parser(__doc__, prog)
    add = parser.add_argument
    add("name", help="a built dataset, one on the Hub (ORG/NAME), or a folder of Parquet files or images with metadata")
    add("--columns", type=parse_columns, metavar="image=NAME,...", help=COLUMNS_HELP)
    add("--output_dir", type=Path, required=True)
    add("--limit", type=count, default=12, help="pages of each split that are drawn, evenly spaced (default 12)")
    add("--tokenizer", metavar="DIR|ID", help=f"whose tokens are counted (default {BASE_MODEL})")
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(run_command(main))
