"""Cut the regions out of a built dataset's pages: an annotation folder of lines (or words, cells), a crop each.

    ocr2 build lines_of_letters --annotations letters_alto --level line
    ocr2 crop lines_of_letters letters_crops
    ocr2 build letters_lines --annotations letters_crops --split folders

Crops stay in the split of their page, in a folder of its name. Regions without text, or with a side below --min_side
pixels, are left out and counted. The folder is there whole or not at all; the same command finds it finished.
"""

import argparse
import json
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if __name__ == "__main__":  # the package of this checkout, also where none or another is installed
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from tqdm import tqdm

from data_scripts.arguments import count, script_parser, share
from data_scripts.file_tree import file_name
from ocr2_hf.data.column_names import COLUMNS_HELP, parse_columns
from ocr2_hf.document.atomic_files import whole_folder, write_json
from ocr2_hf.errors import UsageError, WorkError, run_command
from ocr2_hf.reading.resume_log import read_kept

if TYPE_CHECKING:
    from datasets import Dataset

CROPS_FILE = "crops.json"  # in what was cut: of what, and how much
Box = tuple[int, int, int, int]


def main(argv: list[str] | None = None, prog: str | None = None) -> int:
    """Cut, and print how many crops there are; `prog` is what --help calls the program.

    Raises `UsageError` where the call is wrong, `WorkError` where there is nothing to cut out.
    """
    args = parse_arguments(argv, prog)
    counts = finished(args)
    if counts is None:
        counts = cut(args)
    print(f"{counts.pop('crops')} crops in {args.out_dir}; left out: {_told(counts) or 'none'}")
    return 0


def finished(args: argparse.Namespace) -> Counter[str] | None:
    """The counts of an earlier call that cut the same; None where there is no folder yet. `UsageError` where it holds
    something else."""
    if not args.out_dir.exists():
        return None
    cropped = read_kept(args.out_dir, CROPS_FILE)
    if cropped and cropped["of"] == _made_of(args, load_pages(args)):
        print(f"{args.out_dir} is finished already")
        return Counter(cropped["counts"])
    raise UsageError(f"{args.out_dir} is there already: name a new folder")


def cut(args: argparse.Namespace) -> Counter[str]:
    """Cut all pages; how many crops there are, and how many regions were left out for what reason."""
    counts: Counter[str] = Counter()
    with whole_folder(args.out_dir) as beside:
        from ocr2_hf.data.page_rows import page_rows  # loads datasets, as above

        splits = load_pages(args)
        for split, rows in splits.items():
            pages = tqdm(page_rows(rows), total=len(rows), desc=f"cutting {split}", unit=" pages")
            for number, row in enumerate(pages):
                counts += cut_page(row, f"{number:06d}-{file_name(row['id'])}", beside, split, args)
        if not counts["crops"]:
            why = f"left out: {_told(counts)}" if counts else "no page has boxes"
            raise WorkError(f"{args.name} has no region with text to cut out; {why}")
        write_json(beside / CROPS_FILE, {"of": _made_of(args, splits), "counts": counts})
    return counts


def load_pages(args: argparse.Namespace) -> "dict[str, Dataset]":
    """The pages of each split."""
    from ocr2_hf.data.load import load_dataset  # loads datasets, which a wrong call does not need

    return dict(load_dataset(args.name, columns=args.columns))


def _made_of(args: argparse.Namespace, splits: "Mapping[str, Dataset]") -> dict[str, Any]:
    pages = {split: rows._fingerprint for split, rows in splits.items()}
    return {"pages": pages, "margin": args.margin, "min_side": args.min_side}


def parse_arguments(argv: list[str] | None, prog: str | None = None) -> argparse.Namespace:
    """The arguments of a crop; status 2 where they are wrong."""
    parser = script_parser(__doc__, prog)
    add = parser.add_argument
    add("name", help="a built dataset, one on the Hub (ORG/NAME), or a folder of Parquet files or images with metadata")
    add("--columns", type=parse_columns, metavar="image=NAME,...", help=COLUMNS_HELP)
    add("out_dir", type=Path, help="a new folder; takes images/SPLIT and annotations/SPLIT")
    add("--margin", type=share, default=0.1, help="kept around a region, as a share of its shorter side (default 0.1)")
    add("--min_side", type=count, default=8, help="pixels below which a region is left out (default 8)")
    return parser.parse_args(argv)


def cut_page(row: Mapping[str, Any], name: str, folder: Path, split: str, args: argparse.Namespace) -> Counter[str]:
    """Write the crops of one page record; how many, and how many regions were left out for what reason."""
    counts: Counter[str] = Counter()
    for number, (box, label, text) in enumerate(regions(row, counts, args.min_side)):
        outer = widened(box, args.margin, row["image"].size)
        inner = [box[0] - outer[0], box[1] - outer[1], box[2] - outer[0], box[3] - outer[1]]
        record = {"text": text, "bboxes": [inner], "labels": [label], "texts": [text]}
        stem = f"{name}-{number:04d}"
        for part in ("images", "annotations"):
            (folder / part / split).mkdir(parents=True, exist_ok=True)
        row["image"].crop(outer).save(folder / "images" / split / f"{stem}.png")
        annotation = json.dumps(record, ensure_ascii=False, indent=1)
        (folder / "annotations" / split / f"{stem}.json").write_text(annotation, encoding="utf-8")
        counts["crops"] += 1
    return counts


def regions(row: Mapping[str, Any], counts: Counter[str], min_side: int) -> Iterator[tuple[Box, str, str]]:
    """The regions that can be cut out, boxes in whole pixels; the others go into `counts`."""
    for box, label, text in zip(row["bboxes"], row["labels"], row["texts"], strict=True):
        x0, y0, x1, y1 = (round(value) for value in box)
        if not text.strip():
            counts["without text"] += 1
        elif min(x1 - x0, y1 - y0) < min_side:
            counts[f"below {min_side} pixels"] += 1
        else:
            yield (x0, y0, x1, y1), label, text


def widened(box: Box, margin: float, size: tuple[int, int]) -> Box:
    """The box with a margin around it, as far as the page goes."""
    extra = round(margin * min(box[2] - box[0], box[3] - box[1]))
    return max(box[0] - extra, 0), max(box[1] - extra, 0), min(box[2] + extra, size[0]), min(box[3] + extra, size[1])


def _told(counts: Counter[str]) -> str:
    return ", ".join(f"{number} {reason}" for reason, number in sorted(counts.items()))


if __name__ == "__main__":
    sys.exit(run_command(main))
