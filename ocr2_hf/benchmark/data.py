"""Pages into tensors, alone: reading, decoding, cutting and tokenizing, beside the stock processor's collator."""

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from ocr2_hf.benchmark.contenders import OURS, STOCK, ProcessorCollator, StockPages, bench_processor
from ocr2_hf.benchmark.pages import PageMix, make_pages
from ocr2_hf.benchmark.turns import medians, quotients, spread, take_turns
from ocr2_hf.data.collator import TrainingCollator
from ocr2_hf.data.page_tasks import PageTasks
from ocr2_hf.recipe import Recipe


def bench_data(recipe: Recipe, mix: PageMix, pages: int, batch_size: int, rounds: int) -> dict[str, Any]:
    """Pages a second of one core for both sides, taking turns over the same pages; ratios are of pairs of rounds."""
    processor = bench_processor(recipe)
    dataset = make_pages(mix, pages, processor)
    loaders: dict[str, tuple[Sequence, Callable]] = {
        OURS: (PageTasks(dataset, processor, {"markdown": 1.0}, max_length=10**6), TrainingCollator(processor)),
        STOCK: (StockPages(dataset), ProcessorCollator(processor)),
    }
    sides = {side: partial(_rate, *loader, pages, batch_size) for side, loader in loaders.items()}
    rates = take_turns(sides, rounds, uncounted=1)
    return {
        "pages": pages,
        "batch_size": batch_size,
        "pages_per_second": medians(rates),
        "ratio": spread(quotients(rates[OURS], rates[STOCK])),
    }


def _rate(examples: Sequence, collate: Callable, pages: int, batch_size: int) -> float:
    start = time.process_time()
    for first in range(0, pages, batch_size):
        collate([examples[index] for index in range(first, min(first + batch_size, pages))])
    return pages / (time.process_time() - start)
