"""Files of a folder without annotations that are read: what to do with its first table, its Parquet or its archives."""

import codecs

from data_scripts.file_tree import FileTree, first_heads
from data_scripts.formats.column_advice import GENERAL
from data_scripts.formats.columns import told_columns
from data_scripts.formats.csv_files import TABLES, first_headers
from data_scripts.formats.images import names_image
from data_scripts.formats.json_files import HEAD_BYTES
from data_scripts.formats.text_files import marked_encoding

_ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".7z", ".rar")


def told_unread(annotations: FileTree) -> str | None:
    """What lies there, and what to do; None where there is nothing of the kind."""
    if annotations.names(".parquet"):
        folder = annotations.root
        return f"Parquet files need no build: --dataset {folder}, or ocr2_hf.load_dataset({folder!a})"
    if tables := annotations.paths(*TABLES):
        return f"{tables[0]}: {_told_table(tables[0])}"
    archive = next(iter(annotations.paths(*_ARCHIVES)), None)
    return f"{archive} is an archive: unpack it first" if archive else None


def _told_table(path: str) -> str:
    head = next(first_heads([path], HEAD_BYTES), b"")
    if b"\0" in head or (marked_encoding(head) or "").startswith("utf-16"):
        return "it is in UTF-16, or no text at all: save it as UTF-8"
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head)  # the head may end within a character
    except UnicodeDecodeError as error:
        return f"it is not UTF-8 at byte {error.start} (0x{head[error.start]:02X}): save it as UTF-8"
    names = next(first_headers([path], lambda names: False)).names
    if not names:
        return "its first line is no header"
    if any(names_image(name) or name.isdecimal() for name in names):
        return f"its first line is {told_columns(names)}, no header: put one above it, as in file_name,text"
    if len(names) == 1:
        return f"its header has one column, {told_columns(names)}: part the fields by a comma, a semicolon, a tab or |"
    return f"its columns are {told_columns(names)}; {GENERAL}"
