"""What a build would be, from the list of the files alone: the pages of each split, and a digest.

A page goes to a split by a hash of its id, or by the sub-folder it lies in.
"""

import argparse
import hashlib
import re
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path

from data_scripts.file_tree import FileTree, digest_trees, list_files
from data_scripts.formats import FORMATS, choose_box_unit, choose_format, choose_level
from data_scripts.formats.format import Level, ListedPage
from data_scripts.label_map import LabelMap, load_label_map
from ocr2_hf.document.page_files import IMAGE_SUFFIXES, PAGE_SUFFIXES, PDF_SUFFIX
from ocr2_hf.errors import UsageError

FOLDERS = {"train": ("train",), "validation": ("validation", "val", "valid"), "test": ("test",)}
# Count up when the same files would give other rows than before: built datasets are then built again.
RECIPE = 3
# Files of which earlier builds gave the same rows. Folders with others count one more: BMPs, GIFs and TIFFs of several
# pages were rejected.
_UNCHANGED = (".png", ".jpg", ".jpeg", PDF_SUFFIX)


@dataclass(frozen=True)
class PageOptions:
    """How the pages of a build are read and checked.

    `level` is one that the format has, or None; `full_check` decodes every pixel; `tokenizer`, a folder or Hub id,
    has every page measured in its tokens; `box_unit` is one that the format can have, or None.
    """

    format: str = "json"
    level: Level = None
    label_map: LabelMap = field(default_factory=dict)
    full_check: bool = False
    tokenizer: str | None = None
    box_unit: str | None = None


@dataclass
class BuildPlan:
    """What a build would be. `digest` tells one from another by the files' names, sizes and times alone: pages are
    listed only when they are asked for, as that may take reading every annotation."""

    options: PageOptions
    digest: str
    list_splits: Callable[[], dict[str, list[ListedPage]]]

    @cached_property
    def splits(self) -> dict[str, list[ListedPage]]:
        """The pages of each split, none empty. Raises `WorkError` where pages cannot be told apart."""
        listed = self.list_splits()
        for split, pages in listed.items():
            if not pages:
                warn(f"the {split} split is empty and is left out")
        return {split: pages for split, pages in listed.items() if pages}

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
    trees = {split: (listed[annotations], listed[images]) for split, (annotations, images) in folders.items()}
    chosen = choose_format(args.format, [annotations for annotations, _ in trees.values()])

    def list_splits() -> dict[str, list[ListedPage]]:
        pages = {split: FORMATS[chosen].list_pages(*pair) for split, pair in trees.items()}
        return pages if by_folder else _hashed(pages[""], args)

    if not by_folder:
        root = folders[""][0]
        if named := [name for names in FOLDERS.values() for name in names if (root / name).is_dir()]:
            warn(f"{root} has {', '.join(named)} in it: --split folders would keep them apart")
    label_map = load_label_map(args.label_map) if args.label_map else {}
    level = choose_level(chosen, args.level)
    unit = choose_box_unit(chosen, args.box_unit)
    options = PageOptions(chosen, level, label_map, args.check == "full", args.tokenizer, box_unit=unit)
    digested = [tree for pair in trees.values() for tree in pair]
    if args.tokenizer and Path(args.tokenizer).is_dir():
        digested.append(list_files(Path(args.tokenizer)))
    return BuildPlan(options, _digest(args, options, digested), list_splits)


def warn(message: str) -> None:
    """A warning on stderr."""
    print(f"warning: {message}", file=sys.stderr)


def _hashed(pages: list[ListedPage], args: argparse.Namespace) -> dict[str, list[ListedPage]]:
    splits = split_by_hash(pages, args.val, args.test, args.group_by)
    shares = {"train": 1 - args.val - args.test, "validation": args.val, "test": args.test}
    return {split: splits[split] for split, share in shares.items() if share > 0}


def _digest(args: argparse.Namespace, options: PageOptions, trees: list[FileTree]) -> str:
    choices = {name: getattr(args, name) for name in ("split", "val", "test", "on_error", "max_bad")}
    choices |= {"group_by": args.group_by.pattern if args.group_by else None, "recipe": recipe_number(trees)}
    return digest_trees(trees, choices | asdict(options))


def recipe_number(trees: list[FileTree]) -> int:
    """The version of the rows that these files give."""
    names = (name.lower() for tree in trees for name in tree.files)
    return RECIPE + any(name.endswith(PAGE_SUFFIXES) and not name.endswith(_UNCHANGED) for name in names)


def split_by_hash(
    pages: list[ListedPage], val: float, test: float, group_by: re.Pattern | None = None
) -> dict[str, list[ListedPage]]:
    """`pages` as train, validation and test; the last two hold round(len(pages) * share) pages.

    Pages are ranked by a hash of their id, so that a split hardly changes when a page is added. With `group_by` (a
    pattern searched in the id; its first group, or the whole match) pages of one group stay together, and without it
    those of one file ("book#page=3", a second question about "scan#2"); a split may then hold a few pages more.
    Raises `UsageError` where it matches no page.
    """
    if group_by and pages and not any(group_by.search(page.id) for page in pages):
        raise UsageError(f"--group_by {group_by.pattern!r} matches no page's id, e.g. {pages[0].id!a}")
    groups: dict[str, list[ListedPage]] = {}
    for page in pages:
        groups.setdefault(_group(page.id, group_by), []).append(page)
    wanted = {"test": _round(len(pages) * test), "validation": _round(len(pages) * val)}
    chosen: dict[str, list[ListedPage]] = {"train": [], "validation": [], "test": []}
    for name in sorted(groups, key=_rank):
        split = next((split for split, count in wanted.items() if len(chosen[split]) < count), "train")
        chosen[split] += groups[name]
    return {split: sorted(members, key=lambda page: page.id) for split, members in chosen.items()}


def _group(page_id: str, pattern: re.Pattern | None) -> str:
    found = pattern.search(page_id) if pattern else None
    if found is None:
        return page_id.partition("#")[0]
    return found[1] if pattern.groups and found[1] is not None else found[0]


def _rank(name: str) -> str:
    return hashlib.sha256(name.encode(errors="surrogateescape")).hexdigest()


def _round(count: float) -> int:
    return int(count + 0.5)


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
    for split, names in FOLDERS.items():
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
