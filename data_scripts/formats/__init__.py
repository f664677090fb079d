"""Annotation formats: the registry, which of them a folder's files are of, and what reads a page."""

from collections.abc import Callable, Iterable
from dataclasses import replace

from data_scripts.file_tree import FileTree
from data_scripts.formats import (
    alto,
    coco,
    cvat,
    docling,
    hocr,
    icdar,
    jsonl,
    label_studio,
    mineru,
    ocr2,
    omnidocbench,
    paddle,
    page_xml,
    pairs,
    pubtabnet,
    sroie,
)
from data_scripts.formats import csv as csv_format
from data_scripts.formats import json as json_format
from data_scripts.formats.column_advice import GENERAL, columns_advice
from data_scripts.formats.foreign import find_foreign, foreign_file, only_foreign
from data_scripts.formats.format import Format, Level, ListedPage
from data_scripts.formats.json_files import UnknownFormatError, head_keys
from data_scripts.formats.unread_files import told_unread
from data_scripts.label_map import LabelMap, map_labels
from data_scripts.record_order import ORDERS, in_order
from ocr2_hf.document.records import PageRecord, RecordError
from ocr2_hf.errors import UsageError, WorkError

# In the order in which "auto" asks them.
FORMATS: dict[str, Format] = {
    "alto": alto,
    "page": page_xml,
    "hocr": hocr,
    "cvat": cvat,
    "coco": coco,
    "pubtabnet": pubtabnet,
    "sroie": sroie,
    "icdar": icdar,
    "paddle": paddle,
    "omnidocbench": omnidocbench,
    "label_studio": label_studio,
    "ocr2": ocr2,
    "docling": docling,
    "mineru": mineru,
    "csv": csv_format,
    "pairs": pairs,
    "jsonl": jsonl,
    "json": json_format,
}
# Those whose columns can have other names.
_WITH_COLUMNS = ("csv", "jsonl", "json")
# Formats that could have any text, JSONL or JSON -> whether a folder's surely is theirs; else any other goes before.
_MARKED: dict[str, Callable[[FileTree], bool]] = {
    "pairs": lambda annotations: False,
    "jsonl": jsonl.is_sure,
    "json": json_format.is_sure,
}
# The files of these formats.
_MARKED_FILES: dict[str, Callable[[FileTree], list[str]]] = {
    "pairs": lambda annotations: [page.annotation for page in pairs.list_pages(annotations, annotations)],
    "jsonl": lambda annotations: annotations.paths(".jsonl"),
    "json": lambda annotations: annotations.paths(".json"),
}


def choose_format(name: str, annotations: list[FileTree]) -> str:
    """`name`, or for "auto" the one format that recognises the files; `WorkError` where there is none, or several."""
    candidates = list(FORMATS) if name == "auto" else [name]
    found = _recognised(candidates, annotations)
    folders = ", ".join(tree.root for tree in annotations)
    if foreign := _only_foreign(found[0], annotations) if found else _first(find_foreign, annotations):
        raise WorkError(f"no annotations that are read in {folders}: {foreign}")
    if not found and name in ("auto", "csv") and (unread := _first(told_unread, annotations)):
        raise WorkError(f"no annotations in {folders}: {unread}")
    if not found:
        wanted = "".join(f"\n  {candidate:<14}{FORMATS[candidate].FILES}" for candidate in candidates)
        raise WorkError(f"no annotations in {folders}: the files that are read are{wanted}{_seen(name, annotations)}")
    if len(found) > 1:
        listed = ", ".join(found)
        raise WorkError(f"{folders} has files of several formats ({listed}): name one with --format, or part them")
    return found[0]


def _first(tell: Callable[[FileTree], str | None], annotations: list[FileTree]) -> str | None:
    return next(filter(None, map(tell, annotations)), None)


def _only_foreign(name: str, annotations: list[FileTree]) -> str | None:
    """What all files of a format are that only could be of it, where they are of one that is not read; else None."""
    if name not in _MARKED or any(tree.columns or _MARKED[name](tree) for tree in annotations):
        return None
    return only_foreign(path for tree in annotations for path in _MARKED_FILES[name](tree))


def _recognised(candidates: Iterable[str], annotations: list[FileTree]) -> list[str]:
    """Those of these formats that the files are of; of those that they only could be of, the first alone."""
    found = [format for format in candidates if any(map(FORMATS[format].recognise, annotations))]
    return [format for format in found if format not in _MARKED or any(map(_MARKED[format], annotations))] or found[:1]


def _seen(name: str, annotations: list[FileTree]) -> str:
    """What the first file is that is not of the format `name`, as far as that can be told; "" where it cannot."""
    path = next((path for tree in annotations for end in (".json", ".jsonl") for path in tree.paths(end)), None)
    if path:
        return f"\n{path}: {head_keys(path)}; {_tried(name, path)}"
    others = _recognised(FORMATS, annotations)
    return f"\nthe files look like {others[0]}: name that --format" if others else ""


def choose_level(name: str, level: Level) -> Level:
    """The level to read the format at: `level`, or the format's default; `UsageError` where it does not have it."""
    levels = FORMATS[name].LEVELS
    if level is not None and level not in levels:
        has = f"it has {', '.join(levels)}" if levels else "its files have one level only: leave --level away"
        raise UsageError(f"--level {level}: the format {name} does not have it; {has}")
    return level or next(iter(levels), None)


def choose_box_unit(name: str, unit: str | None) -> str | None:
    """The unit of the format's boxes: `unit`, or the format's own; `UsageError` where that is fixed and another."""
    fixed = FORMATS[name].BOX_UNIT
    if fixed and unit not in (None, fixed):
        raise UsageError(f"--box_unit {unit}: boxes of the format {name} are in {fixed}")
    return unit or fixed


def check_columns(name: str, columns: dict[str, str]) -> None:
    """`UsageError` where columns are named of a format that has none."""
    if columns and name not in _WITH_COLUMNS:
        raise UsageError(f"--columns: files of the format {name} have no columns; {', '.join(_WITH_COLUMNS)} have")


def page_reader(
    name: str, level: Level, label_map: LabelMap, order: str = ORDERS[0], box_unit: str | None = None
) -> Callable[[ListedPage], PageRecord]:
    """Reads a page of the format at the level, in `order` (`ORDERS`), its labels by the format's table and then the
    user's."""
    unit = choose_box_unit(name, box_unit)
    read_page, table = FORMATS[name].read_page, FORMATS[name].LABELS | label_map
    known: dict[str, str] = {}  # what is wrong -> what else was tried: many files are wrong in the same way

    def read(page: ListedPage) -> PageRecord:
        try:
            record = read_page(page, level)
        except UnknownFormatError as error:
            what = str(error)
            tried = known[what] = known.get(what) or _tried(name, page.annotation)
            raise RecordError(f"{what}; {tried}") from None
        record = map_labels(in_order(record, order), table)
        return replace(record, box_unit=unit) if unit else record

    return read


def _tried(name: str, annotation: str) -> str:
    """Which format a JSON file is of that is not of the format `name`, or which were tried."""
    folder, _, file = annotation.rpartition("/")
    alone = FileTree(folder, {file: (0, 0)})
    tried = [other for other, format in FORMATS.items() if "json" in format.FILES]
    others = (other for other in tried if other not in (name, "json"))
    if found := next((other for other in others if FORMATS[other].recognise(alone)), None):
        return f"the file looks like {found}: name that --format, or move the file to another folder"
    if foreign := foreign_file(annotation):
        return foreign.told("the file")
    if name in _WITH_COLUMNS and (advice := GENERAL if name == "csv" else columns_advice(annotation)):
        return advice
    return f"formats tried: {', '.join(tried)}"
