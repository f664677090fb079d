"""Regions, their lines and words, as page formats nest them; the boxes around them; and the record of such a page."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from data_scripts.formats.format import Level, ListedPage
from ocr2_hf.document.records import PageRecord, RecordError, shown

_SEPARATORS = {"region": "\n", "line": " ", "word": ""}


def box_around(points: Iterable[Sequence[Any]], what: str = "polygon") -> list[float]:
    """The box [x0, y0, x1, y1] around `points` (x, y), in their units.

    Raises `RecordError` that begins with `what` where there are no points, or one is no pair of finite numbers.
    """
    pairs = list(points)
    if not pairs:
        raise RecordError(f"{what} has no points")
    for pair in pairs:
        numbers = [value for value in pair if type(value) in (int, float)]
        # Compared, as an int may be longer than a float can be.
        if len(numbers) != 2 or len(pair) != 2 or not all(abs(value) < math.inf for value in numbers):
            raise RecordError(f"{what} has the point {shown(pair)}, not two numbers x, y")
    return box_around_all([[*pair, *pair] for pair in pairs])


def box_around_all(boxes: Iterable[Sequence[float]]) -> list[float]:
    """The box around boxes [x0, y0, x1, y1]; there must be one."""
    x0, y0, x1, y1 = zip(*boxes)
    return [min(x0), min(y0), max(x1), max(y1)]


def letters_of(text: str) -> str:
    """The text without blanks and line breaks, by which texts are compared that are set in other ways."""
    return "".join(text.split())


@dataclass
class LayoutBlock:
    """A region, line or word (`level`). `parts` are the lines of a region, the words of a line, in reading order.

    `own_box` (xyxy) and `own_text` are what the annotation says of the block itself; where they are None and "", its
    parts say it. The box of a shape without points is []. A region has a `label`, which its parts share.
    """

    level: str
    id: str
    own_box: list[float] | None
    own_text: str = ""
    parts: list["LayoutBlock"] = field(default_factory=list)
    label: str = ""

    @property
    def text(self) -> str:
        """Its text, or that of its parts."""
        if own := self.own_text.strip():
            return "\n".join(line.rstrip() for line in own.split("\n"))
        return _SEPARATORS[self.level].join(text for part in self.parts if (text := part.text))

    @property
    def box(self) -> list[float] | None:
        """Its box, or the one around its parts; None where they have none."""
        if self.own_box:
            return self.own_box
        boxes = [box for part in self.parts if (box := part.box)]
        # Empty ones are often at 0, 0.
        whole = [box for box in boxes if box[0] < box[2] and box[1] < box[3]] or boxes
        return box_around_all(whole) if whole else None

    @property
    def is_empty(self) -> bool:
        """Has it neither a place nor a text? Editors write such blocks for lines that are in no region."""
        return self.own_box is None and not self.own_text.strip() and not self.parts

    def at(self, level: Level) -> list["LayoutBlock"]:
        """Its parts of that level; a part that has none of its own is there itself."""
        if self.level == level or not self.parts:
            return [self]
        return [found for part in self.parts for found in part.at(level)]


def ranks_of(ids: list[str]) -> dict[str, int]:
    """The rank of each id: where it is first."""
    return {id: rank for rank, id in reversed(list(enumerate(ids)))}


def sort_blocks(blocks: Iterable[LayoutBlock], ranks: dict[str, int]) -> list[LayoutBlock]:
    """Regions and their parts by the ranks of their ids, or of their first part; those without one last."""
    blocks = list(blocks)
    for block in blocks:
        block.parts = sort_blocks(block.parts, ranks)
    return sorted(blocks, key=lambda block: _rank(block, ranks))


def _rank(block: LayoutBlock, ranks: dict[str, int]) -> float:
    if block.id in ranks:
        return ranks[block.id]
    return min((_rank(part, ranks) for part in block.parts), default=math.inf)


@dataclass
class LayoutPage(PageRecord):
    """A record with the regions that it is made of at `level`, as they can be sorted.

    `is_ordered` is about the regions, `has_ordered_lines` about the lines in each.
    """

    regions: list[LayoutBlock] = field(default_factory=list)
    level: Level = None
    has_ordered_lines: bool = False


def page_record(
    page: ListedPage,
    image: tuple[str, int | None],
    regions: list[LayoutBlock],
    level: Level,
    page_size: tuple[float, float] | None,
    **order: bool,
) -> LayoutPage:
    """The record of a page with these regions at `level`; `image` is its path and number of page.

    `order` are `is_ordered` and `has_ordered_lines` of `LayoutPage`.
    """
    regions = [region for region in regions if not region.is_empty]
    place = {"id": page.id, "image_path": image[0], "page_number": image[1], "page_size": page_size}
    return LayoutPage(**place, **block_fields(regions, level), **order, regions=regions, level=level)


def block_fields(regions: list[LayoutBlock], level: Level) -> dict[str, Any]:
    """Text, boxes, labels and texts of a page of these regions at `level`."""
    parts = [(region.label, part) for region in regions for part in region.at(level)]
    return {
        "text": "\n\n".join(text for region in regions if (text := region.text)),
        "bboxes": [part.box for _, part in parts],
        "labels": [label for label, _ in parts],
        "texts": [part.text for _, part in parts],
    }
