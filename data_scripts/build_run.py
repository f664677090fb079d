"""A build: every page read, checked and written, and put in its place if not too many pages are bad."""

import json
import os
import threading
import time
from functools import partial
from pathlib import Path
from typing import Any

from datasets.exceptions import DatasetGenerationError

from data_scripts.annotation_folder import AnnotationFolder
from data_scripts.build_folder import BuildFolder
from data_scripts.build_plan import Plan, warn
from data_scripts.page_batches import Report, read_reports, tokenizer_lengths
from ocr2_hf.errors import WorkError

SHOWN_REJECTS = 5


def build(plan: Plan, folder: BuildFolder, stop_at_reject: bool, max_bad: float, num_proc: int) -> None:
    """Build `plan` in `folder`, which must be locked.

    `max_bad` is the largest share of rejected pages; with `stop_at_reject` there may be none. If there
    are more, nothing is built and `WorkError` is raised; `OSError` where the disk fails.
    """
    tokenizer_lengths(plan.options.tokenizer)  # a wrong one is refused here; worker processes inherit it
    work = folder.new_work_folder()
    shards, reports = work / "shards", work / "reports"
    reports.mkdir()
    builder = AnnotationFolder(
        dataset_name=folder.name,
        repo_id=folder.repo_id,
        config_name="default",
        config_id="default",
        hash=plan.digest,
        options=plan.options,
        pages=plan.splits,
        stop_at_reject=stop_at_reject,
        report_folder=str(reports),
    )
    if num_proc > 1:
        os.register_at_fork(after_in_child=partial(_end_with, os.getpid()))
    try:
        builder.download_and_prepare(output_dir=str(shards), num_proc=num_proc)
    except DatasetGenerationError as error:
        if isinstance(error.__cause__, OSError):  # a full disk, say
            raise error.__cause__ from error
        raise
    report = read_reports(reports)
    rejects = [reject for part in report.values() for reject in part.rejects]
    if (stop_at_reject and rejects) or len(rejects) / plan.pages > max_bad or len(rejects) == plan.pages:
        write_rejects(rejects, folder.rejects)
        raise WorkError(_refusal(rejects, plan.pages, folder, stop_at_reject, max_bad))
    write_rejects(rejects, shards / "rejects.jsonl")
    _drop_empty_splits(builder, shards)
    summary = _summary(list(plan.splits), report)
    (shards / "summary.json").write_text(json.dumps(summary, indent=1) + "\n")
    folder.publish(shards, plan.digest)


def _end_with(parent: int) -> None:
    """End this process soon after its parent: the workers of a killed build would stay for ever."""
    if os.getppid() != parent:  # a child's child
        return

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def write_rejects(rejects: list[dict[str, str]], path: Path) -> None:
    """One JSON object a line: {id, file, reason}."""
    path.write_text("".join(json.dumps(reject) + "\n" for reject in rejects))


def _refusal(
    rejects: list[dict[str, str]], pages: int, folder: BuildFolder, stop_at_reject: bool, max_bad: float
) -> str:
    if stop_at_reject:
        why = "a page is rejected, and --on_error fail allows none"
    elif len(rejects) == pages:
        why = f"all {pages} pages are rejected"
    else:
        share = f"{len(rejects)} of {pages} pages ({len(rejects) / pages:.1%})"
        why = f"{share} are rejected, more than --max_bad {max_bad:g} allows"
    shown = "".join(f"\n  {_place(reject)}: {reject['reason']}" for reject in rejects[:SHOWN_REJECTS])
    more = f"\n  and {len(rejects) - SHOWN_REJECTS} more" if len(rejects) > SHOWN_REJECTS else ""
    remedy = "mend or remove these pages" + ("" if len(rejects) == pages else ", or allow more with --max_bad")
    return f"{folder.name} is not built: {why}{shown}{more}\nlisted in {folder.rejects}; {remedy}"


def _place(reject: dict[str, str]) -> str:
    """The file, and the page where its name is not the file's: a file may hold many."""
    file, page = reject["file"], reject["id"]
    return file if f"/{page}." in file else f"{file} ({page})"


def _drop_empty_splits(builder: AnnotationFolder, shards: Path) -> None:
    """A split whose pages were all rejected is left out: `datasets` does not load an empty one."""
    splits = builder.info.splits
    empty = [split for split, info in splits.items() if not info.num_examples]
    for split in empty:
        warn(f"every page of the {split} split is rejected: the split is left out")
        del splits[split]
        for shard in shards.glob(f"{builder.dataset_name}-{split}*.arrow"):
            shard.unlink()
    if empty:
        builder.info.write_to_directory(str(shards))


def _summary(splits: list[str], report: dict[str, Report]) -> dict[str, Any]:
    kept = {split: report[split] for split in splits if report[split].pages}
    return {
        "splits": {split: {"pages": part.pages, "regions": part.regions} for split, part in kept.items()},
        "rejected": sum(len(part.rejects) for part in report.values()),
        "clamped": sum(part.clamped for part in report.values()),
        "overlong": sum(part.overlong for part in report.values()),
    }
