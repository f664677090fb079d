"""Whether a statement adds up: sub-totals against their items, assets against liabilities and equity."""

from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from functools import partial
from itertools import takewhile
from typing import Literal

from ocr2_hf.statements.names import Concept
from ocr2_hf.statements.statement import Check, StatementColumn, StatementLine

LONGEST_SUM = 60  # lines that are tried one after the other; sections and levels may be longer
_NOT_ADDED = ("percent", "per_mille", "text", "absent")

Parts = dict[int, int]  # what a total adds up: the number of a line -> 1, or -1 where it is subtracted


def check_lines(lines: Sequence[StatementLine], columns: Sequence[StatementColumn]) -> list[Check]:
    """Every check of a statement's lines: every total in every column, then assets against liabilities and equity.

    What a total adds up is not printed, so it is looked for: lines below its level that stand above it, those since the
    last total, since the last section's head, then ever more of what no other total has taken; each as printed (what is
    "less" subtracted), then with costs subtracted. The first that closes in every column counts, else the one that
    closes in most, else the first: `Check.parts` say which. "Of which" lines, percentages and amounts per share are
    never added. A line whose parts stand below it, further in, is checked too where they add up to it.
    """
    checker = _Checker(lines, columns)
    covered = checker.check_totals_above()
    checker.check_totals_below(covered)
    checker.check_balance()
    return checker.checks


class _Checker:
    """Collects the `checks` of one statement and, for each total, its `parts`."""

    def __init__(self, lines: Sequence[StatementLine], columns: Sequence[StatementColumn]) -> None:
        self.lines, self.columns = lines, columns
        self.checks: list[Check] = []
        self.parts: dict[int, Parts] = {}

    def check_totals_above(self) -> set[int]:
        """Check lines whose parts stand further in below them; give back the lines that are in a line above them.

        Where those do not add up they are "of which" for all we know, and there is no check.
        """
        covered: set[int] = set()
        for number, line in enumerate(self.lines):
            if not line.level_source or not _adds(line):
                continue
            children = self._children(number)
            parts = {other: _sign(self.lines[other], costs=False) for other in children}
            checks = self._compare("sum", number, parts)
            if len(parts) > 1 and any(check.status == "ok" for check in checks):
                self.checks += checks
                self.parts[number] = parts
                covered.update(children)
            elif children and self.lines[children[0]].name.of_which:
                covered.update(children)
        return covered

    def check_totals_below(self, covered: set[int]) -> None:
        """Check totals against lines above them that are not `covered`."""
        free: list[int] = []  # lines that no total has taken
        section = 0
        for number, line in enumerate(self.lines):
            if line.kind == "section":
                section = number
            elif line.kind == "item" and number not in covered and _adds(line):
                free.append(number)
            elif line.kind == "total" and _adds(line):
                parts, checks = self._best(number, self._candidates(number, free, section))
                if parts or line.name.text:
                    self.checks += checks
                self.parts[number] = parts
                free = [other for other in free if other not in parts] + [number]

    def check_balance(self) -> None:
        """Check total assets against liabilities and equity where the lines know any of them.

        The right side is the line that says it is both; else the sum of the totals of liabilities and of equity.
        """
        found = self._concepts()
        if not found:
            return
        right = ["liabilities and equity"] if "liabilities and equity" in found else ["liabilities", "equity"]
        absent = [concept for concept in right if concept not in found] if "assets" in found else ["assets"]
        parts = {} if absent else {found[concept]: 1 for concept in right}
        assets = found.get("assets", next(iter(found.values())))
        self.checks += self._compare("balance", assets, parts, f"no line is the total of {' or of '.join(absent)}")

    def _compare(self, rule: Literal["sum", "balance"], total: int, parts: Parts, missing: str = "") -> list[Check]:
        """`total` against its parts in every column; `missing` says why there are none."""
        return [self._check(rule, total, parts, column, missing) for column in range(len(self.columns))]

    def _check(self, rule: Literal["sum", "balance"], total: int, parts: Parts, column: int, missing: str) -> Check:
        """`total` against its parts in one column; `missing` is the reason where there are no parts.

        Every printed amount may be off by half of its last digit, so n parts and their total by (n + 1) / 2 of it.
        """
        lines, label = self.lines, self.columns[column].label
        names = tuple(("-" if sign < 0 else "") + _name(lines[part]) for part, sign in parts.items())
        report = partial(Check, rule, _name(lines[total]), total, label, column, parts=names)
        whole = lines[total].values[column]
        if not parts:
            return report("not checkable", reason=missing)
        if whole is None or whole.number is None:
            return report("not checkable", reason=f"{_name(lines[total])} has no figure there")
        added, values = Decimal(0), [whole]
        for part, sign in parts.items():
            value = lines[part].values[column]
            if value is None:
                continue  # empty cells are nothing
            if value.number is None:
                reason = f"{_name(lines[part])} has no figure there but {value.printed.text!r}"
                return report("not checkable", reason=reason)
            added += sign * value.number * (Decimal(value.unit.scale) / whole.unit.scale)
            values.append(value)
        decimals = [value.printed.decimals for value in values if value.printed.kind != "nil"]
        difference = whole.number - added
        tolerance = (len(parts) + 1) * Decimal(1).scaleb(-min(decimals, default=0)) / 2
        return report("ok" if abs(difference) <= tolerance else "off", difference, tolerance)

    def _candidates(self, total: int, free: Sequence[int], section: int) -> Iterator[Parts]:
        """What the total may add up, the likeliest first."""
        lines = self.lines
        below = _tail(free, lambda other: lines[other].level > lines[total].level)
        since_total = _tail(free, lambda other: lines[other].kind != "total")
        since_section = _tail(free, lambda other: other > section)
        runs = [below] if lines[total].level_source else []
        runs += [since_total, since_section, *(free[-length:] for length in range(2, min(len(free), LONGEST_SUM) + 1))]
        tried = []
        for run in filter(None, runs):
            for costs in (False, True):
                parts = {other: _sign(lines[other], costs) for other in run}
                if parts not in tried:
                    tried.append(parts)
                    yield parts

    def _best(self, total: int, candidates: Iterator[Parts]) -> tuple[Parts, list[Check]]:
        best, most = ({}, self._compare("sum", total, {}, "nothing above it is left to add up")), -1
        for parts in candidates:
            checks = self._compare("sum", total, parts)
            closing = sum(check.status == "ok" for check in checks)
            if closing > most:
                best, most = (parts, checks), closing
            if closing and closing == sum(check.status != "not checkable" for check in checks):
                break
        return best

    def _children(self, parent: int) -> list[int]:
        """The lines one level further in that follow, up to the next that is not further in."""
        lines = self.lines
        after = range(parent + 1, len(lines))
        following = list(takewhile(lambda number: lines[number].level > lines[parent].level, after))
        nearest = min((lines[number].level for number in following), default=0)
        return [number for number in following if lines[number].level == nearest and lines[number].kind != "section"]

    def _concepts(self) -> dict[Concept, int]:
        """The line of each part of the equation: the first of assets, the last of the others."""
        found: dict[Concept, int] = {}
        for number, line in enumerate(self.lines):
            concept = line.name.concept or self._concept_of_parts(number)
            if concept and line.kind != "section" and not (concept == "assets" and "assets" in found):
                found[concept] = number
        # An income statement has none of them; equity alone is no balance sheet.
        return found if "assets" in found or "liabilities and equity" in found else {}

    def _concept_of_parts(self, total: int) -> Concept:
        """A bare "Total" that adds equity up is the total of liabilities and equity."""
        name = self.lines[total].name
        added = {self.lines[part].name.concept for part in self.parts.get(total, ())}
        is_bare = name.is_total and len(name.plain.split()) == 1
        return "liabilities and equity" if is_bare and "equity" in added and "assets" not in added else ""


def _tail(free: Sequence[int], belongs: Callable[[int], bool]) -> list[int]:
    """The last of the free lines as far back as all belong."""
    return list(takewhile(belongs, reversed(free)))[::-1]


def _sign(line: StatementLine, costs: bool) -> int:
    """-1 for what is subtracted: "less ..." where its values are not negative already; with `costs`, costs too, and
    liabilities, as in net assets."""
    subtracted = line.name.sign < 0 or (costs and (line.name.is_cost or line.name.concept == "liabilities"))
    negative = any(value and value.number is not None and value.number < 0 for value in line.values)
    return -1 if subtracted and not negative else 1


def _adds(line: StatementLine) -> bool:
    """Whether a line can be part of a sum."""
    if line.name.of_which or line.name.per_share or line.kind == "section":
        return False
    return any(value and value.printed.kind not in _NOT_ADDED for value in line.values)


def _name(line: StatementLine) -> str:
    return line.name.plain or "(no name)"
