"""A build: every page read, checked and written, and put in its place if not too many pages are bad.

A build is written in a working folder of its own and renamed into place when it is complete, whatever kills it before:
it is there whole or not at all. One process at a time builds a name; what a killed one left is removed by the next.
"""

import fcntl
import json
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import datasets

from data_scripts.annotation_folder import AnnotationFolder
from data_scripts.build_plan import BACKWARDS, DROPPED, REJECTS, SUMMARY_FILE, UNANNOTATED, UPWARD, BuildPlan, warn
from data_scripts.build_workers import watched_workers
from data_scripts.page_batches import BuildReport, read_reports, tokenizer_lengths
from data_scripts.unannotated import find_unannotated
from ocr2_hf.data.load import NAMESPACE, built_datasets
from ocr2_hf.data.tasks import PROMPTS
from ocr2_hf.document.atomic_files import write_whole
from ocr2_hf.document.records import BOX_UNITS
from ocr2_hf.errors import WorkError

SHOWN_REJECTS = 5


class BuildFolder:
    """The folder of one dataset name in the datasets cache.

    `final(digest)` is where a complete build of that digest lies; `rejects` takes the rejected pages of a
    build that was given up.
    """

    def __init__(self, name: str):
        self.name = name
        self.repo_id = f"{NAMESPACE}/{name}"
        self.root = Path(datasets.config.HF_DATASETS_CACHE).expanduser() / f"{NAMESPACE}___{name}"
        self.rejects = self.root / REJECTS
        self._builds = self.root / "default" / str(AnnotationFolder.VERSION)

    def final(self, digest: str) -> Path:
        """The folder of the shards of a complete build."""
        return self._builds / digest

    def is_complete(self, digest: str) -> bool:
        """Whether there is a build of that digest."""
        return (self.final(digest) / datasets.config.DATASET_INFO_FILENAME).is_file()

    def before(self) -> dict[str, Any] | None:
        """The summary of the dataset that has the name now; None where there is none."""
        summary = built_datasets().get(self.name, self.root) / SUMMARY_FILE
        return json.loads(summary.read_text()) if summary.is_file() else None

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the name for this process, waiting for another that builds it; leftovers are removed."""
        self.root.mkdir(parents=True, exist_ok=True)
        # A POSIX record lock, unlike flock, is not inherited: workers that outlive a killed build do not
        # hold it.
        with open(self.root / "lock", "w") as lock:
            try:
                fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                print(f"another process is building {self.name}; waiting for it", file=sys.stderr)
                fcntl.lockf(lock, fcntl.LOCK_EX)
            self._remove_leftovers()
            try:
                yield
            finally:
                self._remove_leftovers()

    def new_work_folder(self) -> Path:
        """A folder for one build. Its name is new, so that workers of a killed build cannot write into it."""
        return Path(tempfile.mkdtemp(prefix="work-", dir=self.root))

    def publish(self, shards: Path, digest: str) -> None:
        """Move complete shards into place and remove the builds before them."""
        self._builds.mkdir(parents=True, exist_ok=True)
        shards.rename(self.final(digest))
        self.rejects.unlink(missing_ok=True)
        self.remove_others(digest)

    def remove_others(self, digest: str) -> None:
        """Remove every build but that of `digest`."""
        for build in self.root.glob("default/*/*"):
            if build != self.final(digest) and build.is_dir():
                # Renamed first: a build that is half removed must not be found.
                build.rename(self.new_work_folder() / "removed")

    def _remove_leftovers(self) -> None:
        for leftover in self.root.glob("work-*"):
            shutil.rmtree(leftover, ignore_errors=True)


def build(plan: BuildPlan, folder: BuildFolder, stop_at_reject: bool, max_bad: float, num_proc: int) -> None:
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
    with watched_workers() if num_proc > 1 else nullcontext():
        builder.download_and_prepare(output_dir=str(shards), num_proc=num_proc)
    report = read_reports(reports)
    rejects = [reject for part in report.values() for reject in part.rejects]
    if (stop_at_reject and rejects) or len(rejects) / plan.pages > max_bad or len(rejects) == plan.pages:
        write_rejects(rejects, folder.rejects)
        raise WorkError(_refusal(rejects, plan.pages, folder, stop_at_reject, max_bad))
    write_rejects(rejects, shards / REJECTS)
    for file, name in ((DROPPED, "dropped"), (UPWARD, "upward"), (BACKWARDS, "backwards")):
        if listed := [line for part in report.values() for line in getattr(part, name)]:
            write_rejects(listed, shards / file)
    pages = [page for split in plan.splits.values() for page in split]
    named = [image for part in report.values() for image in part.named]
    unannotated, unread = find_unannotated(plan.trees, plan.options.format, pages, named)
    if unannotated:
        write_rejects(unannotated, shards / UNANNOTATED)
    _warn_of_units(list(report.values()))
    _drop_empty_splits(builder, shards)
    summary = _summary(plan, report) | {"unannotated": len(unannotated), "unread_texts": unread}
    (shards / SUMMARY_FILE).write_text(json.dumps(summary, indent=1) + "\n")
    folder.publish(shards, plan.digest)


def _warn_of_units(parts: list[BuildReport]) -> None:
    boxed = sum(part.boxed for part in parts)
    fitting = {unit: sum(getattr(part, f"in_{unit}") for part in parts) for unit in ("percent", "thousand")}
    if unit := next((unit for unit, pages in fitting.items() if pages == boxed > 0), None):
        reach = f"the boxes of all pages that have some ({boxed}) lie within 0 and {BOX_UNITS[unit]}"
        warn(f"{reach}, and the pages are larger: where boxes are no pixels, build with --box_unit {unit}")


def write_rejects(rejects: list[dict[str, str]], path: Path) -> None:
    """One JSON object a line: {id, file, reason}."""
    write_whole(path, "".join(json.dumps(reject) + "\n" for reject in rejects))


def _refusal(
    rejects: list[dict[str, str]], pages: int, folder: BuildFolder, stop_at_reject: bool, max_bad: float
) -> str:
    if stop_at_reject:
        why = "a page is rejected, and --on_error fail allows none"
    elif len(rejects) == pages:
        why = "the only page is rejected" if pages == 1 else f"all {pages} pages are rejected"
    else:
        share = f"{len(rejects)} of {pages} pages ({len(rejects) / pages:.1%})"
        why = f"{share} are rejected, more than --max_bad {max_bad:g} allows"
    shown = "".join(f"\n  {_place(reject)}: {reject['reason']}" for reject in rejects[:SHOWN_REJECTS])
    more = f"\n  and {len(rejects) - SHOWN_REJECTS} more" if len(rejects) > SHOWN_REJECTS else ""
    remedy = "mend or remove " + ("this page" if len(rejects) == 1 else "these pages")
    remedy += "" if len(rejects) == pages else ", or allow more with --max_bad"
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


def _summary(plan: BuildPlan, report: dict[str, BuildReport]) -> dict[str, Any]:
    kept = {split: report[split] for split in plan.splits if report[split].pages}
    return {
        "annotations": plan.source,
        "split_by": plan.split_by,
        "empty": plan.empty,
        "splits": {split: {"pages": part.pages, "regions": part.regions} for split, part in kept.items()},
        "tasks": [task for task in PROMPTS if any(task in part.tasks for part in report.values())],
        "rejected": sum(len(part.rejects) for part in report.values()),
        "dropped": sum(len(part.dropped) for part in report.values()),
        "upward": sum(len(part.upward) for part in report.values()),
        "backwards": sum(len(part.backwards) for part in report.values()),
        "sorted": sum(part.sorted for part in report.values()),
        "clamped": sum(part.clamped for part in report.values()),
        "overlong": sum(part.overlong for part in report.values()),
        "without_text": {
            "pages": sum(part.pages_without_text for part in report.values()),
            "regions": sum(part.regions_without_text for part in report.values()),
        },
        "odd": dict(sorted(file for part in report.values() for file in part.odd.items())),
    }
