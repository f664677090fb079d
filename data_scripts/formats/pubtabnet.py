"""PubTabNet: JSONL, a row for each table image: its HTML as tokens, and the text and box of every cell.

`{"filename": ..., "html": {"structure": {"tokens": [...]}, "cells": [{"tokens": [...], "bbox": [x0, y0, x1, y1]}]}}`
The page's text is the table's HTML, with the inline tags of the cells. Regions are, at the level `cell`, the cells
that are not empty, each with its text; at the level `region` the one table, with the HTML as its text: the target of
the task `markdown`. The row's `split` is left alone: --split decides.

Source: the PubTabNet repository of IBM.
"""

from html import escape
from typing import Any

from data_scripts.file_tree import FileTree
from data_scripts.formats.entries import list_row, unique_pages
from data_scripts.formats.format import Level, ListedPage
from data_scripts.formats.images import named_image
from data_scripts.formats.json_files import are_all, first_key_paths, list_rows, numbers, read_row
from data_scripts.formats.layout import box_around_all
from ocr2_hf.document.page_files import PDF_SUFFIX
from ocr2_hf.document.records import PageRecord, RecordError

FILES = "*.jsonl with html tokens and cells"
LABELS = {"cell": "table_cell"}
LEVELS = ("cell", "region")
BOX_UNIT = None

_HEAD_KEYS = {".html.cells", ".html.structure"}


def recognise(annotations: FileTree) -> bool:
    """True where the head of a JSONL file has a table's structure or cells."""
    return any(_HEAD_KEYS & paths for paths in first_key_paths(annotations.paths(".jsonl")))


def list_pages(annotations: FileTree, images: FileTree) -> list[ListedPage]:
    """Every row of every *.jsonl as a page."""
    return unique_pages(
        list_row(f"{annotations.root}/{name}", f"{name}#{number}", images, _image(row), place)
        for name in annotations.names(".jsonl")
        for number, place, row in list_rows(f"{annotations.root}/{name}")
    )


def _image(row: dict[str, Any] | RecordError) -> Any:
    return row if isinstance(row, RecordError) else row.get("filename")


def read_page(page: ListedPage, level: Level) -> PageRecord:
    """The row's table, as `level` has it."""
    row = read_row(page)
    path, page_number = named_image(page.image_root, page.images[0])
    if path.lower().endswith(PDF_SUFFIX):
        raise RecordError("image is a PDF: the boxes are not PubTabNet's, which are pixels (FinTabNet counts upwards)")
    structure, cells = _structure(row)
    html = _html(structure, cells)
    placed = [
        (numbers(cell["bbox"], 4, f"cells[{i}]: bbox"), _tokens(cell, i))
        for i, cell in enumerate(cells)
        if "bbox" in cell
    ]
    boxes, texts = [box for box, _ in placed], [_plain(tokens) for _, tokens in placed]
    if level == "region" and boxes:
        boxes, texts = [box_around_all(boxes)], [html]
    label = "table" if level == "region" else "cell"
    labels = [label] * len(boxes)
    return PageRecord(page.id, path, html, boxes, labels, texts, page_number=page_number, is_ordered=True)


def _structure(row: dict[str, Any]) -> tuple[list[str], list[dict[str, Any]]]:
    html = row.get("html")
    structure = html.get("structure") if isinstance(html, dict) else None
    tokens = structure.get("tokens") if isinstance(structure, dict) else None
    if not are_all(str, tokens) or not are_all(dict, html.get("cells")):
        raise RecordError("row has no html with structure.tokens, a list of strings, and cells, a list of objects")
    return tokens, html["cells"]


def _html(structure: list[str], cells: list[dict[str, Any]]) -> str:
    """The table: a cell begins after every `<td>`, or `>` of a `<td` with attributes."""
    begins = [token in ("<td>", ">", "<th>") for token in structure]
    if sum(begins) != len(cells):
        raise RecordError(f"html has {sum(begins)} cells in its structure and {len(cells)} in cells")
    contents = (_marked_up(_tokens(cell, i)) for i, cell in enumerate(cells))
    parts = [token + next(contents) if begin else token for token, begin in zip(structure, begins)]
    return f"<table>{''.join(parts)}</table>"


def _tokens(cell: dict[str, Any], i: int) -> list[str]:
    if not are_all(str, cell.get("tokens")):
        raise RecordError(f"cells[{i}] has no tokens, a list of strings")
    return cell["tokens"]


def _marked_up(tokens: list[str]) -> str:
    # A token of several characters is an inline tag; `<` alone is what stands in the cell.
    return "".join(escape(token) if len(token) == 1 else token for token in tokens).strip()


def _plain(tokens: list[str]) -> str:
    return "".join(token for token in tokens if len(token) == 1).strip()
