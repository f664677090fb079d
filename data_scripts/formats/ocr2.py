"""What `ocr2 read` wrote, corrected by a person: read, correct, train is a loop.

The person corrects NAME.json: under `pages` the `regions` of each page, their `label`, `box` and `text`; of a page that
was read without boxes, its `text`. All else (`raw`, `markdown`, NAME.md) stays as the model said it. Where NAME.md or
`text` was corrected and the regions were not, the page is rejected, or the correction would be lost.

Pages of PDFs, and of TIFFs of several pages, are drawn again, as they were read.
"""

import os
import posixpath
from functools import partial
from typing import Any

from data_scripts.file_tree import FileTree
from data_scripts.formats.documents import list_documents, page_of_file
from data_scripts.formats.entries import Fields, list_entry, read_record
from data_scripts.formats.format import ListedPage
from data_scripts.formats.json_files import (
    MAX_FILE_BYTES,
    UnknownFormatError,
    are_all,
    first_key_paths,
    numbers,
    parse_object,
    read_bytes,
    string,
    told_keys,
)
from ocr2_hf.document.grounding import parse_regions, plain_text
from ocr2_hf.document.records import RecordError, shown

FILES = "*.json that ocr2 read wrote"
LABELS: dict[str, str] = {}
LEVELS = ()
BOX_UNIT = None

_HEAD_KEYS = {".file", ".pages", ".pages[].file", ".pages[].page"}


def recognise(annotations: FileTree) -> bool:
    """True where the head of a JSON file has a file and its pages."""
    return any(paths >= _HEAD_KEYS for paths in first_key_paths(annotations.paths(".json")))


def list_pages(annotations: FileTree, images: FileTree) -> list[ListedPage]:
    """Every page of every *.json; a file that cannot be read is one page, with that fault."""
    return list_documents(annotations, images, _file_pages)


read_page = read_record


def _file_pages(root: str, name: str, images: FileTree) -> list[ListedPage]:
    path, stem = f"{root}/{name}", posixpath.splitext(name)[0]
    try:
        pages = _parse(path)
        written = _markdown(f"{root}/{stem}.md")
    except RecordError as error:
        return [ListedPage(stem, path, images.root, (), error)]
    names = [_image_name(page, several=len(pages) > 1) for page in pages]
    return [
        list_entry(path, number, images, named, partial(_record, page, _is_edited(page, written)))
        for number, (named, page) in enumerate(zip(names, pages, strict=True), 1)
    ]


def _parse(path: str) -> list[dict[str, Any]]:
    written = parse_object(read_bytes(path, MAX_FILE_BYTES))
    pages = written.get("pages")
    if not pages or not are_all(dict, pages):
        why = f"pages is {shown(pages)}, not a list of objects: ocr2 read did not write the file"
        raise UnknownFormatError(f"{why}; {told_keys(written)}")
    return pages


def _markdown(path: str) -> str | None:
    return read_bytes(path, MAX_FILE_BYTES).decode(errors="replace") if os.path.isfile(path) else None


def _is_edited(page: dict[str, Any], written: str | None) -> bool:
    """Does the markdown file say other than the page does?"""
    said = page.get("markdown")
    return written is not None and isinstance(said, str) and said.encode(errors="replace").decode() not in written


def _image_name(page: dict[str, Any], several: bool) -> Any:
    file = page.get("file")
    return page_of_file(file, page.get("page"), several) if isinstance(file, str) else file


def _record(page: dict[str, Any], markdown_edited: bool) -> Fields:
    size = numbers([page.get("width"), page.get("height")], 2, "width and height")
    found = page.get("regions")
    if not are_all(dict, found):
        raise RecordError(f"regions is {shown(found)}, not a list of objects")
    texts = [string(region.get("text"), f"text of regions[{i}]") for i, region in enumerate(found)]
    fields = {
        "text": "\n\n".join(text for text in texts if text) if found else string(page.get("text"), "text"),
        "bboxes": [numbers(region.get("box"), 4, f"box of regions[{i}]") for i, region in enumerate(found)],
        "labels": [string(region.get("label"), f"label of regions[{i}]") for i, region in enumerate(found)],
        "texts": texts,
        "page_size": tuple(size),
        "page_number": 1,  # counts for a TIFF of several pages of which only the first was read
    }
    if markdown_edited or page.get("text") != fields["text"]:
        _check_correction(page, fields, markdown_edited)
    return fields


def _check_correction(page: dict[str, Any], fields: Fields, markdown_edited: bool) -> None:
    """`RecordError` where what counts is as the model said it, and something else was corrected."""
    raw = page.get("raw")
    if not isinstance(raw, str):
        return
    regions = list(zip(fields["labels"], fields["bboxes"], fields["texts"]))
    read = [(region.label, list(region.box), region.text) for region in parse_regions(raw, *fields["page_size"])]
    text_edited = page.get("text") != plain_text(raw)
    if regions == read and (markdown_edited or text_edited if regions else markdown_edited and not text_edited):
        where = "text" if text_edited else "the markdown"
        what = "the regions, which count: correct their texts" if regions else "the text, which counts: correct it"
        raise RecordError(f"{where} was corrected, but not {what}")
