"""Evaluate a model on a dataset, score saved predictions, or compare two evaluations.

    ocr2 evaluate --model DIR|ID --dataset NAME [--split test] [--task T] [--limit N] --output_dir DIR
    ocr2 evaluate --predictions FILE.jsonl --output_dir DIR
    ocr2 evaluate --compare DIR_A DIR_B --output_dir DIR
    ocr2 evaluate --omnidocbench GT.json --predictions DIR_OF_MD --output_dir DIR [--cdm FILE]

Writes metrics.json, predictions.jsonl and report.html. Started again, an evaluation goes on where it was
stopped.
"""

import argparse
import sys
from pathlib import Path

from ocr2_hf.commands.arguments import add_generation_arguments, positive_integer
from ocr2_hf.commands.omnidocbench import add_omnidocbench_arguments, score_omnidocbench
from ocr2_hf.data.tasks import PROMPTS
from ocr2_hf.errors import UsageError, WorkError, run_command
from ocr2_hf.evaluation.comparison import compare, shared_pages
from ocr2_hf.evaluation.files import write_json, write_whole
from ocr2_hf.evaluation.predictions import read_predictions
from ocr2_hf.evaluation.report import Images, metrics_table, write_report
from ocr2_hf.evaluation.report_comparison import write_comparison
from ocr2_hf.evaluation.summary import Line, summarize


def main(argv: list[str] | None = None) -> int:
    args = _parse(argv)
    output = Path(args.output_dir)
    if output.exists() and not output.is_dir():
        raise UsageError(f"--output_dir {output} is a file; name a directory")
    if args.compare:
        _compare(*map(Path, args.compare), output)
    elif args.omnidocbench:
        score_omnidocbench(Path(args.omnidocbench), Path(args.predictions), output, args.cdm)
    elif args.predictions:
        _score_file(Path(args.predictions), output)
    else:
        _evaluate_model(args, output)
    return 0


def _evaluate_model(args: argparse.Namespace, output: Path) -> None:
    from ocr2_hf.data.load import load_dataset  # here, so that scoring a file needs no torch
    from ocr2_hf.reading.predict import fingerprint, predict_dataset, start_or_resume
    from ocr2_hf.reading.reader import DocumentReader
    from ocr2_hf.reading.saved_recipe import default_task

    dataset = load_dataset(args.dataset, args.split)
    dataset = dataset.select(range(min(args.limit or len(dataset), len(dataset))))
    if not len(dataset):
        raise WorkError(f"the split {args.split!r} of {args.dataset} has no pages")
    task = args.task or default_task(args.model, dataset)
    guard = {"no_repeat_ngram": args.no_repeat_ngram, "no_repeat_window": args.no_repeat_window}
    reader = DocumentReader.from_pretrained(args.model, **guard)
    settings = {
        **{key: getattr(args, key) for key in ("model", "dataset", "split", "max_new_tokens", "batch_size")},
        **{key: getattr(reader, key) for key in guard},
        "model_files": fingerprint(args.model),
        "dataset_fingerprint": dataset._fingerprint,
        "task": task,
        "prompt": reader.prompts[task],
    }
    path = output / "predictions.jsonl"
    if start_or_resume(path, settings) == "anew":
        print(f"{path} was made with other settings: it is replaced")
    lines = predict_dataset(reader, dataset, task, path, args.batch_size, args.max_new_tokens)
    index = {page: number for number, page in enumerate(dataset["id"])}
    title = f"{args.model} on {args.dataset}, {args.split}, {task}"
    _write(lines, output, title, lambda line: dataset[index[line["id"]]]["image"])


def _score_file(source: Path, output: Path) -> None:
    lines = read_predictions(source)
    if not lines:
        raise WorkError(f"{source} has no lines to score")
    copy = output / "predictions.jsonl"
    if copy.resolve() != source.resolve():
        write_whole(copy, source.read_text(encoding="utf-8"))
        write_json(output / "evaluation.json", {"predictions": str(source)})
    _write(lines, output, str(source), None)


def _compare(before: Path, after: Path, output: Path) -> None:
    sides = shared_pages(*(read_predictions(folder / "predictions.jsonl") for folder in (before, after)))
    metrics = compare(*sides)
    write_json(output / "metrics.json", metrics)
    write_comparison(*sides, output / "report.html", (str(before), str(after)))
    print(metrics_table(metrics))
    print(f"report: {output / 'report.html'}")


def _write(lines: list[Line], output: Path, title: str, images: Images | None) -> None:
    metrics = summarize(lines)
    write_json(output / "metrics.json", metrics)
    write_report(lines, metrics, output / "report.html", images, title)
    print(metrics_table({"": metrics}))
    print(f"{metrics['pages']} pages; report: {output / 'report.html'}")


def _parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="ocr2 evaluate", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--model", metavar="DIR|ID", help="model to evaluate; needs --dataset")
    what.add_argument("--predictions", metavar="FILE", help="predictions.jsonl to score")
    what.add_argument("--compare", nargs=2, metavar="DIR", help="two output directories of evaluations")
    parser.add_argument("--dataset", help="built dataset or Hub id")
    parser.add_argument("--split", default="test")
    parser.add_argument("--task", choices=PROMPTS, help="default: the model's recipe's, else by the dataset")
    parser.add_argument("--limit", type=positive_integer, help="at most so many pages")
    parser.add_argument("--output_dir", required=True)
    add_generation_arguments(parser)
    add_omnidocbench_arguments(parser)
    args = parser.parse_args(argv)
    if args.omnidocbench and not args.predictions:
        parser.error("--omnidocbench needs --predictions, the directory of .md files")
    if bool(args.model) != bool(args.dataset):
        parser.error("--model and --dataset go together")
    return args


if __name__ == "__main__":
    sys.exit(run_command(main))
