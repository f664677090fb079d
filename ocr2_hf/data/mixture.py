"""Pages of several datasets in one training, each with its share of the examples."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import accumulate

import numpy as np
from datasets import Dataset
from torch.utils.data import Dataset as TorchDataset

from ocr2_hf.data.collator import Example
from ocr2_hf.data.page_tasks import PageTasks
from ocr2_hf.data.shares import STOPPING_STRATEGIES, STOPPING_STRATEGY, apportioned, epoch_counts
from ocr2_hf.errors import UsageError, WorkError


@dataclass(frozen=True)
class DatasetMixture:
    """Datasets by name, what each has of the examples (a part of the sum of all `shares`), and when an epoch ends
    (`ocr2_hf.data.shares`)."""

    datasets: Mapping[str, Dataset]
    shares: Mapping[str, float]
    stopping_strategy: str = STOPPING_STRATEGY

    def __post_init__(self) -> None:
        if self.datasets.keys() != self.shares.keys() or min(self.shares.values(), default=0) <= 0:
            raise UsageError(f"every dataset of {', '.join(self.datasets)} needs a share above 0: {dict(self.shares)}")
        if self.stopping_strategy not in STOPPING_STRATEGIES:
            known = ", ".join(STOPPING_STRATEGIES)
            raise UsageError(f"stopping_strategy {self.stopping_strategy!r} is none of {known}")


class PageMixture(TorchDataset):
    """`PageTasks` of several sources as one, with the same number of examples of each in every epoch.

    `shares` add up to 1; `counts` are an epoch's examples by source, which stand one source after the other, in the
    order of their names. A source that gives only some of its pages goes through all of them from epoch to epoch, in an
    order drawn once, and no page comes twice in an epoch; one that is repeated gives every page equally often, or one
    time more, with its task and augmentation drawn anew each time. All of it depends on seed, epoch and index alone.
    """

    def __init__(
        self, sources: Mapping[str, PageTasks], shares: Mapping[str, float], stopping_strategy: str | None = None
    ):
        """Without a strategy every page comes once: for evaluation. Raises `WorkError` for a source without pages, or
        with too small a share for one example."""
        self.sources = dict(sorted(sources.items()))
        total = sum(shares[name] for name in self.sources)
        self.shares = {name: shares[name] / total for name in self.sources}
        sizes = {name: len(pages) for name, pages in self.sources.items()}
        for name, pages in self.sources.items():
            if not pages:
                reasons = ", ".join(f"{count} {reason}" for reason, count in pages.dropped.items())
                raise WorkError(f"no pages of {name} are left: {reasons or 'it has none'}")
        self.counts = epoch_counts(sizes, self.shares, stopping_strategy) if stopping_strategy else sizes
        self._starts = list(accumulate(self.counts.values(), initial=0))
        draw = np.random.default_rng(self.seed)
        self._orders = [draw.permutation(size) for size in sizes.values()]

    def __len__(self) -> int:
        return self._starts[-1]

    def __getitem__(self, index: int) -> Example:
        source, page, epoch = self._place(index)
        return replace(self._pages[source].example(page, epoch), source=source)

    def token_counts(self, index: int) -> tuple[int, int]:
        """Tokens of an example's prompt and target; see `PageTasks.token_counts`."""
        source, page, epoch = self._place(index)
        return self._pages[source].token_counts(page, epoch)

    @property
    def _pages(self) -> list[PageTasks]:
        return list(self.sources.values())

    @property
    def seed(self) -> int:
        """The seed of all draws."""
        return self._pages[0].seed

    @property
    def epoch(self) -> int:
        """The epoch whose pages and tasks are drawn."""
        return self._pages[0].epoch

    def set_epoch(self, epoch: int) -> None:
        """Draw as in this epoch from now on, in workers that already run too."""
        for pages in self._pages:
            pages.set_epoch(epoch)

    def spread(self, count: int) -> list[int]:
        """So many examples, of each source its share, but one at least; see `PageTasks.spread`."""
        wanted = apportioned(count, self.shares)
        return [
            start + index
            for start, (name, pages) in zip(self._starts, self.sources.items(), strict=False)
            for index in pages.spread(max(1, wanted[name]))
        ]

    def told(self) -> str:
        """What an epoch has of each source, and which of them run out in it: a line each."""
        lines = [f"examples of an epoch: {len(self):,}"]
        width = max(map(len, self.sources))
        for (name, count), pages in zip(self.counts.items(), self._pages, strict=True):
            size = len(pages)
            becomes = f"all of them within {-(-size // count)} epochs"
            if count > size:
                becomes = f"runs out and is repeated, {count / size:.1f} times in all"
            elif count == size:
                becomes = "runs out, and the epoch ends"
            lines.append(f"  {name:<{width}}  {self.shares[name]:>6.1%}  {count:>7,} of {size:,} pages: {becomes}")
        return "\n".join(lines)

    def drawn_lengths(self) -> np.ndarray:
        """Tokens [examples] in this epoch; see `PageTasks.drawn_lengths`."""
        lengths = []
        for source, (pages, count) in enumerate(zip(self._pages, self.counts.values(), strict=True)):
            size = len(pages)
            for number in range(-(-count // size)):
                run, epoch = self._drawn(source, number, np.arange(min(size, count - number * size)))
                lengths.append(pages.drawn_lengths(epoch)[run])
        return np.concatenate(lengths)

    def longest_lengths(self) -> np.ndarray:
        """Tokens [examples], as if every epoch drew the longest pages with their longest tasks: none has more."""
        lengths = []
        for pages, count in zip(self._pages, self.counts.values(), strict=True):
            longest = np.sort(pages.longest_lengths())[::-1]
            lengths.append(np.resize(longest, count))
        return np.concatenate(lengths)

    def unchanged(self) -> "PageMixture":
        """The same examples with the images as they are: for evaluation."""
        return self._with({name: pages.unchanged() for name, pages in self.sources.items()})

    def with_images(self) -> "PageMixture":
        """The same examples with their images, also where there are stored features: for generation."""
        return self._with({name: pages.with_images() for name, pages in self.sources.items()})

    def _with(self, sources: dict[str, PageTasks]) -> "PageMixture":
        mixture = copy.copy(self)
        mixture.sources = sources
        return mixture

    def _place(self, index: int) -> tuple[int, int, int]:
        """The source of an example, its page there, and the epoch that it is drawn as."""
        source = int(np.searchsorted(self._starts, index, side="right")) - 1
        number, place = divmod(index - self._starts[source], len(self._pages[source]))
        page, epoch = self._drawn(source, number, place)
        return source, int(page), epoch

    def _drawn(self, source: int, number: int, places: int | np.ndarray) -> tuple[int | np.ndarray, int]:
        """The pages at these places of one of an epoch's runs through a source, all or some of its pages, and the epoch
        that the run is drawn as."""
        size, count = len(self._pages[source]), self._starts[source + 1] - self._starts[source]
        rest = count - number * size
        pages = places if rest >= size else self._orders[source][(self.epoch * rest + places) % size]
        return pages, self.epoch * -(-count // size) + number


def sources_of(pages: PageTasks | PageMixture) -> dict[str, PageTasks]:
    """The pages by the name of their source; those of a single dataset have none."""
    return pages.sources if isinstance(pages, PageMixture) else {"": pages}
