"""Rows of a JSONL file, or of a JSON list, each with its image: chats as other trainers have them, or plain pages.

Chats are those of `chats.py`: a question about an image and its answer, verbatim, for the task `custom`. A plain page
is an object as in the format json, with its `image`, or as the `metadata.jsonl` of `imagefolder` has it. Paths end at a
file in the image folder, wherever they began.
"""

from collections.abc import Iterator

from data_scripts.file_tree import FileTree
from data_scripts.formats.columns import is_page_row
from data_scripts.formats.format import Level, ListedPage
from data_scripts.formats.json_files import entry_fault, first_key_paths, list_rows, read_row
from data_scripts.formats.json_pieces import list_entries
from data_scripts.formats.rows import ListedRow, row_pages, row_record
from ocr2_hf.document.records import PageRecord

FILES = "*.jsonl, or *.json with a list of messages, conversations or pages"
LABELS: dict[str, str] = {}
LEVELS = ()
BOX_UNIT = None

_ROW_KEYS = frozenset(("messages", "conversations", "query", "bboxes"))


def recognise(annotations: FileTree) -> bool:
    """True where there is a JSONL file, or the head of a JSON file has a list of such rows."""
    return bool(annotations.names(".jsonl")) or _has_list(annotations)


def is_sure(annotations: FileTree) -> bool:
    """True where the head of a JSONL file has the keys of such a row, or there is a JSON list of them."""
    return _has_rows(annotations.paths(".jsonl"), ".", annotations.columns) or _has_list(annotations)


def _has_list(annotations: FileTree) -> bool:
    return _has_rows(annotations.paths(".json"), "[].", annotations.columns)


def list_pages(annotations: FileTree, images: FileTree) -> list[ListedPage]:
    """Every row of every *.jsonl, and of every *.json that is a list of rows, as a page."""
    return row_pages(annotations, images, _rows(annotations))


def read_page(page: ListedPage, level: Level = None) -> PageRecord:
    """The row's chat as a custom record, or its plain page."""
    return row_record(page, read_row(page))


def _rows(annotations: FileTree) -> Iterator[ListedRow]:
    for name in annotations.names(".jsonl", ".json"):
        path = f"{annotations.root}/{name}"
        if name.lower().endswith(".jsonl"):
            yield from ((name, *row) for row in list_rows(path))
        elif _has_rows([path], "[].", annotations.columns):
            for number, place, row in list_entries(path):
                yield name, number, place, entry_fault(row, place[1]) or row


def _has_rows(paths: list[str], start: str, columns: dict[str, str]) -> bool:
    """Whether the head of one of the first of these files has rows; `start` is what stands before their keys."""
    for found in first_key_paths(paths):
        keys = [path.removeprefix(start) for path in found if path.startswith(start) and path.count(".") == 1]
        if not _ROW_KEYS.isdisjoint(keys) or is_page_row(keys, columns) or not set(columns.values()).isdisjoint(keys):
            return True
    return False
