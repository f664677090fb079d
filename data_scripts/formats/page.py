"""A page as a format lists it, before its annotation is parsed."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Page:
    """One page of an annotation folder.

    `id` is the annotation's path in its folder without the suffix. `images` are the files that could be its
    image, relative to `image_root`: none or several is a fault that `read_page` reports.
    """

    id: str
    annotation: str
    image_root: str
    images: tuple[str, ...]
