"""Splits: which pages are for training, which for validation, which for testing.

A page goes by a hash of its id, by the file or folder that is named after a split, or by the sub-folder it lies in.
"""

import hashlib
import posixpath
import re
from collections import Counter
from functools import cache

from data_scripts.formats.format import ListedPage
from ocr2_hf.errors import UsageError

Splits = dict[str, list[ListedPage]]

# What files and folders of each split are called; the first is the split's own name.
NAMES = {
    "train": ("train", "training", "trainval"),
    "validation": ("validation", "val", "valid", "dev"),
    "test": ("test", "testing"),
}
# How a dataset was split, as its summary has it -> what is said of it. Before `hash` there was `rank`.
RULES = {
    "hash": "the hash of each page's id: no page moves as others are added",
    "rank": "the rank of the hashes of their ids, for exact shares: added pages may move others (not by --split hash)",
    "names": "the names of files and folders",
    "folders": "folders",
}

_SPLIT_OF = {name: split for split, names in NAMES.items() for name in names}
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+")  # of train2017, PubTest, VAL_1
_DIGITS = 13  # hexadecimal: as many as a float holds


def split_by_hash(pages: list[ListedPage], val: float, test: float, group_by: re.Pattern | None = None) -> Splits:
    """`pages` as train, validation and test, by the hash of their groups alone: no page moves as others come or go.

    So the shares are those of many groups; of a few, a split may have more or none. Another `val` moves no page of test
    and the other way round. With `group_by` (a pattern searched in the id; its first group, or the whole match) pages
    of one group stay together, and without it those of one file ("book#page=3", a second question about "scan#2").
    Raises `UsageError` where it matches no page.
    """
    chosen: Splits = {"train": [], "validation": [], "test": []}
    for name, members in _groups(pages, group_by).items():
        place = int(_hash(name)[:_DIGITS], 16) / 16**_DIGITS
        chosen["test" if place < test else "validation" if place >= 1 - val else "train"] += members
    return _by_id(chosen)


def split_by_rank(pages: list[ListedPage], val: float, test: float, group_by: re.Pattern | None = None) -> Splits:
    """As `split_by_hash`, but the groups are ranked by their hashes, so that validation and test hold
    round(len(pages) * share) pages, or with groups a few more: one page more may move another."""
    groups = _groups(pages, group_by)
    wanted = {"test": _round(len(pages) * test), "validation": _round(len(pages) * val)}
    chosen: Splits = {"train": [], "validation": [], "test": []}
    for name in sorted(groups, key=_hash):
        split = next((split for split, count in wanted.items() if len(chosen[split]) < count), "train")
        chosen[split] += groups[name]
    return _by_id(chosen)


def _groups(pages: list[ListedPage], group_by: re.Pattern | None) -> Splits:
    if group_by and pages and not any(group_by.search(page.id) for page in pages):
        raise UsageError(f"--group_by {group_by.pattern!r} matches no page's id, e.g. {pages[0].id!a}")
    groups: Splits = {}
    for page in pages:
        groups.setdefault(_group(page.id, group_by), []).append(page)
    return groups


def _group(page_id: str, pattern: re.Pattern | None) -> str:
    found = pattern.search(page_id) if pattern else None
    if found is None:
        return page_id.partition("#")[0]
    return found[1] if pattern.groups and found[1] is not None else found[0]


def _by_id(splits: Splits) -> Splits:
    return {split: sorted(members, key=lambda page: page.id) for split, members in splits.items()}


def _hash(name: str) -> str:
    return hashlib.sha256(name.encode(errors="surrogateescape")).hexdigest()


def _round(count: float) -> int:
    return int(count + 0.5)


def split_by_names(pages: list[ListedPage], root: str, required: bool = False) -> Splits | None:
    """`pages` by the splits that their files or folders below `root` are named after, as train.json, test/1.xml and
    instances_val2017.json are. Of a file of many pages its own name counts before its folder's, and the image's.

    None where they are not of two splits or more, or where only single pages happen to be called so. Raises
    `UsageError` where files or folders of validation or test are among others that no split is named after, and with
    `required` where not every page's is.
    """
    shared = _shared_files(pages)
    named = [_named(page, root, page.annotation in shared) for page in pages]
    found = {split for split, _ in named if split}
    complete = all(split for split, _ in named)
    if complete and (len(found) > 1 or (required and found)):
        splits: Splits = {split: [] for split in NAMES if split in found}
        for page, (split, _) in zip(pages, named, strict=True):
            splits[split].append(page)
        return splits
    if required and not found:
        raise UsageError(f"--split names: no file or folder in {root} is named after a split ({', '.join(NAMES)})")
    held_out = any(split in ("validation", "test") and is_shared for split, is_shared in named)
    if required or (held_out and not complete):
        raise UsageError(_half_named(pages, root, [split for split, _ in named]))
    return None


def _shared_files(pages: list[ListedPage]) -> set[str]:
    """The annotation files that are not called as their one page is."""
    counts = Counter(page.annotation for page in pages)
    return {page.annotation for page in pages if counts[page.annotation] > 1 or not _is_namesake(page)}


def _is_namesake(page: ListedPage) -> bool:
    stem = posixpath.splitext(posixpath.basename(page.annotation))[0]
    return posixpath.basename(page.id.partition("#")[0]) == stem


def _named(page: ListedPage, root: str, is_shared: bool) -> tuple[str | None, bool]:
    """The split that the page's file or folder is named after, and whether that names more than this one page."""
    folder, _, file = page.annotation.removeprefix(f"{root}/").rpartition("/")
    of_file, of_folder = _split_of(file), _split_of_folder(folder)
    if is_shared:
        return of_file or of_folder or _split_of_folder(posixpath.dirname(page.id)), True
    return (of_folder, True) if of_folder else (of_file, False)


@cache
def _split_of_folder(path: str) -> str | None:
    """That of the innermost folder that is named after one."""
    return next(filter(None, map(_split_of, reversed(path.split("/")))), None)


def _split_of(name: str) -> str | None:
    """The one split that a file or a folder is named after."""
    found = {_SPLIT_OF.get(word.lower()) for word in _WORD.findall(name)} - {None}
    return found.pop() if len(found) == 1 else None


def _half_named(pages: list[ListedPage], root: str, splits: list[str | None]) -> str:
    examples: dict[str | None, str] = {}
    for page, split in zip(pages, splits, strict=True):
        examples.setdefault(split, page.annotation.removeprefix(f"{root}/"))
    told = ", ".join(f"{examples[split]} ({split})" for split in NAMES if split in examples)
    return (
        f"{root}: some files or folders are named after splits, as {told}, and others, as {examples[None]}, are not "
        f"({splits.count(None)} of {len(pages)} pages): name them all so ({', '.join(NAMES)}), or mix them all by "
        "--split hash"
    )
