"""Slips: pages on a grid of 16-pixel cells with one character in each, as old tills print them.

A model of one visual token per 16 pixels and two million weights can learn to read them on a CPU: it finds the next
character one token further. Each kind has its task:

- Primer pages are to begin reading with: rows of characters that nothing foretells. From them a model learns what
  characters look like; pages of words would teach it to guess instead.
- Ragged pages have rows that end anywhere: from them it learns where the next row begins.
- Typed slips are short receipts and lines of words.
- Tickets have named fields in another layout and other words than typed slips. They are the quickstart's new domain:
  the tiny base was not trained on a line of them.
- Small statements are a title and one table of amounts that add up: a handful of items and their total, or a balance
  sheet of assets, liabilities and equity, in one period. It is as much as fits into twelve columns. Left out are
  amounts of less than four digits (the tokenizer of the tiny models writes 340 as one token, as it does coordinates)
  and a second period.
"""

import random

from data_scripts.synthetic.fonts import LETTERS, Fonts
from data_scripts.synthetic.language import Words, amount, draw_word, money
from data_scripts.synthetic.page import DrawnRegion, SyntheticPage, Word, write_mark
from data_scripts.synthetic.tables import DrawnTable, TableCell
from ocr2_hf.errors import UsageError

CELL = 16
SIZES = (12, 16)  # pixels; larger letters would reach into the next cell
SHIFT = 1  # pixels a character may stand off the middle of its cell
BASELINE = 12  # pixels from the top of the cell
LOWEST_START = 2  # rows left empty above, at most

# Typed slips
FEWEST_ROWS = 4

# Tickets
CARRIERS = ("CITY BUS", "NIGHT TRAIN", "RIVER FERRY", "AIR COACH")
FEWEST_FIELDS, MOST_FIELDS = 3, 5

# Small statements
COLUMNS, ROWS = 12, 12
NEGATIVE_SHARE = 0.3  # of items other than the first, where the name leaves room
CURRENCIES = ("EUR", "USD", "GBP", "CHF", "kEUR", "kUSD")
TITLES = ("Accounts", "Statement", "Summary", "Report")
SUM_ITEMS = ("Sales", "Rent", "Wages", "Tax", "Fees", "Goods", "Other", "Loss", "Gain", "Cash", "Bank", "Stock")
ASSETS = ("Cash", "Bank", "Stock", "Land", "Plant", "Goods")
LIABILITIES = ("Loans", "Debts", "Bonds", "Tax", "Notes")

LabelledText = tuple[str, str]  # label, text
Item = tuple[str, int]  # name, value


class _Slip:
    """A page of cells, in letters of one size."""

    def __init__(self, rng: random.Random, width: int, height: int, fonts: Fonts):
        self.rng, self.font = rng, fonts(rng.randint(*SIZES))
        self.page = SyntheticPage(width, height, stamp_words=())

    def write(self, label: str, text: str, row: int, first_column: int = 0) -> None:
        """Add a region of one row."""
        self.page.write(label, self.cells(text, row, first_column), self.font, separator="")

    def cells(self, text: str, row: int, first_column: int = 0) -> list[Word]:
        """The characters of a row as words, each at about the middle of its cell."""
        words = []
        for column, character in enumerate(text, first_column):
            x = CELL * column + CELL // 2 + self.rng.randint(-SHIFT, SHIFT)
            y = CELL * row + BASELINE + self.rng.randint(-SHIFT, SHIFT)
            words.append((character, x, y, "ms"))
        return words


def _grid(width: int, height: int) -> tuple[int, int]:
    """Columns and rows of cells; `UsageError` where the page has none."""
    if min(width, height) < CELL:
        raise UsageError(f"--size: {width}x{height} is too small for a cell of {CELL} pixels")
    return width // CELL, height // CELL


def draw_primer(rng: random.Random, width: int, height: int, fonts: Fonts, _: Words) -> SyntheticPage:
    """Full rows in a single region whose text runs on from row to row. Raises `UsageError` where no cell fits."""
    columns, rows = _grid(width, height)
    slip = _Slip(rng, width, height, fonts)
    words = []
    for row in range(rng.randint(max(1, rows // 4), rows)):
        words += slip.cells("".join(rng.choices(LETTERS, k=columns)), row)
    slip.page.write("text", words, slip.font, separator="")
    return slip.page


def draw_ragged(rng: random.Random, width: int, height: int, fonts: Fonts, _: Words) -> SyntheticPage:
    """Rows of their own regions, of one page all nearly full, of another of any length, from the first row or a lower
    one. Raises `UsageError` where no cell fits."""
    columns, rows = _grid(width, height)
    slip = _Slip(rng, width, height, fonts)
    raggedness = rng.randrange(columns)
    start = rng.choice((0, 0, rng.randrange(1 + rows // 4)))
    for row in range(start, start + rng.randint(max(1, rows // 4), rows - start)):
        slip.write("text", "".join(rng.choices(LETTERS, k=columns - rng.randint(0, raggedness))), row)
    return slip.page


def draw_typed(rng: random.Random, width: int, height: int, fonts: Fonts, words: Words) -> SyntheticPage:
    """One slip, in half of the cases a receipt. Raises `UsageError` where the page is too small for one."""
    columns, rows = _grid(width, height)
    if columns < 10 or rows < FEWEST_ROWS + LOWEST_START:
        raise UsageError(f"--size: {width}x{height} is too small; 10 columns and 6 rows of {CELL} pixels are enough")
    start = rng.randint(0, LOWEST_START)
    count = rng.randint(FEWEST_ROWS, rows - start)
    lines = rng.choice((_receipt, _loose_lines))(rng, count, columns, words)
    slip = _Slip(rng, width, height, fonts)
    for row, (label, text) in enumerate(lines, start):
        slip.write(label, text, row)
    return slip.page


def _receipt(rng: random.Random, count: int, columns: int, words: Words) -> list[LabelledText]:
    """A shop, items with their prices at the right edge, the total, a footer; what is too long is cut off."""
    mark = rng.choice(".,")
    lines, total = [("title", rng.choice(words.shops)[:columns].rstrip())], 0
    for _ in range(count - 3):
        cents = rng.randrange(40, 2000, 5)
        total += cents
        lines.append(("text", _row(rng.choice(words.items), money(cents, mark), columns)))
    lines.append(("text", _row("Total", money(total, mark), columns)))
    return [*lines, ("footer", rng.choice(words.footers)[:columns].rstrip())]


def _row(name: str, price: str, columns: int) -> str:
    room = columns - len(price) - 1
    return f"{name[:room]:<{room}} {price}"


def _loose_lines(rng: random.Random, count: int, columns: int, words: Words) -> list[LabelledText]:
    lines = []
    for _ in range(count):
        text = draw_word(rng, words)
        for _ in range(rng.randint(0, 2)):
            longer = f"{text} {draw_word(rng, words)}"
            text = longer if len(longer) <= columns else text
        lines.append(("text", text[:columns]))
    return lines


def draw_ticket(rng: random.Random, width: int, height: int, fonts: Fonts, words: Words) -> SyntheticPage:
    """One ticket: who runs it, then fields one column in, every second row empty. Raises `UsageError` where the page is
    too small for one."""
    columns, rows = _grid(width, height)
    if columns < 12 or rows < 2 * MOST_FIELDS + 2:
        raise UsageError(f"--size: {width}x{height} is too small for a ticket; 192x192 is its size")
    slip = _Slip(rng, width, height, fonts)
    slip.write("title", rng.choice(CARRIERS), 0)
    for number, text in enumerate(_fields(rng, words), 1):
        slip.write("text", text, 2 * number, first_column=1)
    return slip.page


def _fields(rng: random.Random, words: Words) -> list[str]:
    values = {
        "FROM": rng.choice(words.towns).upper()[:6],
        "TO": rng.choice(words.towns).upper()[:8],
        "SEAT": f"{rng.randint(1, 60)}{rng.choice('ABCDEF')}",
        "GATE": f"{rng.choice('ABCDEF')}{rng.randint(1, 40)}",
        "DATE": f"{rng.randint(1, 28):02d}-{rng.randint(1, 12):02d}",
        "TIME": f"{rng.randint(5, 23):02d}:{rng.randrange(60):02d}",
        "FARE": f"{rng.randint(2, 90)}.{rng.randrange(100):02d}",
    }
    names = rng.sample(list(values), rng.randint(FEWEST_FIELDS, MOST_FIELDS))
    return [f"{name} {values[name]}" for name in names]


def draw_small_statement(rng: random.Random, width: int, height: int, fonts: Fonts, _: Words) -> SyntheticPage:
    """One small statement. Raises `UsageError` where the page is too small for one."""
    columns, rows = _grid(width, height)
    if columns < COLUMNS or rows < ROWS:
        raise UsageError(f"--size: {width}x{height} is too small for a small statement; 192x192 is its size")
    items = rng.choice((_sum, _balance))(rng)
    mark, year = rng.choice(",."), rng.randint(2010, 2029)
    lines = [(rng.choice(CURRENCIES), str(year)), *((name, amount(value, mark)) for name, value in items)]
    start = rng.randint(0, min(LOWEST_START, rows - len(lines) - 1))
    slip = _Slip(rng, width, height, fonts)
    slip.page.between = "\n\n"
    slip.write("title", rng.choice(TITLES), start)
    table, marks = DrawnTable(columns=2), []
    for row, (name, value) in enumerate(lines, start + 1):
        table.add_row("item" if table.kinds else "head", [TableCell(0, 0, name), TableCell(0, 1, value)])
        words = slip.cells(name, row) + slip.cells(value, row, columns - len(value))
        marks += [write_mark(*word, slip.font) for word in words]
    slip.page.regions.append(DrawnRegion("table", table.html(), marks))
    return slip.page


def _sum(rng: random.Random) -> list[Item]:
    """Two to four items and their total, which has four or five digits."""
    while True:
        items = [(name, rng.randint(1000, 9999)) for name in rng.sample(SUM_ITEMS, rng.randint(2, 4))]
        items[1:] = [(name, -value if _is_cost(rng, name) else value) for name, value in items[1:]]
        total = sum(value for _, value in items)
        if total >= 1000:
            return [*items, ("Total", total)]


def _is_cost(rng: random.Random, name: str) -> bool:
    # A negative amount has two signs more: with a longer name the line would not fit.
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
