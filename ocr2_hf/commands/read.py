"""Read images and PDFs: markdown, JSON and an overlay of each page.

    ocr2 read FILE... --model DIR [--task markdown] [--output_dir DIR]

With --output_dir each file gives NAME.md, NAME.json and NAME.overlay.png (PDF: one overlay a page); without
it the markdown is printed. A file or page that cannot be read is listed at the end, and the status is 1.

NAME.json is an annotation: a person corrects the regions (of a page without boxes, the text) in it, and
build_dataset.py --format ocr2 makes the pages ready for training.
"""

import argparse
import json
import sys
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

from PIL import Image
from tqdm.auto import tqdm

from ocr2_hf.commands.arguments import add_generation_arguments
from ocr2_hf.data.tasks import PROMPTS
from ocr2_hf.errors import UsageError, WorkError, run_command
from ocr2_hf.evaluation.files import write_whole
from ocr2_hf.reading.pages import PageSource, list_pages
from ocr2_hf.reading.reader import DocumentReader, Page


def main(argv: list[str] | None = None) -> int:
    args = _parse(argv)
    output = Path(args.output_dir) if args.output_dir else None
    _check_names(args.files, output)
    guard = {"no_repeat_ngram": args.no_repeat_ngram, "no_repeat_window": args.no_repeat_window}
    reader = DocumentReader.from_pretrained(args.model, **guard)
    prompt = reader.prompt(args.task, args.prompt)
    failed: list[str] = []
    pages = reader.stream(_load(args.files, failed), prompt, args.max_new_tokens, args.batch_size)
    for file, group in groupby(pages, key=lambda page: page.source.source):
        _deliver(Path(file), list(group), output)
    if failed:
        raise WorkError("not read:\n" + "\n".join(f"  {reason}" for reason in failed))
    return 0


def _load(files: list[str], failed: list[str]) -> Iterator[tuple[PageSource, Image.Image]]:
    """Every page that can be read; the reason for every other goes to `failed`."""
    for file in tqdm(files, desc="reading", unit="file"):
        try:
            pages = list_pages(file)
        except WorkError as error:
            failed.append(str(error))
            continue
        for page in pages:
            try:
                yield page, page.load()
            except WorkError as error:
                failed.append(str(error))


def _deliver(file: Path, pages: list[Page], output: Path | None) -> None:
    markdown = "\n\n".join(page.markdown for page in pages)
    if output is None:
        print(markdown)
        return
    for page in pages:
        number = f".page-{page.source.number + 1}" if len(pages) > 1 or page.source.number else ""
        page.save_overlay(_made(output) / f"{file.stem}{number}.overlay.png")
    document = {"file": str(file), "pages": [page.to_dict() for page in pages]}
    write_whole(output / f"{file.stem}.json", json.dumps(document, ensure_ascii=False, indent=2) + "\n")
    write_whole(output / f"{file.stem}.md", markdown + "\n")


def _made(output: Path) -> Path:
    output.mkdir(parents=True, exist_ok=True)
    return output


def _check_names(files: list[str], output: Path | None) -> None:
    """Two files of one name would overwrite each other's results."""
    if output is None:
        return
    if output.exists() and not output.is_dir():
        raise UsageError(f"--output_dir {output} is a file; name a directory")
    first: dict[str, str] = {}
    for file in files:
        other = first.setdefault(Path(file).stem, file)
        if other != file:
            raise UsageError(f"{other} and {file} would both give {Path(file).stem}.md; read them apart")


def _parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="ocr2 read", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("files", nargs="+", metavar="FILE", help="images (PNG, JPEG, TIFF, ...) or PDFs")
    parser.add_argument("--model", required=True, metavar="DIR|ID")
    parser.add_argument("--task", default="markdown", choices=PROMPTS)
    parser.add_argument("--prompt", help="asked in place of the task's own; for locate: the text to find")
    parser.add_argument("--output_dir")
    add_generation_arguments(parser)
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(run_command(main))
