"""Which results of a task in Label Studio count: those of people's annotations, else of a model's predictions.

Of several annotations the ground truth counts, else the newest; cancelled ones do not. Of several predictions the
newest counts, else, as tasks are before an import, the one of the highest score.
"""

import math
from typing import Any

from data_scripts.formats.json_files import are_all
from ocr2_hf.document.records import RecordError, shown


def chosen_results(task: dict[str, Any]) -> list[Any]:
    """The results of the annotation that counts, or of the prediction where nobody annotated the task."""
    annotations = task.get("annotations", task.get("completions"))
    if task.get("predictions") and not annotations:
        return _results(max(_entries(task["predictions"], "predictions"), key=_newest), "prediction")
    done = [entry for entry in _entries(annotations, "annotations") if not entry.get("was_cancelled")]
    if not done:
        raise RecordError("every annotation of the task was cancelled" if annotations else "task has no annotation")
    return _results(max(done, key=_rank), "annotation")


def _entries(value: Any, what: str) -> list[dict[str, Any]]:
    if not are_all(dict, value):
        raise RecordError(f"{what} of the task are {shown(value)}, not a list of objects")
    return value


def _results(entry: dict[str, Any], what: str) -> list[Any]:
    results = entry.get("result")
    if not isinstance(results, list):
        raise RecordError(f"result of the {what} is {shown(results)}, not a list")
    return results


def _rank(annotation: dict[str, Any]) -> tuple[bool, str]:
    return bool(annotation.get("ground_truth")), _time(annotation)


def _newest(prediction: dict[str, Any]) -> tuple[str, float]:
    """Of predictions without a time, as they are before an import, the one that its model is surest of."""
    score = prediction.get("score")
    return _time(prediction), score if type(score) in (int, float) else -math.inf


def _time(entry: dict[str, Any]) -> str:
    time = entry.get("updated_at") or entry.get("created_at")
    return time if isinstance(time, str) else ""
