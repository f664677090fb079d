"""Annotations of programs that are not read: each is told by its name, with what to export or convert instead."""

import posixpath
import re
from collections.abc import Iterable
from contextlib import suppress
from typing import NamedTuple

from data_scripts.file_tree import FileTree
from data_scripts.formats.json_files import first_key_paths, parse_json
from data_scripts.formats.text_files import text_heads
from data_scripts.formats.xml_text import first_element
from ocr2_hf.document.records import RecordError

_OWN = "write NAME.json with text, bboxes and labels (the format json)"
_NO_TEXTS = f"COCO has boxes and labels alone; to keep texts, {_OWN}"
_COCO = "export COCO from the program that drew the boxes, or convert it to COCO, and build that as coco; " + _NO_TEXTS
_CLOUD = f"it is a service's answer: convert it to hOCR, or {_OWN}"
_FACTS = "key information is not read from it: write rows of image, prompt and target (the format jsonl)"
_TESSERACT = "run tesseract with the configuration hocr (tesseract IMAGE NAME hocr) and build its hOCR"


class ForeignFormat(NamedTuple):
    """A format that is not read, and what to do with it."""

    name: str
    advice: str

    def told(self, what: str) -> str:
        """What it is, for a message that begins with `what`, a file or a piece of one."""
        return f"{what} looks like {self.name}, which is not read: {self.advice}"


_LABELME = ForeignFormat("LabelMe", f"convert it to COCO (labelme2coco); {_NO_TEXTS}")
_TEXTRACT = ForeignFormat("Amazon Textract", _CLOUD)
_DOCUMENT_AI = ForeignFormat("Google Document AI", f"convert it by Google's toolbox to hOCR, or {_OWN}")
_VISION = ForeignFormat("Google Cloud Vision", _CLOUD)
_AZURE = ForeignFormat("Azure Document Intelligence", _CLOUD)
_VIA = ForeignFormat(
    "VIA (VGG Image Annotator)", f"export annotations (COCO format) and build them as coco; {_NO_TEXTS}"
)
_MIN = ForeignFormat("Label Studio's JSON-MIN", "export JSON and build it as label_studio")
_CORD = ForeignFormat("CORD", _FACTS)
_JSON_FACTS = ForeignFormat("key facts as JSON", _FACTS)
_IAM = ForeignFormat("IAM", "write the text of each line's image to NAME.txt and build it as pairs")
_VOC = ForeignFormat("Pascal VOC", _COCO)
_YOLO = ForeignFormat("YOLO", _COCO)
_DOCBANK = ForeignFormat("DocBank", "build its COCO files (MSCOCO_Format_Annotation) as coco")
_SEGMENTS = ForeignFormat(
    "ICDAR's text segmentation",
    "its characters are colours of a mask: take the files of text localization (gt_NAME.txt)",
)
_BOX = ForeignFormat("Tesseract's box files", f"{_TESSERACT}; NAME.gt.txt beside the images is read as pairs")

_DOTA = ForeignFormat("DOTA", _COCO)
_CTW = ForeignFormat("CTW1500", _OWN)
_TOTAL_TEXT = ForeignFormat("Total-Text", _OWN)

# Key paths that stand together in the head of a JSON or JSONL file; "*" before one stands for any beginning.
_BY_KEYS: list[tuple[set[str], ForeignFormat]] = [
    ({".shapes", ".imagePath"}, _LABELME),
    ({".shapes[].points", ".version"}, _LABELME),
    ({".Blocks[].BlockType"}, _TEXTRACT),
    ({".Blocks", ".DocumentMetadata"}, _TEXTRACT),
    ({"[].Blocks", "[].DocumentMetadata"}, _TEXTRACT),
    ({".responses[].fullTextAnnotation"}, _VISION),
    ({".responses[].textAnnotations"}, _VISION),
    ({".fullTextAnnotation"}, _VISION),
    ({".textAnnotations"}, _VISION),
    ({"*.layout.textAnchor"}, _DOCUMENT_AI),
    ({"*.layout.text_anchor"}, _DOCUMENT_AI),
    ({".mimeType", ".text"}, _DOCUMENT_AI),
    ({".mime_type", ".text"}, _DOCUMENT_AI),
    ({".uri", ".text", ".pages"}, _DOCUMENT_AI),
    ({".analyzeResult"}, _AZURE),
    ({".apiVersion", ".modelId"}, _AZURE),
    ({".api_version", ".model_id"}, _AZURE),
    ({".modelId", ".stringIndexType"}, _AZURE),
    ({"*.shape_attributes"}, _VIA),
    ({"._via_img_metadata"}, _VIA),
    ({"[].annotation_id", "[].annotator"}, _MIN),
    ({"[].lead_time", "[].annotator"}, _MIN),
    ({".form[].words"}, ForeignFormat("FUNSD", _FACTS)),
    ({".form[].linking"}, ForeignFormat("FUNSD", _FACTS)),
    ({".documents[].document"}, ForeignFormat("XFUND", _FACTS)),
    ({".valid_line"}, _CORD),
    ({".gt_parse"}, _CORD),
    ({".ground_truth"}, ForeignFormat("Donut's metadata", _FACTS)),
]
_BY_ROOT = {
    "annotation": _VOC,
    "TEI": ForeignFormat("TEI", "export the pages as PAGE-XML or ALTO (in Transkribus, eScriptorium) and build these"),
    "teiCorpus": ForeignFormat("TEI", "export the pages as PAGE-XML or ALTO and build these"),
    "form": _IAM,
}
_VALUE = r"(?:0|1|0?\.\d{1,20}|1\.0{1,20})"
_DECIMAL = r"0?\.\d{1,20}"
# The whole of a text: every line of it.
_BY_LINES = [
    (re.compile(rf"\d{{1,4}}(?=.* {_DECIMAL})(?: {_VALUE}){{4,}}"), _YOLO),
    (re.compile(r"[^\t]*(?:\t-?\d{1,6}){7}\t[^\t]+\t\w+"), _DOCBANK),
    (re.compile(r'\d{1,3} \d{1,3} \d{1,3}(?: -?\d{1,6}(?:\.\d{1,9})?){6} ".*"'), _SEGMENTS),
    (re.compile(r"(?:-?\d{1,6},){4,}####.*"), _CTW),
    (re.compile(r"(?:imagesource|gsd):.*|(?:-?\d{1,6}(?:\.\d{1,20})? ){8}[\w-]+ [0-2]"), _DOTA),
    (re.compile(r"x: \[\[[\d ]+\]\], y: .*"), _TOTAL_TEXT),
]
_NO_LINES = ("", "#")  # marks between words
_BY_HEADER = [
    ("level\tpage_num\tblock_num", ForeignFormat("Tesseract's TSV", _TESSERACT)),
    ("#--- lines.txt", _IAM),
    ("#--- words.txt", _IAM),
    ("filename,file_size,file_attributes", _VIA),
    ("#filename,file_size,file_attributes", _VIA),
]
_BY_NAME = {
    "dataset_info.json": ForeignFormat(
        "LLaMA-Factory's list of datasets",
        "its data files are read as jsonl where they are chats: move it out of the folder",
    ),
    "data.yaml": _YOLO,
    "classes.txt": _YOLO,
}
# In this order: one program's lists of names lie beside another's annotations.
_SUFFIXES = ((".json", ".jsonl"), (".xml",), (".txt", ".tsv", ".csv"), (".box",), (".yaml",))
_FIRST_FILES = 8


def find_foreign(annotations: FileTree) -> str | None:
    """What one of the first files of each kind is, and what to do; None where none is known."""
    for suffixes in _SUFFIXES:
        for path in annotations.paths(*suffixes)[:_FIRST_FILES]:
            if found := foreign_file(path):
                return found.told(path)
    return None


def only_foreign(paths: Iterable[str]) -> str | None:
    """What the first of these files is, and what to do, where all that have anything in them are such; else None."""
    first = None
    for path in paths:
        found = foreign_file(path)
        if found is None and any(head.strip() for head in text_heads([path])):
            return None
        first = first or (found and found.told(path))
    return first


def foreign_file(path: str) -> ForeignFormat | None:
    """The format of a file that is not read, by its head or its name; None where it is not known."""
    name = posixpath.basename(path).lower()
    if name.endswith(".box"):
        return _BOX
    found = None
    if name.endswith((".json", ".jsonl")):
        found = next((foreign_keys(paths) for paths in first_key_paths([path])), None)
    elif head := next(text_heads([path]), ""):
        header = (format for start, format in _BY_HEADER if head.startswith(start))
        found = _BY_ROOT.get(first_element(head)) if name.endswith(".xml") else next(header, None)
        found = found or foreign_text(head.rpartition("\n")[0] or head)
    return found or _BY_NAME.get(name)


def foreign_text(text: str) -> ForeignFormat | None:
    """The format of which every line of a text is; None where it is a text."""
    lines = [line.strip() for line in text.split("\n") if line.strip() not in _NO_LINES]
    if text.lstrip().startswith("{"):
        with suppress(RecordError):
            return _JSON_FACTS if parse_json(text.encode()) else None
    return next((format for line, format in _BY_LINES if lines and all(map(line.fullmatch, lines))), None)


def foreign_keys(paths: set[str]) -> ForeignFormat | None:
    """The format of a JSON file with these key paths in its head; None where it is not known."""
    return next((format for keys, format in _BY_KEYS if all(_has(key, paths) for key in keys)), None)


def _has(key: str, paths: set[str]) -> bool:
    return any(path.endswith(key[1:]) for path in paths) if key[0] == "*" else key in paths
