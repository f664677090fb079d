"""docling's JSON of a document (`DoclingDocument`): pages of a PDF, a TIFF or an image, to correct and to train on.

The regions are in the order of the document's tree. `NAME.json` is of the file that its `origin` names, or of
`NAME.pdf`, or of the page images that docling wrote beside it; its page 2 is `NAME#page=2`. A caption is a region of
its own, before what it is of where it is above that. A text in several boxes is parted where their `charspan`s say
how; else it is where it begins. Sources: the schema of docling-core, and files that docling 2 wrote.
"""

import posixpath
import re
from collections.abc import Iterator
from functools import partial
from typing import Any

from data_scripts.file_tree import FileTree
from data_scripts.formats.docling_tree import Piece, document_pieces
from data_scripts.formats.documents import DocumentRegion, document_pages, file_names, list_documents, region_fields
from data_scripts.formats.entries import Fields, read_record
from data_scripts.formats.format import ListedPage
from data_scripts.formats.json_files import (
    MAX_FILE_BYTES,
    UnknownFormatError,
    first_key_paths,
    numbers,
    parse_object,
    read_bytes,
    told_keys,
)
from data_scripts.formats.layout import box_around_all
from data_scripts.label_map import by_class
from ocr2_hf.document.records import RecordError, shown

FILES = "*.json, a DoclingDocument"
LABELS = by_class(
    text="paragraph list_item reference handwritten_text grading_scale empty_value form_header form_item form_text"
    " field_heading field_key field_value field_hint marker key value unspecified",
    sub_title="section_header",
    header="page_header",
    footer="page_footer",
    equation="formula",
    image="picture chart",
    figure_title="caption",
    table="document_index",
)
LEVELS = ()
BOX_UNIT = None

_SCHEMA = "DoclingDocument"
_NUMBER = re.compile("[1-9][0-9]{0,5}")
_HEAD_KEYS = {".schema_name", ".body.children[].$ref", ".body.children[].cref"}


def recognise(annotations: FileTree) -> bool:
    """True where the head of a JSON file names a schema or has the references of a document's body."""
    return any(_HEAD_KEYS & paths for paths in first_key_paths(annotations.paths(".json")))


def list_pages(annotations: FileTree, images: FileTree) -> list[ListedPage]:
    """Every page of every *.json; a file that cannot be read is one page, with that fault."""
    return list_documents(annotations, images, _file_pages)


read_page = read_record


def _file_pages(root: str, name: str, images: FileTree) -> list[ListedPage]:
    path, stem = f"{root}/{name}", posixpath.splitext(name)[0]
    try:
        document = _parse(path)
        pages = _numbered_pages(document)
        pieces: dict[int, list[Piece]] = {number: [] for number in pages}
        for piece in document_pieces(document, first_page=min(pages)):
            if piece.page not in pieces:
                raise RecordError(f"{piece.ref} is on the page {shown(piece.page)}, which is not in pages")
            pieces[piece.page].append(piece)
    except RecordError as error:
        return [ListedPage(stem, path, images.root, (), error)]
    reads = {number: partial(_record, page, pieces[number]) for number, page in pages.items()}
    origin = document.get("origin")
    named = origin.get("filename") if isinstance(origin, dict) else None
    return document_pages(path, images, file_names(posixpath.basename(stem), named), reads, dict(_exported(pages)))


def _parse(path: str) -> dict[str, Any]:
    document = parse_object(read_bytes(path, MAX_FILE_BYTES))
    if (schema := document.get("schema_name")) != _SCHEMA:
        raise UnknownFormatError(f"schema_name is {shown(schema)}, not {_SCHEMA}; {told_keys(document)}")
    return document


def _numbered_pages(document: dict[str, Any]) -> dict[int, dict[str, Any]]:
    pages = document.get("pages")
    if not isinstance(pages, dict) or not pages:
        raise RecordError("document has no pages, only a text: have docling read it as a PDF or an image")
    for key, page in pages.items():
        if not _NUMBER.fullmatch(key) or not isinstance(page, dict):
            raise RecordError(f"pages has {shown(key)}: {shown(page)}, not a page by its number")
    return {int(key): page for key, page in pages.items()}


def _exported(pages: dict[int, dict[str, Any]]) -> Iterator[tuple[int, str]]:
    """The page images that docling wrote as files; others are within the JSON as data URLs."""
    for number, page in pages.items():
        uri = page["image"].get("uri") if isinstance(page.get("image"), dict) else None
        if isinstance(uri, str) and not uri.startswith("data:"):
            yield number, uri


def _record(page: dict[str, Any], pieces: list[Piece]) -> Fields:
    size = page.get("size") if isinstance(page.get("size"), dict) else {}
    width, height = numbers([size.get("width"), size.get("height")], 2, "size of the page, width and height,")
    regions = [DocumentRegion(piece.label, piece.text, _box(piece, height)) for piece in pieces]
    return region_fields(regions) | {"page_size": (width, height), "box_unit": "pixel"}


def _box(piece: Piece, height: float) -> list[float] | None:
    """The box around the piece's boxes, from the top of the page."""
    boxes = [_from_top(box, height, piece.ref) for box in piece.boxes]
    return box_around_all(boxes) if boxes else None


def _from_top(box: dict[str, Any], height: float, ref: str) -> list[float]:
    left, top, right, bottom = numbers([box.get(side) for side in ("l", "t", "r", "b")], 4, f"bbox of {ref}, l t r b,")
    match box.get("coord_origin", "TOPLEFT"):
        case "TOPLEFT":
            return [left, top, right, bottom]
        case "BOTTOMLEFT":
            return [left, height - top, right, height - bottom]
    raise RecordError(f"bbox of {ref} has the coord_origin {shown(box['coord_origin'])}, not TOPLEFT or BOTTOMLEFT")
