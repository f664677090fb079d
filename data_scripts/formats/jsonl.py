"""Rows of a JSONL file, or of a JSON list, each with its image: chats as other trainers have them, or plain pages.

A chat of one question about one image becomes a row for the task `custom`, its answer verbatim the target:
`{"messages": [{role, content}], "images": [path]}` of ms-swift, or its older `{query, response, images}`; contents that
are lists of `{type: text | image}`, as OpenAI and Unsloth have them; `{"conversations": [{from, value}], "image"}` of
LLaVA. `<image>` is left out of the question, the text of a system message stands before it. A plain page is an object
as in the format json, with its `image` (or `file_name`). Paths end at a file in the image folder, wherever they began.

A page's id is its image's path without suffix; the second row of an image has "#2" behind it, and so on.
"""

import json
import posixpath
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from data_scripts.file_tree import FileTree
from data_scripts.formats.entries import list_row, unique_pages
from data_scripts.formats.format import Level, ListedPage
from data_scripts.formats.images import named_image, slashed
from data_scripts.formats.json import REQUIRED, plain_record
from data_scripts.formats.json_files import (
    UnknownFormatError,
    are_all,
    first_key_paths,
    list_rows,
    parse_object,
    read_row,
    read_shared_json,
    string,
    told_keys,
)
from ocr2_hf.document.model_tokens import IMAGE
from ocr2_hf.document.records import PageRecord, RecordError, shown

FILES = "*.jsonl, or *.json with a list of messages, conversations or pages"
LABELS: dict[str, str] = {}
LEVELS = ()
BOX_UNIT = None

_KEYS = frozenset(("messages", "conversations", "query", "response", *REQUIRED))
_ROW_KEYS = {"[].messages", "[].conversations", "[].query", "[].bboxes"}
_ASKERS, _ANSWERERS = ("user", "human"), ("assistant", "gpt")
_UNFILLED = ("<bbox>", "<ref-object>", "<video>", "<audio>")


def recognise(annotations: FileTree) -> bool:
    """True where there is a JSONL file, or the head of a JSON file has a list of such rows."""
    has_lines = any(name.endswith(".jsonl") for name in annotations.files)
    return has_lines or any(_ROW_KEYS & paths for paths in first_key_paths(annotations.paths(".json")))


def is_sure(annotations: FileTree) -> bool:
    """True where the head of a JSONL file has a key of such a row, or there is a JSON list of them."""
    marks = {f".{key}" for key in _KEYS}
    has_rows = any(marks & paths for paths in first_key_paths(annotations.paths(".jsonl")))
    return has_rows or any(_ROW_KEYS & paths for paths in first_key_paths(annotations.paths(".json")))


def list_pages(annotations: FileTree, images: FileTree) -> list[ListedPage]:
    """Every row of every *.jsonl, and of every *.json that is a list of rows, as a page."""
    pages: list[ListedPage] = []
    named: dict[str, str | RecordError] = {}  # row -> its image as it names it
    for name in annotations.files:
        path = f"{annotations.root}/{name}"
        if name.endswith(".jsonl"):
            rows = list_rows(path)
        elif name.endswith(".json") and any(_ROW_KEYS & paths for paths in first_key_paths([path])):
            rows = _list_entries(path)
        else:
            continue
        for number, entry, row in rows:
            row_id = f"{name}#{number}"
            named[row_id] = _image_or_fault(row)
            pages.append(list_row(path, row_id, images, named[row_id], entry))
    return unique_pages(_numbered(_sure(pages, named)))


def _list_entries(path: str) -> Iterator[tuple[int, bytes, Any]]:
    """(number from 1, the row as JSON again, the row): its text is kept because any text can go to another process."""
    for number, row in enumerate(read_shared_json(path, list), 1):
        yield number, json.dumps(row).encode(), row


def _sure(pages: list[ListedPage], named: dict[str, str]) -> Iterator[ListedPage]:
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


def _numbered(pages: list[ListedPage]) -> Iterator[ListedPage]:
    """The pages, from the second row of an image on with its number in the id."""
    rows_of_image: Counter[tuple[str, ...]] = Counter()
    for page in pages:
        rows_of_image[page.images] += 1
        number = rows_of_image[page.images]
        yield replace(page, id=f"{page.id}#{number}") if page.images and number > 1 else page


def read_page(page: ListedPage, level: Level = None) -> PageRecord:
    """The row's chat as a custom record, or its plain page."""
    row = parse_object(page.entry) if isinstance(page.entry, bytes) else read_row(page)
    path, page_number = named_image(page.image_root, page.images[0])
    messages = _messages_of(row)
    if messages is None:
        return plain_record(row, page.id, path, page_number)
    prompt, target = _question(messages)
    return PageRecord(page.id, path, "", prompt=prompt, target=target, page_number=page_number)


def _image_or_fault(row: Any) -> str | RecordError:
    try:
        return row if isinstance(row, RecordError) else _image(row)
    except RecordError as error:
        return error


def _image(row: Any) -> str:
    """The one image that a row names, in its own keys or in its messages."""
    if not isinstance(row, dict):
        raise RecordError(f"row is {shown(row)}, not an object")
    if _KEYS.isdisjoint(row):
        raise UnknownFormatError(f"row is neither a chat nor a plain page; {told_keys(row)}")
    images = row.get("images")
    named = [row.get("image"), row.get("file_name"), *(images if isinstance(images, list) else [images])]
    for part in (part for message in _messages_of(row) or () for part in _parts_of(message)):
        named += [part.get("image"), part.get("image_url")]
    paths = list(dict.fromkeys(_path(name) for name in named if name is not None))
    if len(paths) != 1:
        raise RecordError(f"row has {len(paths)} images, not one; {told_keys(row)}")
    return paths[0]


def _path(name: Any) -> str:
    """The path of an image, also where it is in an object, as `datasets` and OpenAI have it."""
    if isinstance(name, dict):
        name = name.get("path", name.get("url"))
    return string(name, "image")


def _messages_of(row: dict[str, Any]) -> list[dict[str, Any]] | None:
    """The chat of a row as a list of messages; None where it has none."""
    if "query" in row or "response" in row:
        if row.get("history"):
            raise RecordError("row has a history: one question and its answer are needed")
        roles = {"system": row.get("system") or "", "user": row.get("query"), "assistant": row.get("response")}
        return [{"role": role, "content": content} for role, content in roles.items()]
    messages = row.get("messages", row.get("conversations"))
    if messages is None:
        return None
    if not are_all(dict, messages):
        raise RecordError(f"messages is {shown(messages)}, not a list of objects")
    return messages


def _question(messages: list[dict[str, Any]]) -> tuple[str, str]:
    """(prompt, answer) of a chat of one round."""
    roles = [message.get("role", message.get("from")) for message in messages]
    texts = [_content(message) for message in messages]
    first = next((i for i, role in enumerate(roles) if role != "system"), len(roles))
    if len(roles) != first + 2 or roles[first] not in _ASKERS or roles[first + 1] not in _ANSWERERS:
        raise RecordError(f"messages are of {shown(roles)}: one question and its answer are needed")
    for mark in _UNFILLED:
        if any(mark in text for text in texts):
            raise RecordError(f"messages hold {mark}: fill such placeholders in, coordinates as 0..999 of the page")
    *before, answer = texts
    if sum(text.count(IMAGE) for text in before) > 1 or IMAGE in answer:
        raise RecordError(f"messages hold {IMAGE} in the answer, or more than once: one question about one image")
    prompt = "\n".join(text for text in (text.replace(IMAGE, "").strip() for text in before) if text)
    return prompt, answer


def _content(message: dict[str, Any]) -> str:
    content = message.get("content", message.get("value"))
    parts = [part.get("text") for part in _parts_of(message) if part.get("type") == "text"]
    if isinstance(content, list):
        return "\n".join(string(part, "text in messages") for part in parts)
    return string(content, "content of a message")


def _parts_of(message: dict[str, Any]) -> list[dict[str, Any]]:
    """The text and image parts of a message's content; none where it is a plain string."""
    content = message.get("content", message.get("value"))
    parts = content if isinstance(content, list) else []
    for part in parts:
        if not isinstance(part, dict) or part.get("type") not in ("text", "image", "image_url"):
            raise RecordError(f"messages have the part {shown(part)}, neither text nor image")
    return parts
