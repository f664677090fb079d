"""Read images and PDFs: markdown, JSON, figures and an overlay of each page.

    ocr2 read FILE... --model DIR [--task markdown] [--pages 3-7,9] [--output_dir DIR]

FILE may be a folder: every image and PDF in it is read, at any depth. With --output_dir each file gives NAME.md,
NAME.json, NAME.overlay.png and, for each figure, NAME.figure-1.png (with several pages NAME.page-1.overlay.png);
without it the markdown is printed. A file or page that cannot be read is listed at the end, and the status is 1.
Run again, the same command goes on where it was stopped.

NAME.json is an annotation: a person corrects the regions (of a page without boxes, the text) in it, and
build_dataset.py --format ocr2 makes the pages ready for training.
"""

import argparse
import sys
from pathlib import Path

from ocr2_hf.commands.arguments import add_generation_arguments, seconds
from ocr2_hf.data.tasks import PROMPTS
from ocr2_hf.document.page_files import page_ranges
from ocr2_hf.errors import UsageError, WorkError, run_command
from ocr2_hf.reading.evaluation_settings import fingerprint
from ocr2_hf.reading.inputs import find_inputs
from ocr2_hf.reading.ledger import Ledger
from ocr2_hf.reading.read_files import FileReader, Outcome, read_markdown
from ocr2_hf.reading.reader import MAX_SECONDS, DocumentReader

_LISTED = 10


def main(argv: list[str] | None = None) -> int:
    args = _parse(argv)
    output = Path(args.output_dir) if args.output_dir else None
    if output is not None and output.exists() and not output.is_dir():
        raise UsageError(f"--output_dir {output} is a file; name a directory")
    page_ranges(args.pages)
    inputs = find_inputs(args.files, output)
    guard = {"no_repeat_ngram": args.no_repeat_ngram, "no_repeat_window": args.no_repeat_window}
    reader = DocumentReader.from_pretrained(args.model, **guard, max_seconds=args.max_seconds)
    prompt = reader.prompt(args.task, args.prompt)
    limits = (args.pages, args.max_new_tokens, args.batch_size)
    failed = inputs.failed
    if output is None:
        for markdown in read_markdown(reader, inputs.files, prompt, failed, *limits):
            print(markdown, flush=True)
    else:
        ledger = Ledger(output, _settings(args, reader, prompt), fingerprint(args.model))
        outcome = FileReader(reader, ledger, prompt, *limits).read(inputs.files)
        _report(outcome, inputs.left_out)
        failed += outcome.failed
    if failed:
        raise WorkError("not read:\n" + "\n".join(f"  {reason}" for reason in failed))
    return 0


def _settings(args: argparse.Namespace, reader: DocumentReader, prompt: str) -> dict:
    """What the answers depend on."""
    names = ("no_repeat_ngram", "no_repeat_window", "max_seconds")
    return {
        **{key: getattr(args, key) for key in ("model", "task", "pages", "max_new_tokens")},
        **{name: getattr(reader, name) for name in names},
        "prompt": prompt,
    }


def _report(outcome: Outcome, left_out: int) -> None:
    print(f"pages read: {outcome.pages}")
    for told, count in (("files read before", outcome.done), ("files left out, no images or PDFs", left_out)):
        if count:
            print(f"{told}: {count}")
    for told, items in (
        ("answers cut off at a limit", outcome.cut_off),
        ("files corrected by hand and kept (remove them to read anew)", outcome.corrected),
    ):
        if items:
            more = [f"and {len(items) - _LISTED} more"] if len(items) > _LISTED else []
            print("\n  ".join([f"{told}: {len(items)}", *items[:_LISTED], *more]))


def _parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="ocr2 read", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("files", nargs="+", metavar="FILE", help="images (PNG, JPEG, TIFF, ...), PDFs or folders")
    parser.add_argument("--model", required=True, metavar="DIR|ID")
    parser.add_argument("--task", default="markdown", choices=PROMPTS)
    parser.add_argument("--prompt", help="asked in place of the task's own; for locate: the text to find")
    parser.add_argument("--pages", metavar="3-7,9", help="of documents with several pages only these; 12-: to the last")
    parser.add_argument("--output_dir")
    add_generation_arguments(parser)
    parser.add_argument(
        "--max_seconds",
        type=seconds,
        default=MAX_SECONDS,
        help="a batch's answers are cut off after so long; 0: never; default: %(default)s",
    )
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(run_command(main))
