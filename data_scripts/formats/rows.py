"""Rows of files as pages: each names its image, or has it in itself, and is a chat or a plain page.

A page's id is its image's path without suffix; the second row of an image has "#2" behind it, and so on. A row that has
its image in itself is called by its file and number.
"""

import posixpath
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from hashlib import sha256
from typing import Any

from data_scripts.file_tree import FileTree
from data_scripts.formats.chats import CHAT_KEYS, images_in, listed, messages_of, question
from data_scripts.formats.column_advice import image_advice
from data_scripts.formats.columns import ColumnSearch, image_keys, renamed
from data_scripts.formats.data_urls import image_of, is_data_url
from data_scripts.formats.entries import list_row, unique_pages
from data_scripts.formats.format import ListedPage
from data_scripts.formats.images import named_image, slashed
from data_scripts.formats.json_files import UnknownFormatError, string, told_keys
from data_scripts.formats.plain_pages import PAGE_KEYS, plain_record
from ocr2_hf.document.records import PageRecord, RecordError, shown

# A file below the folder, the row's number there, what tells where it is, and the row or what is wrong with it.
ListedRow = tuple[str, int, Any, Any]

_KEYS = frozenset((*CHAT_KEYS, *PAGE_KEYS))


def row_pages(annotations: FileTree, images: FileTree, rows: Iterable[ListedRow]) -> list[ListedPage]:
    """Every row as a page; `UsageError` where a column that the user named is in none."""
    columns, search = annotations.columns or None, ColumnSearch(annotations.columns)
    pages: list[ListedPage] = []
    named: dict[str, Any] = {}  # row -> its image as it names it
    first: dict[bytes, str] = {}  # hash of an image that lies in a row -> the page of the first that has it
    for name, number, entry, row in rows:
        search.see(row)
        path, row_id = f"{annotations.root}/{name}", f"{name}#{number}"
        image = _image_or_fault(row, annotations.columns)
        if is_data_url(image):
            # No "#": pages whose ids are one up to there stay in one split.
            page_id = first.setdefault(sha256(image.encode(errors="replace")).digest(), f"{name}:{number}")
            page, image = ListedPage(page_id, path, images.root, (), entry), None
        else:
            page = list_row(path, row_id, images, image, entry)
        named[row_id] = image
        pages.append(replace(page, columns=columns) if columns else page)
    search.check()
    return unique_pages(_numbered(_sure(pages, named)))


def _sure(pages: list[ListedPage], named: dict[str, Any]) -> Iterator[ListedPage]:
    """The pages; faults where an image is found by paths that cannot be of one: another of its name may be missing.

    Rows that name it by an end of its own path stay. `named` has the rows in the pages' order.
    """
    of_image: dict[tuple[str, ...], set[Any]] = {}
    for page, name in zip(pages, named.values()):
        of_image.setdefault(page.images, set()).add(name)
    unsure = {images for images, names in of_image.items() if images and not _are_of_one(names)}
    for page, (row_id, name) in zip(pages, named.items()):
        if page.images not in unsure or _are_of_one({name, *page.images}, page.images[0]):
            yield page
            continue
        what = f"image {name!a} is found as {page.images[0]}, and so is another: name its folder too"
        yield replace(page, id=row_id, images=(), entry=RecordError(what))


def _are_of_one(names: set[str], whole: str = "") -> bool:
    """Whether these can be paths of one image: all are ends of the `whole`, or of the longest."""
    if len(names) == 1:
        return True
    paths = [posixpath.normpath(slashed(name)).lstrip("./") for name in names]
    return all(f"/{whole or max(paths, key=len)}".endswith(f"/{path}") for path in paths)


def _numbered(pages: Iterable[ListedPage]) -> Iterator[ListedPage]:
    """The pages, from the second row of an image on with its number in the id."""
    rows_of_image: Counter[tuple[str, ...]] = Counter()
    for page in pages:
        image = page.images or (page.id,)
        rows_of_image[image] += 1
        number = rows_of_image[image]
        yield replace(page, id=f"{page.id}#{number}") if number > 1 else page


def row_record(page: ListedPage, row: dict[str, Any]) -> PageRecord:
    """The row's chat as a custom record, or its plain page."""
    if page.images:
        image = dict(zip(("image_path", "page_number"), named_image(page.image_root, page.images[0])))
    else:
        url = _image(row, page.columns or {})
        image = {"image_path": f"{page.annotation} ({page.id})", "image_bytes": image_of(url)}
    messages = messages_of(renamed(row, page.columns))
    if messages is None:
        return plain_record(row, page.columns, page.id, **image)
    prompt, target = question(messages)
    return PageRecord(page.id, text="", prompt=prompt, target=target, **image)


def _image_or_fault(row: Any, columns: dict[str, str]) -> str | RecordError:
    try:
        return row if isinstance(row, RecordError) else _image(row, columns)
    except RecordError as error:
        return error


def _image(row: Any, columns: dict[str, str]) -> str:
    """The one image that a row names, in its own keys or in its messages."""
    if not isinstance(row, dict):
        raise RecordError(f"row is {shown(row)}, not an object")
    page = renamed(row, columns)
    if _KEYS.isdisjoint(page):
        raise UnknownFormatError(f"row is neither a chat nor a plain page; {told_keys(row)}")
    named = [name for key in image_keys(page, columns) for name in listed(page[key])]
    if "image" not in columns:
        named += [*listed(page.get("images")), *images_in(messages_of(page) or ())]
    paths = list(dict.fromkeys(_path(name) for name in named if name is not None))
    if len(paths) != 1:
        raise RecordError(f"row has {len(paths)} images, not one; {told_keys(row)}{'' if paths else image_advice(row)}")
    return paths[0]


def _path(name: Any) -> str:
    """The path of an image, also where it is in an object, as `datasets` and OpenAI have it."""
    if isinstance(name, dict):
        name = name.get("path") or name.get("url") or name
    return string(name, "image")
