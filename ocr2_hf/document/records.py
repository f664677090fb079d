"""A page record: one page image with its text and its regions, one row of a built dataset.

Boxes are pixel xyxy on the page as displayed (after EXIF rotation); `bboxes`, `labels` and `texts` are in
reading order and have one length.
"""

import re
import unicodedata
from collections.abc import Container
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ocr2_hf.document.model_tokens import IMAGE, find_control_token, find_model_token

# A box may stick out of the page by this share of the side: it is clamped. Farther out it is a mistake.
OUTSIDE_TOLERANCE = 0.01

# Sides of a page that was drawn on and of its image may differ in their ratio by so much, through rounding and margins.
SHAPE_TOLERANCE = 0.02

# How long a side of the page is in each unit of boxes; None in pixels, where every page has its own.
BOX_UNITS: dict[str, int | None] = {"pixel": None, "relative": 1, "percent": 100, "thousand": 1000}

# A page is large for a unit of boxes where its sides have so many times more pixels than the unit.
_LARGE = 1.25

MAX_BAD = 0.01  # largest share of pages that may be rejected, unless one says otherwise

_FARTHEST = 1e9

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


class RecordError(ValueError):
    """A page cannot be used; the message is the reason, without the page's name."""


class BadBoxes(RecordError):
    """Boxes of a page are missing, empty or turned round: `reasons` by their indexes; the message is the first."""

    def __init__(self, reasons: dict[int, str]):
        super().__init__(next(iter(reasons.values())))
        self.reasons = reasons


@dataclass
class PageRecord:
    """What an annotation says about one page, before its image is read.

    Values are as the annotation has them, possibly of a wrong type: `check_record` makes them trustworthy.
    `texts` None means that the texts of the regions are unknown. `page_size` is the (width, height) of the page that
    the boxes were drawn on; None where that is the image. `page_number` is the page of a file that may have several
    (PDF, TIFF), from 1; None where it has one. `is_ordered` says that the annotation states in which order the regions
    are read; `upward`, where it does not, how they go up the page as it has them, None where they do not; `is_sorted`,
    that they were put in another order. `image_bytes` is the image file where that lies in the annotation; `image_path`
    then says where. `box_unit` is one of `BOX_UNITS`, where pixels are those of `page_size`; None
    where nobody says: then boxes are in pixels, and refused where they cannot be.
    """

    id: str
    image_path: str
    text: Any
    bboxes: Any = field(default_factory=list)
    labels: Any = field(default_factory=list)
    texts: Any = None
    prompt: Any = None
    target: Any = None
    page_size: Any = None
    page_number: int | None = None
    is_ordered: bool = False
    upward: str | None = None
    is_sorted: bool = False
    box_unit: str | None = None
    image_bytes: bytes | None = None


def check_record(record: PageRecord, width: int, height: int) -> tuple[PageRecord, int]:
    """Check a record against its page of `width` x `height` pixels (as displayed).

    Returns the record with its text in NFC, `texts` filled with "" where unknown, and the boxes within the
    page; and the number of boxes that were clamped. Raises `RecordError` with the
    reason.
    """
    for name in ("bboxes", "labels", "texts"):
        value = getattr(record, name)
        if not isinstance(value, list) and not (name == "texts" and value is None):
            raise RecordError(f"{name} is {shown(value)}, not a list")
    texts = [""] * len(record.bboxes) if record.texts is None else record.texts
    if not len(record.bboxes) == len(record.labels) == len(texts):
        counts = f"{len(record.bboxes)} bboxes, {len(record.labels)} labels, {len(texts)} texts"
        raise RecordError(f"lists of unequal length: {counts}")
    bboxes, clamped = check_boxes(_scaled(record, width, height), width, height)
    text, labels = record.text, record.labels
    if not _are_plain([text, *texts, *labels]):
        text = check_plain_text(text, "text")
        labels = [check_plain_text(label, f"labels[{i}]") for i, label in enumerate(labels)]
        texts = [check_plain_text(text, f"texts[{i}]") for i, text in enumerate(texts)]
    for label in set(labels):
        _check_name(label, f"labels[{labels.index(label)}]")
    checked = replace(
        record,
        id=check_text(record.id, "id"),
        text=text,
        bboxes=bboxes,
        labels=labels,
        texts=texts,
        prompt=None if record.prompt is None else _check_tagged_text(record.prompt, "prompt"),
        target=None if record.target is None else _check_target(record.target),
        page_size=None,
        box_unit=None,
    )
    return checked, clamped


def check_and_drop(record: PageRecord, width: int, height: int) -> tuple[PageRecord, int, list[str]]:
    """As `check_record`, without the regions that `BadBoxes` is about; also the reason of each of them.

    Raises `RecordError` too where these were all that the page has.
    """
    reasons: list[str] = []
    while True:
        try:
            return *check_record(record, width, height), reasons
        except BadBoxes as bad:
            if len(bad.reasons) == len(record.bboxes) and not record.text:
                raise
            texts = record.texts or [""] * len(record.bboxes)
            reasons += [f"{reason}; its text is {shown(texts[i])}" for i, reason in bad.reasons.items()]
            record = _without(record, bad.reasons.keys())


def _without(record: PageRecord, left_out: Container[int]) -> PageRecord:
    keep = [i for i in range(len(record.bboxes)) if i not in left_out]
    lists = {name: getattr(record, name) for name in ("bboxes", "labels", "texts")}
    return replace(record, **{name: values and [values[i] for i in keep] for name, values in lists.items()})


def _scaled(record: PageRecord, width: int, height: int) -> list:
    """The record's boxes in pixels of the image of `width` x `height`; as they are where they are so already.

    Raises `RecordError` where the page that they were drawn on has another shape: it is turned, or another page; and
    where boxes of no unit must be shares of the page.
    """
    drawn = width, height
    if record.page_size is not None:
        drawn = _drawn_size(record, width, height)
    if record.box_unit is None:
        _refuse_shares(record.bboxes, *drawn)
    elif side := BOX_UNITS[record.box_unit]:
        drawn = side, side
    if drawn == (width, height):
        return record.bboxes
    _check_numbers(record.bboxes)
    ratios = list(zip((width, height) * 2, drawn * 2))
    return [[value * side / drawn for value, (side, drawn) in zip(box, ratios, strict=True)] for box in record.bboxes]


def _drawn_size(record: PageRecord, width: int, height: int) -> tuple[float, float]:
    """The size of the page that was drawn on, which must have the image's shape."""
    drawn_width, drawn_height = (_side(value) for value in record.page_size)
    stretch = (width / drawn_width) / (height / drawn_height)
    if abs(stretch - 1) > SHAPE_TOLERANCE:
        turned = "; it is turned" if abs(stretch * (drawn_width / drawn_height) ** 2 - 1) <= SHAPE_TOLERANCE else ""
        drawn = f"{drawn_width:g}x{drawn_height:g}"
        raise RecordError(f"boxes were drawn on a page of {drawn}, the image has {width}x{height} pixels{turned}")
    return drawn_width, drawn_height


def _refuse_shares(bboxes: list, width: float, height: float) -> None:
    """`RecordError` where all boxes of the page lie within 0 and 1: no page is annotated in its first pixel alone."""
    if min(width, height) > 1 and all(map(_is_share, bboxes)) and any(box[0] < box[2] for box in bboxes):
        page = f"the page of {width:g}x{height:g} pixels"
        how = "build with --box_unit relative, or with --box_unit pixel where they are pixels"
        raise RecordError(f"all bboxes are within 0 and 1, such as {shown(bboxes[0])}: shares of {page}? {how}")


def fits_unit(bboxes: list[list[float]], width: int, height: int, unit: str) -> bool:
    """Whether boxes in pixels stay within a corner of a large page, where boxes in `unit` would be if taken for pixels.

    Of one page that says little, of every page of a dataset it says that they are hardly pixels.
    """
    side = BOX_UNITS[unit]
    return min(width, height) > _LARGE * side and max(map(max, bboxes)) <= side


def _is_share(box: Any) -> bool:
    return (
        isinstance(box, list)
        and len(box) == 4
        and all(type(value) in (int, float) and abs(value) <= 1 + OUTSIDE_TOLERANCE for value in box)
    )


def _side(value: Any) -> float:
    if type(value) not in (int, float) or not 0 < value < _FARTHEST:
        raise RecordError(f"the page that the boxes were drawn on has the side {shown(value)}, not a number above 0")
    return value


def _are_plain(texts: list[Any]) -> bool:
    """Whether `check_plain_text` would give back every one as it is. Asked of all at once: most pages pass, and one by
    one it would take longer than reading their images."""
    try:
        joined = "\n".join(texts)  # no combining character and no token reaches over a line's end
        joined.encode()
    except (TypeError, UnicodeEncodeError):
        return False
    return (
        unicodedata.is_normalized("NFC", joined)
        and "\r\n" not in joined
        and not _CONTROL.search(joined)
        and not find_model_token(joined)
    )


def _check_name(label: str, where: str) -> None:
    if not label.strip() or "\n" in label:
        raise RecordError(f"{where} is {shown(label)}, not a name on one line")


def check_text(value: Any, where: str) -> str:
    """The text in NFC with Unix line ends; `RecordError` for other types and for control characters."""
    if not isinstance(value, str):
        raise RecordError(f"{where} is {shown(value)}, not a string")
    text = unicodedata.normalize("NFC", value.replace("\r\n", "\n"))
    if found := _CONTROL.search(text):
        raise RecordError(f"{where} has the control character U+{ord(found[0]):04X} at offset {found.start()}")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise RecordError(f"{where} has half of a surrogate pair at offset {error.start}") from None
    return text


def check_plain_text(value: Any, where: str) -> str:
    """As `check_text`, and without the model's own tokens (`<image>`, `<|ref|>`, ...)."""
    text = check_text(value, where)
    _refuse_token(find_model_token(text), where)
    return text


def _check_tagged_text(value: Any, where: str) -> str:
    """As `check_text`, and without control tokens; grounding tags are free."""
    text = check_text(value, where)
    _refuse_token(find_control_token(text), where)
    return text


def _check_target(value: Any) -> str:
    text = _check_tagged_text(value, "target")
    _refuse_token(re.search(IMAGE, text), "target")
    return text


def _refuse_token(found: re.Match | None, where: str) -> None:
    if found:
        raise RecordError(f"{where} holds {found[0]}, a token of the model's own, at offset {found.start()}")


def check_label(value: Any, where: str) -> str:
    """A region's class: a text of one line that is not empty."""
    label = check_plain_text(value, where)
    _check_name(label, where)
    return label


def check_boxes(bboxes: list, width: int, height: int) -> tuple[list[list[float]], int]:
    """Boxes within the page (lists of four numbers) and how many were clamped.

    Raises `RecordError` for the first bad one, `BadBoxes` for all that are missing, empty or turned round.
    """
    _check_numbers(bboxes)
    if not bboxes:
        return [], 0
    boxes = np.array(bboxes, dtype=np.float64)  # [N, 4]
    sides = np.array([width, height, width, height], dtype=np.float64)
    slack = OUTSIDE_TOLERANCE * sides
    inside = boxes.clip(0, sides)
    page = f"the page of {width}x{height} pixels"
    _refuse_bad(_is_empty(boxes), bboxes, "is empty or turned round: x0 < x1 and y0 < y1 is needed")
    far = ((boxes < -slack) | (boxes > sides + slack)).any(axis=1)
    if far.any():
        i = int(far.argmax())
        how_far = f"leaves {page} by more than {OUTSIDE_TOLERANCE:.0%} of its side"
        raise RecordError(f"bboxes[{i}] {shown(bboxes[i])} {how_far}")
    _refuse_bad(_is_empty(inside), bboxes, f"lies outside {page}")
    clamped = int((inside != boxes).any(axis=1).sum())
    return inside.tolist() if clamped else bboxes, clamped


def _is_empty(boxes: np.ndarray) -> np.ndarray:
    # float32 is what is stored: a box that is empty there is empty.
    stored = boxes.astype(np.float32)
    return (stored[:, :2] >= stored[:, 2:]).any(axis=1)


def _check_numbers(bboxes: list) -> None:
    if None in bboxes:
        absent = [i for i, box in enumerate(bboxes) if box is None]
        raise BadBoxes({i: f"bboxes[{i}] is missing: the region has no coordinates" for i in absent})
    for i, box in enumerate(bboxes):
        if not isinstance(box, list) or len(box) != 4:
            raise RecordError(f"bboxes[{i}] is {shown(box)}, not a list of four numbers x0, y0, x1, y1")
        for value in box:
            if type(value) not in (int, float):  # a bool is an int for isinstance
                raise RecordError(f"bboxes[{i}] holds {shown(value)}, not a number")
            # NaN fails this too; an int of hundreds of digits, which no float holds, can still be compared.
            if not -_FARTHEST < value < _FARTHEST:
                raise RecordError(f"bboxes[{i}] holds {shown(value)}, not a pixel coordinate")


def _refuse_bad(bad: np.ndarray, bboxes: list, what: str) -> None:
    if bad.any():
        raise BadBoxes({i: f"bboxes[{i}] {shown(bboxes[i])} {what}" for i in np.flatnonzero(bad).tolist()})


def shown(value: Any) -> str:
    """The value for a message, in at most 60 characters of ASCII."""
    try:
        text = ascii(value)
    except ValueError:  # an int too long to print
        text = "a number of thousands of digits"
    except RecursionError:
        text = f"a {type(value).__name__} nested hundreds of times"
    return text if len(text) <= 60 else f"{text[:57]}..."
