"""What a dataset knows about pages that were read elsewhere: references, sizes, images."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from datasets import Dataset
from PIL import Image

from ocr2_hf.data.tasks import build_target, suits
from ocr2_hf.document.grounding import has_tags
from ocr2_hf.document.page_files import to_rgb
from ocr2_hf.document.predictions import Prediction
from ocr2_hf.errors import WorkError


def add_references(lines: Sequence[Prediction], dataset: Dataset, task: str) -> list[Prediction]:
    """A line for every page of `dataset` that suits `task`, in its order: `lines` with what they lack filled in.

    What a line says itself stays. A page that no line is about gets an empty prediction and `"missing": true`. Raises
    `WorkError` when lines are about pages that the dataset does not have, or when no page suits the task.
    """
    by_id = {line.id: line for line in lines}
    unknown = sorted(by_id.keys() - set(dataset["id"]))
    if unknown:
        raise WorkError(
            f"{len(unknown)} of {len(by_id)} predictions are of pages that the dataset does not have, "
            f"e.g. {unknown[0]!r}; check --dataset, --split and the ids"
        )
    rows = [row for row in dataset.remove_columns("image") if suits(task, row)]
    if not rows:
        raise WorkError(f"none of the {len(dataset)} pages suits the task {task!r}; choose another --task")
    return [_complete(by_id.get(row["id"]), row, task) for row in rows]


def has_boxes(dataset: Dataset) -> bool:
    """Whether any of the first hundred pages has."""
    return any(dataset.select_columns("bboxes")[:100]["bboxes"])


def task_of(lines: Sequence[Prediction], dataset: Dataset) -> str:
    """`markdown` where predictions and pages have boxes, else `ocr`: a model that gives none is not asked for them."""
    boxed = any(line.regions or has_tags(line.prediction) for line in lines)
    return "markdown" if boxed and has_boxes(dataset) else "ocr"


def page_facts(row: Mapping[str, Any], task: str) -> dict[str, str]:
    """What a line says about its page beside the reference: the task, and the language where the dataset tells it."""
    language = {"language": row["language"]} if isinstance(row.get("language"), str) else {}
    return {"task": task} | language


class PageImages:
    """The images of a dataset's pages: called with a line, gives its page's image; None where it has none."""

    def __init__(self, dataset: Dataset):
        self._dataset = dataset
        self._index = {page: number for number, page in enumerate(dataset["id"])}

    def __call__(self, line: Prediction) -> Image.Image | None:
        """The page's image upright and in RGB."""
        if line.id not in self._index:
            return None
        try:
            return to_rgb(self._dataset[self._index[line.id]]["image"])
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
            return None  # the metrics matter more than one picture


def _complete(line: Prediction | None, row: Mapping[str, Any], task: str) -> Prediction:
    known = {"width": row["width"], "height": row["height"], "reference": build_target(task, row)} | page_facts(
        row, task
    )
    line = line or Prediction(row["id"], "", missing=True)
    line = replace(line, **{name: value for name, value in known.items() if not getattr(line, name)})
    return replace(line, **line.told_regions())
