"""A page as a format lists it, before its annotation is parsed."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Page:
    """One page of an annotation folder.

    `id` is the annotation's path in its folder without the suffix; where a file holds many pages, the image's path
    without its suffix, or what the format numbers its pages by. `annotation` is the path of the file. `images` are the
    files that could be its image, relative to `image_root`: none or several is a fault that `read_page` reports.
    `entry` is the page's piece of a file that holds many pages, as far as the format parsed it when it listed them.
    """

    id: str
    annotation: str
    image_root: str
    images: tuple[str, ...]
    entry: Any = None
