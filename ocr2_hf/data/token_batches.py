"""Batches by a budget of tokens: pages of like length together, so that little is padding.

All of an epoch's batches are laid out at once, for all processes: batch i is of process i modulo their number, as
accelerate deals them out. The layout depends on seed and epoch alone, whatever the workers and after any resume.
"""

import heapq
from collections.abc import Iterator

import numpy as np
from torch.utils.data import Sampler

from ocr2_hf.data.pages import PageTasks

# By how much a page may be taken for longer than it is, drawn anew each epoch: pages meet others of about their length,
# not the same ones every time. Half of it, on average, is padding.
JITTER = 0.04


class TokenBatches(Sampler[list[int]]):
    """The batches of an epoch: lists of indices into `pages`, whose `epoch` they follow.

    A batch's padded size, its longest page times its pages, is at most `tokens`, and it has at most `most_pages`; a
    page that is longer comes alone. Every epoch has the same number of batches, a multiple of `processes`: as many as
    it takes when every page draws its longest task. The `processes` batches of a micro-step are next to each other in
    length, so that they cost about the same. No page is left out; where there are fewer pages than batches some come
    twice, as with the library's own sampler.
    """

    def __init__(self, pages: PageTasks, tokens: int, most_pages: int, processes: int = 1, seed: int = 0):
        self.pages, self.tokens, self.most_pages = pages, tokens, most_pages
        self.processes, self.seed = processes, seed
        longest = np.sort(pages.longest_lengths() * (1 + JITTER))[::-1]
        self._count = -(-len(_pack(longest, tokens, most_pages)) // processes) * processes

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[list[int]]:
        draw = np.random.default_rng([self.seed, self.pages.epoch])
        lengths = self.pages.drawn_lengths() * (1 + JITTER * draw.random(len(self.pages)))
        order = np.argsort(-lengths, kind="stable")
        spans = _spans(lengths[order], self.tokens, self.most_pages, self._count)
        steps = np.array(spans).reshape(-1, self.processes, 2)  # [micro-steps, processes, first and last + 1]
        for step in draw.permutation(steps):
            for first, last in draw.permutation(step):
                yield order[first:last].tolist()


def _spans(lengths: np.ndarray, tokens: int, most_pages: int, count: int) -> list[tuple[int, int]]:
    """`count` spans of pages sorted by falling `lengths`, of about equal padded size.

    The smallest budget that needs no more batches makes them even; the largest are then halved until there are enough.
    """
    low, high = 1, tokens
    while low < high:
        middle = (low + high) // 2
        if len(_pack(lengths, middle, most_pages)) <= count:
            high = middle
        else:
            low = middle + 1
    spans = _pack(lengths, low, most_pages)
    heap = [(-(last - first) * lengths[first] if last - first > 1 else 0, first, last) for first, last in spans]
    heapq.heapify(heap)
    while len(heap) < count and heap[0][0] < 0:
        _, first, last = heapq.heappop(heap)
        for start, stop in ((first, (first + last) // 2), ((first + last) // 2, last)):
            heapq.heappush(heap, (-(stop - start) * lengths[start] if stop - start > 1 else 0, start, stop))
    spans = sorted((first, last) for _, first, last in heap)
    return spans + [spans[place % len(spans)] for place in range(count - len(spans))]


def _pack(lengths: np.ndarray, tokens: int, most_pages: int) -> list[tuple[int, int]]:
    """The fewest spans within the budget. From the longest page on each takes as many of the next as it may: no other
    way leaves fewer or shorter pages for the rest."""
    spans, first = [], 0
    while first < len(lengths):
        last = min(first + max(1, min(most_pages, int(tokens // lengths[first]))), len(lengths))
        spans.append((first, last))
        first = last
    return spans
