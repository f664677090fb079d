"""What a build would be, from the list of the files alone: the pages of each split, and a digest."""

import argparse
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from file_tree import FileTree, digest_trees, list_files
from formats import FORMATS, choose_format, choose_level
from formats.page import Page
from label_map import load_label_map
from ocr2_hf.errors import UsageError
from page_options import PageOptions
from splits import FOLDERS, find_folders, find_split_folders, split_by_hash

# Count up when the same files would give other rows than before: built datasets are then built again.
RECIPE = 2


@dataclass
class Plan:
    """The pages of each split, none empty, and how they are read; `digest` tells one build from another."""

    options: PageOptions
    splits: dict[str, list[Page]]
    digest: str

    @property
    def pages(self) -> int:
        return sum(map(len, self.splits.values()))


def make_plan(args: argparse.Namespace) -> Plan:
    """List the files and choose the splits.

    Raises `UsageError` where a folder is missing, `WorkError` where there are no annotations.
    """
    for option in ("annotations", "images"):
        folder = getattr(args, option)
        if folder and not folder.is_dir():
            raise UsageError(f"--{option}: no folder {folder}")
    chosen, splits, trees = _plan_folders(args) if args.split == "folders" else _plan_hash(args)
    for split, pages in splits.items():
        if not pages:
            warn(f"the {split} split is empty and is left out")
    label_map = load_label_map(args.label_map) if args.label_map else {}
    level = choose_level(chosen, args.level)
    options = PageOptions(chosen, level, label_map, args.check == "full", args.tokenizer)
    if args.tokenizer and Path(args.tokenizer).is_dir():
        trees = [*trees, list_files(Path(args.tokenizer))]
    digest = _digest(args, options, trees)
    return Plan(options, {split: pages for split, pages in splits.items() if pages}, digest)


def warn(message: str) -> None:
    print(f"warning: {message}", file=sys.stderr)


def _plan_hash(args: argparse.Namespace) -> tuple[str, dict[str, list[Page]], list[FileTree]]:
    annotation_folder, image_folder = find_folders(args.annotations, args.images)
    annotations = list_files(annotation_folder)
    images = annotations if image_folder == annotation_folder else list_files(image_folder)
    chosen = choose_format(args.format, [annotations])
    if named := [name for names in FOLDERS.values() for name in names if (annotation_folder / name).is_dir()]:
        warn(f"{annotation_folder} has {', '.join(named)} in it: --split folders would keep them apart")
    splits = split_by_hash(FORMATS[chosen].list_pages(annotations, images), args.val, args.test, args.group_by)
    shares = {"train": 1 - args.val - args.test, "validation": args.val, "test": args.test}
    return (
        chosen,
        {split: splits[split] for split, share in shares.items() if share > 0},
        [annotations, images],
    )


def _plan_folders(args: argparse.Namespace) -> tuple[str, dict[str, list[Page]], list[FileTree]]:
    folders = find_split_folders(args.annotations, args.images)
    trees = {split: (list_files(pair[0]), list_files(pair[1])) for split, pair in folders.items()}
    chosen = choose_format(args.format, [pair[0] for pair in trees.values()])
    splits = {split: FORMATS[chosen].list_pages(*pair) for split, pair in trees.items()}
    return chosen, splits, [tree for pair in trees.values() for tree in pair]


def _digest(args: argparse.Namespace, options: PageOptions, trees: list[FileTree]) -> str:
    choices = {name: getattr(args, name) for name in ("split", "val", "test", "on_error", "max_bad")}
    choices |= {"group_by": args.group_by.pattern if args.group_by else None, "recipe": RECIPE}
    return digest_trees(trees, choices | asdict(options))
