"""PaddleOCR and PPOCRLabel: text files of lines with an image's path, a tab, and its regions as JSON, or its text.

`Label.txt`, a line a page: `PATH<tab>[{"transcription", "points": [[x, y], ...], "difficult", "key_cls"}]`. A region
that is difficult, or whose text is `###`, cannot be read: it stays, with the text "". Its label is its class, `key_cls`
or `label`, where it has one. PPOCRLabel's `Cache.cach`, of pages that nobody has confirmed, and `rec_gt.txt`, of crops
of the pages, are passed over where a Label.txt is in their folder.

`rec_gt.txt`, a line a word or line of text: `PATH<tab>TEXT`, pages without boxes.

Source: the documentation of PaddleOCR and PPOCRLabel, "dataset preparation".
"""

import posixpath
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from data_scripts.file_tree import FileTree
from data_scripts.formats.box_lines import UNREADABLE, readable
from data_scripts.formats.entries import entry_id, list_row, read_entry, unique_pages
from data_scripts.formats.format import Level, ListedPage
from data_scripts.formats.images import named_image, names_image
from data_scripts.formats.json_files import are_all, parse_json, string
from data_scripts.formats.layout import box_around
from data_scripts.formats.text_files import first_line, list_lines, text_heads
from ocr2_hf.document.records import PageRecord, RecordError, shown

FILES = 'Label.txt of lines PATH<tab>[{"transcription", "points"}], or rec_gt.txt of lines PATH<tab>TEXT'
LABELS: dict[str, str] = {}
LEVELS = ()
BOX_UNIT = None

_LABELS, _CACHE, _STATE = "label.txt", "cache.cach", "filestate.txt"
_FIRST = (_LABELS, _CACHE, "rec_gt.txt")  # looked at before others
_REGIONS = re.compile(r'^[^\t\n]+\t\s*\[\s*\{\s*"', re.MULTILINE)
_NO_CLASS = ("", "None")


class _Line(NamedTuple):
    """What a line says of its image: regions as JSON, or its text."""

    has_regions: bool
    said: str


def recognise(annotations: FileTree) -> bool:
    """True where one of the first text files begins with the path of an image and a tab."""
    return any(_image(first_line(head)) for head in text_heads(_files(annotations)))


def list_pages(annotations: FileTree, images: FileTree) -> list[ListedPage]:
    """Every line of every such file as a page."""
    paths = _files(annotations)
    labelled = {posixpath.dirname(path) for path in paths if posixpath.basename(path).lower() == _LABELS}
    pages: list[ListedPage] = []
    for path in paths:
        head = next(text_heads([path]), "")
        folder, name = posixpath.split(path)
        has_regions = bool(_REGIONS.search(head)) or name.lower() in (_LABELS, _CACHE)
        is_of_labels = folder in labelled and (name.lower() == _CACHE or not has_regions)
        if _image(first_line(head)) and not is_of_labels:
            pages += _file_pages(path, images, has_regions)
    return unique_pages(pages)


def _files(annotations: FileTree) -> list[str]:
    """The paths of the text files, those that are called as usual first."""
    paths = [path for path in annotations.paths(".txt", ".cach") if posixpath.basename(path).lower() != _STATE]
    return sorted(paths, key=lambda path: posixpath.basename(path).lower() not in _FIRST)


def _image(line: str) -> str:
    """The image that a line is of; "" where it is no such line."""
    image, tab, _ = line.partition("\t")
    return image.strip() if tab and names_image(image.strip()) else ""


def _file_pages(path: str, images: FileTree, has_regions: bool) -> Iterator[ListedPage]:
    for number, line in list_lines(path):
        image, said = _parts(number, line, has_regions)
        yield list_row(path, entry_id(path, number), images, image, _Line(has_regions, said))


def _parts(number: int, line: str | RecordError, has_regions: bool) -> tuple[str | RecordError, str]:
    """(image, what is said of it), or (what is wrong with the line, "")."""
    if isinstance(line, RecordError):
        return line, ""
    image, said = _image(line), line.partition("\t")[2].strip()
    if not image:
        what = f"line {number} is {shown(line)}, not the path of an image, a tab and what is on it"
        return RecordError(what), ""
    if said in ("", UNREADABLE) and not has_regions:
        return RecordError(f"line {number} is of a text that cannot be read ({shown(said)}): leave it out"), ""
    return image, said


def read_page(page: ListedPage, level: Level = None) -> PageRecord:
    """The regions of the line and their texts, a line each; or its text alone."""
    line = read_entry(page)
    path, page_number = named_image(page.image_root, page.images[0])
    if not line.has_regions:
        return PageRecord(page.id, path, line.said, page_number=page_number)
    regions = parse_json(line.said.encode())
    if not are_all(dict, regions):
        raise RecordError(f"regions are {shown(regions)}, not a list of objects")
    texts = [_text(region) for region in regions]
    boxes = [_box(region.get("points")) for region in regions]
    labels = [_label(region) for region in regions]
    return PageRecord(page.id, path, "\n".join(filter(None, texts)), boxes, labels, texts, page_number=page_number)


def _text(region: dict[str, Any]) -> str:
    # Converters write the flag as a string.
    is_difficult = str(region.get("difficult")).lower() == "true"
    return "" if is_difficult else readable(string(region.get("transcription"), "transcription").strip())


def _box(points: Any) -> list[float]:
    if not are_all(list, points):
        raise RecordError(f"points of a region are {shown(points)}, not a list of points x, y")
    return box_around(points, "points of a region")


def _label(region: dict[str, Any]) -> str:
    names = (region.get("key_cls"), region.get("label"))
    return next((name for name in names if isinstance(name, str) and name not in _NO_CLASS), "text")
