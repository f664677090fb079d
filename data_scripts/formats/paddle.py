"""PaddleOCR and PPOCRLabel: text files of lines with an image's path, a tab, and its regions as JSON, or its text.

`Label.txt`, a line a page: `PATH<tab>[{"transcription", "points": [[x, y], ...], "difficult", "key_cls"}]`. A region
that is difficult, or whose text is `###`, cannot be read: it stays, with the text "". Its label is its class, `key_cls`
or `label`, where it has one. PPOCRLabel's `Cache.cach`, of pages that nobody has confirmed, is passed over where a
Label.txt is in its folder.

`rec_gt.txt`, a line a word or line of text: `PATH<tab>TEXT`, pages without boxes. These are crops of the pages, so such
lists are passed over where any list has regions.

Source: the documentation of PaddleOCR and PPOCRLabel, "dataset preparation".
"""

from typing import Any, NamedTuple

from data_scripts.file_tree import FileTree
from data_scripts.formats.box_lines import readable
from data_scripts.formats.entries import entry_id, list_row, read_entry, unique_pages
from data_scripts.formats.format import Level, ListedPage
from data_scripts.formats.images import named_image
from data_scripts.formats.json_files import are_all, parse_json, string
from data_scripts.formats.layout import box_around
from data_scripts.formats.paddle_lists import has_list, read_lists
from ocr2_hf.document.records import PageRecord, RecordError, shown

FILES = 'Label.txt of lines PATH<tab>[{"transcription", "points"}], or rec_gt.txt of lines PATH<tab>TEXT'
LABELS: dict[str, str] = {}
LEVELS = ()
BOX_UNIT = None

_NO_CLASS = ("", "None")


class _Line(NamedTuple):
    """What a line says of its image: regions as JSON, or its text."""

    has_regions: bool
    said: str


def recognise(annotations: FileTree) -> bool:
    """True where one of the first text files begins with the path of an image and a tab."""
    return has_list(annotations)


def list_pages(annotations: FileTree, images: FileTree) -> list[ListedPage]:
    """Every line as a page: of the lists that have regions, or where none has any, of those that have texts."""
    return unique_pages(
        list_row(each.path, entry_id(each.path, number), images, image, _Line(each.has_regions, said))
        for each in read_lists(annotations)
        for number, image, said in each.entries()
    )


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
