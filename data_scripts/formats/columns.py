"""Columns of rows under the names that `--columns` says: given their own, and looked for."""

from collections.abc import Iterable, Mapping
from typing import Any

from data_scripts.formats.json_files import SHOWN_KEYS
from ocr2_hf.document.records import shown
from ocr2_hf.errors import UsageError

_IMAGE_KEYS = ("image", "file_name")
_TEXT_KEYS = ("text", "bboxes", "target")


def renamed(row: Any, columns: Mapping[str, str]) -> Any:
    """The row with its columns under their own names; `columns` maps these to those that they have in the row.

    What else has the own name of such a column is left out. What is no object is given back.
    """
    if not columns or not isinstance(row, dict):
        return row
    names = {*columns, *columns.values()}
    rest = {key: value for key, value in row.items() if key not in names}
    return rest | {key: row[name] for key, name in columns.items() if name in row}


def image_keys(row: Mapping[str, Any], columns: Mapping[str, str]) -> list[str]:
    """The keys of a renamed row that may name its image: the one of `columns`, or all that `imagefolder` takes."""
    if "image" in columns:
        return ["image"] if "image" in row else []
    return [key for key in row if key in _IMAGE_KEYS or key.endswith("_file_name")]


def is_page_row(keys: Iterable[str], columns: Mapping[str, str]) -> bool:
    """Whether a row with these keys can be a page: it has an image, and something about it."""
    row = renamed(dict.fromkeys(keys), columns)
    return bool(image_keys(row, columns)) and any(key in row for key in _TEXT_KEYS)


def told_columns(names: Iterable[str]) -> str:
    """The first of these names, for a message."""
    return ", ".join(map(shown, list(names)[:SHOWN_KEYS]))


class ColumnSearch:
    """Looks whether the names of `columns` are in any of the rows that come by."""

    def __init__(self, columns: Mapping[str, str]):
        self.missing = {name: key for key, name in columns.items()}
        self._known: dict[str, None] = {}

    def see(self, row: Any) -> None:
        """Note the keys of a row."""
        if not self.missing or not isinstance(row, dict):
            return
        self.missing = {name: key for name, key in self.missing.items() if name not in row}
        if len(self._known) <= SHOWN_KEYS:
            self._known |= dict.fromkeys(row)

    def check(self) -> None:
        """`UsageError` where a name was in none."""
        if self.missing:
            name, key = next(iter(self.missing.items()))
            known = f"no row has the column {name!a}; the columns are: {told_columns(self._known)}"
            raise UsageError(f"--columns {key}={name}: {known}")
