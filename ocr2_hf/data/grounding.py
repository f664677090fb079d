"""Boxes in text: the one place that writes and reads DeepSeek-OCR-2's grounding format.

A region is written `<|ref|>label<|/ref|><|det|>[[x1, y1, x2, y2]]<|/det|>` and, on the next line, its text; regions are
parted by a blank line. Coordinates are integers 0..999 of the page: `pixel = value / 999 * side`.

Source: the outputs of the model itself and the post-processing of its authors' repository (division by 999).
"""

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass

COORDINATE_MAX = 999
TAGS = ("<|ref|>", "<|/ref|>", "<|det|>", "<|/det|>", "<|grounding|>")

Box = tuple[float, float, float, float]

# What training needs: exactly what `encode_regions` writes, with the place of every coordinate.
_WRITTEN = re.compile(
    r"<\|ref\|>(?P<label>(?:(?!<\|).)*)<\|/ref\|>(?P<det><\|det\|>)"
    r"\[\[(\d{1,3}), (\d{1,3}), (\d{1,3}), (\d{1,3})\]\]<\|/det\|>\n?",
    re.DOTALL,
)
# What models produce: spaces vary, several boxes may share a tag, the end tag may be missing.
_PRODUCED = re.compile(r"<\|ref\|>(.*?)<\|/ref\|>\s*<\|det\|>(.*?)(?:<\|/det\|>|(?=<\|ref\|>)|(?=\n)|$)", re.DOTALL)
_QUADRUPLE = re.compile(r"\[\s*(-?\d+)\s*,\s*(-?\d+)\s*,\s*(-?\d+)\s*,\s*(-?\d+)\s*\]")
_ANY_TAG = re.compile(r"<\|/?(?:ref|det|grounding)\|>")


@dataclass(frozen=True)
class Region:
    """A labelled box on a page; `box` is (x0, y0, x1, y1) in pixels, `text` is "" where it is unknown."""

    label: str
    box: Box
    text: str = ""


@dataclass(frozen=True)
class BoxSpan:
    """Where one grounded region stands in a target text, as character offsets.

    `tag` covers the whole tag block, `det` the `<|det|>` in it, `coordinates` the four numbers; `end` is where the
    region's text ends: at the next region or at the end of the target. `values` are the coordinates, 0..999.
    """

    label: str
    tag: tuple[int, int]
    det: tuple[int, int]
    coordinates: tuple[tuple[int, int], ...]
    values: tuple[int, ...]
    end: int


def encode_box(box: Iterable[float], width: int, height: int) -> tuple[int, int, int, int]:
    """Pixel xyxy -> four integers 0..999; what lies outside the page is moved to its edge."""
    x0, y0, x1, y1 = box
    scaled = (x0 / width, y0 / height, x1 / width, y1 / height)
    if not all(math.isfinite(value) for value in scaled):
        raise ValueError(f"box {list(box)} is not finite")
    return tuple(min(max(round(value * COORDINATE_MAX), 0), COORDINATE_MAX) for value in scaled)


def decode_box(values: Iterable[int], width: int, height: int) -> Box:
    """Four integers 0..999 -> pixel xyxy; values past 999 are moved to the edge, reversed corners are put in order."""
    x0, y0, x1, y1 = (min(max(value, 0), COORDINATE_MAX) / COORDINATE_MAX for value in values)
    return (min(x0, x1) * width, min(y0, y1) * height, max(x0, x1) * width, max(y0, y1) * height)


def grounding_tag(label: str, values: Iterable[int]) -> str:
    """`<|ref|>label<|/ref|><|det|>[[x1, y1, x2, y2]]<|/det|>`."""
    return f"<|ref|>{label}<|/ref|><|det|>[[{', '.join(map(str, values))}]]<|/det|>"


def encode_regions(regions: Iterable[Region], width: int, height: int) -> str:
    """Regions in reading order -> grounded markdown.

    Raises `ValueError` when a label or text holds a grounding tag of its own: it could not be read back.
    """
    blocks = []
    for region in regions:
        for name, value in (("label", region.label), ("text", region.text)):
            if _ANY_TAG.search(value):
                raise ValueError(f"the {name} {value[:60]!r} holds a grounding tag; remove it from the annotation")
        tag = grounding_tag(region.label, encode_box(region.box, width, height))
        blocks.append(f"{tag}\n{region.text}" if region.text else tag)
    return "\n\n".join(blocks)


def has_tags(text: str) -> bool:
    """Whether the text holds a grounding tag, and so perhaps coordinates."""
    return _ANY_TAG.search(text) is not None


def parse_regions(text: str, width: int, height: int) -> list[Region]:
    """Grounded markdown -> regions with boxes in pixels, in the order of the text.

    Tolerant of what models produce: a missing end tag, coordinates past 999, reversed corners, several boxes in one tag
    (each becomes a region; the text stays with the first). A tag without a readable box is left out.
    """
    found = list(_PRODUCED.finditer(text))
    regions = []
    for position, match in enumerate(found):
        end = found[position + 1].start() if position + 1 < len(found) else len(text)
        content = _ANY_TAG.sub("", text[match.end() : end]).strip()
        for quadruple in _QUADRUPLE.findall(match[2]):
            box = decode_box(map(int, quadruple), width, height)
            regions.append(Region(match[1].strip(), box, content))
            content = ""
    return regions


def plain_text(text: str) -> str:
    """Grounded markdown without its tags: the text before the first region, then the regions' texts, a line each."""
    pieces = [piece.strip() for piece in _PRODUCED.sub("\0", text).split("\0")]
    return "\n".join(piece for piece in (_ANY_TAG.sub("", piece).strip() for piece in pieces) if piece)


def find_boxes(target: str) -> list[BoxSpan]:
    """Every region of a target text that `encode_regions` or a task wrote, with character offsets for the collator."""
    found = list(_WRITTEN.finditer(target))
    ends = [*(match.start() for match in found[1:]), len(target)][: len(found)]
    return [
        BoxSpan(
            label=match["label"],
            tag=match.span(),
            det=match.span("det"),
            coordinates=tuple(match.span(group) for group in range(3, 7)),
            values=tuple(int(match[group]) for group in range(3, 7)),
            end=end,
        )
        for match, end in zip(found, ends, strict=True)
    ]
