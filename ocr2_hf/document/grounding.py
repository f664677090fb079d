"""Boxes in text: the one place that writes and reads DeepSeek-OCR-2's grounding format.

What a malformed answer says is decided here and nowhere else: what `ocr2 read` writes is what is scored.

A region is written `<|ref|>label<|/ref|><|det|>[[x1, y1, x2, y2]]<|/det|>` and, on the next line, its text; regions are
parted by a blank line. Coordinates are integers 0..999 of the page: `pixel = value / 999 * side`. What else stands
between regions, and where captions go, is the `Dialect`'s.

Source: the outputs of the model itself and the post-processing of its authors' repository (division by 999).
"""

import math
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from ocr2_hf.document.dialect import EQUATION, IMAGE_CAPTION, IMAGES, TABLE, TABLE_CAPTION, VERSION_2, Dialect

COORDINATE_MAX = 999
GROUNDING = "<|grounding|>"  # in a prompt: answer with boxes
TAGS = ("<|ref|>", "<|/ref|>", "<|det|>", "<|/det|>", GROUNDING)

Box = tuple[float, float, float, float]
Span = tuple[int, int]  # of characters, its end not included

# What training needs: exactly what `encode_regions` writes, with the place of every coordinate.
_WRITTEN = re.compile(
    r"<\|ref\|>(?P<label>(?:(?!<\|).)*)<\|/ref\|>(?P<det><\|det\|>)"
    r"\[\[(\d{1,3}), (\d{1,3}), (\d{1,3}), (\d{1,3})\]\]<\|/det\|>\n?",
    re.DOTALL,
)
_TAG = r"<\|/?(?:ref|det|grounding)\|>"
_ANY_TAG = re.compile(_TAG)
# What models produce: tags may be missing, spaces vary, several boxes may share a tag. Numbers end at the end tag, else
# at the last bracket of the line.
_PRODUCED = re.compile(
    rf"(?:<\|ref\|>(?:(?P<label>(?:(?!{_TAG}).)*)<\|/ref\|>|(?P<open_label>[^\n<]*+))\s*+)?"
    r"<\|det\|>(?P<boxes>[\s\[\]0-9,.;-]*(?=<\|/det\|>)|[ \t]*\[[\[\]0-9,.;\- \t]*(?:\]|\Z)|[^\n<]*)"
    r"(?P<end>\s*+<\|/det\|>)?",
    re.DOTALL,
)
_NUMBER = r"\s*(-?[0-9]{1,9})\s*"
_QUADRUPLE = re.compile(rf"\[{_NUMBER},{_NUMBER},{_NUMBER},{_NUMBER}\]")
_BOX_LIST = re.compile(r"\s*\[\s*\[[^\[\]]*\](?:\s*,\s*\[[^\[\]]*\])*\s*\]\s*")
# The beginning of a region, or of a tag, that the answer ends in.
_CUT_OFF = re.compile(
    r"(?:<\|ref\|>[^\n<]*(?:<\|/ref\|>\s*)?(?:<\|/?(?:r(?:ef?)?|d(?:et?)?|(?:ref|det)\|)?)?"
    r"|<\|/?(?:r(?:ef?)?|d(?:et?)?|(?:ref|det)\|))\Z"
)

# Kind of repair -> what was wrong in the answer and what was made of it.
REPAIRS = {
    "missing_end_tag": "a tag without its end tag: the label ends at the box, the box at its last bracket",
    "missing_label": "a box without a label: the label is empty",
    "missing_box": "a region without a readable box: its text is kept, but it is no region",
    "several_boxes": "several boxes in one tag: each is a region, the text is the first one's",
    "wrong_brackets": "a box that is not written [[x1, y1, x2, y2]]: its four numbers are taken",
    "coordinate_out_of_range": "a coordinate below 0 or above 999: moved to the edge of the page",
    "reversed_corners": "the second corner left of or above the first: put in order",
    "repeated_region": "a region that was there before, with label, box and text: left out",
    "stray_tag": "a tag in the middle of a text: left out",
    "cut_off": "the answer ends within a tag or a box: what was begun is left out",
}
_VALUE_LENGTH = 80
_HTML_TABLE = re.compile(r"^[ \t]*(?=<table\b)", re.MULTILINE)
_CENTRED = re.compile(r"\s*<center>(.*?)</center>\s*", re.DOTALL)


@dataclass(frozen=True)
class Region:
    """A labelled box on a page; `box` is (x0, y0, x1, y1) in pixels, `text` is "" where it is unknown.

    `score`, of a region that was read: how sure the model was, 0 to 1 (see `ocr2_hf.reading.results.Page`).
    """

    label: str
    box: Box
    text: str = ""
    score: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON; without a score where it has none."""
        values = {"label": self.label, "box": list(self.box), "text": self.text}
        return values if self.score is None else values | {"score": self.score}


@dataclass(frozen=True)
class Repair:
    """Something in an answer that was put right: `kind` is one of `REPAIRS`, `where` the character of the answer at
    which it stands, `value` what stands there, at most 80 characters."""

    kind: str
    where: int
    value: str


@dataclass(frozen=True)
class Grounded:
    """An answer read apart: `regions` in the order of their texts, for each the `spans` of characters it was read from,
    tag and text (boxes of one tag share theirs; a table whose caption stands between has two), and the `repairs`."""

    regions: list[Region]
    spans: list[tuple[Span, ...]]
    repairs: list[Repair]


@dataclass(frozen=True)
class BoxSpan:
    """Where one grounded region stands in a target text, as character offsets.

    `tag` covers the whole tag block, `det` the `<|det|>` in it, `coordinates` the four numbers; `text` is the region's
    text with what parts it from the next region. `values` are the coordinates, 0..999.
    """

    label: str
    tag: Span
    det: Span
    coordinates: tuple[Span, ...]
    values: tuple[int, ...]
    text: Span

    @property
    def spans(self) -> tuple[Span, ...]:
        """All of the region: tag and text in one, or in two where the caption of a table stands between."""
        return _region_spans(self.tag, self.text)


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


def encode_regions(regions: Iterable[Region], width: int, height: int, dialect: Dialect = VERSION_2) -> str:
    """Regions in reading order -> grounded markdown.

    Raises `ValueError` when a label or text holds a grounding tag of its own: it could not be read back.
    """
    regions = list(regions)
    for region in regions:
        for name, value in (("label", region.label), ("text", region.text)):
            if _ANY_TAG.search(value):
                raise ValueError(f"the {name} {value[:60]!r} holds a grounding tag; remove it from the annotation")
    tags = [grounding_tag(region.label, encode_box(region.box, width, height)) for region in regions]
    blocks = list(_blocks(regions, tags, dialect))
    return "\n\n".join([*(text + end for text, end in blocks[:-1]), *(text for text, _ in blocks[-1:])])


def _blocks(regions: list[Region], tags: list[str], dialect: Dialect) -> Iterator[tuple[str, str]]:
    """What blank lines part, each with what ends it where another block follows."""
    numbers = iter(range(len(regions)))
    for number in numbers:
        region, tag = regions[number], tags[number]
        following = regions[number + 1] if number + 1 < len(regions) else Region("", region.box)
        if region.label in IMAGES and following.label == IMAGE_CAPTION and not region.text and dialect.caption_at_image:
            tags[number + 1] = f"{tag}\n{tags[number + 1]}"
        elif not region.text:
            yield tag, dialect.empty_end
        elif region.label == TABLE:
            yield f"{tag}\n{dialect.table_gap}{region.text}", ""
        elif region.label == EQUATION:
            yield f"{tag}\n{dialect.around_equation}{region.text}", dialect.around_equation or dialect.text_end
        elif region.label == IMAGE_CAPTION:
            yield f"{tag}\n{dialect.image_caption.format(region.text)}", dialect.text_end
        elif region.label == TABLE_CAPTION and following.label == TABLE and following.text and dialect.caption_in_table:
            yield f"{tags[next(numbers)]}\n{tag}\n{region.text}", dialect.caption_end
            yield following.text, ""
        else:
            yield f"{tag}\n{region.text}", dialect.text_end


def has_tags(text: str) -> bool:
    """Whether the text holds a grounding tag, or ends in one that was begun, and so perhaps coordinates."""
    return bool(_ANY_TAG.search(text) or _CUT_OFF.search(text))


def parse_regions(text: str, width: int, height: int) -> list[Region]:
    """Grounded markdown -> regions with boxes in pixels, in the order of the text.

    Tolerant of what models produce: `read_grounded` tells what was repaired.
    """
    return read_grounded(text, width, height).regions


def read_grounded(text: str, width: int, height: int) -> Grounded:
    """Grounded markdown -> regions, where they stand, and what was repaired (`REPAIRS`). Any text can be read."""
    _, blocks, repairs = _read(text)
    found = Grounded([], [], repairs)
    for block in blocks:
        for number, values in enumerate(block.boxes):
            content = "" if number else block.text
            found.regions.append(Region(block.label, decode_box(values, width, height), content))
            found.spans.append(block.spans)
    return found


@lru_cache(maxsize=8)  # scoring asks for the two texts of a page again and again
def text_pieces(text: str) -> tuple[str, ...]:
    """What is written before the first tag, and behind each tag up to the next: text as it stands, without tags."""
    before, blocks, _ = _read(text)
    return (before, *(block.written for block in blocks))


def plain_text(text: str) -> str:
    """Grounded markdown without its tags: the text before the first region, then the regions' texts, a line each."""
    return "\n".join(filter(None, map(str.strip, text_pieces(text))))


def plain_markdown(text: str, links: Sequence[str] = ()) -> str:
    """The same with a blank line between regions. `links`, one for each region of `read_grounded` or "", are put before
    the region's text."""
    before, blocks, _ = _read(text)
    pieces, links = [before.strip()], iter(links)
    for block in blocks:
        pieces += [next(links, "") for _ in block.boxes]
        pieces.append(block.text)
    return "\n\n".join(filter(None, pieces))


def find_boxes(target: str) -> list[BoxSpan]:
    """Every region of a target text that `encode_regions` or a task wrote, with character offsets for the collator."""
    found = list(_WRITTEN.finditer(target))
    return [
        BoxSpan(
            label=match["label"],
            tag=match.span(),
            det=match.span("det"),
            coordinates=tuple(match.span(group) for group in range(3, 7)),
            values=tuple(int(match[group]) for group in range(3, 7)),
            text=text,
        )
        for match, text in zip(found, _text_spans(target, found), strict=True)
    ]


@dataclass(frozen=True)
class _Block:
    """A tag and its text; `boxes` are values as written, `spans` the characters of both."""

    spans: tuple[Span, ...]
    label: str
    boxes: list[tuple[int, ...]]
    written: str

    @property
    def text(self) -> str:
        return self.written.strip()


def _text_spans(text: str, tags: Sequence[re.Match]) -> list[Span]:
    """Where the text of each tag stands: up to the next tag. The HTML behind the caption of a table, whose own tag is
    right before the caption's, is the table's."""
    ends = [*(match.start() for match in tags), len(text)][1:]
    spans = [(match.end(), end) for match, end in zip(tags, ends, strict=True)]
    for number in range(1, len(tags)):
        start, end = spans[number]
        is_empty_table = _label(tags[number - 1]) == TABLE and not text[slice(*spans[number - 1])].strip()
        if is_empty_table and _label(tags[number]) != TABLE and (html := _HTML_TABLE.search(text, start, end)):
            spans[number - 1 : number + 1] = (html.end(), end), (start, html.end())
    return spans


def _region_spans(tag: Span, text: Span) -> tuple[Span, ...]:
    return ((tag[0], text[1]),) if tag[1] == text[0] else (tag, text)


def _label(tag: re.Match) -> str:
    return (tag["label"] or tag.groupdict().get("open_label") or "").strip()


def _read(text: str) -> tuple[str, list[_Block], list[Repair]]:
    """What is written before the first tag, the blocks in the order of their texts, and what was repaired."""
    repairs: list[Repair] = []

    def repair(kind: str, where: int, value: str) -> None:
        repairs.append(Repair(kind, where, value.strip()[:_VALUE_LENGTH]))

    def clean(start: int, end: int) -> str:
        for tag in _ANY_TAG.finditer(text, start, end):
            repair("stray_tag", tag.start(), tag[0])
        return _ANY_TAG.sub("", text[start:end])

    if cut := _CUT_OFF.search(text):
        repair("cut_off", cut.start(), cut[0])
        text = text[: cut.start()]
    found = list(_PRODUCED.finditer(text))
    before = clean(0, found[0].start() if found else len(text))
    blocks: list[_Block] = []
    seen = set()
    for match, span in sorted(zip(found, _text_spans(text, found), strict=True), key=lambda pair: pair[1]):
        boxes = _read_boxes(match, len(text), repair)
        label, written = _label(match), clean(*span)
        if centred := _CENTRED.fullmatch(written):
            written = centred[1]
        key = (label, *boxes, written.strip())
        if boxes and key in seen:
            repair("repeated_region", match.start(), match[0])
            continue
        seen.add(key)
        end = span[0] + len(text[slice(*span)].rstrip())
        blocks.append(_Block(_region_spans(match.span(), (span[0], end)), label, boxes, written))
    return before, blocks, sorted(repairs, key=lambda repair: repair.where)


def _read_boxes(match: re.Match, length: int, repair: Callable[[str, int, str], None]) -> list[tuple[int, ...]]:
    """The boxes of one tag as they are written, and what is wrong with it."""
    found = list(_QUADRUPLE.finditer(match["boxes"]))
    boxes = [tuple(map(int, quadruple.groups())) for quadruple in found]
    if not boxes and not match["end"] and match.end() == length:
        repair("cut_off", match.start(), match[0])
        return []
    if match["label"] is None and match["open_label"] is None:
        repair("missing_label", match.start(), match[0])
    if match["open_label"] is not None or not match["end"]:
        repair("missing_end_tag", match.start(), match[0])
    if not boxes:
        repair("missing_box", match.start(), match[0])
    elif not _BOX_LIST.fullmatch(match["boxes"]):
        repair("wrong_brackets", match.start("boxes"), match["boxes"])
    if len(boxes) > 1:
        repair("several_boxes", match.start("boxes"), match["boxes"])
    for quadruple, box in zip(found, boxes, strict=True):
        where = match.start("boxes") + quadruple.start()
        if not all(0 <= value <= COORDINATE_MAX for value in box):
            repair("coordinate_out_of_range", where, quadruple[0])
        if box[0] > box[2] or box[1] > box[3]:
            repair("reversed_corners", where, quadruple[0])
    return boxes
