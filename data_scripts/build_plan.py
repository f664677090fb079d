"""What a build would be, from the list of the files alone: the pages of each split, and a digest."""

import argparse
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from data_scripts.file_tree import FileTree, digest_trees, list_files
from data_scripts.formats import FORMATS, check_columns, choose_box_unit, choose_format, choose_level
from data_scripts.formats.format import Level, ListedPage
from data_scripts.label_map import LabelMap, load_label_map
from data_scripts.page_splits import NAMES, Splits, split_by_hash, split_by_names, split_by_rank
from data_scripts.record_order import ORDERS
from data_scripts.unannotated import Trees
from ocr2_hf.document.page_files import IMAGE_SUFFIXES, PAGE_SUFFIXES, PDF_SUFFIX
from ocr2_hf.errors import UsageError, WorkError

SUMMARY_FILE = "summary.json"
REJECTS = "rejects.jsonl"
# Boxes that are missing, empty or turned round: their regions are left out, or the page is rejected.
BAD_BOXES = ("drop", "reject")
DROPPED = "dropped.jsonl"  # of these regions, beside the rejects
UPWARD = "upward.jsonl"  # and of pages whose lines go up in their file
BACKWARDS = "backwards.jsonl"  # and of pages whose text is written backwards
UNANNOTATED = "unannotated.jsonl"  # and of images that no annotation is of
# Count up when the same files would give other rows than before: built datasets are then built again.
RECIPE = 4
# Files of which earlier builds gave the same rows. Folders with others count one more: BMPs, GIFs and TIFFs of several
# pages were rejected.
_UNCHANGED = (".png", ".jpg", ".jpeg", PDF_SUFFIX)
SHOWN_FILES = 3


@dataclass(frozen=True)
class PageOptions:
    """How the pages of a build are read and checked.

    `level` is one that the format has, or None; `full_check` decodes every pixel; `tokenizer`, a folder or Hub id,
    has every page measured in its tokens. `bad_boxes` (`BAD_BOXES`) is what becomes of them, `order` one of `ORDERS`,
    `box_unit` one that the format can have, or None.
    """

    format: str = "json"
    level: Level = None
    label_map: LabelMap = field(default_factory=dict)
    full_check: bool = False
    tokenizer: str | None = None
    bad_boxes: str = BAD_BOXES[0]
    order: str = ORDERS[0]
    box_unit: str | None = None


@dataclass
class BuildPlan:
    """What a build would be. `digest` tells one from another by the files' names, sizes and times alone: pages are
    listed only when they are asked for, as that may take reading every annotation.

    `source` is the annotation folder. `list_splits` gives the rule (`RULES`) by which the pages were split, and the
    splits; it takes whether pages whose rule nobody chose are split by rank, as a dataset of before stays. `trees` are
    the files that pages are listed from, of annotations and of images.
    """

    options: PageOptions
    source: str
    digest: str
    list_splits: Callable[[bool], tuple[str, Splits]]
    trees: Trees = ()
    by_rank: bool = False

    def follow(self, before: dict[str, Any] | None) -> None:
        """Take into account the summary of the dataset that has the name now: a name keeps its rule, so that no page of
        its test set comes to be trained on, also where the folder was moved; another folder is told."""
        if before is None:
            return
        self.by_rank = before.get("split_by", "rank") == "rank"  # builds of before do not say
        if (source := before.get("annotations", self.source)) != self.source:
            warn(f"the dataset of this name was built from {source}; one of {self.source} is to replace it")

    @cached_property
    def _listed(self) -> tuple[str, Splits]:
        return self.list_splits(self.by_rank)

    @property
    def split_by(self) -> str:
        """The rule, one of `RULES`."""
        return self._listed[0]

    @property
    def splits(self) -> Splits:
        """The pages of each split, none empty. Raises `WorkError` where there are none or they cannot be told apart,
        `UsageError` where how to split them must be chosen."""
        return {split: pages for split, pages in self._listed[1].items() if pages}

    @property
    def empty(self) -> list[str]:
        """The splits that were asked for and have no page."""
        return [split for split, pages in self._listed[1].items() if not pages]

    @property
    def pages(self) -> int:
        """How many there are in all splits."""
        return sum(map(len, self.splits.values()))


def make_plan(args: argparse.Namespace) -> BuildPlan:
    """List the files and recognise their format.

    Raises `UsageError` where a folder is missing, `WorkError` where there are no annotations.
    """
    for option in ("annotations", "images"):
        folder = getattr(args, option)
        if folder and not folder.is_dir():
            raise UsageError(f"--{option}: no folder {folder}")
    by_folder = args.split == "folders"
    given = args.annotations, args.images
    folders = find_split_folders(*given) if by_folder else {"": find_folders(*given)}
    listed = {folder: list_files(folder) for folder in {each for pair in folders.values() for each in pair}}
    named = {folder: replace(tree.once(), columns=args.columns) for folder, tree in listed.items()}
    trees = {split: (named[annotations], listed[images]) for split, (annotations, images) in folders.items()}
    for tree in {annotations: listed[annotations] for annotations, _ in folders.values()}.values():
        for link in tree.again:
            warn(f"{tree.root}/{link} is a folder that is here under another name too: its annotations count once")
    chosen = choose_format(args.format, [annotations for annotations, _ in trees.values()])
    check_columns(chosen, args.columns)
    if not by_folder:
        root = folders[""][0]
        if named := [name for names in NAMES.values() for name in names if (root / name / "annotations").is_dir()]:
            warn(f"{root} has {', '.join(named)} in it: --split folders reads each with the images beside it")
    label_map = load_label_map(args.label_map) if args.label_map else {}
    level = choose_level(chosen, args.level)
    more = {"bad_boxes": args.bad_boxes, "order": args.order, "box_unit": choose_box_unit(chosen, args.box_unit)}
    options = PageOptions(chosen, level, label_map, args.check == "full", args.tokenizer, **more)
    digested = [tree for pair in trees.values() for tree in pair]
    if args.tokenizer and Path(args.tokenizer).is_dir():
        digested.append(list_files(Path(args.tokenizer)))
    source = str(find_folders(*given)[0].resolve())
    list_splits = partial(_list_splits, args, chosen, trees)
    return BuildPlan(options, source, _digest(args, options, digested), list_splits, list(trees.values()))


def _list_splits(
    args: argparse.Namespace, format: str, trees: dict[str, tuple[FileTree, FileTree]], by_rank: bool
) -> tuple[str, Splits]:
    listed = {split: FORMATS[format].list_pages(*pair) for split, pair in trees.items()}
    if not any(listed.values()):
        raise WorkError(_no_page(format, [annotations for annotations, _ in trees.values()]))
    if args.split == "folders":
        return "folders", listed
    pages, root = listed[""], trees[""][0].root
    by_rank = args.split == "rank" or (by_rank and args.split == "auto")
    named = None if args.split in ("hash", "rank") else split_by_names(pages, root, args.split == "names")
    if named is None:
        return ("rank" if by_rank else "hash"), _hashed(pages, args, by_rank)
    if args.shares_given:
        raise UsageError(
            f"{root}: files or folders are named after the splits {', '.join(named)}: keep them by --split names, "
            "without --val, --test and --group_by, or mix them all by --split hash"
        )
    return "names", named


def _no_page(format: str, annotations: list[FileTree]) -> str:
    names = [f"{tree.root}/{name}" for tree in annotations for name in tree.files]
    shown = ", ".join(names[:SHOWN_FILES]) + (
        f" and {len(names) - SHOWN_FILES} more" if len(names) > SHOWN_FILES else ""
    )
    return (
        f"no page is in {shown}: the format {format} is {FORMATS[format].FILES}, and these have none; export the pages "
        "together with their annotations, or name another format with --format"
    )


def warn(message: str) -> None:
    """A warning on stderr."""
    print(f"warning: {message}", file=sys.stderr)


def _hashed(pages: list[ListedPage], args: argparse.Namespace, by_rank: bool) -> Splits:
    splits = (split_by_rank if by_rank else split_by_hash)(pages, args.val, args.test, args.group_by)
    shares = {"train": 1 - args.val - args.test, "validation": args.val, "test": args.test}
    return {split: splits[split] for split, share in shares.items() if share > 0 or splits[split]}


def _digest(args: argparse.Namespace, options: PageOptions, trees: list[FileTree]) -> str:
    choices = {name: getattr(args, name) for name in ("split", "val", "test", "on_error", "max_bad")}
    choices |= {"group_by": args.group_by.pattern if args.group_by else None, "recipe": recipe_number(trees)}
    choices["columns"] = args.columns
    return digest_trees(trees, choices | asdict(options))


def recipe_number(trees: list[FileTree]) -> int:
    """The version of the rows that these files give."""
    names = (name.lower() for tree in trees for name in tree.files)
    return RECIPE + any(name.endswith(PAGE_SUFFIXES) and not name.endswith(_UNCHANGED) for name in names)


def find_folders(annotations: Path, images: Path | None) -> tuple[Path, Path]:
    """The annotation folder and the image folder that the user means.

    `annotations` may be the parent of annotations/ and images/. Where `images` is not given it is images/ in
    `annotations` or, where that holds no image itself, images/ beside it; else the annotation folder itself.
    """
    parent = annotations
    if (parent / "annotations").is_dir():
        annotations = parent / "annotations"
    if images is not None:
        return annotations, images
    for candidate in (parent / "images", annotations.parent / "images"):
        if candidate.is_dir() and (candidate.parent == parent or not _holds_image(annotations)):
            return annotations, candidate
    return annotations, annotations


def _holds_image(folder: Path) -> bool:
    return folder.is_dir() and any(path.suffix.lower() in IMAGE_SUFFIXES for path in folder.iterdir())


def find_split_folders(annotations: Path, images: Path | None) -> dict[str, tuple[Path, Path]]:
    """The (annotation folder, image folder) of every split that has a sub-folder of its name.

    Raises `UsageError` where none has, or where one has two.
    """
    annotations, image_root = find_folders(annotations, images)
    found: dict[str, tuple[Path, Path]] = {}
    for split, names in NAMES.items():
        present = [name for name in names if (annotations / name).is_dir()]
        if len(present) > 1:
            raise UsageError(f"{annotations} has both {present[0]}/ and {present[1]}/: keep one of them")
        for name in present:
            beside = image_root / name
            given = beside if image_root != annotations and beside.is_dir() else None
            found[split] = find_folders(annotations / name, given)
    if not found:
        raise UsageError(f"--split folders: {annotations} has no folder train, validation (or val) or test")
    return found
