"""The plain annotation folder: NAME.json pairs with NAME.png (or .jpg .jpeg .tif .tiff .webp).

The JSON is an object with `text` (the page), `bboxes` (pixel xyxy), `labels`, and optionally `texts` (of
the regions), `prompt` and `target` (for the task `custom`), and `image` (the image's path in the image
folder, where it does not have the annotation's name). Other keys are left alone.
"""

import json
import os
from pathlib import PurePosixPath
from typing import Any

from file_tree import FileTree
from formats.page import Page
from ocr2_hf.data.records import PageRecord, RecordError
from page_image import SUFFIXES

FILES = "*.json"

_REQUIRED = ("text", "bboxes", "labels")


def recognise(annotations: FileTree) -> bool:
    """True where any file is a JSON file."""
    return any(name.endswith(".json") for name in annotations.files)


def list_pages(annotations: FileTree, images: FileTree) -> list[Page]:
    """Every *.json as a page, with the images of its name."""
    named: dict[str, list[str]] = {}
    for image in images.files:
        stem, suffix = os.path.splitext(image)
        if suffix.lower() in SUFFIXES:
            named.setdefault(stem, []).append(image)
    stems = [name.removesuffix(".json") for name in annotations.files if name.endswith(".json")]
    return [
        Page(stem, f"{annotations.root}/{stem}.json", images.root, tuple(named.get(stem, ()))) for stem in sorted(stems)
    ]


def read_page(page: Page) -> PageRecord:
    """The page's annotation with the path of its image; values are not yet checked (see `check_record`)."""
    annotation = _parse(page.annotation)
    absent = [key for key in _REQUIRED if key not in annotation]
    if absent:
        raise RecordError(f"annotation has no {', '.join(absent)}; it needs {', '.join(_REQUIRED)}")
    return PageRecord(
        id=page.id,
        image_path=_image_path(page, annotation.get("image")),
        text=annotation["text"],
        bboxes=annotation["bboxes"],
        labels=annotation["labels"],
        texts=annotation.get("texts"),
        prompt=annotation.get("prompt"),
        target=annotation.get("target"),
    )


def _parse(path: str) -> dict[str, Any]:
    try:
        with open(path, "rb") as file:
            annotation = json.loads(file.read(), object_pairs_hook=_unique_keys, parse_constant=_refuse_constant)
    except RecordError:
        raise
    except OSError as error:
        raise RecordError(f"annotation cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise RecordError(f"annotation is broken JSON: {error}") from error
    if not isinstance(annotation, dict):
        raise RecordError(f"annotation is a JSON {type(annotation).__name__}, not an object")
    return annotation


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise RecordError(f"annotation has the key {twice!a} twice")
    return found


def _refuse_constant(literal: str) -> float:
    raise RecordError(f"annotation holds {literal}, which is not JSON")


def _image_path(page: Page, named: Any) -> str:
    if named is not None:
        return _named_image(page, named)
    if not page.images:
        raise RecordError(f"no image {page.id} ({' '.join(SUFFIXES)}) in {page.image_root}")
    if len(page.images) > 1:
        raise RecordError(f"several images: {', '.join(page.images)}; keep one, or name it under the key image")
    return f"{page.image_root}/{page.images[0]}"


def _named_image(page: Page, named: Any) -> str:
    if not isinstance(named, str) or not named.isprintable():
        raise RecordError(f"image is {named!a}, not the path of a file in the image folder")
    path = PurePosixPath(named)
    if path.is_absolute() or ".." in path.parts or "\\" in named or ":" in named:
        raise RecordError(f"image {named!a} leaves the image folder {page.image_root}")
    if path.suffix.lower() not in SUFFIXES:
        raise RecordError(f"image {named!a} is none of {' '.join(SUFFIXES)}")
    if not os.path.isfile(f"{page.image_root}/{path}"):
        raise RecordError(f"no image {named!a} in {page.image_root}")
    return f"{page.image_root}/{path}"
