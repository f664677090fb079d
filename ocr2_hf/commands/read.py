"""Read images and PDFs: markdown, JSON, figures and an overlay of each page.

    ocr2 read FILE... --model DIR [--task markdown] [--pages 3-7,9] [--output_dir DIR]

FILE may be a folder: every image and PDF in it is read, at any depth. With --output_dir each file gives NAME.md,
NAME.json, NAME.overlay.jpg and, for each figure, NAME.figure-1.png (with several pages NAME.page-1.overlay.jpg);
without it the markdown is printed. A file or page that cannot be read is listed at the end, and the status is 1.
Run again, the same command goes on where it was stopped.

NAME.json is an annotation: a person corrects the regions (of a page without boxes, the text) in it, and
build_dataset.py --format ocr2 makes the pages ready for training.
"""

import argparse
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from ocr2_hf.commands.arguments import add_generation_flags, command_parser, seconds
from ocr2_hf.commands.outputs import output_folder
from ocr2_hf.commands.reading import answer_settings, check_all_read, check_call, open_reader, print_outcome
from ocr2_hf.data.tasks import PROMPTS
from ocr2_hf.decoding import MAX_SECONDS
from ocr2_hf.document.folder_lock import folder_lock
from ocr2_hf.reading.results import OVERLAYS
from ocr2_hf.reading.resume_log import ResumeLog, fingerprint

if TYPE_CHECKING:
    from ocr2_hf.reading.file_reader import FileResult

ALWAYS = "pages read"  # a count that is told whatever it is


def main(argv: list[str] | None = None) -> int:
    """Read every file; print the markdown, or write it with the pages as JSON."""
    args = _parse(argv)
    output = output_folder(args.output_dir) if args.output_dir else None
    with folder_lock(output) if output else nullcontext():
        _read(args, output)
    return 0


def _read(args: argparse.Namespace, output: Path | None) -> None:
    inputs = check_call(args, output, args.task or "markdown", ALWAYS)
    reader = open_reader(args)
    from ocr2_hf.reading.file_reader import FileReader, read_markdown
    from ocr2_hf.reading.reader import page_task

    args.task = args.task or page_task(args.model)
    prompt = reader.prompt(args.task, args.prompt)
    limits = (args.pages, args.max_new_tokens)
    failed = inputs.failed
    if output is None:
        for markdown in read_markdown(reader, inputs.files, prompt, failed, *limits, args.batch_size):
            print(markdown, flush=True)
    else:
        settings = answer_settings(args, reader, ("model", "task", "pages", "max_new_tokens")) | {"prompt": prompt}
        log = ResumeLog(output, settings, fingerprint(args.model))
        pages = args.batch_size or log.keep_batch_size(reader.fitting_pages(args.max_new_tokens))
        overlay = None if args.overlay == "none" else args.overlay
        result = FileReader(reader, log, prompt, *limits, pages, overlay).read(inputs.files)
        _report(result, inputs.left_out)
        failed += result.failed
    check_all_read(failed)


def _report(result: "FileResult", left_out: int) -> None:
    counts = {ALWAYS: result.pages, "files read before": result.done}
    lists = {
        "answers cut off at a limit": result.cut_off,
        "pages with an empty answer": result.empty,
        "files corrected by hand and kept (remove them to read anew)": result.corrected,
    }
    print_outcome(counts | {"files left out, no images or PDFs": left_out}, lists, ALWAYS)


def _parse(argv: list[str] | None) -> argparse.Namespace:
    parser = command_parser("read", __doc__)
    parser.add_argument("files", nargs="+", metavar="FILE", help="images (PNG, JPEG, TIFF, ...), PDFs or folders")
    parser.add_argument("--model", required=True, metavar="DIR|ID")
    parser.add_argument("--task", choices=PROMPTS, help="default markdown, or ocr for a model trained on that alone")
    parser.add_argument("--prompt", help="asked in place of the task's own; for locate: the text to find")
    parser.add_argument("--pages", metavar="3-7,9", help="of documents with several pages only these; 12-: to the last")
    parser.add_argument("--output_dir")
    parser.add_argument(
        "--overlay",
        choices=("none", *OVERLAYS),
        default="jpeg",
        help="the picture of each page with its regions: reduced (jpeg, the default), or as large as the page (png)",
    )
    add_generation_flags(parser)
    parser.add_argument(
        "--max_seconds",
        type=seconds,
        default=MAX_SECONDS,
        help="a batch's answers are cut off after so long; 0: never; default: %(default)s",
    )
    return parser.parse_args(argv)
