"""Look at a built dataset before training on it: counts, lengths, pages that leak between splits, overlays.

    python data_scripts/inspect_dataset.py letters --output_dir letters_inspected

Writes `summary.json`, `lengths.png`, `duplicates.jsonl` (near-duplicate pages that stand in two splits) and
`overlays/SPLIT-ID.png`: pages with their boxes, labels and reading order, for a person to look at.
"""

import argparse
import json
import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from datasets import Dataset
from tqdm import tqdm

from data_scripts.arguments import count
from data_scripts.duplicates import Pair, near_duplicates
from data_scripts.file_tree import file_name
from data_scripts.histograms import draw_histograms
from data_scripts.inspection import SplitCounts, count_splits, summary
from data_scripts.token_lengths import TokenLengths
from ocr2_hf.data.load import load_dataset
from ocr2_hf.data.tasks import page_regions
from ocr2_hf.document.atomic_files import write_json, write_whole
from ocr2_hf.document.overlay import draw_overlay
from ocr2_hf.document.page_files import to_rgb
from ocr2_hf.errors import UsageError, WorkError, run_command
from ocr2_hf.recipe_fields import ModelArguments

REAL, TINY = ModelArguments.model, "tiny"
SHOWN_LABELS, SHOWN_PAIRS = 30, 5


def main(argv: list[str] | None = None) -> int:
    args = parse_arguments(argv)
    splits = dict(load_dataset(args.name))
    lengths, tokenizer = choose_lengths(args.tokenizer)
    try:
        inspect(splits, lengths, tokenizer, args)
    except OSError as error:
        raise WorkError(f"cannot write {args.output_dir}: {error}") from error
    return 0


def parse_arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("name", help="a built dataset, or one on the Hub (ORG/NAME)")
    add("--output_dir", type=Path, required=True)
    add("--limit", type=count, default=12, help="pages of each split that are drawn, evenly spaced (default 12)")
    add("--tokenizer", metavar="DIR|ID", help=f"whose tokens are counted (default {REAL})")
    return parser.parse_args(argv)


def choose_lengths(tokenizer: str | None) -> tuple[TokenLengths, str]:
    """By the tokenizer that is asked for; else by the real model's or, where that cannot be had, the tiny one's."""
    if tokenizer:
        return TokenLengths(tokenizer), tokenizer
    try:
        return TokenLengths(REAL), REAL
    except UsageError as error:
        print(f"warning: {error}", file=sys.stderr)
        print("warning: lengths are counted with the tiny model's tokenizer, a token a character", file=sys.stderr)
        return TokenLengths(TINY), TINY


def inspect(splits: dict[str, Dataset], lengths: TokenLengths, tokenizer: str, args: argparse.Namespace) -> None:
    """Count, compare, draw; print the tables and write the files."""
    counts = count_splits(splits, lengths)
    pairs = near_duplicates(splits)
    out = args.output_dir
    figures = {name: part.as_dict(lengths.context) for name, part in counts.items()}
    settings = {"dataset": args.name, "tokenizer": tokenizer, "context": lengths.context}
    write_json(out / "summary.json", settings | {"splits": figures, "near_duplicates": len(pairs)})
    write_whole(out / "duplicates.jsonl", "".join(json.dumps(pair.as_dict()) + "\n" for pair in pairs))
    draw_histograms(counts, lengths.context, tokenizer, out / "lengths.png")
    for name, dataset in splits.items():
        draw_pages(dataset, name, args.limit, out / "overlays")
    print_tables(counts, lengths.context)
    print_pairs(pairs, len(splits), out / "duplicates.jsonl")
    print(f"\npages drawn with their boxes: {out / 'overlays'}\nlengths: {out / 'lengths.png'}")


def draw_pages(dataset: Dataset, split: str, limit: int, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    rows = sorted(set(np.linspace(0, len(dataset) - 1, min(limit, len(dataset))).round().astype(int).tolist()))
    for row in tqdm(dataset.select(rows), desc=f"drawing {split}", unit=" pages"):
        draw_overlay(to_rgb(row["image"]), page_regions(row)).save(folder / f"{split}-{file_name(row['id'])}.png")


def print_tables(counts: Mapping[str, SplitCounts], context: int) -> None:
    columns = list(counts)
    width = max([12, *(len(name) + 2 for name in columns)])

    def line(title: str, values: list[object]) -> None:
        print(f"{title:<28}" + "".join(f"{value:>{width}}" for value in values))

    line("", columns)
    line("pages", [f"{part.pages:,}" for part in counts.values()])
    line("  without text", [f"{part.without_text:,}" for part in counts.values()])
    line("  without regions", [f"{part.without_regions:,}" for part in counts.values()])
    line("regions", [f"{part.regions:,}" for part in counts.values()])
    labels = sum((part.labels for part in counts.values()), start=Counter())
    for label, _ in labels.most_common(SHOWN_LABELS):
        line(f"  {ascii(label)[1:-1][:25]}", [f"{part.labels[label]:,}" for part in counts.values()])
    if len(labels) > SHOWN_LABELS:
        print(f"  and {len(labels) - SHOWN_LABELS} more labels: see summary.json")
    for title, name in (("tokens per page", "lengths"), ("  of these visual", "visual")):
        figures = [summary(getattr(part, name)) for part in counts.values()]
        line(f"{title}, median", [f"{part['median']:,.0f}" for part in figures])
        line(f"{title}, longest", [f"{part['max']:,}" for part in figures])
    over = [f"{part.over(context)} ({part.over(context) / part.pages:.1%})" for part in counts.values()]
    line(f"over the context of {context:,}", over)


def print_pairs(pairs: list[Pair], splits: int, path: Path) -> None:
    if splits < 2:
        return
    print(f"\nnear-duplicate pages across splits: {len(pairs)}" + (f", listed in {path}" if pairs else ""))
    for pair in pairs[:SHOWN_PAIRS]:
        text = "" if pair.text is None else f"text {pair.text:.0%}, "
        pages = f"{pair.first_split} {pair.first_id} | {pair.second_split} {pair.second_id}"
        print(f"  {pages}: {text}look {pair.look:.2f}")
    if pairs:
        print("keep the pages of one document in one split: build_dataset.py --group_by, or remove the copies")


if __name__ == "__main__":
    sys.exit(run_command(main))
