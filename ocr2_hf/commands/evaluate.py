"""Evaluate a model on a dataset, score saved predictions, or compare two evaluations.

    ocr2 evaluate --model DIR|ID --dataset NAME [--split test] [--task T] [--limit N] --output_dir DIR
    ocr2 evaluate --predictions FILE.jsonl [--dataset NAME [--split test] [--task T]] --output_dir DIR
    ocr2 evaluate --compare DIR_A DIR_B --output_dir DIR
    ocr2 evaluate --omnidocbench GT.json --predictions DIR_OF_MD --output_dir DIR

Writes metrics.json, predictions.jsonl and report.html. Started again, an evaluation goes on where it was
stopped. On several GPUs, or as several processes, each reading its share of the pages:

    accelerate launch --num_processes 4 -m ocr2_hf evaluate --model DIR --dataset NAME --output_dir DIR
"""

import argparse
from pathlib import Path

from ocr2_hf.commands.arguments import add_generation_flags, command_parser, loop_guard, positive_integer
from ocr2_hf.commands.omnidocbench import add_omnidocbench_arguments, score_omnidocbench
from ocr2_hf.commands.outputs import output_folder
from ocr2_hf.commands.scoring import (
    add_scoring_arguments,
    check_evaluation_folder,
    compare_evaluations,
    dataset_settings,
    load_pages,
    score_predictions,
    write_results,
)
from ocr2_hf.data.column_names import COLUMNS_HELP, parse_columns
from ocr2_hf.data.tasks import PROMPTS
from ocr2_hf.document.folder_lock import folder_lock, launch_lock
from ocr2_hf.document.predictions import PREDICTIONS_FILE
from ocr2_hf.errors import writing_to
from ocr2_hf.modeling.model_files import check_model_name


def main(argv: list[str] | None = None) -> int:
    """Evaluate, score or compare, and write the report."""
    args = _parse(argv)
    output = output_folder(args.output_dir)
    with writing_to(output):
        _evaluate(args, output)
    return 0


def _evaluate(args: argparse.Namespace, output: Path) -> None:
    if args.model:
        check_model_name(args.model)
        with launch_lock(output) as refusal:
            _evaluate_model(args, output, refusal)
        return
    with folder_lock(output):
        check_evaluation_folder(output, args.predictions)
        if args.compare:
            compare_evaluations(*map(Path, args.compare), output, args)
        elif args.omnidocbench:
            score_omnidocbench(Path(args.omnidocbench), Path(args.predictions), output, args)
        else:
            score_predictions(args, output)


def _evaluate_model(args: argparse.Namespace, output: Path, refusal: str | None) -> None:
    """`refusal`: why the first process of this launch may not write into `output`."""
    check_evaluation_folder(output)
    from ocr2_hf.reading.dataset_predictions import Processes, asked_pages, default_task, predict_dataset
    from ocr2_hf.reading.reader import DocumentReader, read_saved_recipe
    from ocr2_hf.reading.references import PageImages
    from ocr2_hf.reading.resume_log import fingerprint, kept_batch_size, start_or_resume

    pages = dataset_settings(vars(args))
    dataset = load_pages(**pages, limit=args.limit)
    task = args.task or default_task(args.model, dataset)
    asked = asked_pages(dataset, task, PROMPTS | read_saved_recipe(args.model).prompts)  # before the model is loaded
    guard = loop_guard(args)
    processes = Processes.join()
    processes.end_all(refusal)
    reader = DocumentReader.from_pretrained(args.model, processes.device, **guard, max_seconds=None)
    batch_size = args.batch_size or kept_batch_size(output) or reader.fitting_pages(args.max_new_tokens)
    batch_size = processes.share(batch_size)
    settings = {
        "model": args.model,
        "max_new_tokens": args.max_new_tokens,
        "batch_size": batch_size,
        **pages,
        **{key: getattr(reader, key) for key in guard},
        "model_files": fingerprint(args.model),
        "dataset_fingerprint": dataset._fingerprint,
        "task": task,
        "prompt": reader.prompts[task],
    }
    path = output / PREDICTIONS_FILE
    if processes.main and start_or_resume(path, settings) == "anew":
        print(f"{path} was made with other settings: it is replaced")
    lines = predict_dataset(reader, dataset, task, path, batch_size, args.max_new_tokens, processes, asked)
    processes.leave()
    if processes.main:
        title = f"{args.model} on {args.dataset}, {args.split}, {task}"
        write_results(lines, output, title, PageImages(dataset), args)


def _parse(argv: list[str] | None) -> argparse.Namespace:
    parser = command_parser("evaluate", __doc__)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--model", metavar="DIR|ID", help="model to evaluate; needs --dataset")
    what.add_argument("--predictions", metavar="FILE", help="predictions.jsonl to score")
    what.add_argument("--compare", nargs=2, metavar="DIR", help="two output directories of evaluations")
    parser.add_argument(
        "--dataset",
        help="built dataset, Hub id, or folder of Parquet files or images with metadata; beside --predictions it "
        "gives references and images by the pages' ids",
    )
    parser.add_argument("--split", default="test", help="default test")
    parser.add_argument("--columns", type=parse_columns, metavar="image=NAME,...", help=COLUMNS_HELP)
    parser.add_argument("--task", choices=PROMPTS, help="default: the model's recipe's, else by the dataset")
    parser.add_argument("--limit", type=positive_integer, help="at most so many pages")
    parser.add_argument("--output_dir", required=True)
    add_scoring_arguments(parser)
    add_generation_flags(parser)
    add_omnidocbench_arguments(parser)
    args = parser.parse_args(argv)
    if args.omnidocbench and not args.predictions:
        parser.error("--omnidocbench needs --predictions, the directory of .md files")
    if args.model and not args.dataset:
        parser.error("--model and --dataset go together")
    if args.dataset and (args.compare or args.omnidocbench):
        parser.error("--dataset goes with --model or --predictions")
    return args
