"""The regions of a page record and their lines in reading order, and where they go up the page as annotations have
them: editors write them as they were drawn."""

from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any

from data_scripts.formats.layout import LayoutBlock, LayoutPage, block_fields
from data_scripts.reading_order import Box, is_right_to_left, position_order, upward_steps
from ocr2_hf.document.records import PageRecord, shown

# As the file has it; by position; by position where the file states no order and goes up the page.
ORDERS = ("file", "position", "auto")

_SEPARATORS = ("\n\n", "\n", " ")  # of regions in a page's text


def in_order(record: PageRecord, order: str) -> PageRecord:
    """The record with its regions in `order`, one of `ORDERS`, and with `upward` and `is_sorted`.

    The page's text follows where it is that of the regions. A record whose lists do not fit together, or whose boxes
    are no numbers, is returned as it is: `check_record` refuses it.
    """
    if isinstance(record, LayoutPage):
        return _layout_in_order(record, order)
    if record.is_ordered and order != "position":
        return record
    lists = [record.bboxes, record.labels] + ([] if record.texts is None else [record.texts])
    if not all(isinstance(values, list) for values in lists) or any(len(v) != len(lists[0]) for v in lists):
        return record
    try:
        steps, ranks = _arranged(record.bboxes, is_right_to_left(record.text), record.is_ordered, order)
    except (TypeError, ValueError, OverflowError):  # of boxes that are none
        return record
    upward = _told(len(steps), len(record.bboxes), record.texts and steps and record.texts[steps[0]])
    if ranks is None:
        return replace(record, upward=upward) if upward else record
    bboxes, labels, *texts = ([values[i] for i in ranks] for values in lists)
    text = _rejoined(record, texts[0]) if texts else record.text
    changed = {"text": text, "bboxes": bboxes, "labels": labels, "texts": texts[0] if texts else None}
    return replace(record, **changed, upward=upward, is_sorted=True)


def _arranged(
    boxes: Sequence[Box | None], right_to_left: bool, is_ordered: bool, order: str
) -> tuple[list[int], list[int] | None]:
    """The boxes that go up where no order is stated; and the ranks in which they are to be, None where they are."""
    placed, known = range(len(boxes)), boxes
    if None in boxes:
        placed = [i for i in placed if boxes[i] is not None]
        known = [boxes[i] for i in placed]
    steps = [] if is_ordered else [placed[i] for i in upward_steps(known, right_to_left)]
    if order == "file" or (order == "auto" and not steps):
        return steps, None
    ranks = [placed[i] for i in position_order(known, right_to_left)]
    ranks += sorted(set(range(len(boxes))).difference(placed))
    return steps, ranks if ranks != list(range(len(boxes))) else None


def _layout_in_order(page: LayoutPage, order: str) -> PageRecord:
    """Regions are put in order as asked for; the lines of one only where they go up and nothing states their order."""
    right_to_left = is_right_to_left(page.text)
    upward: list[str] = []  # the texts of what goes up

    def arranged(blocks: list[LayoutBlock], is_ordered: bool, order: str) -> list[LayoutBlock]:
        steps, ranks = _arranged([block.box for block in blocks], right_to_left, is_ordered, order)
        upward.extend(blocks[i].text for i in steps)
        return blocks if ranks is None else [blocks[i] for i in ranks]

    lines_order = "file" if order == "file" else "auto"
    regions, is_sorted = arranged(page.regions, page.is_ordered, order), False
    for region in regions:
        lines = arranged(region.parts, page.has_ordered_lines or bool(region.own_text), lines_order)
        is_sorted = is_sorted or lines is not region.parts
        region.parts = lines
    count = len(regions) + sum(len(region.parts) for region in regions)
    record = PageRecord(**{field.name: getattr(page, field.name) for field in fields(PageRecord)})
    record.upward = _told(len(upward), count, upward and upward[0])
    if is_sorted or regions is not page.regions:
        return replace(record, **block_fields(regions, page.level), is_sorted=True)
    return record


def _rejoined(record: PageRecord, texts: list[Any]) -> Any:
    """The page's text of its regions in another order; as it is where it is not theirs."""
    for separator in _SEPARATORS:
        if record.text == separator.join(filter(None, record.texts)):
            return separator.join(filter(None, texts))
    return record.text


def _told(steps: int, count: int, text: Any) -> str | None:
    if not steps:
        return None
    what = f"{steps} of {count} regions and lines are above the one before them"
    return f"{what}; the text of the first is {shown(text or '')}"
