"""Sections of a page whose target is too long: runs of regions, each with the piece of the image that shows them alone.

With the whole image, one page and one prompt would have several right answers, and all but the first would teach the
model to begin in the middle. So a section is a page of its own: the image is cropped to its regions and the boxes move
with it. A crop rather than painting the other regions over: it looks like a page, and its letters come out larger.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ocr2_hf.data.collator import PromptEncoder
from ocr2_hf.data.images import Crop
from ocr2_hf.data.tasks import build_example, marked_page
from ocr2_hf.document.grounding import encode_regions

# How far a box of another section may reach into a crop: boxes that people draw touch. A share of the page's side, and
# of the boxes themselves, so that nothing readable comes with it.
_TOUCHING, _TOUCHING_OF_BOX = 0.01, 0.25


@dataclass(frozen=True)
class PageSection:
    """Regions `first` to `last` - 1 of a page; `crop` is their piece of the image."""

    first: int
    last: int
    crop: Crop

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        left, top, right, bottom = self.crop
        return right - left, bottom - top


def split_page(
    page: Mapping[str, Any], encoder: PromptEncoder, prompts: Mapping[str, str], max_length: int
) -> list[PageSection]:
    """The fewest sections of a page (a row without its image) whose markdown examples fit `max_length` (tokens of
    image, prompt and target); [] where it cannot be cut so."""
    size = page["width"], page["height"]
    boxes = np.asarray(page["bboxes"], dtype=float).reshape(-1, 4)
    prompt, _ = build_example("markdown", page, prompts)
    regions, _ = marked_page(page)
    if not regions:
        return []

    def lengths(most: int) -> list[int]:
        """Tokens of each region with those behind it, `most` in all."""
        texts = [encode_regions(regions[number : number + most], *size) for number in range(len(regions))]
        return list(map(len, encoder.tokenizer(texts, add_special_tokens=False).input_ids))

    def room(width: int, height: int) -> int:
        tiles = encoder.settings.tiles(width, height)
        return max_length - len(encoder.prompt(prompt, tiles)) - 1  # the end has a token too

    # What a region takes, last of its section or before another. The sum over a run is what the run takes: every region
    # begins with a tag, at which the tokenizer always cuts, and its box is four tokens wherever it stands.
    alone, pairs = lengths(1), lengths(2)
    tokens = [max(own, pair - next_) for own, pair, next_ in zip(alone, pairs, [*alone[1:], 0], strict=True)]
    return find_sections(boxes, tokens, size, room)


def find_sections(
    boxes: np.ndarray, tokens: Sequence[int], size: tuple[int, int], room: Callable[[int, int], int]
) -> list[PageSection]:
    """The fewest sections that hold every region once, in order; [] where there are none.

    `boxes` [N, 4] are pixels xyxy on a page of `size` (width, height); `tokens` [N] is what each region takes in the
    target; `room(width, height)` is what a target may take beside an image of that size. A section must fit, and its
    crop must show no region of another section.
    """
    count = len(boxes)
    before = np.concatenate([[0], np.cumsum(tokens)])
    best: dict[int, list[PageSection]] = {count: []}  # first region -> the fewest sections from there to the end
    for first in range(count - 1, -1, -1):
        for last in range(count, first, -1):
            if last not in best or (first in best and len(best[first]) <= len(best[last]) + 1):
                continue
            crop = _crop(boxes, first, last, size)
            if crop and before[last] - before[first] <= room(crop[2] - crop[0], crop[3] - crop[1]):
                best[first] = [PageSection(first, last, crop), *best[last]]
    return best.get(0, [])


def section_row(row: Mapping[str, Any], section: PageSection) -> dict[str, Any]:
    """The page record of a section, its boxes on the crop; the image is left for the caller to crop."""
    left, top, _, _ = section.crop
    width, height = section.size
    lists = {name: list(row[name])[section.first : section.last] for name in ("bboxes", "labels")}
    lists["bboxes"] = [[x0 - left, y0 - top, x1 - left, y1 - top] for x0, y0, x1, y1 in lists["bboxes"]]
    name = f"{row['id']}[{section.first}:{section.last}]"
    # Headings have their marks: whether a line goes on with the one before, the whole page says.
    lists["texts"] = [region.text for region in marked_page(row)[0][section.first : section.last]]
    text = "\n".join(filter(None, lists["texts"]))
    return {**row, **lists, "id": name, "text": text, "width": width, "height": height}


def _crop(boxes: np.ndarray, first: int, last: int, size: tuple[int, int]) -> Crop | None:
    """The rectangle around regions `first` to `last` - 1, out to halfway to the others or to the page's edges; None
    where it would show one of the others."""
    own, others = boxes[first:last], np.delete(boxes, slice(first, last), axis=0)
    top, bottom, above, below = _span(own, others, 1, size[1])
    # What a horizontal cut keeps out needs no vertical one: a page in one column is cut into bands.
    left, right, before, after = _span(own, others[~(above | below)], 0, size[0])
    if not (before | after).all():
        return None
    return int(left), int(top), int(np.ceil(right)), int(np.ceil(bottom))


def _span(own: np.ndarray, others: np.ndarray, axis: int, side: int) -> tuple[float, float, np.ndarray, np.ndarray]:
    """Along one axis: where the crop starts and ends, and which of the others lie before and after its regions."""
    low, high = own[:, axis].min(), own[:, axis + 2].max()
    starts, ends = others[:, axis], others[:, axis + 2]
    touching = np.minimum(_TOUCHING * side, _TOUCHING_OF_BOX * np.minimum(high - low, ends - starts))
    before, after = ends <= low + touching, starts >= high - touching
    start = min(low, (low + ends[before].max()) / 2) if before.any() else 0
    end = max(high, (high + starts[after].min()) / 2) if after.any() else side
    return max(start, 0), min(end, side), before, after
