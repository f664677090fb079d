"""Evaluations of a model that was trained: found, checked to be of its present weights, and shown by one page."""

import io
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ocr2_hf.document.overlay import example_picture
from ocr2_hf.document.predictions import PREDICTIONS_FILE, read_predictions
from ocr2_hf.errors import UsageError, WorkError
from ocr2_hf.evaluation.text import normalized_edit_distance
from ocr2_hf.modeling.model_files import BASE_FOLDER, read_json
from ocr2_hf.publishing.contents import EVALUATIONS, EXAMPLE, EXAMPLE_ANSWER, METRICS_FILE, Contents
from ocr2_hf.reading.resume_log import SETTINGS_FILE, fingerprint, read_kept

logger = logging.getLogger(__name__)

_NOT_HERE = ("checkpoint-", "stage-", f"{BASE_FOLDER}/")


@dataclass(frozen=True)
class Evaluation:
    """An output directory of `ocr2 evaluate`."""

    folder: Path
    metrics: dict[str, Any]
    settings: dict[str, Any]

    @property
    def name(self) -> str:
        """The folder's."""
        return self.folder.name

    @property
    def published_name(self) -> str:
        """Where its metrics lie in the repository of its model."""
        return f"{EVALUATIONS}/{self.name}/{METRICS_FILE}"

    @property
    def dataset(self) -> str:
        """As a name of a dataset; what predictions were scored without one has the folder's."""
        if self.is_omnidocbench:
            return "OmniDocBench v1.5"
        return str(self.settings.get("dataset") or self.name)

    @property
    def split(self) -> str | None:
        """Of the dataset, where it is known."""
        return self.settings.get("split")

    @property
    def is_omnidocbench(self) -> bool:
        """Whether its metrics are those of the benchmark."""
        return "text_edit" in self.metrics


def find_evaluations(source: Path) -> tuple[list[Evaluation], list[str]]:
    """The evaluations inside `source` of the weights that lie there, and a note on each that is left out."""
    found, notes = [], []
    for path in sorted(source.rglob(METRICS_FILE)):
        if path.relative_to(source).as_posix().startswith(_NOT_HERE):
            continue
        settings = read_kept(path.parent)
        if "model_files" not in settings:
            notes.append(f"{path} does not say of which model it is; name its folder with --evaluation to publish it")
        elif settings["model_files"] != fingerprint(source):
            notes.append(f"{path} is of other weights than {source} has now; evaluate again, or name it: --evaluation")
        else:
            found.append(Evaluation(path.parent, read_json(path), settings))
    return found, notes


def read_evaluations(folders: Sequence[Path]) -> list[Evaluation]:
    """The evaluations that the user names. Raises `UsageError` for what is none, or for two of one name."""
    evaluations = []
    for folder in folders:
        metrics = read_json(folder / METRICS_FILE)
        if "pages" not in metrics:
            raise UsageError(
                f"--evaluation {folder}: no {METRICS_FILE} of one evaluation there; give an output_dir of "
                "`ocr2 evaluate`"
            )
        if folder.resolve().name in [other.name for other in evaluations]:
            raise UsageError(f"--evaluation {folder}: two folders have this name; rename one")
        evaluations.append(Evaluation(folder.resolve(), metrics, read_kept(folder)))
    return evaluations


def add_evaluations(contents: Contents, source: Path, evaluations: Sequence[Evaluation], example: bool) -> str | None:
    """Put metrics and, with `example`, a picture of a page among the files; returns what the model wrote for the page.

    The page is of an evaluation where there is one, else the one that training kept in `source`; None without one.
    """
    contents.files.update({each.published_name: each.folder / METRICS_FILE for each in evaluations})
    kept = contents.files.pop(EXAMPLE, None)
    if not example:
        return None
    for evaluation in evaluations:
        try:
            contents.files[EXAMPLE], answer = example_of(evaluation)
        except (UsageError, WorkError) as error:
            logger.warning("no example picture of %s: %s", evaluation.folder, error)
        else:
            return answer
    if kept is None or not (source / EXAMPLE_ANSWER).is_file():
        return None
    contents.files[EXAMPLE] = kept
    return (source / EXAMPLE_ANSWER).read_text(encoding="utf-8")


def example_of(evaluation: Evaluation) -> tuple[bytes, str]:
    """A page with the boxes that the model gave, as PNG, and its answer: the page with the middle one of all edit
    distances, so neither the best nor the worst.

    Raises `UsageError` or `WorkError` where predictions or images can no longer be had.
    """
    if evaluation.is_omnidocbench or "dataset" not in evaluation.settings:
        raise UsageError(f"{evaluation.folder / SETTINGS_FILE} names no dataset")
    from ocr2_hf.data.load import load_dataset
    from ocr2_hf.reading.references import PageImages

    settings = evaluation.settings
    images = PageImages(load_dataset(settings["dataset"], settings["split"], columns=settings.get("columns")))
    lines = [line for line in read_predictions(evaluation.folder / PREDICTIONS_FILE) if not line.missing]
    if not lines:
        raise WorkError(f"{evaluation.folder / PREDICTIONS_FILE} has no pages")
    distances = [normalized_edit_distance([line.prediction], [line.reference]) for line in lines]
    line = lines[sorted(range(len(lines)), key=distances.__getitem__)[len(lines) // 2]]
    image = images(line)
    if image is None:
        raise WorkError(f"the image of page {line.id!r} is not in {evaluation.dataset}")
    buffer = io.BytesIO()
    example_picture(image, line.regions or []).save(buffer, format="PNG")
    return buffer.getvalue(), line.prediction
