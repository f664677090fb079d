"""What is in a built dataset: pages, regions, labels, and lengths in tokens against the context, counted and drawn."""

import argparse
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from datasets import Dataset
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from tqdm import tqdm

from data_scripts.duplicates import ALIKE, COPY, FORM, Pair, near_duplicates
from data_scripts.file_tree import file_name
from data_scripts.reading_order import is_right_to_left, upward_steps
from data_scripts.token_lengths import TokenLengths
from ocr2_hf.data.page_rows import page_rows
from ocr2_hf.data.tasks import Row, is_silent, page_regions
from ocr2_hf.document.atomic_files import whole_file, write_json, write_whole
from ocr2_hf.document.overlay import BLUE, GREEN, ORANGE, PINK, RED, draw_overlay
from ocr2_hf.plots import INK, PALE

SHOWN_LABELS, SHOWN_PAIRS = 30, 5
_QUANTILES = (0.5, 0.95)
_COLORS = {"train": BLUE, "validation": ORANGE, "test": GREEN}
_BINS = 30
_PAIRS = {COPY: "near_duplicates", FORM: "forms_filled_in_twice", ALIKE: "alike_without_text"}  # kind -> summary.json
_MEANINGS = """text: the share of the characters of both pages that they have in common, in order
look: how alike thumbnails of the two are, 1 is the same; pages of one form are above 0.97 too"""


@dataclass
class SplitCounts:
    """What was counted in one split; `lengths` and `visual` have one number a page."""

    pages: int = 0
    regions: int = 0
    labels: Counter = field(default_factory=Counter)
    without_text: int = 0  # pages
    without_regions: int = 0  # pages
    upward: int = 0  # pages whose regions go up
    lengths: list[int] = field(default_factory=list)
    visual: list[int] = field(default_factory=list)

    def over(self, context: int) -> int:
        """Pages longer than the context."""
        return sum(length > context for length in self.lengths)

    def as_dict(self, context: int) -> dict[str, Any]:
        """As `summary.json` has it."""
        over = self.over(context)
        return {
            "pages": self.pages,
            "regions": self.regions,
            "labels": dict(self.labels.most_common()),
            "pages_without_text": self.without_text,
            "pages_without_regions": self.without_regions,
            "pages_upward": self.upward,
            "tokens": summary(self.lengths),
            "visual_tokens": summary(self.visual),
            "pages_over_context": over,
            "share_over_context": over / self.pages if self.pages else 0.0,
        }


def summary(values: list[int]) -> dict[str, float]:
    """Mean, median, 95th percentile and maximum; nothing for no values."""
    if not values:
        return {}
    median, high = np.quantile(values, _QUANTILES)
    return {"mean": float(np.mean(values)), "median": float(median), "p95": float(high), "max": max(values)}


def _count(dataset: Dataset, name: str, lengths: TokenLengths) -> SplitCounts:
    """The counts of a split; no image is decoded."""
    counts = SplitCounts()
    for row in tqdm(dataset.remove_columns("image"), desc=f"counting {name}", unit=" pages"):
        visual, length = lengths.measure(row)
        counts.pages += 1
        counts.regions += len(row["labels"])
        counts.labels.update(row["labels"])
        counts.without_text += is_silent(row)
        counts.without_regions += not row["labels"]
        counts.upward += bool(upward_steps(row["bboxes"], is_right_to_left(row["text"])))
        counts.lengths.append(length)
        counts.visual.append(visual)
    return counts


def inspect(splits: dict[str, Dataset], lengths: TokenLengths, tokenizer: str, args: argparse.Namespace) -> None:
    """Count, compare, draw; print the tables and write the files."""
    counts = {name: _count(dataset, name, lengths) for name, dataset in splits.items()}
    pairs = near_duplicates(splits)
    out = args.output_dir
    parts = {name: part.as_dict(lengths.context) for name, part in counts.items()}
    settings = {"dataset": args.name, "tokenizer": tokenizer, "context": lengths.context}
    found = {key: sum(pair.kind == kind for pair in pairs) for kind, key in _PAIRS.items()}
    write_json(out / "summary.json", settings | {"splits": parts} | found)
    write_whole(out / "duplicates.jsonl", "".join(json.dumps(asdict(pair)) + "\n" for pair in pairs))
    _draw_histograms(counts, lengths.context, tokenizer, out / "lengths.png")
    for name, dataset in splits.items():
        _draw_pages(dataset, name, args.limit, out / "overlays")
    _print_tables(counts, lengths.context)
    _print_pairs(pairs, len(splits), out / "duplicates.jsonl")
    without = "no page has boxes: pages with their texts, or questions and answers"
    drawn = "pages drawn with their boxes" if _regions(counts) else without
    print(f"\n{drawn}: {out / 'overlays'}\nlengths: {out / 'lengths.png'}")


def _regions(counts: Mapping[str, SplitCounts]) -> int:
    return sum(part.regions for part in counts.values())


def _draw_pages(dataset: Dataset, split: str, limit: int, folder: Path) -> None:
    """Write up to `limit` pages, evenly spaced, with their regions, and beside them what these do not tell."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = sorted(set(np.linspace(0, len(dataset) - 1, min(limit, len(dataset))).round().astype(int).tolist()))
    for row in tqdm(page_rows(dataset.select(rows)), total=len(rows), desc=f"drawing {split}", unit=" pages"):
        name = f"{split}-{file_name(row['id'])}"
        with whole_file(folder / f"{name}.png") as beside:
            draw_overlay(row["image"], page_regions(row)).save(beside, "PNG")
        if text := _beside(row):
            write_whole(folder / f"{name}.txt", text)


def _beside(row: Row) -> str:
    """The text of a page without boxes; of a page without text its question and answer; else nothing."""
    if row["text"]:
        return "" if row["bboxes"] else row["text"]
    return f"{row['prompt'] or ''}\n\n{row['target']}" if row["target"] else ""


def _print_tables(counts: Mapping[str, SplitCounts], context: int) -> None:
    columns = list(counts)
    width = max([12, *(len(name) + 2 for name in columns)])

    def line(title: str, values: list[object]) -> None:
        print(f"{title:<28}" + "".join(f"{value:>{width}}" for value in values))

    line("", columns)
    titles = {"pages": "pages", "without_text": "  without text"}
    if _regions(counts):
        titles |= {"without_regions": "  without regions", "upward": "  whose regions go up", "regions": "regions"}
    for name, title in titles.items():
        line(title, [f"{getattr(part, name):,}" for part in counts.values()])
    labels = sum((part.labels for part in counts.values()), start=Counter())
    for label, _ in labels.most_common(SHOWN_LABELS):
        line(f"  {ascii(label)[1:-1][:25]}", [f"{part.labels[label]:,}" for part in counts.values()])
    if len(labels) > SHOWN_LABELS:
        print(f"  and {len(labels) - SHOWN_LABELS} more labels: see summary.json")
    for title, name in (("tokens per page", "lengths"), ("  of these visual", "visual")):
        summaries = [summary(getattr(part, name)) for part in counts.values()]
        line(f"{title}, median", [f"{part['median']:,.0f}" for part in summaries])
        line(f"{title}, longest", [f"{part['max']:,}" for part in summaries])
    over = [f"{part.over(context)} ({part.over(context) / part.pages:.1%})" for part in counts.values()]
    line(f"over the context of {context:,}", over)


def _print_pairs(pairs: list[Pair], splits: int, path: Path) -> None:
    if splits < 2:
        return
    kinds = {kind: [pair for pair in pairs if pair.kind == kind] for kind in _PAIRS}
    copies, forms, alike = kinds.values()
    print(f"\nnear-duplicate pages across splits: {len(copies)}" + (f", listed in {path}" if pairs else ""))
    _print_some(copies)
    if copies:
        print("keep the pages of one document in one split: ocr2 build --group_by, or remove the copies")
    if alike:
        print(f"pairs alike in look, with too little text to tell a copy from a form: {len(alike)}; look at them")
        _print_some(alike)
    if forms:
        print(f"pairs of one form, filled in differently (no copies): {len(forms)}")
        _print_some(forms)
    if pairs:
        print(_MEANINGS)


def _print_some(pairs: list[Pair]) -> None:
    for pair in pairs[:SHOWN_PAIRS]:
        text = "" if pair.text is None else f"text {pair.text:.0%}, "
        pages = f"{pair.first_split} {pair.first_id} | {pair.second_split} {pair.second_id}"
        print(f"  {pages}: {text}look {pair.look:.2f}")


def _draw_histograms(counts: Mapping[str, SplitCounts], context: int, tokenizer: str, path: Path) -> None:
    """Write `path` (PNG): how many tokens the pages take, beside the context, and how many of them are the image's."""
    figure = Figure(figsize=(11, 4.2), layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2)
    longest = max((max(part.lengths) for part in counts.values() if part.lengths), default=0)
    _draw_spread(left, {name: part.lengths for name, part in counts.items()})
    if longest > context / 2:  # far from it, the line would squeeze the bars
        left.axvline(context, color=RED, linestyle="--", linewidth=1.2)
        place = {"transform": left.get_xaxis_transform(), "ha": "right", "va": "top", "rotation": 90}
        left.text(context, 0.97, f"context {context:,} ", color=RED, fontsize=8, **place)
    left.set_title(f"Tokens per page: image, prompt and target ({tokenizer})", color=INK, fontsize=10, loc="left")
    _draw_values(right, {name: part.visual for name, part in counts.items()})
    right.set_title("Visual tokens per page", color=INK, fontsize=10, loc="left")
    if len(counts) > 1:
        handles, names = right.get_legend_handles_labels()
        figure.legend(handles, names, loc="outside lower center", ncols=9, frameon=False, fontsize=9)
    with whole_file(path) as beside:
        figure.savefig(beside, dpi=140, format="png")


def _draw_spread(axes: Axes, values: Mapping[str, list[int]]) -> None:
    """A stacked histogram."""
    everything = np.concatenate([np.asarray(part, int) for part in values.values()])
    bins = np.unique(np.histogram_bin_edges(everything, _BINS).round())  # of whole tokens
    colors = [_color(name) for name in values]
    axes.hist(list(values.values()), bins=bins if len(bins) > 1 else 1, stacked=True, color=colors, edgecolor="white")
    _dress(axes)


def _draw_values(axes: Axes, values: Mapping[str, list[int]]) -> None:
    """A stacked bar for each value: a page's tiles are few, so are the values."""
    known = sorted({value for part in values.values() for value in part})
    bottom = np.zeros(len(known))
    for name, part in values.items():
        heights = [part.count(value) for value in known]
        axes.bar([f"{value:,}" for value in known], heights, 0.7, bottom=bottom, color=_color(name), label=name)
        bottom += heights
    axes.set_xlim(-0.7, max(len(known), 4) - 0.3)  # one bar alone would fill the picture
    _dress(axes)


def _color(split: str) -> str:
    return _COLORS.get(split, PINK)


def _dress(axes: Axes) -> None:
    axes.set_xlabel("tokens", color=INK, fontsize=9)
    axes.set_ylabel("pages", color=INK, fontsize=9)
    axes.yaxis.get_major_locator().set_params(integer=True)
    axes.grid(axis="y", color=PALE)
    axes.set_axisbelow(True)
    axes.tick_params(colors=INK, labelsize=8)
    axes.spines[["top", "right"]].set_visible(False)
