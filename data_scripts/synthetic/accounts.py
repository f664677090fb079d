"""The accounts of an invented company: a balance sheet and an income statement that add up in every period."""

import random
from dataclasses import dataclass

from data_scripts.synthetic.language import Words
from data_scripts.synthetic.tables import Kind

NIL_SHARE = 0.12  # of items with nothing in some period
NOTE_SHARE = 0.7


@dataclass
class AccountLine:
    """A row of a statement: a value per period, the newest first; none in the heading of a section."""

    name: str
    kind: Kind
    values: list[int] | None = None
    indent: int = 0
    has_note: bool = False
    note: str = ""


class Accounts:
    """Both statements over `periods` periods; what one says of the profit, the other says too."""

    def __init__(self, rng: random.Random, words: Words, periods: int):
        self._rng, self._words, self._periods = rng, words, periods
        self._scale = 10 ** rng.uniform(3.2, 5.6)
        self.income = self._income()
        profit = next(line.values for line in self.income if line.name == words.income["profit"])
        self.balance = self._balance(profit)
        self._number_notes()

    def _income(self) -> list[AccountLine]:
        """From revenue to profit; costs are negative."""
        names, rng = self._words.income, self._rng
        revenue = self._item(names["revenue"], 1.0, 0, is_nil=False)
        cost = self._share_of(names["cost"], revenue.values, -0.7, -0.5)
        gross = self._sum(names["gross"], [revenue, cost])
        listed = self._sample(self._words.operating_costs, 2, 4)
        costs = [self._share_of(name, revenue.values, -0.09, -0.02) for name in listed]
        other = [self._share_of(names["other"], revenue.values, 0.001, 0.02)] if rng.random() < 0.6 else []
        operating = self._sum(names["operating"], [gross, *other, *costs])
        finance = [
            self._share_of(names["finance_income"], revenue.values, 0.0, 0.01),
            self._share_of(names["finance_costs"], revenue.values, -0.03, -0.002),
        ]
        before = self._sum(names["before_tax"], [operating, *finance])
        tax = self._share_of(names["tax"], before.values, -0.3, -0.15)
        profit = self._sum(names["profit"], [before, tax], "total")
        lines = [revenue, cost, gross, *other, *costs, operating, *finance, before, tax, profit]
        return lines + (self._attribution(profit) if rng.random() < 0.4 else [])

    def _attribution(self, profit: AccountLine) -> list[AccountLine]:
        names = self._words.income
        others = self._share_of(names["others"], profit.values, 0.02, 0.2)
        owners = [whole - part for whole, part in zip(profit.values, others.values, strict=True)]
        others.has_note, others.indent = False, 1
        return [AccountLine(names["attributable"], "section"), AccountLine(names["owners"], "item", owners, 1), others]

    def _balance(self, profit: list[int]) -> list[AccountLine]:
        names = self._words.balance
        current_first = self._rng.random() < 0.4
        terms = ("current", "non_current") if current_first else ("non_current", "current")
        assets, sums = self._sections([f"{term}_assets" for term in terms], 0.1, 0.5)
        total = self._sum(names["total_assets"], sums, "total")
        liabilities, owed = self._sections([f"{term}_liabilities" for term in terms], 0.03, 0.18)
        all_owed = self._sum(names["total_liabilities"], owed)
        equity = self._equity(profit, [a - b for a, b in zip(total.values, all_owed.values, strict=True)])
        below = [*liabilities, all_owed, *equity] if current_first else [*equity, *liabilities, all_owed]
        return [
            AccountLine(names["assets"], "section"),
            *assets,
            total,
            AccountLine(names["equity_and_liabilities"], "section"),
            *below,
            AccountLine(names["total_equity_and_liabilities"], "total", total.values),
        ]

    def _equity(self, profit: list[int], equity: list[int]) -> list[AccountLine]:
        """Retained earnings are what is left: they may be negative."""
        names, words = self._words.balance, self._words
        capital = round(self._scale * self._rng.uniform(0.05, 0.2))
        lines = [AccountLine(words.equity[0], "item", [capital] * self._periods, 2, self._has_note())]
        for name in self._sample(words.equity[1:], 1, 2):
            line = self._item(name, self._rng.uniform(0.02, 0.1), 2)
            if self._rng.random() < 0.35:
                line.values = [-value for value in line.values]
            lines.append(line)
        lines.append(AccountLine(names["profit"], "item", profit, 2))
        retained = [whole - sum(part) for whole, *part in zip(equity, *(line.values for line in lines), strict=True)]
        lines.append(AccountLine(names["retained"], "item", retained, 2))
        return [
            AccountLine(names["equity"], "section", indent=1),
            *lines,
            AccountLine(names["total_equity"], "subtotal", equity, 1),
        ]

    def _sections(self, parts: list[str], low: float, high: float) -> tuple[list[AccountLine], list[AccountLine]]:
        """The lines of sections with their sub-totals, and the sub-totals alone; items are shares from `low` on."""
        names = self._words.balance
        lines, sums = [], []
        for name in parts:
            listed = getattr(self._words, name)
            items = [self._item(item, self._rng.uniform(low, high), 2) for item in self._sample(listed, 3, len(listed))]
            sums.append(self._sum(names[f"total_{name}"], items))
            sums[-1].indent = 1
            lines += [AccountLine(names[name], "section", indent=1), *items, sums[-1]]
        return lines, sums

    def _item(self, name: str, share: float, indent: int, is_nil: bool = True) -> AccountLine:
        """Values around a share of the company's size."""
        rng = self._rng
        value = share * self._scale
        values = [round(value * rng.uniform(0.8, 1.15)) for _ in range(self._periods)]
        if is_nil and rng.random() < NIL_SHARE:
            values[rng.randrange(self._periods)] = 0
        return AccountLine(name, "item", values, indent, self._has_note())

    def _share_of(self, name: str, values: list[int], low: float, high: float) -> AccountLine:
        shares = [round(value * self._rng.uniform(low, high)) for value in values]
        return AccountLine(name, "item", shares, 0, self._has_note())

    def _sample(self, names: list[str], fewest: int, most: int) -> list[str]:
        """Some of the names, in their order."""
        count = self._rng.randint(min(fewest, len(names)), min(most, len(names)))
        chosen = set(self._rng.sample(names, count))
        return [name for name in names if name in chosen]

    def _has_note(self) -> bool:
        return self._rng.random() < NOTE_SHARE

    def _number_notes(self) -> None:
        """Notes are numbered as the lines come, from the income statement on."""
        first = self._rng.randint(2, 6)
        for number, line in enumerate((line for line in (*self.income, *self.balance) if line.has_note), first):
            line.note = str(number)

    @staticmethod
    def _sum(name: str, lines: list[AccountLine], kind: Kind = "subtotal") -> AccountLine:
        return AccountLine(name, kind, [sum(column) for column in zip(*(line.values for line in lines), strict=True)])


def longest(words: Words) -> dict[str, int]:
    """How many lines each statement may have at most."""
    assets = len(words.non_current_assets) + len(words.current_assets)
    liabilities = len(words.non_current_liabilities) + len(words.current_liabilities)
    return {"balance": assets + liabilities + 21, "income": 17}
