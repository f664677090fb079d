"""ICDAR's Robust Reading challenges: gt_NAME.txt of boxes and words beside NAME.jpg, and lists of word images.

Pages (text localization of 2013, 2015, MLT 2017 and 2019) have the lines of `box_lines.py`. A list of words, such as
gt.txt, has lines `word_1.png, "text"`, or `word_1.png,Latin,text`: each image is a page of that text, without boxes.
Other text files, such as coords.txt beside a list of words, are passed over.

Source: https://rrc.cvc.uab.es, the tasks of challenges 2, 4, 8 and 15.
"""

import posixpath
import re
from collections.abc import Iterator

from data_scripts.file_tree import FileTree
from data_scripts.formats.box_lines import (
    GROUND_TRUTH,
    LANGUAGES,
    UNREADABLE,
    box_line_fields,
    is_box_line,
    unescaped_quotes,
)
from data_scripts.formats.entries import entry_id, list_row, read_entry, unique_pages
from data_scripts.formats.format import Level, ListedPage
from data_scripts.formats.images import (
    IMAGE_FOLDERS,
    images_apart,
    named_image,
    names_image,
    paired_image,
    without_folders,
)
from data_scripts.formats.text_files import first_line, list_lines, read_text, text_heads
from ocr2_hf.document.records import PageRecord, RecordError, shown

FILES = 'gt_NAME.txt of lines x1,y1,x2,y2,x3,y3,x4,y4,text or x0 y0 x1 y1 "text"; *.txt of lines IMAGE, "text"'
LABELS: dict[str, str] = {}
LEVELS = ()
BOX_UNIT = None

_LISTS = ("gt.txt",)  # looked at before others
_WORD = re.compile(rf'\s*(?:"(.*)"|(?:{LANGUAGES}),(.*))\s*', re.DOTALL)


def recognise(annotations: FileTree) -> bool:
    """True where one of the first gt_*.txt has a line of a box, or one of the first *.txt a line of a word's image."""
    texts, pages = annotations.paths(".txt"), _pages(annotations)
    others = sorted(set(texts).difference(pages), key=lambda path: (posixpath.basename(path) not in _LISTS, path))
    has_boxes = any(is_box_line(first_line(head)) for head in text_heads(pages))
    return has_boxes or _is_word_list(*others) or _is_word_list(*pages)


def list_pages(annotations: FileTree, images: FileTree) -> list[ListedPage]:
    """Every gt_*.txt as a page with the images of its name; every line of a list of words as one."""
    named = images_apart(images, IMAGE_FOLDERS)
    lists = [path for path in annotations.paths(".txt") if _is_word_list(path)]
    pages = set(_pages(annotations)).difference(lists)
    return unique_pages(
        [_page(path, annotations, images, named) for path in pages]
        + [page for path in lists for page in _word_pages(path, images)]
    )


def _pages(annotations: FileTree) -> list[str]:
    return [path for path in annotations.paths(".txt") if posixpath.basename(path).startswith(GROUND_TRUTH)]


def _is_word_list(*paths: str) -> bool:
    return any(_word(first_line(head)) is not None for head in text_heads(list(paths)))


def _word(line: str) -> tuple[str, str] | None:
    """(image, text) of a line of a list of words; None where it is none."""
    image, _, rest = line.partition(",")
    found = _WORD.fullmatch(rest)
    if found is None or not names_image(image.strip()):
        return None
    return image.strip(), found[2].strip() if found[1] is None else unescaped_quotes(found[1])


def _page(path: str, annotations: FileTree, images: FileTree, named: dict[str, list[str]]) -> ListedPage:
    stem = posixpath.splitext(path.removeprefix(f"{annotations.root}/"))[0]
    page_id = without_folders(stem, IMAGE_FOLDERS)
    if page_id not in named:
        folder, name = posixpath.split(page_id)
        page_id = posixpath.join(folder, name.removeprefix(GROUND_TRUTH))
    return ListedPage(page_id, path, images.root, tuple(named.get(page_id, ())))


def _word_pages(path: str, images: FileTree) -> Iterator[ListedPage]:
    for number, line in list_lines(path):
        image, text = _word_or_fault(number, line)
        yield list_row(path, entry_id(path, number), images, image, text)


def _word_or_fault(number: int, line: str | RecordError) -> tuple[str | RecordError, str]:
    """(image, text), or (what is wrong with the line, "")."""
    if isinstance(line, RecordError):
        return line, ""
    image, text = _word(line) or (RecordError(f'line {number} is {shown(line)}, not IMAGE, "text"'), "")
    if text == UNREADABLE:
        image = RecordError(f"line {number} is of a word that cannot be read ({UNREADABLE}): leave it out")
    return image, text


def read_page(page: ListedPage, level: Level = None) -> PageRecord:
    """The words of a page as regions and, a line each, as its text; of a word's image the text alone."""
    word = read_entry(page)
    if word is not None:
        path, page_number = named_image(page.image_root, page.images[0])
        return PageRecord(page.id, path, word, page_number=page_number)
    return PageRecord(page.id, paired_image(page), **box_line_fields(read_text(page.annotation)))
