"""Annotation formats: each module is a small reader from a folder to page records, by these functions.

`recognise(annotations: FileTree) -> bool`: are these files of this format?
`list_pages(annotations: FileTree, images: FileTree) -> list[Page]`: every page, sorted by id, nothing parsed.
`read_page(page: Page) -> PageRecord`: the annotation as it stands; `RecordError` where it cannot be read.
"""

from types import ModuleType

from file_tree import FileTree
from formats import json as json_format
from ocr2_hf.errors import WorkError

FORMATS: dict[str, ModuleType] = {"json": json_format}


def choose_format(name: str, annotations: list[FileTree]) -> str:
    """`name`, or for "auto" the format that recognises the files; `WorkError` where there is none."""
    candidates = FORMATS if name == "auto" else [name]
    for candidate in candidates:
        if any(FORMATS[candidate].recognise(tree) for tree in annotations):
            return candidate
    wanted = ", ".join(f"{candidate} ({FORMATS[candidate].FILES})" for candidate in candidates)
    folders = ", ".join(tree.root for tree in annotations)
    raise WorkError(f"no annotations in {folders}: no file is of the format {wanted}")
