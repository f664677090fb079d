"""Annotation formats: each module is a small reader from a folder to page records, by these names.

`FILES`: what its files are, for messages.
`LABELS: dict[str, str]`: its region classes -> the model's labels; a class that is not in it stays as it is.
`LEVELS: tuple[str, ...]`: the levels of `--level` that it has, the default first; empty where it has none.
`recognise(annotations: FileTree) -> bool`: are these files of this format? Judged by the head of a file.
`list_pages(annotations: FileTree, images: FileTree) -> list[Page]`: every page, sorted by id. A file of one page is
    not parsed yet; one of many pages is, as far as its pages can be told apart. `WorkError` where it cannot.
`read_page(page: Page) -> PageRecord`, with LEVELS `read_page(page: Page, level: str)`: the annotation as it stands;
    `RecordError` where it cannot be read.
"""

from collections.abc import Callable
from functools import partial
from types import ModuleType

from data_scripts.file_tree import FileTree
from data_scripts.formats import (
    alto,
    coco,
    cvat,
    hocr,
    jsonl,
    label_studio,
    ocr2,
    omnidocbench,
    page_xml,
    pubtabnet,
    sroie,
)
from data_scripts.formats import json as json_format
from data_scripts.formats.page import Page
from data_scripts.label_map import LabelMap, map_labels
from ocr2_hf.document.records import PageRecord
from ocr2_hf.errors import UsageError, WorkError

# In the order in which "auto" asks them: the plain format, which takes any JSON, last.
FORMATS: dict[str, ModuleType] = {
    "alto": alto,
    "page": page_xml,
    "hocr": hocr,
    "cvat": cvat,
    "coco": coco,
    "pubtabnet": pubtabnet,
    "sroie": sroie,
    "omnidocbench": omnidocbench,
    "label_studio": label_studio,
    "ocr2": ocr2,
    "jsonl": jsonl,
    "json": json_format,
}


def choose_format(name: str, annotations: list[FileTree]) -> str:
    """`name`, or for "auto" the one format that recognises the files; `WorkError` where there is none, or several."""
    candidates = list(FORMATS) if name == "auto" else [name]
    found = [format for format in candidates if any(FORMATS[format].recognise(tree) for tree in annotations)]
    folders = ", ".join(tree.root for tree in annotations)
    if not found:
        wanted = "".join(f"\n  {candidate:<14}{FORMATS[candidate].FILES}" for candidate in candidates)
        raise WorkError(f"no annotations in {folders}: the files that are read are{wanted}")
    several = [format for format in found if not _is_taken_for(format, found[0], annotations)]
    if len(several) > 1:
        listed = ", ".join(several)
        raise WorkError(f"{folders} has files of several formats ({listed}): name one with --format, or part them")
    return found[0]


def _is_taken_for(format: str, first: str, annotations: list[FileTree]) -> bool:
    """Whether a format only recognises files of the first one: JSON and its lines are in many formats."""
    if format == "json" and first != "json":
        return not any(json_format.is_sure(tree) for tree in annotations)
    return format == "jsonl" and first == "pubtabnet"


def choose_level(name: str, level: str | None) -> str | None:
    """The level to read the format at: `level`, or the format's default; `UsageError` where it does not have it."""
    levels = FORMATS[name].LEVELS
    if level is not None and level not in levels:
        has = f"it has {', '.join(levels)}" if levels else "its files have one level only"
        raise UsageError(f"--level {level}: the format {name} does not have it; {has}")
    return level or next(iter(levels), None)


def page_reader(name: str, level: str | None, label_map: LabelMap) -> Callable[[Page], PageRecord]:
    """Reads a page of the format at the level, its labels by the format's table and then the user's."""
    module = FORMATS[name]
    read_page = partial(module.read_page, level=level) if module.LEVELS else module.read_page
    table = module.LABELS | label_map
    return lambda page: map_labels(read_page(page), table)
