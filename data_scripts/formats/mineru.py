"""MinerU's JSON of a document: pages of a PDF or an image, to correct and to train on.

Of a document `NAME_middle.json` counts (`layout.json` in what its web service packs), else `NAME_content_list.json`
with boxes; `NAME_model.json` and the like are passed over. It is of `NAME_origin.pdf`, which has the pages that MinerU
read, or of `NAME.pdf` or another image of the name; its page 2 is `NAME#page=2`. Headers, footers and page numbers,
which MinerU leaves out of its Markdown, are regions too. Sources: MinerU's page on its output files; files of
versions 1 to 3.
"""

import posixpath
from functools import partial
from typing import Any

from data_scripts.file_tree import FileTree
from data_scripts.formats.documents import document_pages, file_names, region_fields
from data_scripts.formats.entries import Fields, read_record, unique_pages
from data_scripts.formats.format import ListedPage
from data_scripts.formats.json_files import (
    MAX_FILE_BYTES,
    UnknownFormatError,
    are_all,
    first_key_paths,
    numbers,
    parse_json,
    read_bytes,
    told_keys,
)
from data_scripts.formats.mineru_blocks import Block, has_moved, page_regions
from data_scripts.formats.mineru_content import content_regions
from data_scripts.formats.mineru_files import find_documents, readings_beside
from data_scripts.label_map import by_class
from ocr2_hf.document.records import RecordError, shown

FILES = "*.json that MinerU wrote: NAME_middle.json, or NAME_content_list.json with boxes"
LABELS = by_class(
    text="list index ref_text phonetic abstract vertical_text formula_number",
    title="doc_title",
    sub_title="paragraph_title",
    marginalia="aside_text",
    footnote="page_footnote",
    equation="interline_equation",
    image="image_body chart_body chart seal header_image footer_image",
    table="table_body",
    code="code_body algorithm",
    figure_title="caption image_caption table_caption chart_caption code_caption",
    image_footnote="chart_footnote code_footnote",
)
LEVELS = ()
BOX_UNIT = None

_MOST_PAGES = 100_000


def recognise(annotations: FileTree) -> bool:
    """True where the head of a JSON file has the pages of a PDF, or is a list of blocks with their page."""
    return any(
        ".pdf_info" in paths or paths >= {"[].type", "[].page_idx"}
        for paths in first_key_paths(annotations.paths(".json"))
    )


def list_pages(annotations: FileTree, images: FileTree) -> list[ListedPage]:
    """Every page of every document; a file that cannot be read is one page, with that fault."""
    documents = find_documents(annotations.names(".json"))
    faults = readings_beside(annotations.root, documents)
    return unique_pages(
        page
        for stem, name in documents.items()
        for page in _file_pages(annotations.root, name, stem, images, faults.get(stem))
    )


read_page = read_record


def _file_pages(root: str, name: str, stem: str, images: FileTree, fault: RecordError | None) -> list[ListedPage]:
    path, page_id = f"{root}/{name}", posixpath.splitext(name)[0]
    document = posixpath.basename(page_id if stem == name else stem)
    try:
        if fault:
            raise fault
        reads = _reads(parse_json(read_bytes(path, MAX_FILE_BYTES)))
    except RecordError as error:
        return [ListedPage(page_id, path, images.root, (), error)]
    return document_pages(path, images, [f"{document}_origin.pdf", *file_names(document)], reads)


def _reads(parsed: Any) -> dict[int, partial[Fields]]:
    """What reads each page, by its number from 1."""
    found = parsed.get("pdf_info") if isinstance(parsed, dict) else parsed
    if not found or not are_all(dict, found):
        raise UnknownFormatError(f"annotation has no pdf_info and is no list of MinerU's blocks; {told_keys(parsed)}")
    pages: dict[int, list[Block]] = {}
    for block in found:
        index = block.get("page_idx")
        if type(index) is not int or not 0 <= index < _MOST_PAGES:
            raise RecordError(f"page_idx is {shown(index)}, not the number of a page from 0")
        pages.setdefault(index + 1, []).append(block)
    if not isinstance(parsed, dict):
        return {number: partial(_content_fields, blocks) for number, blocks in pages.items()}
    if twice := next((number for number, same in pages.items() if len(same) > 1), None):
        raise RecordError(f"pdf_info has the page_idx {twice - 1} twice")
    return {number: partial(_page_fields, page, pages.get(number + 1, [{}])[0]) for number, (page,) in pages.items()}


def _page_fields(page: Block, following: Block) -> Fields:
    if has_moved(page) or has_moved(following):
        what = "a table or text that goes on from one page to the next was joined"
        raise RecordError(f"{what}: part it, or leave both out")
    size = tuple(numbers(page.get("page_size"), 2, "page_size"))
    return region_fields(page_regions(page, size[1])) | {"page_size": size, "box_unit": "pixel"}


def _content_fields(blocks: list[Block]) -> Fields:
    return region_fields(content_regions(blocks)) | {"box_unit": "thousand"}
