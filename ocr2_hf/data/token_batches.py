"""How many tokens pages take, and batches by a budget of them: pages of like length together, so little is padding.

All of an epoch's batches are laid out at once, for all processes: batch i is of process i modulo their number, as
accelerate deals them out. The layout depends on seed and epoch alone, whatever the workers and after any resume.
"""

import heapq
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from torch.utils.data import Sampler

from ocr2_hf.data.mixture import PageMixture
from ocr2_hf.data.page_tasks import PageTasks

COLUMNS = ("min", "median", "p95", "max")

# By how much a page may be taken for longer than it is, drawn anew each epoch: pages meet others of about their length,
# not the same ones every time. Half of it, on average, is padding.
JITTER = 0.04


@dataclass(frozen=True)
class TokenStatistics:
    """Tokens of the pages that train, each by its longest task that fits; `dropped` pages by reason.

    `tiles`, `visual` and `text` are [pages]: tiles, visual tokens, tokens of prompt and target.
    """

    pages: int
    tiles: np.ndarray
    visual: np.ndarray
    text: np.ndarray
    dropped: dict[str, int]

    @classmethod
    def of(cls, pages: PageTasks) -> "TokenStatistics":
        """Of counted pages; decodes no image. Sections of split pages count by what their whole page has."""
        kept = np.flatnonzero(pages.fits.any(axis=1))
        tiles = pages.tiles[kept]
        visual = pages.settings.tokens(tiles)
        longest = np.where(pages.fits, pages.lengths, 0).max(axis=1, initial=0)[kept]
        return cls(len(kept), tiles, visual, longest - visual, dict(pages.dropped))

    @classmethod
    def joined(cls, parts: Sequence["TokenStatistics"]) -> "TokenStatistics":
        """Of the pages of several datasets together."""
        arrays = (np.concatenate([getattr(each, name) for each in parts]) for name in ("tiles", "visual", "text"))
        dropped = sum((Counter(each.dropped) for each in parts), Counter())
        return cls(sum(each.pages for each in parts), *arrays, dict(dropped))

    def rows(self) -> dict[str, list[int]]:
        """`COLUMNS` of the visual tokens, of prompt and target, and of both together."""
        named = {"visual": self.visual, "prompt and target": self.text, "all": self.visual + self.text}
        return {name: [round(value) for value in np.percentile(each, (0, 50, 95, 100))] for name, each in named.items()}

    def page(self, share: float) -> tuple[int, int]:
        """(tiles, tokens of prompt and target) of the page at a share of all, ordered by length: 0.5 is the median."""
        order = np.argsort(self.visual + self.text, kind="stable")
        index = order[round(share * (len(order) - 1))]
        return int(self.tiles[index]), int(self.text[index])


class TokenBatches(Sampler[list[int]]):
    """The batches of an epoch: lists of indices into `pages`, whose `epoch` they follow.

    A batch's padded size, its longest page times its pages, is at most `tokens`, and it has at most `most_pages`; a
    page that is longer comes alone. Every epoch has the same number of batches, a multiple of `processes`: as many as
    it takes when every page draws its longest task. The `processes` batches of a micro-step are next to each other in
    length, so that they cost about the same. No page is left out; where there are fewer pages than batches some come
    twice, as with the library's own sampler.
    """

    def __init__(self, pages: PageTasks | PageMixture, tokens: int, most_pages: int, processes: int = 1, seed: int = 0):
        self.pages, self.tokens, self.most_pages = pages, tokens, most_pages
        self.processes, self.seed = processes, seed
        longest = np.sort(pages.longest_lengths() * (1 + JITTER))[::-1]
        self._count = -(-_least(longest, tokens, most_pages) // processes) * processes

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[list[int]]:
        draw = np.random.default_rng([self.seed, self.pages.epoch])
        lengths = self.pages.drawn_lengths() * (1 + JITTER * draw.random(len(self.pages)))
        order = np.argsort(-lengths, kind="stable")
        spans = _spans(lengths[order], self.tokens, self.most_pages, self._count)
        steps = spans.reshape(-1, self.processes, 2)  # [micro-steps, processes, first and last + 1]
        for step in draw.permutation(steps):
            for first, last in draw.permutation(step):
                yield order[first:last].tolist()


def _spans(lengths: np.ndarray, tokens: int, most_pages: int, count: int) -> np.ndarray:
    """[count, 2], first and last + 1: spans of pages sorted by falling `lengths`, of about equal padded size.

    The smallest budget that needs no more batches makes them even; the largest are then halved until there are enough.
    """
    smaller = bisect_left(range(1, tokens), True, key=lambda most: _least(lengths, most, most_pages) <= count)
    starts = [np.arange(first, last, pages) for first, last, pages in _runs(lengths, smaller + 1, most_pages)]
    firsts = np.concatenate(starts)
    spans = np.stack([firsts, np.append(firsts[1:], len(lengths))], axis=1)
    spans = _halved(spans, lengths, count)
    return np.resize(spans, (count, 2))  # where there are fewer pages than batches some come twice


def _halved(spans: np.ndarray, lengths: np.ndarray, count: int) -> np.ndarray:
    """The largest spans are halved until there are `count`, or nothing is left to halve."""

    def largest_first(first: int, last: int) -> tuple[float, int, int]:
        return (-(last - first) * lengths[first] if last - first > 1 else 0, first, last)  # a page is not halved

    pages = spans[:, 1] - spans[:, 0]
    order = np.argsort(-np.where(pages > 1, pages * lengths[spans[:, 0]], 0), kind="stable")
    large, rest = np.split(spans[order], [count - len(spans)])  # no other can have its turn
    heap = [largest_first(*span) for span in large.tolist()]
    heapq.heapify(heap)
    while heap and heap[0][0] < 0 and len(heap) + len(rest) < count:
        _, first, last = heapq.heappop(heap)
        middle = (first + last) // 2
        heapq.heappush(heap, largest_first(first, middle))
        heapq.heappush(heap, largest_first(middle, last))
    halved = np.array([span for _, *span in heap], dtype=np.int64).reshape(-1, 2)
    spans = np.concatenate([rest, halved])
    return spans[np.argsort(spans[:, 0])]


def _least(lengths: np.ndarray, tokens: int, most_pages: int) -> int:
    """How many spans there are at least within the budget."""
    return sum(-(-(last - first) // pages) for first, last, pages in _runs(lengths, tokens, most_pages))


def _runs(lengths: np.ndarray, tokens: int, most_pages: int) -> Iterator[tuple[int, int, int]]:
    """The fewest spans within the budget, those of equally many pages together: their first page, their last + 1, and
    how many pages each has, the last span perhaps fewer.

    From the longest page on each takes as many of the next as it may: no other way leaves fewer or shorter pages for
    the rest. As lengths fall, spans have ever more pages, so a look at each number of pages is enough.
    """

    def pages_from(first: int) -> int:
        return max(1, min(most_pages, int(tokens // lengths[first])))

    first = 0
    while first < len(lengths):
        pages = pages_from(first)
        more = bisect_right(range(len(lengths)), pages, lo=first, key=pages_from)  # where a span may take more
        last = min(first + -(-(more - first) // pages) * pages, len(lengths))
        yield first, last, pages
        first = last
