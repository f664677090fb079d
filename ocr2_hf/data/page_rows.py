"""Rows of a dataset with their images decoded, which a page that was built by its header alone may not stand."""

from collections.abc import Iterator
from typing import Any

from datasets import Dataset

from ocr2_hf.document.page_files import explained, to_rgb
from ocr2_hf.errors import OwnError, WorkError


def page_row(dataset: Dataset, index: int) -> dict[str, Any]:
    """The row at `index`, its image upright and in RGB. Raises `OwnError` naming the page that is damaged."""
    try:
        with explained(""):
            row = dataset[index]
            return row | {"image": to_rgb(row["image"])}
    except WorkError as error:
        page = dataset.select_columns(["id"])[index]["id"]
        told = f"page {page!r} of the dataset (ocr2 build --check full leaves such pages out){error}"
        raise OwnError(told) from error


def page_rows(dataset: Dataset) -> Iterator[dict[str, Any]]:
    """Every row, as `page_row` has it."""
    return (page_row(dataset, index) for index in range(len(dataset)))
