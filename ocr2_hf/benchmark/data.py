"""Pages into tensors, alone: reading, decoding, cutting and tokenizing, beside the stock processor's collator."""

import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

from ocr2_hf.benchmark.pages import PageMix, make_pages
from ocr2_hf.benchmark.sides import OURS, STOCK, ProcessorCollator, StockPages, bench_processor
from ocr2_hf.data.collator import TrainingCollator
from ocr2_hf.data.pages import PageTasks
from ocr2_hf.recipe import Recipe


def bench_data(recipe: Recipe, mix: PageMix, pages: int, batch_size: int, rounds: int) -> dict[str, Any]:
    """Pages a second of one core for both sides, taking turns over the same pages; ratios are of pairs of rounds."""
    processor = bench_processor(recipe)
    dataset = make_pages(mix, pages, processor)
    loaders: dict[str, tuple[Sequence, Callable]] = {
        OURS: (PageTasks(dataset, processor, {"markdown": 1.0}, max_length=10**6), TrainingCollator(processor)),
        STOCK: (StockPages(dataset), ProcessorCollator(processor)),
    }
    rates: dict[str, list[float]] = {side: [] for side in loaders}
    for number in range(rounds + 1):
        for side in loaders if number % 2 == 0 else reversed(loaders):
            rates[side].append(_rate(*loaders[side], pages, batch_size))
    rates = {side: measured[1:] for side, measured in rates.items()}
    pairs = [ours / stock for ours, stock in zip(rates[OURS], rates[STOCK], strict=True)]
    return {
        "pages": pages,
        "batch_size": batch_size,
        "pages_per_second": {side: statistics.median(measured) for side, measured in rates.items()},
        "ratio": {"median": statistics.median(pairs), "least": min(pairs), "largest": max(pairs)},
    }


def _rate(examples: Sequence, collate: Callable, pages: int, batch_size: int) -> float:
    start = time.process_time()
    for first in range(0, pages, batch_size):
        collate([examples[index] for index in range(first, min(first + batch_size, pages))])
    return pages / (time.process_time() - start)
