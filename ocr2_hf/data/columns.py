"""The columns of page records, and how the columns of other people's datasets become these.

Image and text are enough: such a page has no regions. A question and its answer (`prompt`, `target`) are enough too.
"""

import io
from collections.abc import Mapping
from typing import Any

import datasets
import fsspec
from datasets import Dataset, Features, Image, IterableDataset, List, Value
from PIL import Image as PillowImage

from ocr2_hf.document.page_files import displayed_size
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

_NAMED_BY = "--columns image=NAME,text=NAME names others"
# What a file has in it that may turn its image. Pillow decodes every PNG that it is asked for the orientation of.
_MAY_TURN = (b"eXIf", b"Exif", b"EXIF", b"Raw profile type", b"Orientation")
_LISTS, _CHECKED = ("bboxes", "labels", "texts"), ("image", "text")


def as_page_records(dataset: Rows, name: str, columns: Mapping[str, str] | None = None) -> Rows:
    """The dataset with every column of FEATURES in its type; further columns stay.

    `columns` says what columns of FEATURES are called in it. Rows whose lists are null have no regions. Raises
    `UsageError` where the columns are no page records; `WorkError` for a row whose image or text is null, of a streamed
    dataset when that row comes.
    """
    if dataset.features is None:
        raise UsageError(f"dataset {name} does not tell its columns when streamed: load it without streaming")
    dataset = _renamed(dataset, name, columns or {})
    features = dataset.features
    if absent := [key for key in _needed(features) if key not in features]:
        shown = ", ".join(features)
        raise UsageError(f"dataset {name} has no column {', '.join(absent)}; its columns are: {shown}; {_NAMED_BY}")
    for key, wanted in FEATURES.items():
        if key in features and not _fits(features[key], wanted, key == "id"):
            raise UsageError(f"dataset {name}: column {key} is {features[key]}, not {wanted}; {_NAMED_BY}")
    if to_fill := [key for key in FEATURES if key not in features or _may_be_null(dataset, key)]:
        dataset = _fill_columns(dataset, Features({key: FEATURES[key] for key in to_fill}), name)
    for key, feature in FEATURES.items():
        if dataset.features[key] != feature:
            dataset = dataset.cast_column(key, feature)
    return dataset


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


def _fits(found: Any, wanted: Any, is_name: bool = False) -> bool:
    """Can a column of feature `found` be cast to `wanted`? Numbers to numbers, strings to strings, both to names."""
    if type(found) is not type(wanted):
        return False
    if isinstance(wanted, List):
        return _fits(found.feature, wanted.feature)
    if isinstance(wanted, Value):
        return is_name or found.dtype == "null" or ("string" in found.dtype) == ("string" in wanted.dtype)
    return True


def _may_be_null(dataset: Rows, column: str) -> bool:
    if column not in (*_LISTS, *_CHECKED):
        return False
    if isinstance(dataset, IterableDataset):
        return True
    rows = dataset.select_columns(column).with_format("arrow").iter(1000)
    return any(table[column].null_count for table in rows)


def _fill_columns(dataset: Rows, wanted: Features, name: str) -> Rows:
    """The dataset with these columns, which it lacks or which have nulls."""

    def fill(row: dict, index: int) -> dict:
        sides = _size(row["image"]) if row["image"] and {"width", "height"} & wanted.keys() else ()
        known = {"id": f"{index:08d}"} | dict(zip(("width", "height"), sides))
        filled = {key: known.get(key) if row.get(key) is None else row[key] for key in wanted}
        return {key: _default(key, row, index, name) if value is None else value for key, value in filled.items()}

    if isinstance(dataset, IterableDataset):
        features = Features({**dataset.features, **wanted})
        return dataset.decode(False).map(fill, with_indices=True, features=features).decode(True)
    undecoded = dataset.cast_column("image", Image(decode=False))
    # Mapped apart and set beside: mapping the whole rows would write every image to disk again.
    filled = undecoded.map(fill, with_indices=True, features=wanted, remove_columns=dataset.column_names)
    others = [key for key in dataset.column_names if key not in wanted]
    return datasets.concatenate_datasets([dataset.select_columns(others), filled], axis=1)


# Its code is part of the fingerprint by which caches and evaluations know a dataset again.
def _default(column: str, row: dict, index: int, name: str) -> object:
    if column in ("bboxes", "labels"):
        return []
    if column == "texts":
        return [""] * len(row.get("bboxes") or ())
    if column in _CHECKED and not (column == "text" and (row.get("bboxes") or row.get("target"))):
        raise WorkError(f"dataset {name}: row {index} has no {column} (null): leave out such rows")
    return "" if column == "text" else None


def _size(image: Mapping[str, Any]) -> tuple[int, int]:
    """(width, height) in pixels as displayed, as far as that can be told without decoding the image."""
    data = image["bytes"]
    if data is None:
        with fsspec.open(image["path"], "rb") as file:
            data = file.read()
    with PillowImage.open(io.BytesIO(data)) as opened:
        return displayed_size(opened) if any(mark in data for mark in _MAY_TURN) else opened.size
