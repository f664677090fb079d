"""What `ocr2 evaluate` does once pages are read: score a file of predictions, compare two, write the results."""

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ocr2_hf.document.atomic_files import write_json
from ocr2_hf.document.output_folder import check_own_folder
from ocr2_hf.document.predictions import PREDICTIONS_FILE, Prediction, read_predictions, write_predictions
from ocr2_hf.errors import UsageError, WorkError
from ocr2_hf.evaluation.registry import measure_pages, metrics_table
from ocr2_hf.evaluation.report import Images, write_comparison, write_report
from ocr2_hf.evaluation.summary import compare, definitions_note, shared_pages, summarize_with_intervals
from ocr2_hf.publishing.contents import METRICS_FILE, STATE_FILE
from ocr2_hf.reading.resume_log import SETTINGS_FILE, read_kept

# What evaluations write.
_WRITTEN = (SETTINGS_FILE, PREDICTIONS_FILE, METRICS_FILE, "report.html", "formulas.json", "pages.jsonl")


def check_evaluation_folder(output: Path, predictions: str | None = None) -> None:
    """Raise `UsageError` where the folder holds something, and neither an evaluation nor a run nor the `predictions`
    to score: figures and report would lie among files of the user's, or replace them."""
    if predictions is None or Path(predictions).resolve().parent != output.resolve():
        check_own_folder(output, (SETTINGS_FILE, STATE_FILE), _WRITTEN, "evaluation")


def score_predictions(args: argparse.Namespace, output: Path) -> None:
    """Score the file `args.predictions`; `args.dataset` gives references, sizes and images by the pages' ids."""
    source = Path(args.predictions)
    lines = read_predictions(source, with_reference=args.dataset is None)
    if not lines:
        raise WorkError(f"{source} has no lines to score")
    if args.dataset is None:
        images, settings, title = _images_of(source.parent), {"predictions": str(source)}, str(source)
    else:
        from ocr2_hf.reading.references import PageImages, add_references, task_of

        dataset = load_pages(**dataset_settings(vars(args)))
        task = args.task or task_of(lines, dataset)
        lines, images = add_references(lines, dataset, task)[: args.limit], PageImages(dataset)
        settings = {"predictions": str(source)} | dataset_settings(vars(args)) | {"task": task}
        title = f"{source} on {args.dataset}, {args.split}, {task}"
    copy = output / PREDICTIONS_FILE
    if args.dataset or copy.resolve() != source.resolve():
        write_predictions(copy, lines)
        write_json(output / SETTINGS_FILE, settings)
    write_results(lines, output, title, images, args.cdm_command)


def compare_evaluations(before: Path, after: Path, output: Path) -> None:
    """Score two evaluations of the same pages beside each other."""
    folders = (before, after)
    sides = shared_pages(*(read_predictions(folder / PREDICTIONS_FILE) for folder in folders))
    metrics = compare(*sides)
    notes = [note for folder in folders if (note := definitions_note(str(folder), read_kept(folder, "metrics.json")))]
    images = _images_of(before) or _images_of(after)
    write_json(output / "metrics.json", metrics | {"notes": notes})
    write_comparison(*sides, metrics, output / "report.html", (str(before), str(after)), images, notes)
    print(metrics_table({name: metrics[name] for name in ("before", "after", "change")}))
    print("".join(f"note: {note}\n" for note in notes), end="")
    print(f"report: {output / 'report.html'}")


def write_results(
    lines: list[Prediction], output: Path, title: str, images: Images | None, cdm_command: str | None = None
) -> None:
    """Write metrics.json and report.html, and print the metrics."""
    metrics = summarize_with_intervals(lines, measures=measure_pages(lines, cdm_command))
    write_json(output / "metrics.json", metrics)
    write_report(lines, metrics, output / "report.html", images, title)
    print(metrics_table({"": metrics}))
    print(f"{metrics['pages']} pages; report: {output / 'report.html'}")


def load_pages(dataset: str, split: str, columns: Mapping[str, str] | None = None, limit: int | None = None):
    """The first `limit` pages of a dataset's split. Raises WorkError when it has none."""
    from ocr2_hf.data.load import load_dataset  # here, so that scoring a file needs no datasets and no torch

    pages = load_dataset(dataset, split, columns=columns)
    if not len(pages):
        raise WorkError(f"the split {split!r} of {dataset} has no pages")
    return pages.select(range(min(limit or len(pages), len(pages))))


def dataset_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Of an evaluation's settings those that name its pages, as `load_pages` takes them. Raises KeyError."""
    columns = {"columns": settings["columns"]} if settings.get("columns") else {}
    return {"dataset": settings["dataset"], "split": settings["split"]} | columns


def _images_of(folder: Path) -> Images | None:
    """The images of the dataset that the evaluation in `folder` was of, where it can still be had."""
    settings = read_kept(folder)
    if not isinstance(settings.get("dataset"), str):
        return None
    from ocr2_hf.reading.references import PageImages

    try:
        return PageImages(load_pages(**dataset_settings(settings)))
    except (UsageError, WorkError, KeyError) as error:
        print(f"the report shows pages without their images: {error}")
        return None
