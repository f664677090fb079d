"""Small statements: a title and one table of figures that add up, in the cells of the typed slips.

A handful of items and their total, or a balance sheet of assets, liabilities and equity, in one period: as much as fits
into twelve columns and a model of one visual token per 16 pixels can learn on a CPU. What is outside: figures of less
than four digits (the tokenizer of the tiny models writes 340 as one token, as it does coordinates) and a second period.
"""

import random
from types import ModuleType

from data_scripts.synthetic.fonts import Fonts
from data_scripts.synthetic.page import Region, SyntheticPage, write_mark
from data_scripts.synthetic.primer import SIZES, cells, grid
from data_scripts.synthetic.tables import Table, TableCell
from data_scripts.synthetic.words import figure
from ocr2_hf.errors import UsageError

COLUMNS, ROWS = 12, 12
LOWEST_START = 2  # rows left empty above, at most
NEGATIVE_SHARE = 0.3  # of items other than the first, where the name leaves room
CURRENCIES = ("EUR", "USD", "GBP", "CHF", "kEUR", "kUSD")
TITLES = ("Accounts", "Statement", "Summary", "Report")
SUM_ITEMS = ("Sales", "Rent", "Wages", "Tax", "Fees", "Goods", "Other", "Loss", "Gain", "Cash", "Bank", "Stock")
ASSETS = ("Cash", "Bank", "Stock", "Land", "Plant", "Goods")
LIABILITIES = ("Loans", "Debts", "Bonds", "Tax", "Notes")

Item = tuple[str, int]


def draw_small_statement(rng: random.Random, width: int, height: int, fonts: Fonts, _: ModuleType) -> SyntheticPage:
    """One small statement. Raises `UsageError` where the page is too small for one."""
    columns, rows = grid(width, height)
    if columns < COLUMNS or rows < ROWS:
        raise UsageError(f"--size: {width}x{height} is too small for a small statement; 192x192 is its size")
    items = rng.choice((_sum, _balance))(rng)
    mark, year = rng.choice(",."), rng.randint(2010, 2029)
    lines = [(rng.choice(CURRENCIES), str(year)), *((name, figure(value, mark)) for name, value in items)]
    start = rng.randint(0, min(LOWEST_START, rows - len(lines) - 1))
    page, font = SyntheticPage(width, height, stamp_words=()), fonts(rng.randint(*SIZES))
    page.between = "\n\n"
    page.write("title", cells(rng, rng.choice(TITLES), start), font, separator="")
    table, marks = Table(columns=2), []
    for row, (name, value) in enumerate(lines, start + 1):
        table.add_row("item" if table.kinds else "head", [TableCell(0, 0, name), TableCell(0, 1, value)])
        words = cells(rng, name, row) + cells(rng, value, row, columns - len(value))
        marks += [write_mark(*word, font) for word in words]
    page.regions.append(Region("table", table.html(), marks))
    return page


def _sum(rng: random.Random) -> list[Item]:
    """Two to four items and their total, which has four or five digits."""
    while True:
        items = [(name, rng.randint(1000, 9999)) for name in rng.sample(SUM_ITEMS, rng.randint(2, 4))]
        items[1:] = [(name, -value if _is_cost(rng, name) else value) for name, value in items[1:]]
        total = sum(value for _, value in items)
        if total >= 1000:
            return [*items, ("Total", total)]


def _is_cost(rng: random.Random, name: str) -> bool:
    # A negative figure has two signs more: with a longer name the line would not fit.
    return len(name) <= 4 and rng.random() < NEGATIVE_SHARE


def _balance(rng: random.Random) -> list[Item]:
    """Assets and their sum, liabilities and equity and theirs: four digits each."""
    total = rng.randint(5000, 9999)
    assets = list(zip(rng.sample(ASSETS, count := rng.randint(2, 3)), _parts(rng, total, count), strict=True))
    names = [*rng.sample(LIABILITIES, count := rng.randint(1, 2)), "Equity"]
    owed = list(zip(names, _parts(rng, total, count + 1), strict=True))
    return [*assets, ("Assets", total), *owed, ("Total", total)]


def _parts(rng: random.Random, total: int, count: int) -> list[int]:
    """`count` amounts of at least 1,000 that add up to `total`."""
    cuts = sorted(rng.randint(0, total - 1000 * count) for _ in range(count - 1))
    return [1000 + high - low for low, high in zip([0, *cuts], [*cuts, total - 1000 * count], strict=True)]
