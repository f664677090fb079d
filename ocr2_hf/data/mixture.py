"""Pages of several datasets in one training, each with its share of the examples."""

import copy
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from datasets import Dataset
from torch.utils.data import Dataset as TorchDataset

from ocr2_hf.data.collator import Example
from ocr2_hf.data.page_tasks import PageTasks
from ocr2_hf.errors import WorkError

# When an epoch ends: as soon as a source would have to be repeated, or once every page of every source was there.
STOPPING_STRATEGIES = ("first_exhausted", "all_exhausted")


@dataclass(frozen=True)
class DatasetMixture:
    """Datasets by name, the share of the examples that each has (of their sum), and when an epoch ends."""

    datasets: Mapping[str, Dataset]
    shares: Mapping[str, float]
    stopping_strategy: str = STOPPING_STRATEGIES[0]


class PageMixture(TorchDataset):
    """`PageTasks` of several sources as one, with the same number of examples of each in every epoch.

    `counts`: examples of an epoch by source; they stand one source after the other. A source that gives only some of
    its pages goes through all of them from epoch to epoch, in an order drawn once, and no page comes twice in an epoch;
    one that is repeated gives every page equally often, or one time more, with its task and augmentation drawn anew
    each time. All of it depends on seed, epoch and index alone.
    """

    def __init__(self, sources: Mapping[str, PageTasks], shares: Mapping[str, float], stopping_strategy: str):
        """Raises `WorkError` for a source without pages, or with too small a share for one example."""
        self.sources = dict(sources)
        self.counts = epoch_counts({name: len(pages) for name, pages in sources.items()}, shares, stopping_strategy)
        self._orders = [
            np.random.default_rng([pages.seed, number]).permutation(len(pages))
            for number, pages in enumerate(self.sources.values())
        ]

    def __len__(self) -> int:
        return sum(self.counts.values())

    def __getitem__(self, index: int) -> Example:
        source, page, draw = (int(each[index]) for each in self._epoch_plan(self.epoch))
        return self._pages[source].example(page, draw, source)

    def token_counts(self, index: int) -> tuple[int, int]:
        """Tokens of an example's prompt and target; see `PageTasks.token_counts`."""
        source, page, draw = (int(each[index]) for each in self._epoch_plan(self.epoch))
        return self._pages[source].token_counts(page, draw)

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

    @property
    def dropped(self) -> dict[str, int]:
        """Pages that are left out, by reason, of all sources."""
        return sum((Counter(pages.dropped) for pages in self._pages), Counter())

    def indices(self, source: str) -> range:
        """The examples of a source."""
        ends = np.cumsum([0, *self.counts.values()])
        number = list(self.counts).index(source)
        return range(int(ends[number]), int(ends[number + 1]))

    def drawn_lengths(self) -> np.ndarray:
        """Tokens [examples] in this epoch; see `PageTasks.drawn_lengths`."""
        return np.concatenate(
            [self._pages[source].drawn_lengths(draw)[page] for source, page, draw in self._runs(self.epoch)]
        )

    def longest_lengths(self) -> np.ndarray:
        """Tokens [examples], as if every epoch drew the longest pages with their longest tasks: none has more."""
        lengths = []
        for pages, count in zip(self._pages, self.counts.values(), strict=True):
            longest = np.sort(pages.longest_lengths())[::-1]
            lengths += [longest] * (count // len(longest)) + [longest[: count % len(longest)]]
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

    def _runs(self, epoch: int) -> Iterator[tuple[int, np.ndarray, int]]:
        """Runs of examples of one source that are drawn together: the source, its pages, and the epoch of the draw."""
        for source, (pages, count) in enumerate(zip(self._pages, self.counts.values(), strict=True)):
            size = len(pages)
            whole, rest = divmod(count, size)
            runs = [np.arange(size)] * whole
            if rest:
                runs.append(self._orders[source][(epoch * rest + np.arange(rest)) % size])
            for number, run in enumerate(runs):
                yield source, run, epoch * len(runs) + number

    @lru_cache(maxsize=2)  # noqa: B019  # of a training's pages there is one
    def _epoch_plan(self, epoch: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Source, page and epoch of the draw [examples]."""
        runs = list(self._runs(epoch))
        sources, draws = (np.repeat([run[at] for run in runs], [len(run[1]) for run in runs]) for at in (0, 2))
        return sources, np.concatenate([run[1] for run in runs]), draws


def epoch_counts(sizes: Mapping[str, int], shares: Mapping[str, float], stopping_strategy: str) -> dict[str, int]:
    """Examples of an epoch by source, in the proportion of `shares`, of sources with so many pages.

    Raises `WorkError` for a source without pages, or with too small a share for one example.
    """
    if empty := [name for name, size in sizes.items() if not size]:
        raise WorkError(f"no training pages are left of {', '.join(empty)}")
    total = sum(shares[name] for name in sizes)
    wanted = {name: shares[name] / total for name in sizes}
    epochs = [size / wanted[name] for name, size in sizes.items()]
    # A little more, for shares whose quotient is no whole number by rounding alone.
    examples = int(min(epochs) + 1e-6) if stopping_strategy == "first_exhausted" else -int(-max(epochs) // 1)
    exact = {name: wanted[name] * examples for name in sizes}
    counts = {name: int(quota) for name, quota in exact.items()}
    for name in sorted(exact, key=lambda name: counts[name] - exact[name])[: examples - sum(counts.values())]:
        counts[name] += 1
    if few := [name for name, count in counts.items() if not count]:
        raise WorkError(
            f"{', '.join(few)}: with so small a share not one example of an epoch of {examples}; raise the share, or "
            "set stopping_strategy: all_exhausted"
        )
    return counts
