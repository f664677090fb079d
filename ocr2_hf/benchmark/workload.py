"""What a benchmark runs: pages of a mix, optimizer steps, rounds that alternate between contenders, sweeps.

Nothing heavy is imported here: a command line is checked by this module before anything loads.
"""

import argparse
import random
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

Measured = TypeVar("Measured")

OURS, STOCK = "ocr2", "trainer"  # the names of contenders: this package's trainer by the recipe, the library's
SWEEPS = ("tiles", "target_tokens", "batch_size", "workers", "processes")


@dataclass(frozen=True)
class PageMix:
    """What pages a benchmark trains on: how many of each number of tiles, and of each target length in tokens."""

    tiles: dict[int, float]
    target_tokens: dict[int, float]

    def kinds(self, pages: int, seed: int = 0) -> list[tuple[int, int]]:
        """(tiles, target tokens) of so many pages: in the shares of the mix, in a drawn order."""
        tiles, lengths = _shared_out(self.tiles, pages), _shared_out(self.target_tokens, pages)
        rng = random.Random(seed)
        rng.shuffle(tiles)
        rng.shuffle(lengths)
        return list(zip(tiles, lengths, strict=True))


def _shared_out(weights: dict[int, float], pages: int) -> list[int]:
    """`pages` values in the shares of their weights; what rounding leaves goes to the largest remainders."""
    total = sum(weights.values())
    exact = {value: pages * weight / total for value, weight in weights.items()}
    counts = {value: int(share) for value, share in exact.items()}
    by_remainder = sorted(exact, key=lambda value: counts[value] - exact[value])
    for value in by_remainder[: pages - sum(counts.values())]:
        counts[value] += 1
    return [value for value, count in counts.items() for _ in range(count)]


@dataclass(frozen=True)
class Workload:
    """What is run: pages of a mix, optimizer steps that count after some that do not, rounds of them."""

    mix: PageMix
    batch_size: int
    steps: int = 4
    warmup: int = 2
    rounds: int = 5
    drawn: int = 32  # pages that are drawn; longer runs meet them again
    workers: int | None = None  # that load pages; none: the recipe's


@dataclass(frozen=True)
class Sweep:
    """One dimension of the workload that is varied, everything else as in the benchmark's first run."""

    name: str
    values: tuple[int, ...]

    def workload(self, base: Workload, value: int) -> Workload:
        """The base with that dimension at one of the values."""
        if self.name in ("batch_size", "workers"):
            return replace(base, **{self.name: value})
        return replace(base, mix=replace(base.mix, **{self.name: {value: 1.0}}))


def sweep(text: str) -> Sweep:
    """For argparse: `tiles:0,2,6`."""
    name, _, values = text.partition(":")
    if name not in SWEEPS:
        raise argparse.ArgumentTypeError(f"{name!r} is none of {', '.join(SWEEPS)}")
    if not all(value.isdecimal() for value in values.split(",")):
        raise argparse.ArgumentTypeError(f"{text!r}: after the colon come whole numbers, with commas between")
    return Sweep(name, tuple(int(value) for value in values.split(",")))


def interleaved_rounds(
    contenders: dict[str, Callable[[], Measured]], rounds: int, warmup: int = 0
) -> dict[str, list[Measured]]:
    """What each contender returned in `rounds` rounds, after some of `warmup`; in every other round the last one
    begins. What else the machine does meets all alike."""
    measured: dict[str, list[Measured]] = {name: [] for name in contenders}
    for number in range(warmup + rounds):
        for name in contenders if number % 2 == 0 else reversed(contenders):
            measured[name].append(contenders[name]())
    return {name: all_rounds[warmup:] for name, all_rounds in measured.items()}


def quotients(over: Sequence[float], under: Sequence[float]) -> list[float]:
    """One of every round's pair."""
    return [mine / its for mine, its in zip(over, under, strict=True)]


def spread(pairs: Sequence[float]) -> dict[str, float]:
    """The median of the rounds, the least and the largest."""
    return {"median": statistics.median(pairs), "least": min(pairs), "largest": max(pairs)}
