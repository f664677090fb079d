"""What `ocr2 evaluate` does once pages are read: score a file of predictions, compare two, write the results."""

import argparse
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from ocr2_hf.commands.arguments import positive_integer, whole_number
from ocr2_hf.document.atomic_files import write_json
from ocr2_hf.document.output_folder import check_own_folder
from ocr2_hf.document.predictions import (
    PREDICTIONS_FILE,
    Prediction,
    check_predictions,
    open_predictions,
    read_predictions,
    write_predictions,
)
from ocr2_hf.errors import UsageError, WorkError
from ocr2_hf.evaluation.measures import PageMeasure
from ocr2_hf.evaluation.processes import MAX_PROCESSES, process_count
from ocr2_hf.evaluation.registry import measure_pages, metrics_table
from ocr2_hf.evaluation.report import Images, write_comparison, write_report
from ocr2_hf.evaluation.report.selection import MAX_PAGES
from ocr2_hf.evaluation.summary import compare, definitions_note, shared_pages, summarize_with_intervals
from ocr2_hf.publishing.contents import METRICS_FILE, STATE_FILE
from ocr2_hf.reading.resume_log import SETTINGS_FILE, read_kept

# Fewer pages are measured before other processes have started.
PAGES_FOR_PROCESSES = 500

# What evaluations write.
_WRITTEN = (SETTINGS_FILE, PREDICTIONS_FILE, METRICS_FILE, "report.html", "formulas.json", "pages.jsonl")


def add_scoring_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of `ocr2 evaluate` for what is done with answers."""
    add = parser.add_argument
    add("--cdm_command", metavar="COMMAND", help="scores formulas (see ocr2_hf/evaluation/formulas.py)")
    processes = f"processes that measure pages; default: where there are many, one a core, at most {MAX_PROCESSES}"
    add("--num_proc", type=positive_integer, metavar="N", help=processes)
    shown = f"pages that the report shows at most, the worst and best among them; 0: all; default {MAX_PAGES}"
    add("--report_pages", type=whole_number, default=MAX_PAGES, metavar="N", help=shown)


def check_evaluation_folder(output: Path, predictions: str | None = None) -> None:
    """Raise `UsageError` where the folder holds something, and neither an evaluation nor a run nor the `predictions`
    to score: figures and report would lie among files of the user's, or replace them."""
    if predictions is None or Path(predictions).resolve().parent != output.resolve():
        check_own_folder(output, (SETTINGS_FILE, STATE_FILE), _WRITTEN, "evaluation")


def score_predictions(args: argparse.Namespace, output: Path) -> None:
    """Score the file `args.predictions`; `args.dataset` gives references, sizes and images by the pages' ids."""
    source, copy = Path(args.predictions), output / PREDICTIONS_FILE
    if args.dataset is None:
        images, settings, title = _images_of(source.parent), {"predictions": str(source)}, str(source)
        is_copy = copy.resolve() == source.resolve()
        lines = open_predictions(source) if is_copy else _some(check_predictions(source), source)
    else:
        from ocr2_hf.reading.references import PageImages, add_references, task_of

        is_copy = False
        found = list(_some(read_predictions(source, with_reference=False), source))
        dataset = load_pages(**dataset_settings(vars(args)))
        task = args.task or task_of(found, dataset)
        lines, images = add_references(found, dataset, task)[: args.limit], PageImages(dataset)
        settings = {"predictions": str(source)} | dataset_settings(vars(args)) | {"task": task}
        title = f"{source} on {args.dataset}, {args.split}, {task}"
    if not is_copy:
        lines = write_predictions(copy, lines)
        write_json(output / SETTINGS_FILE, settings)
    write_results(lines, output, title, images, args)


def _some(lines: Iterable[Prediction], source: Path) -> Iterator[Prediction]:
    """The lines. Raises `WorkError` where there is none, before anything is written."""
    lines = iter(lines)
    first = next(lines, None)
    if first is None:
        raise WorkError(f"{source} has no lines to score")
    return chain([first], lines)


def compare_evaluations(before: Path, after: Path, output: Path, args: argparse.Namespace) -> None:
    """Score two evaluations of the same pages beside each other."""
    folders = (before, after)
    sides = shared_pages(*(read_predictions(folder / PREDICTIONS_FILE) for folder in folders))
    measures = tuple(_measure(side, args) for side in sides)
    metrics = compare(*sides, measures=measures)
    notes = [note for folder in folders if (note := definitions_note(str(folder), read_kept(folder, "metrics.json")))]
    images = _images_of(before) or _images_of(after)
    write_json(output / "metrics.json", metrics | {"notes": notes})
    names, report = (str(before), str(after)), output / "report.html"
    write_comparison(*sides, metrics, report, names, images, notes, measures, args.report_pages)
    print(metrics_table({name: metrics[name] for name in ("before", "after", "change")}))
    print("".join(f"note: {note}\n" for note in notes), end="")
    print(f"report: {report}")


def write_results(
    lines: Sequence[Prediction], output: Path, title: str, images: Images | None, args: argparse.Namespace
) -> None:
    """Write metrics.json and report.html, and print the metrics."""
    measures = _measure(lines, args)
    metrics = summarize_with_intervals(lines, measures=measures)
    write_json(output / "metrics.json", metrics)
    write_report(lines, metrics, output / "report.html", images, title, measures, args.report_pages)
    print(metrics_table({"": metrics}))
    print(f"{metrics['pages']} pages; report: {output / 'report.html'}")


def _measure(lines: Sequence[Prediction], args: argparse.Namespace) -> list[PageMeasure]:
    processes = args.num_proc or process_count(len(lines), PAGES_FOR_PROCESSES)
    return measure_pages(lines, args.cdm_command, processes)


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
