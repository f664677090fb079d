"""An image and its text without boxes: NAME.png and NAME.txt, NAME.md or NAME.gt.txt (kraken, Tesseract's training).

The text is taken as it is, but for its last line break and the page break that OCR engines end a page with. In a
folder with NAME.gt.txt the other texts are what an engine read, as NAME.pred.txt always is; of NAME.txt and NAME.md
nobody says which is the page's. The image may also be NAME.nrm.png or NAME.bin.png, as kraken has them, or
NAME.exp0.tif. An empty text is a blank page. Files that every project has (README, LICENSE) are no pages, unless they
have an image.

Folders such as images/ and texts/, in which the files are often put apart, are no part of a page's id.
"""

import posixpath
import re
from collections.abc import Iterator

from data_scripts.file_tree import FileTree
from data_scripts.formats.entries import read_entry, unique_pages
from data_scripts.formats.foreign import foreign_text
from data_scripts.formats.format import Level, ListedPage
from data_scripts.formats.images import IMAGE_FOLDERS, images_apart, paired_image, without_folders
from data_scripts.formats.text_files import read_text
from ocr2_hf.document.page_files import SEVERAL_PAGES, page_places
from ocr2_hf.document.records import PageRecord, RecordError

FILES = "NAME.txt, NAME.md or NAME.gt.txt beside NAME.png: text without boxes"
LABELS: dict[str, str] = {}
LEVELS = ()
BOX_UNIT = None

_TRUTH, _TEXT, _MARKDOWN, _PREDICTED = ".gt.txt", ".txt", ".md", ".pred.txt"
_TEXT_FOLDERS = {"text", "texts", "txt", "gt", "ground_truth", "labels", "markdown", "md", "transcriptions"}
_FOLDERS = IMAGE_FOLDERS | _TEXT_FOLDERS
# What stands between the name and the suffix of an image: as it is, normalised, black and white, of text2image.
_VARIANTS = ("", ".nrm", ".bin", ".exp0")
_PROJECT_FILE = re.compile(
    r"(readme|licen[cs]e|copying|notice|changelog|changes|sources?|authors|contributing|citation)"
    r"([._-]([a-z]+|\d\.\d))*",
    re.IGNORECASE,
)
_END = re.compile(r"(?:\n?\f)?\n?\Z")  # engines end a page with a page break


def recognise(annotations: FileTree) -> bool:
    """True where a text file has an image of its name, or where all images are elsewhere and no JSON is there."""
    texts = _texts(annotations)
    named = images_apart(annotations, _FOLDERS) if texts else {}
    if named:
        return any(_images(without_folders(stem, _FOLDERS), named) for stem in texts)
    has_json = bool(annotations.names(".json", ".jsonl"))
    return not has_json and any(not _PROJECT_FILE.fullmatch(posixpath.basename(stem)) for stem in texts)


def list_pages(annotations: FileTree, images: FileTree) -> list[ListedPage]:
    """Every text file as a page with the images of its name; of two texts of an image, see above."""
    named = images_apart(images, _FOLDERS)
    return unique_pages(_pages(annotations, images, named))


def _pages(annotations: FileTree, images: FileTree, named: dict[str, list[str]]) -> Iterator[ListedPage]:
    for stem, suffixes in _texts(annotations).items():
        page_id = without_folders(stem, _FOLDERS)
        paired = _images(page_id, named)
        if not paired and _PROJECT_FILE.fullmatch(posixpath.basename(stem)):
            continue
        suffix = next(suffix for suffix in (_TRUTH, _TEXT, _MARKDOWN) if suffix in suffixes)
        fault = None
        if len(suffixes) > 1 and suffix != _TRUTH:
            both = " and ".join(suffixes.values())
            fault = RecordError(f"{both} are texts of one page: keep the one that it is to be read as")
        path = f"{annotations.root}/{suffixes[suffix]}"
        yield ListedPage(page_id, path, images.root, tuple(paired), fault)


def _texts(annotations: FileTree) -> dict[str, dict[str, str]]:
    """Path without the suffix -> {suffix: name} of its text files."""
    texts: dict[str, dict[str, str]] = {}
    for name in annotations.files:
        suffix = next((suffix for suffix in (_TRUTH, _TEXT, _MARKDOWN) if name.lower().endswith(suffix)), None)
        if suffix and not name.lower().endswith(_PREDICTED):
            texts.setdefault(name[: -len(suffix)], {})[suffix] = name
    transcribed = {posixpath.dirname(stem) for stem, suffixes in texts.items() if _TRUTH in suffixes}
    return {
        stem: suffixes
        for stem, suffixes in texts.items()
        if _TRUTH in suffixes or posixpath.dirname(stem) not in transcribed
    }


def _images(page_id: str, named: dict[str, list[str]]) -> list[str]:
    return next((named[page_id + variant] for variant in _VARIANTS if page_id + variant in named), [])


def read_page(page: ListedPage, level: Level = None) -> PageRecord:
    """The text of the page, without regions; `RecordError` where it is another program's annotation."""
    read_entry(page)
    text = read_text(page.annotation)
    if foreign := foreign_text(text):
        raise RecordError(foreign.told("the text"))
    image = paired_image(page)
    if image.lower().endswith(SEVERAL_PAGES) and (count := len(page_places(image))) > 1:
        what = f"{posixpath.basename(image)} has {count} pages and {posixpath.basename(page.annotation)} is one text"
        raise RecordError(f"{what}: give every page an image and a text of its own")
    return PageRecord(page.id, image, _END.sub("", text, count=1) if text.strip() else "")
