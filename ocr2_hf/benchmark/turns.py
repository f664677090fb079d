"""Sides that take turns, so that what else the machine does meets both alike, and the ratios of what they measure."""

import statistics
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

Measured = TypeVar("Measured")


def take_turns(sides: dict[str, Callable[[], Measured]], rounds: int, uncounted: int = 0) -> dict[str, list[Measured]]:
    """What each side returned in `rounds` rounds, after some `uncounted`; in every other round the last one begins."""
    measured: dict[str, list[Measured]] = {side: [] for side in sides}
    for number in range(uncounted + rounds):
        for side in sides if number % 2 == 0 else reversed(sides):
            measured[side].append(sides[side]())
    return {side: all_rounds[uncounted:] for side, all_rounds in measured.items()}


def medians(measured: dict[str, list[float]]) -> dict[str, float]:
    return {side: statistics.median(rounds) for side, rounds in measured.items()}


def quotients(over: Sequence[float], under: Sequence[float]) -> list[float]:
    """One of every round's pair."""
    return [mine / its for mine, its in zip(over, under, strict=True)]


def spread(pairs: Sequence[float]) -> dict[str, Any]:
    return {"median": statistics.median(pairs), "least": min(pairs), "largest": max(pairs)}
