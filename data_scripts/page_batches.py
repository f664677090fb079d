"""Checked pages as Arrow tables with their images embedded, and the account of what was checked.

The image files of a batch are read into one buffer, where they are checked and from where they are written:
no file is read twice or copied. A batch is bounded in bytes, so memory does not grow with the number of pages; a page
larger than that is a batch of its own.
"""

import json
import operator
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import numpy as np
import pyarrow as pa

from data_scripts.build_plan import PageOptions
from data_scripts.formats import page_reader
from data_scripts.formats.format import ListedPage
from data_scripts.page_image import MAX_BYTES, check_image, draw_page
from data_scripts.reading_order import told_backwards
from data_scripts.unannotated import listed_images
from ocr2_hf.data.columns import FEATURES
from ocr2_hf.data.tasks import PROMPTS, is_silent, regions_without_text, suits
from ocr2_hf.document.atomic_files import write_whole
from ocr2_hf.document.page_files import SEVERAL_PAGES
from ocr2_hf.document.records import PageRecord, RecordError, check_and_drop, check_record, fits_unit
from ocr2_hf.errors import WorkError

if TYPE_CHECKING:
    from data_scripts.token_lengths import TokenLengths

BATCH_BYTES = 64 * 2**20
BATCH_PAGES = 1000


@dataclass
class BuildReport:
    """What was read of one split: accepted pages and their regions, what was noticed, and the rejected pages."""

    split: str
    pages: int = 0
    regions: int = 0
    clamped: int = 0
    overlong: int = 0  # pages longer than the context, which can be split
    pages_without_text: int = 0
    regions_without_text: int = 0
    boxed: int = 0  # pages with boxes of which nobody said the unit
    in_percent: int = 0  # of these, pages of which the boxes could be so (`fits_unit`)
    in_thousand: int = 0
    rejects: list[dict[str, str]] = field(default_factory=list)  # {id, file, reason}
    dropped: list[dict[str, str]] = field(default_factory=list)  # likewise, a line a box
    upward: list[dict[str, str]] = field(default_factory=list)  # likewise, pages whose lines go up
    backwards: list[dict[str, str]] = field(default_factory=list)  # likewise, pages whose text is
    sorted: int = 0  # pages that were put in another order
    odd: dict[str, str] = field(default_factory=dict)  # image file -> what is odd about it, though it is read
    tasks: dict[str, int] = field(default_factory=dict)  # those that suit a page -> 1
    named: list[str] = field(default_factory=list)  # images that annotations name, other than pages are listed with

    def reject(self, page: ListedPage, reason: Exception) -> None:
        """Add a rejected page."""
        self.rejects.append(_told(page, str(reason)))


def _told(page: ListedPage, reason: str) -> dict[str, str]:
    return {"id": page.id, "file": page.annotation, "reason": reason}


@dataclass
class _Item:
    """A page whose image is to be read; `size` in bytes. `image` is that of a page that is drawn beforehand, or that
    lies in its annotation; `odd` is what Pillow warns of."""

    page: ListedPage
    record: PageRecord
    size: int
    odd: list[str]
    image: bytes | None


def read_batches(pages: list[ListedPage], split: str, options: PageOptions) -> Iterator[tuple[pa.Table, BuildReport]]:
    """Tables of the accepted pages, in order, each with the report of the pages read since the one before.

    A table may be empty, where every page of the batch was rejected.
    """
    read_page = page_reader(options.format, options.level, options.label_map, options.order, options.box_unit)
    read_images = partial(_read_images, options=options, lengths=tokenizer_lengths(options.tokenizer))
    batch, size, report = [], 0, BuildReport(split)
    for page in pages:
        try:
            record = read_page(page)
            if record.image_bytes is None and record.image_path not in listed_images(page):
                report.named.append(record.image_path)
            item = _item(page, record)
        except (RecordError, WorkError) as error:
            report.reject(page, error)
            continue
        if batch and (size + item.size > BATCH_BYTES or len(batch) == BATCH_PAGES):
            yield read_images(batch, report), report
            batch, size, report = [], 0, BuildReport(split)
        batch.append(item)
        size += item.size
    yield read_images(batch, report), report


def _item(page: ListedPage, record: PageRecord) -> _Item:
    path, image, odd = record.image_path, record.image_bytes, []
    if image is None and path.lower().endswith(SEVERAL_PAGES):
        image, odd = draw_page(path, record.page_number)
    return _Item(page, record, _file_size(path) if image is None else len(image), odd, image)


def _file_size(path: str) -> int:
    try:
        size = os.stat(path).st_size
    except OSError as error:
        raise WorkError(f"image cannot be read: {error.strerror}") from error
    if size > MAX_BYTES:
        raise WorkError(f"image file of {size:,} bytes is over the limit of {MAX_BYTES:,} bytes")
    return size


def _read_images(
    batch: list[_Item], report: BuildReport, options: PageOptions, lengths: "TokenLengths | None"
) -> pa.Table:
    """Read and check the images of a batch; the accepted pages as a table, the others in `report`."""
    buffer = pa.allocate_buffer(sum(item.size for item in batch))
    view = memoryview(buffer).cast("B")
    offsets, rows = [0], []
    for item in batch:
        place = view[offsets[-1] : offsets[-1] + item.size]
        try:
            if item.image is None:
                _read_into(place, item.record.image_path)
            else:
                place[:] = item.image
            width, height = check_image(place, options.full_check, item.odd)
            record, clamped, dropped = _check(item.record, width, height, options.bad_boxes)
            is_overlong = lengths is not None and lengths.is_over(record, width, height)
        except (RecordError, WorkError) as error:
            report.reject(item.page, error)
            continue
        offsets.append(offsets[-1] + item.size)
        rows.append(vars(record) | {"width": width, "height": height})
        if item.odd:
            report.odd[item.record.image_path] = "; ".join(item.odd)
        report.clamped += clamped
        report.upward += [_told(item.page, record.upward)] if record.upward else []
        report.sorted += record.is_sorted
        if why := told_backwards(record.text):
            report.backwards.append(_told(item.page, why))
        report.dropped += [_told(item.page, reason) for reason in dropped]
        report.overlong += is_overlong
        report.tasks |= {task: 1 for task in PROMPTS if task not in report.tasks and suits(task, rows[-1])}
        report.pages_without_text += is_silent(rows[-1])
        report.regions_without_text += regions_without_text(rows[-1])
        report.regions += len(record.bboxes)
        if item.record.box_unit is None and record.bboxes:
            report.boxed += 1
            report.in_percent += fits_unit(record.bboxes, width, height, "percent")
            report.in_thousand += fits_unit(record.bboxes, width, height, "thousand")
    report.pages += len(rows)
    return _table(rows, buffer.slice(0, offsets[-1]), offsets)


def _check(record: PageRecord, width: int, height: int, bad_boxes: str) -> tuple[PageRecord, int, list[str]]:
    if bad_boxes == "drop":
        return check_and_drop(record, width, height)
    return *check_record(record, width, height), []


@cache  # a tokenizer takes a while to load
def tokenizer_lengths(name: str | None) -> "TokenLengths | None":
    """What measures pages in the tokens of a tokenizer, one for each name and process; None for None."""
    if name is None:
        return None
    from data_scripts.token_lengths import TokenLengths  # loads torch and transformers, which other builds do not need

    return TokenLengths(name)


def _read_into(place: memoryview, path: str) -> None:
    try:
        with open(path, "rb", buffering=0) as file:
            done = 0
            while done < len(place) and (count := file.readinto(place[done:])):
                done += count
            changed = done < len(place) or file.read(1)
    except OSError as error:
        raise WorkError(f"image cannot be read: {error.strerror}") from error
    if changed:
        raise WorkError("image changed while it was read")


def _table(rows: list[dict[str, Any]], buffer: pa.Buffer, offsets: list[int]) -> pa.Table:
    schema = FEATURES.arrow_schema
    places = pa.array(offsets, pa.int32()).buffers()[1]
    images = pa.Array.from_buffers(pa.binary(), len(rows), [None, places, buffer])
    columns = {
        "image": pa.StructArray.from_arrays([images, pa.nulls(len(rows), pa.string())], ["bytes", "path"]),
        "bboxes": _box_column([row["bboxes"] for row in rows], schema.field("bboxes").type),
    }
    for name in FEATURES.keys() - columns.keys():
        columns[name] = pa.array([row[name] for row in rows], schema.field(name).type)
    return pa.table({name: columns[name] for name in FEATURES}, schema=schema)


def _box_column(pages: list[list[list[float]]], kind: pa.DataType) -> pa.Array:
    flat = np.array([value for boxes in pages for box in boxes for value in box], dtype=np.float32)
    offsets = pa.array(np.cumsum([0, *map(len, pages)]), pa.int32())
    return pa.ListArray.from_arrays(offsets, pa.FixedSizeListArray.from_arrays(pa.array(flat), 4)).cast(kind)


def write_report(folder: str, report: BuildReport) -> None:
    """Leave a report in `folder`, under a name that no other process uses."""
    name = f"{uuid4().hex}.{'bad' if report.rejects else 'good'}"
    write_whole(Path(folder) / name, json.dumps(asdict(report)))


def has_rejects(folder: str) -> bool:
    """Has any process rejected a page yet?"""
    return any(name.endswith(".bad") for name in os.listdir(folder))


def read_reports(folder: str) -> dict[str, BuildReport]:
    """The reports in `folder`, added up by split; what it lists sorted by id."""
    totals: dict[str, BuildReport] = {}
    for path in sorted(Path(folder).iterdir()):
        part = BuildReport(**json.loads(path.read_text()))
        total = totals.setdefault(part.split, BuildReport(part.split))
        for name, value in asdict(part).items():
            if name != "split":
                join = operator.or_ if isinstance(value, dict) else operator.add
                setattr(total, name, join(getattr(total, name), value))
    for total in totals.values():
        for rows in (total.rejects, total.dropped, total.upward, total.backwards):
            rows.sort(key=lambda row: row["id"])
    return totals
