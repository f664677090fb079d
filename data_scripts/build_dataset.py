"""Build a dataset from a folder of annotated pages: checked, split, and from then on known by its name.

    ocr2 build letters --annotations DIR --val 0.25 --test 0.25
    python -c 'from ocr2_hf import load_dataset; print(load_dataset("letters"))'

Every page is checked; rejected pages are listed with their reason in `rejects.jsonl` beside the Arrow
shards, images that no annotation is of in `unannotated.jsonl`. The dataset is built again when a file or an option
changes, and only then.
"""

import argparse
import sys
import time
from pathlib import Path

if __name__ == "__main__":  # the package of this checkout, also where none or another is installed
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from data_scripts.arguments import count, dataset_name, hub_id, pattern, script_parser, share
from data_scripts.build_plan import BAD_BOXES, make_plan
from data_scripts.build_summary import print_summary
from data_scripts.formats import FORMATS
from data_scripts.page_splits import RULES
from data_scripts.record_order import ORDERS
from ocr2_hf.data.column_names import parse_columns
from ocr2_hf.document.records import BOX_UNITS, MAX_BAD
from ocr2_hf.errors import run_command, writing_to


def main(argv: list[str] | None = None, prog: str | None = None) -> int:
    """Build, print the summary, and push where that is asked for; `prog` is what --help calls the program.

    Raises `UsageError` where the call is wrong, `WorkError` where the dataset cannot be built or pushed.
    """
    args = parse_arguments(argv, prog)
    with writing_to(f"the dataset {args.name}"):
        build_or_reuse(args)
    if args.push:
        push(args)
    return 0


def push(args: argparse.Namespace) -> None:
    """Upload the dataset as `args` say."""
    from data_scripts.dataset_push import push_dataset  # only a push needs the Hub's client

    if not args.license:
        print("warning: no --license: the card will say unknown", file=sys.stderr)
    push_dataset(args.name, args.push, args.license or "unknown", args.private)
    print(f'pushed to {args.push}; load it with: ocr2_hf.load_dataset("{args.push}")')


def build_or_reuse(args: argparse.Namespace) -> None:
    """Build what `args` ask for, if it is not there yet, and print the summary."""
    start = time.perf_counter()
    plan = make_plan(args)
    planned = time.perf_counter()
    from data_scripts.build_run import BuildFolder, build  # loads datasets, which a wrong call does not need

    start += time.perf_counter() - planned  # loading is no part of a build
    folder = BuildFolder(args.name)
    with folder.locked():
        plan.follow(folder.before())
        known = folder.is_complete(plan.digest)
        if known:
            folder.remove_others(plan.digest)
        else:
            build(plan, folder, args.on_error == "fail", args.max_bad, min(args.num_proc, plan.pages))
    seconds = time.perf_counter() - start
    state = "unchanged, not built again" if known else "built"
    print_summary(args.name, f"{state} ({seconds:.1f} s)", folder.final(plan.digest))


def parse_arguments(argv: list[str] | None, prog: str | None = None) -> argparse.Namespace:
    """The arguments of a build; status 2 where they are wrong."""
    parser = script_parser(__doc__, prog)
    add = parser.add_argument
    add("name", type=dataset_name, help="the name to load it by: a-z, 0-9, _ and -")
    add("--annotations", type=Path, required=True, help="their folder, or the parent of annotations/ and images/")
    add("--images", type=Path, help="image folder (default: images/ in or beside the annotations, or their folder)")
    add("--format", choices=["auto", *FORMATS], default="auto", help="auto: recognised from the files")
    renamed = "names of the columns of csv, jsonl and json, as in image=scan,text=transcription"
    add("--columns", type=parse_columns, default={}, metavar="KEY=NAME,...", help=renamed)
    levels = sorted({level for module in FORMATS.values() for level in module.LEVELS})
    add("--level", choices=levels, help="what is a region, where the format has lines and words too")
    units = "unit of the boxes where the format leaves it open; relative is 0 to 1, thousand 0 to 1000 (default pixel)"
    add("--box_unit", choices=list(BOX_UNITS), help=units)
    add("--label_map", type=Path, metavar="FILE", help="YAML {class: label, class: null}; null leaves regions out")
    add(
        "--split",
        choices=["auto", *RULES],
        default="auto",
        help="hash: pages never move; rank: exact shares; names: train.json, val/; folders: train, validation (or val) "
        "and test, each with its images; auto: names where there are such, else hash, or what the dataset had before",
    )
    add("--val", type=share, help="share of the pages for validation (default 0.05)")
    add("--test", type=share, help="share of the pages for test (default 0.05)")
    add("--group_by", type=pattern, metavar="REGEX", help="pages whose ids give one match stay in one split")
    add("--check", choices=["header", "full"], default="header", help="full: decode every pixel of every page")
    add(
        "--bad_boxes",
        choices=BAD_BOXES,
        default=BAD_BOXES[0],
        help="empty or turned boxes: leave out or reject the page",
    )
    add("--order", choices=ORDERS, default=ORDERS[0], help="auto: by position where the file states none and goes up")
    add("--on_error", choices=["skip", "fail"], default="skip", help="fail: stop at the first rejected page")
    add("--max_bad", type=share, default=MAX_BAD, help=f"largest share of rejected pages (default {MAX_BAD})")
    add("--tokenizer", metavar="DIR|ID", help="the model's: pages too long for its context even in parts are rejected")
    add("--push", type=hub_id, metavar="ORG/NAME", help="then upload it to the Hub: Parquet with images, and a card")
    add("--license", metavar="ID", help="the licence on the card, as in cc-by-4.0 (default unknown)")
    add("--private", action="store_true", help="with --push: a new dataset on the Hub is private")
    add("--num_proc", type=count, default=1, help="processes that read pages (default 1)")
    args = parser.parse_args(argv)
    if (args.license or args.private) and not args.push:
        parser.error("--license and --private go with --push")
    args.shares_given = (args.val, args.test, args.group_by) != (None, None, None)
    if args.split in ("folders", "names") and args.shares_given:
        parser.error(f"--val, --test and --group_by go with --split hash or rank, not with --split {args.split}")
    args.val = 0.05 if args.val is None else args.val
    args.test = 0.05 if args.test is None else args.test
    if args.val + args.test > 1:
        parser.error(f"--val {args.val:g} and --test {args.test:g} are more than 1 together")
    return args


if __name__ == "__main__":
    sys.exit(run_command(main))
