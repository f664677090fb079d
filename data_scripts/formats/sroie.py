"""SROIE receipts (and other ICDAR files): NAME.txt (or .csv), a line for each line of text, beside NAME.jpg.

A line is `x1,y1,x2,y2,x3,y3,x4,y4,text`: four corners, then the text with whatever commas it has. The company, date,
address and total of a receipt, a JSON object of texts in NAME.json or in a folder entities/ or key/, become the answer
of the task `custom`. So does any other such object: the prompt asks for its keys.

The folders box/, entities/, key/, img/ and images/, in which the files are often put apart, are no part of a page's id.

Source: ICDAR 2019 Robust Reading Challenge on Scanned Receipts OCR and Information Extraction.
"""

import json
import posixpath
import re

from data_scripts.file_tree import FileTree, first_heads
from data_scripts.formats.entries import read_entry, unique_pages
from data_scripts.formats.format import Level, ListedPage
from data_scripts.formats.images import images_by_stem, paired_image
from data_scripts.formats.json_files import parse_object, read_bytes
from data_scripts.formats.layout import box_around
from ocr2_hf.document.records import PageRecord, RecordError, shown

FILES = "*.txt or *.csv of lines x1,y1,x2,y2,x3,y3,x4,y4,text"
LABELS: dict[str, str] = {}
LEVELS = ()
BOX_UNIT = None

_FACTS_FOLDERS = ("entities", "key")
_FOLDERS = ("box", "img", "images", *_FACTS_FOLDERS)
_LINE = re.compile(r"\s*" + r"(-?[0-9]{1,9}(?:\.[0-9]{1,20})?)\s*,\s*" * 8 + "(.*)", re.DOTALL)
_HEAD_BYTES = 4096


def recognise(annotations: FileTree) -> bool:
    """True where one of the first text files begins with such a line."""
    heads = first_heads([f"{annotations.root}/{name}" for name in _boxes(annotations)], _HEAD_BYTES)
    return any(_LINE.fullmatch(head.decode("utf-8-sig", errors="replace").partition("\n")[0]) for head in heads)


def list_pages(annotations: FileTree, images: FileTree) -> list[ListedPage]:
    """Every file of boxes as a page, with the images of its name; its entry is the path of its facts, or None.

    Facts without boxes are a page too, with that fault.
    """
    named: dict[str, list[str]] = {}
    for stem, paths in images_by_stem(images).items():
        named.setdefault(_name(stem), []).extend(paths)
    facts = {_name(posixpath.splitext(name)[0]): name for name in annotations.files if _is_facts(name)}
    pages = []
    for name in _boxes(annotations):
        page_id = _name(posixpath.splitext(name)[0])
        entry = f"{annotations.root}/{facts[page_id]}" if page_id in facts else None
        pages.append(
            ListedPage(page_id, f"{annotations.root}/{name}", images.root, tuple(named.get(page_id, ())), entry)
        )
    for page_id in facts.keys() - {page.id for page in pages}:
        fault = RecordError(f"no {page_id}.txt with the lines and boxes")
        pages.append(ListedPage(page_id, f"{annotations.root}/{facts[page_id]}", images.root, (), fault))
    return unique_pages(pages)


def _boxes(annotations: FileTree) -> list[str]:
    return [name for name in annotations.files if name.endswith((".txt", ".csv")) and not _is_facts(name)]


def _is_facts(name: str) -> bool:
    folders = posixpath.dirname(name).split("/")
    return name.endswith(".json") or (name.endswith(".txt") and any(folder in _FACTS_FOLDERS for folder in folders))


def _name(stem: str) -> str:
    *folders, name = stem.split("/")
    return "/".join([folder for folder in folders if folder not in _FOLDERS] + [name])


def read_page(page: ListedPage, level: Level = None) -> PageRecord:
    """The lines as regions, and as the text; the facts as a question and its answer."""
    facts = read_entry(page)
    bboxes, texts = [], []
    for number, line in enumerate(_decoded(page.annotation).split("\n"), 1):
        if not line.strip():
            continue
        fields = _LINE.fullmatch(line)
        if fields is None:
            raise RecordError(f"line {number} is {shown(line)}, not x1,y1,x2,y2,x3,y3,x4,y4,text")
        values = [float(value) for value in fields.groups()[:8]]
        bboxes.append(box_around(list(zip(values[::2], values[1::2])), f"line {number}"))
        texts.append(fields[9].strip())
    question = (None, None) if facts is None else _question(facts)
    labels = ["text"] * len(bboxes)
    return PageRecord(page.id, paired_image(page), "\n".join(texts), bboxes, labels, texts, *question)


def _decoded(path: str) -> str:
    try:
        return read_bytes(path).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise RecordError(f"{path} is not UTF-8 at byte {error.start}: save it as UTF-8") from None


def _question(path: str) -> tuple[str, str]:
    facts = parse_object(read_bytes(path))
    if not facts or not all(isinstance(value, str) for value in facts.values()):
        raise RecordError(f"{path} is no JSON object of texts")
    return f"Extract as JSON: {', '.join(facts)}.", json.dumps(facts, ensure_ascii=False)
