"""What a build would be, from the list of the files alone: the pages of each split, and a digest."""

import argparse
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

from data_scripts.file_tree import FileTree, digest_trees, list_files
from data_scripts.formats import FORMATS, choose_format, choose_level
from data_scripts.formats.page import Page
from data_scripts.label_map import load_label_map
from data_scripts.page_options import PageOptions
from data_scripts.splits import FOLDERS, find_folders, find_split_folders, split_by_hash
from ocr2_hf.document.page_files import PAGE_SUFFIXES, PDF_SUFFIX
from ocr2_hf.errors import UsageError

# Count up when the same files would give other rows than before: built datasets are then built again.
RECIPE = 2
# Files of which earlier builds gave the same rows. Folders with others count one more: BMPs, GIFs and TIFFs of several
# pages were rejected.
_UNCHANGED = (".png", ".jpg", ".jpeg", PDF_SUFFIX)


@dataclass
class Plan:
    """What a build would be. `digest` tells one from another by the files' names, sizes and times alone: pages are
    listed only when they are asked for, as that may take reading every annotation."""

    options: PageOptions
    digest: str
    list_splits: Callable[[], dict[str, list[Page]]]

    @cached_property
    def splits(self) -> dict[str, list[Page]]:
        """The pages of each split, none empty. Raises `WorkError` where pages cannot be told apart."""
        listed = self.list_splits()
        for split, pages in listed.items():
            if not pages:
                warn(f"the {split} split is empty and is left out")
        return {split: pages for split, pages in listed.items() if pages}

    @property
    def pages(self) -> int:
        return sum(map(len, self.splits.values()))


def make_plan(args: argparse.Namespace) -> Plan:
    """List the files and recognise their format.

    Raises `UsageError` where a folder is missing, `WorkError` where there are no annotations.
    """
    for option in ("annotations", "images"):
        folder = getattr(args, option)
        if folder and not folder.is_dir():
            raise UsageError(f"--{option}: no folder {folder}")
    chosen, trees, list_splits = _plan_folders(args) if args.split == "folders" else _plan_hash(args)
    label_map = load_label_map(args.label_map) if args.label_map else {}
    level = choose_level(chosen, args.level)
    options = PageOptions(chosen, level, label_map, args.check == "full", args.tokenizer)
    if args.tokenizer and Path(args.tokenizer).is_dir():
        trees = [*trees, list_files(Path(args.tokenizer))]
    return Plan(options, _digest(args, options, trees), list_splits)


def warn(message: str) -> None:
    print(f"warning: {message}", file=sys.stderr)


_Planned = tuple[str, list[FileTree], Callable[[], dict[str, list[Page]]]]


def _plan_hash(args: argparse.Namespace) -> _Planned:
    annotation_folder, image_folder = find_folders(args.annotations, args.images)
    annotations = list_files(annotation_folder)
    images = annotations if image_folder == annotation_folder else list_files(image_folder)
    chosen = choose_format(args.format, [annotations])
    if named := [name for names in FOLDERS.values() for name in names if (annotation_folder / name).is_dir()]:
        warn(f"{annotation_folder} has {', '.join(named)} in it: --split folders would keep them apart")

    def list_splits() -> dict[str, list[Page]]:
        pages = FORMATS[chosen].list_pages(annotations, images)
        splits = split_by_hash(pages, args.val, args.test, args.group_by)
        shares = {"train": 1 - args.val - args.test, "validation": args.val, "test": args.test}
        return {split: splits[split] for split, share in shares.items() if share > 0}

    return chosen, [annotations, images], list_splits


def _plan_folders(args: argparse.Namespace) -> _Planned:
    folders = find_split_folders(args.annotations, args.images)
    trees = {split: (list_files(pair[0]), list_files(pair[1])) for split, pair in folders.items()}
    chosen = choose_format(args.format, [pair[0] for pair in trees.values()])

    def list_splits() -> dict[str, list[Page]]:
        return {split: FORMATS[chosen].list_pages(*pair) for split, pair in trees.items()}

    return chosen, [tree for pair in trees.values() for tree in pair], list_splits


def _digest(args: argparse.Namespace, options: PageOptions, trees: list[FileTree]) -> str:
    choices = {name: getattr(args, name) for name in ("split", "val", "test", "on_error", "max_bad")}
    choices |= {"group_by": args.group_by.pattern if args.group_by else None, "recipe": recipe_number(trees)}
    return digest_trees(trees, choices | asdict(options))


def recipe_number(trees: list[FileTree]) -> int:
    """The version of the rows that these files give."""
    names = (name.lower() for tree in trees for name in tree.files)
    return RECIPE + any(name.endswith(PAGE_SUFFIXES) and not name.endswith(_UNCHANGED) for name in names)
