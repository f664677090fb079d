"""What `ocr2 read` and `ocr2 statements` have in common: how they begin, and what they tell at the end."""

import argparse
import os
from collections.abc import Iterable, Mapping, Sequence
from glob import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ocr2_hf.commands.arguments import loop_guard
from ocr2_hf.data.tasks import asked_prompt
from ocr2_hf.document.page_files import list_pages, page_ranges
from ocr2_hf.errors import WorkError
from ocr2_hf.modeling.model_files import check_model_name
from ocr2_hf.reading.inputs import Input, Inputs, find_inputs

if TYPE_CHECKING:
    from ocr2_hf.reading.reader import DocumentReader

_LISTED = 10


def check_call(args: argparse.Namespace, output: Path | None, task: str, always: str) -> Inputs:
    """What there is to read; to be asked before anything that loads models is imported.

    Raises `UsageError` for what is wrong with the call, and `WorkError` where none of the files is there nor anything
    that an earlier call wrote of it; `always` is then counted as 0.
    """
    page_ranges(args.pages)
    asked_prompt(task, args.prompt)
    inputs = find_inputs(args.files, output)
    check_model_name(args.model)
    if not any(os.path.exists(item.path) or (output and _has_results(output, item)) for item in inputs.files):
        if output:
            print_outcome({always: 0}, {}, always)
        check_all_read(inputs.failed + [_why_not(item) for item in inputs.files])
    return inputs


def open_reader(args: argparse.Namespace) -> "DocumentReader":
    """The reader that the call names."""
    from ocr2_hf.reading.reader import DocumentReader

    return DocumentReader.from_pretrained(args.model, **loop_guard(args), max_seconds=args.max_seconds)


def _has_results(output: Path, item: Input) -> bool:
    place = output / item.name
    return any(place.parent.glob(f"{escape(place.name)}.*"))


def _why_not(item: Input) -> str:
    try:
        list_pages(item.path)
    except WorkError as error:
        return str(error)
    return f"{item.path}: it came while this looked for it"


def answer_settings(args: argparse.Namespace, reader: "DocumentReader", names: Iterable[str]) -> dict[str, Any]:
    """What answers depend on: the arguments `names`, and the reader's limits."""
    limits = ("no_repeat_ngram", "no_repeat_window", "max_seconds")
    return {name: getattr(args, name) for name in names} | {name: getattr(reader, name) for name in limits}


def print_outcome(counts: Mapping[str, int], lists: Mapping[str, Sequence[str]], always: str) -> None:
    """Counts that are not 0, and the count `always`; then the first items of lists that are not empty."""
    for told, count in counts.items():
        if count or told == always:
            print(f"{told}: {count}")
    for told, items in lists.items():
        if items:
            more = [f"and {len(items) - _LISTED} more"] if len(items) > _LISTED else []
            print("\n  ".join([f"{told}: {len(items)}", *items[:_LISTED], *more]))


def check_all_read(failed: Sequence[str]) -> None:
    """Raise `WorkError` with the reasons why something was not read."""
    if failed:
        raise WorkError("not read:\n" + "\n".join(f"  {reason}" for reason in failed))
