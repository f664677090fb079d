"""Measurements: the small table of an article."""

import random
from types import ModuleType

from data_scripts.synthetic.tables import Table, TableCell


def measurement_table(rng: random.Random, words: ModuleType) -> Table:
    """Sites and what was measured there, under one head or two; the last row has the means of the columns."""
    measured = rng.sample(words.MEASURED, 2)
    groups = rng.sample(words.GROUPS, 2) if rng.random() < 0.5 else []
    columns = 1 + len(measured) * max(1, len(groups))
    table = Table(columns)
    heads = [TableCell(0, 1 + i, name, align="right") for i, name in enumerate(measured * max(1, len(groups)))]
    if groups:
        over = [TableCell(0, 1 + 2 * i, group, colspan=2, align="centre") for i, group in enumerate(groups)]
        table.add_row("head", [TableCell(0, 0, words.SITE, rowspan=2), *over])
        table.add_row("head", heads)
    else:
        table.add_row("head", [TableCell(0, 0, words.SITE), *heads])
    rows = []
    for site in rng.sample(words.SITES, rng.randint(3, 6)):
        rows.append([rng.randint(10, 999) for _ in heads])
        table.add_row("item", _figures(site, rows[-1]))
    if rng.random() < 0.5:
        means = [round(sum(column) / len(rows)) for column in zip(*rows, strict=True)]
        table.add_row("subtotal", _figures(words.MEAN, means))
    return table


def _figures(name: str, tenths: list[int]) -> list[TableCell]:
    figures = [TableCell(0, 1 + i, f"{value / 10:.1f}", align="right") for i, value in enumerate(tenths)]
    return [TableCell(0, 0, name), *figures]
