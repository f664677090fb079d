"""The columns of page records, and how the columns of other people's datasets become these.

Image and text are enough: such a page has no regions. A question and its answer (`prompt`, `target`) are enough too.
"""

import io
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import datasets
from datasets import Dataset, Features, Image, IterableDataset, List, Value
from datasets.utils.file_utils import xopen

from ocr2_hf.document.page_files import check_is_file, check_size, displayed_size, explained, open_image
from ocr2_hf.document.records import MAX_BAD, PageRecord, RecordError, check_and_drop
from ocr2_hf.errors import UsageError, WorkError

# The columns of a page record (`ocr2_hf.document.records`) as a built dataset has them: one row a page.
FEATURES = Features(
    {
        "id": Value("string"),
        "image": Image(),
        "width": Value("int32"),
        "height": Value("int32"),
        "text": Value("string"),
        "bboxes": List(List(Value("float32"), length=4)),
        "labels": List(Value("string")),
        "texts": List(Value("string")),
        "prompt": Value("string"),
        "target": Value("string"),
    }
)
Rows = Dataset | IterableDataset

logger = logging.getLogger(__name__)

_NAMED_BY = "--columns image=NAME,text=NAME names others"
# What a file has in it that may turn its image. Pillow decodes every PNG that it is asked for the orientation of.
_MAY_TURN = (b"eXIf", b"Exif", b"EXIF", b"Raw profile type", b"Orientation")
_LISTS = ("bboxes", "labels", "texts")
_REASON = "ocr2_hf_reason"  # a column while rows are checked: why one cannot be used


def as_page_records(dataset: Rows, name: str, columns: Mapping[str, str] | None = None) -> Rows:
    """The dataset with every column of FEATURES in its type; further columns stay.

    `columns` says what columns of FEATURES are called in it. Rows are checked as a build checks pages, but for the
    pixels of their images; lists that are null are empty. Those that cannot be used are left out, which is told. Raises
    `UsageError` where the columns are no page records, `WorkError` where more than MAX_BAD of the rows cannot be used.
    """
    if dataset.features is None:
        raise UsageError(f"dataset {name} does not tell its columns when streamed: load it without streaming")
    dataset = _renamed(dataset, name, columns or {})
    if absent := [key for key in _needed(dataset.features) if key not in dataset.features]:
        shown = ", ".join(dataset.features)
        raise UsageError(f"dataset {name} has no column {', '.join(absent)}; its columns are: {shown}; {_NAMED_BY}")
    if _is_image_file(dataset.features["image"]):
        dataset = dataset.cast_column("image", Image())
    for key, wanted in FEATURES.items():
        if key in dataset.features and not _fits(dataset.features[key], wanted, key == "id"):
            found = dataset.features[key]
            raise UsageError(f"dataset {name}: column {key} is {found}, not {wanted}; {_NAMED_BY}")
    return _checked_stream(dataset, name) if isinstance(dataset, IterableDataset) else _checked(dataset, name)


def has_boxes(dataset: Dataset) -> bool:
    """Whether any page record has."""
    return any(map(any, (rows["bboxes"] for rows in dataset.select_columns("bboxes").iter(1000))))


def _renamed(dataset: Rows, name: str, columns: Mapping[str, str]) -> Rows:
    if absent := [column for column in columns.values() if column not in dataset.features]:
        shown = ", ".join(dataset.features)
        raise UsageError(f"dataset {name} has no column {', '.join(absent)}; its columns are: {shown}")
    meant = {column: wanted for wanted, column in columns.items() if column != wanted}
    replaced = [wanted for wanted in meant.values() if wanted in dataset.features and wanted not in meant]
    return dataset.remove_columns(replaced).rename_columns(meant) if meant else dataset


def _needed(features: Features) -> list[str]:
    """The columns that there must be, beside others that are there."""
    boxes = ["bboxes", "labels"] if any(key in features for key in _LISTS) else []
    has_question = "prompt" in features and "target" in features
    return ["image", *boxes] if boxes or has_question else ["image", "text"]


def _is_image_file(feature: Any) -> bool:
    """Whether it is what `Image` stores: the bytes of a file, alone or beside its path."""
    kinds = feature if isinstance(feature, dict) else {"bytes": feature}
    return kinds.keys() <= {"bytes", "path"} and getattr(kinds.get("bytes"), "dtype", "") in ("binary", "large_binary")


def _fits(found: Any, wanted: Any, is_name: bool = False) -> bool:
    """Can a column of feature `found` be cast to `wanted`? Numbers to numbers, strings to strings, both to names."""
    if type(found) is not type(wanted):
        return False
    if isinstance(wanted, List):
        return _fits(found.feature, wanted.feature)
    if isinstance(wanted, Value):
        return is_name or found.dtype == "null" or ("string" in found.dtype) == ("string" in wanted.dtype)
    return True


def _checked(dataset: Dataset, name: str) -> Dataset:
    wanted = Features({**FEATURES, _REASON: Value("string")})
    del wanted["image"]
    undecoded = dataset.cast_column("image", Image(decode=False))
    # Mapped apart and set beside: mapping the whole rows would write every image to disk again.
    told = {"features": wanted, "remove_columns": dataset.column_names, "desc": f"checking {name}"}
    checked = undecoded.map(_check_row, with_indices=True, **told)
    reasons = {row: reason for row, reason in enumerate(checked[_REASON]) if reason is not None}
    others = [key for key in dataset.column_names if key not in wanted]
    dataset = datasets.concatenate_datasets([dataset.select_columns(others), checked.remove_columns(_REASON)], axis=1)
    if not reasons:
        return dataset
    row, reason = next(iter(reasons.items()))
    what = f"dataset {name}: {len(reasons)} of {len(dataset)} rows cannot be used, the first is row {row}: {reason}"
    if len(reasons) > MAX_BAD * len(dataset):
        raise WorkError(f"{what}; mend them, or leave them out of it")
    logger.warning("%s; they are left out", what)
    return dataset.select([row for row in range(len(dataset)) if row not in reasons])


def _checked_stream(dataset: IterableDataset, name: str) -> IterableDataset:
    def check(row: dict, index: int) -> dict:
        checked = _check_row(row, index)
        if checked[_REASON] is not None:
            logger.warning("dataset %s: row %d is left out: %s", name, index, checked[_REASON])
        return checked

    features = Features({**dataset.features, **FEATURES, _REASON: Value("string")})
    rows = dataset.decode(False).map(check, with_indices=True, features=features)
    return rows.filter(_is_usable).remove_columns(_REASON).decode(True)


def _is_usable(row: dict) -> bool:
    return row[_REASON] is None


# Its code is part of the fingerprint by which caches and evaluations know a dataset again.
def _check_row(row: dict, index: int) -> dict:
    """The row's columns of FEATURES but for the image, as they are to be used; why not, where they cannot be."""
    page_id = f"{index:08d}" if row.get("id") is None else str(row["id"])
    try:
        width, height = _size(row["image"])
        record, _, _ = check_and_drop(_record(row, page_id), width, height)
    except (RecordError, WorkError) as error:
        record, width, height, reason = PageRecord(page_id, "", "", texts=[]), 0, 0, str(error)
    else:
        reason = None
    kept = {key: getattr(record, key) for key in ("id", "text", *_LISTS, "prompt", "target")}
    return kept | {"width": width, "height": height, _REASON: reason}


def _record(row: Mapping[str, Any], page_id: str) -> PageRecord:
    if row.get("text", "") is None and not row.get("bboxes") and row.get("target") is None:
        raise RecordError("its text is null")  # taken for a blank page it would teach silence
    bboxes, labels = ([] if row.get(key) is None else row[key] for key in ("bboxes", "labels"))
    text = "" if row.get("text") is None else row["text"]
    return PageRecord(page_id, "", text, bboxes, labels, row.get("texts"), row.get("prompt"), row.get("target"))


def _size(image: Mapping[str, Any] | None) -> tuple[int, int]:
    """(width, height) in pixels as displayed, as far as that can be told without decoding the image."""
    if image is None:
        raise RecordError("its image is null")
    with explained(f"image {image['path'] or ''}".strip()):
        data = image["bytes"] or _read_bytes(image["path"])
        with open_image(io.BytesIO(data)) as opened:
            check_size(*opened.size)
            return displayed_size(opened) if any(mark in data for mark in _MAY_TURN) else opened.size


def _read_bytes(path: str) -> bytes:
    if "://" in path:  # of the Hub, streamed
        with xopen(path, "rb") as file:
            return file.read()
    check_is_file(path, path)
    return Path(path).read_bytes()
