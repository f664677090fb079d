"""`ocr2 evaluate --omnidocbench`: score a directory of markdown against the pages of OmniDocBench v1.5."""

import argparse
import json
from pathlib import Path
from typing import Any

from tqdm.auto import tqdm

from ocr2_hf.document.atomic_files import write_json, write_whole
from ocr2_hf.evaluation.omnidocbench import scores as scoring
from ocr2_hf.evaluation.omnidocbench.ground_truth import BenchmarkPage, read_ground_truth
from ocr2_hf.evaluation.omnidocbench.markdown import prediction_files, read_markdown
from ocr2_hf.evaluation.omnidocbench.normalization import check_pylatexenc
from ocr2_hf.evaluation.omnidocbench.page_score import PageScore, score_page
from ocr2_hf.evaluation.processes import process_count, spread

# Fewer pages are scored before other processes have started.
PAGES_FOR_PROCESSES = 100


def add_omnidocbench_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of `ocr2 evaluate` for OmniDocBench."""
    parser.add_argument("--omnidocbench", metavar="GT.json", help="pages of OmniDocBench v1.5; needs --predictions DIR")
    parser.add_argument(
        "--cdm_scores", metavar="FILE", help="CDM of the formulas.json that --omnidocbench wrote, by the CDM tool"
    )


def score_omnidocbench(ground_truth: Path, predictions: Path, output: Path, args: argparse.Namespace) -> None:
    """Write metrics.json, pages.jsonl and formulas.json to `output`, and print the metrics.

    CDM, and with it `overall`, is measured only by a file of scores or a command (see `omnidocbench.scores`).
    """
    check_pylatexenc()
    pages = read_ground_truth(ground_truth)
    files = prediction_files(pages, predictions)
    processes = args.num_proc or process_count(len(pages), PAGES_FOR_PROCESSES)
    scored = spread(_score_page, list(zip(pages, files, strict=True)), processes)
    scores = list(tqdm(scored, total=len(pages), desc="scoring", unit="page"))
    formulas = scoring.formula_list(scores)
    write_json(output / "formulas.json", formulas)
    by_page = scoring.cdm_by_page(formulas, args.cdm_scores, args.cdm_command)
    metrics = scoring.summarize_pages(scores, by_page)
    lines = [_line(*page) for page in zip(scores, files, scoring.page_values(scores, by_page), strict=True)]
    write_whole(output / "pages.jsonl", "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines))
    write_json(output / "metrics.json", metrics)
    print(_table(metrics))
    print(_remarks(metrics, output))


def _score_page(page_and_file: tuple[BenchmarkPage, Path | None]) -> PageScore:
    page, file = page_and_file
    return score_page(page, None if file is None else read_markdown(file))


def _line(score: PageScore, file: Path | None, values: dict[str, float | None]) -> dict[str, Any]:
    """A line of pages.jsonl; the values of a page without a prediction are those of an empty one."""
    state = {"missing": score.missing, "empty": score.empty, "loop": score.looping}
    name = None if file is None else file.name
    return {"id": score.image, "prediction": name, **values, **state, "attributes": score.attributes}


def _table(metrics: dict[str, Any]) -> str:
    """The metrics of all pages and of the pages of each attribute."""
    rows = [("all pages", metrics["pages"] - metrics["missing_pages"], metrics)]
    for attribute, values in metrics["by"].items():
        rows += [(f"{attribute}: {value}", metrics_of["pages"], metrics_of) for value, metrics_of in values.items()]
    shown = [metric for metric in scoring.BENCHMARK_METRICS if metrics[metric.name] is not None]
    width = max(len(label) for label, *_ in rows)
    lines = [f"{'':{width}}  {'pages':>5}  " + "  ".join(metric.directed_label for metric in shown)]
    for label, pages, metrics_of in rows:
        cells = (f"{metric.shown(metrics_of[metric.name]):>{len(metric.directed_label)}}" for metric in shown)
        lines.append(f"{label:{width}}  {pages:>5}  " + "  ".join(cells))
    return "\n".join(lines)


def _remarks(metrics: dict[str, Any], output: Path) -> str:
    remarks = [f"{output / 'metrics.json'}, and a line per page in {output / 'pages.jsonl'}"]
    if metrics["missing_pages"]:
        missing = (
            f"{metrics['missing_pages']} of {metrics['pages']} pages have no prediction and count for nothing above"
        )
        remarks.append(f"{missing}, as in the official scorer; as empty pages: with_missing_pages in metrics.json")
    if metrics["cdm"] is None:
        remarks.append(f"no CDM, so no overall: score {output / 'formulas.json'} and give the result as --cdm_scores")
    return "\n".join(remarks)
