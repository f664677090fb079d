"""Tables from the region classes of annotations to the labels that the model is to write: a format's, a user's."""

from dataclasses import replace
from pathlib import Path

import yaml

from ocr2_hf.document.dialect import LABELS
from ocr2_hf.document.plain_yaml import read_plain_yaml
from ocr2_hf.document.records import PageRecord, RecordError, check_label
from ocr2_hf.errors import UsageError

# null in the table: regions of the class are left out.
LabelMap = dict[str, str | None]


def by_class(**classes: str) -> dict[str, str]:
    """A format's table {class: label}, from the classes of each label, with spaces between them."""
    return {name: label for label, names in classes.items() for name in names.split()}


def load_label_map(path: Path) -> LabelMap:
    """The YAML or JSON file `{class: label, class: null}`; `UsageError` naming what is wrong with it."""
    try:
        table = read_plain_yaml(path)
    except OSError as error:
        raise UsageError(f"--label_map: {path} cannot be read: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UsageError(f"--label_map: {path} is no YAML: {' '.join(str(error).split())}") from None
    if not isinstance(table, dict) or not table:
        raise UsageError(f"--label_map: {path} is not a table of class: label")
    for name, label in table.items():
        if not isinstance(name, str):
            raise UsageError(f"--label_map: {path}: the class {name!a} is not a string; put it in quotes")
        try:
            if label is not None:
                check_label(label, f"--label_map: {path}: the label of {name!a}")
        except RecordError as error:
            raise UsageError(str(error)) from None
    return {name: label and _tidied(label) for name, label in table.items()}


def map_labels(record: PageRecord, table: LabelMap) -> PageRecord:
    """The record with its labels by `table`, others as they are, and without the regions of null.

    A class is looked up as it is, then in small letters, as the model's own labels are: "Title" is `title`. Blanks
    around a class, and more than one within it, are slips of the hand and make no class of their own.

    A record whose lists do not fit together is returned as it is: `check_record` refuses it.
    """
    labels = record.labels
    lists = [record.bboxes, labels] + ([] if record.texts is None else [record.texts])
    if not all(isinstance(values, list) for values in lists) or len(set(map(len, lists))) > 1:
        return record
    known = {label: _mapped(label, table) for label in {label for label in labels if isinstance(label, str)}}
    mapped = [known[label] if isinstance(label, str) else label for label in labels]
    if mapped == labels and None not in mapped:
        return record
    keep = [i for i, label in enumerate(mapped) if label is not None]
    kept = [[values[i] for i in keep] for values in (record.bboxes, mapped)]
    texts = None if record.texts is None else [record.texts[i] for i in keep]
    return replace(record, bboxes=kept[0], labels=kept[1], texts=texts)


def _mapped(label: str, table: LabelMap) -> str | None:
    if label in table:
        return table[label]
    label = _tidied(label)
    if label in table:
        return table[label]
    small = label.lower()
    return table.get(small, small if small in LABELS else label)


def _tidied(label: str) -> str:
    return " ".join(label.split())
