"""The text files of PaddleOCR and PPOCRLabel: which of a folder's are lists of images, and which of these have regions.

What a line says is regions or a text by the whole of its file: the first thousand pages may have no region.
"""

import posixpath
import re
from collections.abc import Iterator
from typing import NamedTuple

from data_scripts.file_tree import FileTree
from data_scripts.formats.box_lines import UNREADABLE
from data_scripts.formats.images import names_image
from data_scripts.formats.text_files import first_line, list_lines, text_heads
from ocr2_hf.document.records import RecordError, shown

_LABELS, _CACHE, _STATE = "label.txt", "cache.cach", "filestate.txt"
_FIRST = (_LABELS, _CACHE, "rec_gt.txt")  # looked at before others
_REGIONS = re.compile(r'\[\s*\{\s*"')


class PaddleList(NamedTuple):
    """A file: whether it has regions, and (number, the line or what is wrong with it) of its lines."""

    path: str
    has_regions: bool
    lines: list[tuple[int, str | RecordError]]

    def entries(self) -> Iterator[tuple[int, str | RecordError, str]]:
        """(number, image, what is said of it) of every line, or (number, what is wrong with it, "")."""
        return ((number, *self._entry(number, line)) for number, line in self.lines)

    def _entry(self, number: int, line: str | RecordError) -> tuple[str | RecordError, str]:
        if isinstance(line, RecordError):
            return line, ""
        image, said = _image(line), _said(line)
        if not image:
            what = f"line {number} is {shown(line)}, not the path of an image, a tab and what is on it"
            return RecordError(what), ""
        if said in ("", UNREADABLE) and not self.has_regions:
            return RecordError(f"line {number} is of a text that cannot be read ({shown(said)}): leave it out"), ""
        return image, said


def has_list(annotations: FileTree) -> bool:
    """Whether one of the first text files begins with the path of an image and a tab."""
    return any(_image(first_line(head)) for head in text_heads(_files(annotations)))


def read_lists(annotations: FileTree) -> list[PaddleList]:
    """The lists that have regions, or where none has any, those that have texts."""
    paths = _files(annotations)
    labelled = {posixpath.dirname(path) for path in paths if _name(path) == _LABELS}
    paths = [path for path in paths if not (_name(path) == _CACHE and posixpath.dirname(path) in labelled)]
    lists = [_read_list(path) for path in paths if any(_image(first_line(head)) for head in text_heads([path]))]
    are_of_regions = any(each.has_regions for each in lists)
    return [each for each in lists if each.has_regions == are_of_regions]


def _files(annotations: FileTree) -> list[str]:
    """The paths of the text files, those that are called as usual first."""
    paths = [path for path in annotations.paths(".txt", ".cach") if _name(path) != _STATE]
    return sorted(paths, key=lambda path: _name(path) not in _FIRST)


def _name(path: str) -> str:
    return posixpath.basename(path).lower()


def _read_list(path: str) -> PaddleList:
    lines = list(list_lines(path))
    said = [_said(line) for _, line in lines if isinstance(line, str)]
    # In a list of texts one may be [].
    has_regions = _name(path) in (_LABELS, _CACHE) or any(map(_REGIONS.match, said)) or set(said) == {"[]"}
    return PaddleList(path, has_regions, lines)


def _image(line: str) -> str:
    """The image that a line is of; "" where it is no such line."""
    image, tab, _ = line.partition("\t")
    return image.strip() if tab and names_image(image.strip()) else ""


def _said(line: str) -> str:
    return line.partition("\t")[2].strip()
