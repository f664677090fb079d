"""Which page goes to which split: by a hash of its id, or by the sub-folder it lies in."""

import hashlib
import re
from pathlib import Path

from data_scripts.formats.page import Page
from ocr2_hf.document.page_files import IMAGE_SUFFIXES
from ocr2_hf.errors import UsageError

FOLDERS = {"train": ("train",), "validation": ("validation", "val", "valid"), "test": ("test",)}


def split_by_hash(
    pages: list[Page], val: float, test: float, group_by: re.Pattern | None = None
) -> dict[str, list[Page]]:
    """`pages` as train, validation and test; the last two hold round(len(pages) * share) pages.

    Pages are ranked by a hash of their id, so that a split hardly changes when a page is added. With `group_by` (a
    pattern searched in the id; its first group, or the whole match) pages of one group stay together, and without it
    those of one file ("book#page=3", a second question about "scan#2"); a split may then hold a few pages more.
    Raises `UsageError` where it matches no page.
    """
    if group_by and pages and not any(group_by.search(page.id) for page in pages):
        raise UsageError(f"--group_by {group_by.pattern!r} matches no page's id, e.g. {pages[0].id!a}")
    groups: dict[str, list[Page]] = {}
    for page in pages:
        groups.setdefault(_group(page.id, group_by), []).append(page)
    wanted = {"test": _round(len(pages) * test), "validation": _round(len(pages) * val)}
    chosen: dict[str, list[Page]] = {"train": [], "validation": [], "test": []}
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
