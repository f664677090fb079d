"""`ocr2 evaluate --omnidocbench`: score a directory of markdown against the pages of OmniDocBench v1.5."""

import argparse
from pathlib import Path


def add_omnidocbench_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--omnidocbench", metavar="GT.json", help="pages of OmniDocBench v1.5; needs --predictions DIR")
    parser.add_argument("--cdm", metavar="FILE", help="CDM scores of the formulas that --omnidocbench wrote")


def score_omnidocbench(ground_truth: Path, predictions: Path, output: Path, cdm: str | None) -> None:
    """Write metrics.json, pages.jsonl and formulas.json to `output` and print the table."""
    from ocr2_hf.evaluation.omnidocbench.report import score_directory

    score_directory(ground_truth, predictions, output, cdm)
