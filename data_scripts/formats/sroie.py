"""SROIE receipts (and pages of other ICDAR challenges): NAME.txt (or .csv) of lines of boxes and text beside NAME.jpg.

The company, date, address and total of a receipt, a JSON object of texts in NAME.json or in a folder entities/ or key/,
become the answer of the task `custom`. So does any other such object: the prompt asks for its keys. Files called
gt_NAME.txt are those of the format `icdar`.

The folders box/, entities/, key/, img/ and images/, in which the files are often put apart, are no part of a page's id.

Source: ICDAR 2019 Robust Reading Challenge on Scanned Receipts OCR and Information Extraction.
"""

import json
import posixpath

from data_scripts.file_tree import FileTree
from data_scripts.formats.box_lines import GROUND_TRUTH, box_line_fields, is_box_line
from data_scripts.formats.entries import Fields, read_entry, unique_pages
from data_scripts.formats.format import Level, ListedPage
from data_scripts.formats.images import images_apart, paired_image, without_folders
from data_scripts.formats.json_files import parse_object, read_bytes
from data_scripts.formats.text_files import first_line, read_text, text_heads
from ocr2_hf.document.records import PageRecord, RecordError

FILES = "*.txt or *.csv of lines x1,y1,x2,y2,x3,y3,x4,y4,text"
LABELS: dict[str, str] = {}
LEVELS = ()
BOX_UNIT = None

_FACTS_FOLDERS = ("entities", "key")
_FOLDERS = ("box", "img", "images", *_FACTS_FOLDERS)


def recognise(annotations: FileTree) -> bool:
    """True where one of the first text files begins with such a line."""
    heads = text_heads([f"{annotations.root}/{name}" for name in _boxes(annotations)])
    return any(is_box_line(first_line(head)) for head in heads)


def list_pages(annotations: FileTree, images: FileTree) -> list[ListedPage]:
    """Every file of boxes as a page, with the images of its name; its entry is the path of its facts, or None.

    Facts without boxes are a page too, with that fault.
    """
    named = images_apart(images, _FOLDERS)
    facts = {_name(name): name for name in annotations.files if _is_facts(name)}
    pages = []
    for name in _boxes(annotations):
        page_id = _name(name)
        entry = f"{annotations.root}/{facts[page_id]}" if page_id in facts else None
        pages.append(
            ListedPage(page_id, f"{annotations.root}/{name}", images.root, tuple(named.get(page_id, ())), entry)
        )
    for page_id in facts.keys() - {page.id for page in pages}:
        fault = RecordError(f"no {page_id}.txt with the lines and boxes")
        pages.append(ListedPage(page_id, f"{annotations.root}/{facts[page_id]}", images.root, (), fault))
    return unique_pages(pages)


def _boxes(annotations: FileTree) -> list[str]:
    names = (name for name in annotations.names(".txt", ".csv") if not _is_facts(name))
    return [name for name in names if not posixpath.basename(name).startswith(GROUND_TRUTH)]


def _is_facts(name: str) -> bool:
    folders, suffix = posixpath.dirname(name).split("/"), posixpath.splitext(name)[1].lower()
    return suffix == ".json" or (suffix == ".txt" and any(folder in _FACTS_FOLDERS for folder in folders))


def _name(name: str) -> str:
    return without_folders(posixpath.splitext(name)[0], _FOLDERS)


def read_page(page: ListedPage, level: Level = None) -> PageRecord:
    """The lines as regions, and as the text; the facts as a question and its answer."""
    facts = read_entry(page)
    fields = box_line_fields(read_text(page.annotation)) | (_question(facts) if facts else {})
    return PageRecord(page.id, paired_image(page), **fields)


def _question(path: str) -> Fields:
    facts = parse_object(read_bytes(path))
    if not facts or not all(isinstance(value, str) for value in facts.values()):
        raise RecordError(f"{path} is no JSON object of texts")
    return {"prompt": f"Extract as JSON: {', '.join(facts)}.", "target": json.dumps(facts, ensure_ascii=False)}
