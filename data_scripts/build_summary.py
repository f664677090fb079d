"""What a build prints of its dataset: pages and regions, what was noticed in them, and what it can train."""

import json
from pathlib import Path
from typing import Any

from data_scripts.build_plan import BACKWARDS, DROPPED, REJECTS, SUMMARY_FILE, UNANNOTATED, UPWARD, warn
from data_scripts.page_splits import RULES

SHOWN_ODD = 20


def print_summary(name: str, state: str, folder: Path) -> None:
    """The table of pages and regions by split, what was noticed in them, and how to load and train the dataset."""
    summary = json.loads((folder / SUMMARY_FILE).read_text())
    print(f"{name}: {state}")
    print(f"{'split':<12}{'pages':>9}{'regions':>10}")
    for split, counts in summary["splits"].items():
        print(f"{split:<12}{counts['pages']:>9}{counts['regions']:>10}")
    by_share = summary["split_by"] in ("hash", "rank")
    remedy = "raise its share, or take exact shares by --split rank" if by_share else "no page is in its folder"
    for split in summary["empty"]:
        warn(f"the {split} split is empty and is left out: {remedy}")
    print(f"{'rejected':<12}{summary['rejected']:>9}")
    print(f"{'clamped':<12}{'':>9}{summary['clamped']:>10}")
    silent = summary["without_text"]
    print(f"{'without text':<12}{silent['pages']:>9}{silent['regions']:>10}")
    if silent["pages"] == sum(counts["pages"] for counts in summary["splits"].values()):
        warn("no page has any text: it cannot be trained for a task that writes text")
    print(f"{'can train':<15}{_told_tasks(summary)}")
    _print_noticed(summary, folder)
    print(f"split by {RULES[summary['split_by']]}")
    _print_odd(summary["odd"], folder)
    print(f"rejected pages and reasons: {folder / REJECTS}")
    print(f'load it with: ocr2_hf.load_dataset("{name}")')
    if mix := _mix_without_boxes(summary):
        print(f"train it with: --dataset {name} --tasks '{{{mix}}}'")


def _print_noticed(summary: dict[str, Any], folder: Path) -> None:
    """What was left out, what may be wrong, and where it is listed; nothing of what there is none of."""
    advice = "" if summary["sorted"] else "; --order auto sorts these"
    passed_over = summary.get("unannotated", 0)  # builds of before did not count them
    listed = {
        UNANNOTATED: f"{'unannotated':<12}{passed_over:>9}   images that no annotation is of",
        DROPPED: f"{'dropped':<21}{summary['dropped']:>10}   boxes that are missing, empty or turned round",
        UPWARD: f"{'upward':<12}{summary['upward']:>9}   pages whose lines go up the page in their file{advice}",
        BACKWARDS: f"{'backwards':<12}{summary['backwards']:>9}   pages with Arabic or Hebrew in the order of display",
    }
    for file, line in listed.items():
        if (folder / file).is_file():
            print(f"{line}: {folder / file}")
    if unread := summary.get("unread_texts"):
        apart = "build them under another name with --format pairs, and mix the datasets"
        print(f"{'unread texts':<12}{unread:>9}   of these images, as other annotations are there: {apart}")
    if summary["sorted"]:
        print(f"{'sorted':<12}{summary['sorted']:>9}   pages put in another order, by position")
    if summary["overlong"]:
        print(f"{'overlong':<12}{summary['overlong']:>9}   over the context: split or dropped in training (overlong)")


def _told_tasks(summary: dict[str, Any]) -> str:
    """The tasks of which there are pages, and what they have to do without."""
    counts = summary["splits"].values()
    notes = {}
    if not any(split["regions"] for split in counts):
        notes["markdown"] = "markdown without boxes"
    elif summary["without_text"]["pages"] == sum(split["pages"] for split in counts):
        notes["markdown"] = "markdown of boxes alone, by a prompt of your own"
    return ", ".join(notes.get(task, task) for task in summary["tasks"])


def _mix_without_boxes(summary: dict[str, Any]) -> str:
    """The tasks of a recipe for a dataset that has no boxes, which recipes ask for by themselves; "" for others."""
    if any(split["regions"] for split in summary["splits"].values()):
        return ""
    return ", ".join(f"{task}: 1" for task in summary["tasks"] if task in ("ocr", "custom"))


def _print_odd(files: dict[str, str], folder: Path) -> None:
    """Image files that are read though something is odd about them, each once."""
    if files:
        print(f"{'odd files':<12}{len(files):>9}   read, but Pillow warns of them")
    for file, warning in list(files.items())[:SHOWN_ODD]:
        print(f"  {file}: {warning}")
    if len(files) > SHOWN_ODD:
        print(f"  and {len(files) - SHOWN_ODD} more: see {folder / SUMMARY_FILE}")
