"""Sub-totals against the sum of their items."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import takewhile

from ocr2_hf.statements.statement import Check, Column, Line

LONGEST_SUM = 60  # lines that are tried one after the other; sections and levels may be longer
_NOT_ADDED = ("percent", "per_mille")


@dataclass(frozen=True)
class Addend:
    """A line in a sum, by its number, added or subtracted."""

    line: int
    sign: int = 1


@dataclass(frozen=True)
class Outcome:
    """A sum in one column: `difference` None where it is not checkable, for `reason`."""

    difference: Decimal | None = None
    tolerance: Decimal | None = None
    reason: str = ""

    @property
    def closes(self) -> bool:
        return self.difference is not None and abs(self.difference) <= self.tolerance


def check_sums(lines: Sequence[Line], columns: Sequence[Column]) -> tuple[list[Check], dict[int, tuple[Addend, ...]]]:
    """Checks of every total in every column, and which lines each total adds up (by their numbers).

    What a total adds up is not printed, so it is looked for: lines below its level that stand above it, those since the
    last total, since the last section's head, then ever more of what no other total has taken; each as printed (what is
    "less" subtracted), then with costs subtracted. The first that closes in every column counts, else the one that
    closes in most, else the first: `Check.parts` say which. "Of which" lines, percentages and amounts per share are
    never added. A line whose parts stand below it, further in, is checked too where they add up to it.
    """
    checks, used, covered = _totals_above(lines, columns)
    free: list[int] = []  # lines that no total has taken
    section = 0
    for number, line in enumerate(lines):
        if line.kind == "section":
            section = number
        elif line.kind == "item" and number not in covered and _adds(line):
            free.append(number)
        if line.kind != "total" or not _adds(line):
            continue
        parts, outcomes = _best(number, _candidates(number, free, lines, section), lines, len(columns))
        if parts or line.name.text:
            checks += _checks(number, parts, outcomes, lines, columns)
        used[number] = parts
        taken = {part.line for part in parts}
        free = [other for other in free if other not in taken] + [number]
    return checks, used


def sum_outcome(lines: Sequence[Line], column: int, total: int, parts: Sequence[Addend]) -> Outcome:
    """`total` against its parts in one column.

    Every printed figure may be off by half of its last digit, so n parts and their total by (n + 1) / 2 of it.
    """
    whole = lines[total].values[column]
    if whole is None or whole.number is None:
        return Outcome(reason=f"{_name(lines[total])} has no figure there")
    added, places = Decimal(0), [whole.figure.decimals] if whole.figure.kind != "nil" else []
    for part in parts:
        value = lines[part.line].values[column]
        if value is None:
            continue  # empty cells are nothing
        if value.number is None:
            return Outcome(reason=f"{_name(lines[part.line])} has no figure there but {value.figure.text!r}")
        scale = Decimal(value.unit.scale) / whole.unit.scale
        added += part.sign * value.number * scale
        if value.figure.kind != "nil":
            places.append(value.figure.decimals)
    last_digit = Decimal(1).scaleb(-min(places, default=0))
    return Outcome(whole.number - added, (len(parts) + 1) * last_digit / 2)


def _candidates(total: int, free: Sequence[int], lines: Sequence[Line], section: int) -> Iterator[tuple[Addend, ...]]:
    """What the total may add up, the likeliest first."""
    below = _tail(free, lambda other: lines[other].level > lines[total].level)
    since_total = _tail(free, lambda other: lines[other].kind != "total")
    since_section = _tail(free, lambda other: other > section)
    runs = [below] if lines[total].level_source else []
    runs += [since_total, since_section, *(free[-length:] for length in range(2, min(len(free), LONGEST_SUM) + 1))]
    seen = set()
    for run in filter(None, runs):
        for costs in (False, True):
            parts = tuple(Addend(other, _sign(lines[other], costs)) for other in run)
            if parts not in seen:
                seen.add(parts)
                yield parts


def _tail(free: Sequence[int], belongs) -> list[int]:
    """The last of the free lines as far back as all belong."""
    return list(takewhile(belongs, reversed(free)))[::-1]


def _sign(line: Line, costs: bool) -> int:
    """-1 for what is subtracted: "less ..." where its figures are not negative already; with `costs`, costs too, and
    liabilities, as in net assets."""
    subtracted = line.name.sign < 0 or (costs and (line.name.is_cost or line.name.concept == "liabilities"))
    negative = any(value and value.number is not None and value.number < 0 for value in line.values)
    return -1 if subtracted and not negative else 1


def _best(
    total: int, candidates: Iterator[tuple[Addend, ...]], lines: Sequence[Line], columns: int
) -> tuple[tuple[Addend, ...], list[Outcome]]:
    best: tuple[tuple[Addend, ...], list[Outcome]] = ((), [])
    most = -1
    for parts in candidates:
        outcomes = [sum_outcome(lines, column, total, parts) for column in range(columns)]
        closing = sum(outcome.closes for outcome in outcomes)
        if closing > most:
            best, most = (parts, outcomes), closing
        if closing and closing == sum(outcome.difference is not None for outcome in outcomes):
            break
    return best


def _checks(
    total: int, parts: Sequence[Addend], outcomes: Sequence[Outcome], lines: Sequence[Line], columns: Sequence[Column]
) -> list[Check]:
    names = tuple(("-" if part.sign < 0 else "") + _name(lines[part.line]) for part in parts)
    if not parts:
        outcomes = [Outcome(reason="nothing above it is left to add up")] * len(columns)
    return [make_check("sum", total, index, outcome, names, lines, columns) for index, outcome in enumerate(outcomes)]


def make_check(
    rule: str,
    line: int,
    column: int,
    outcome: Outcome,
    parts: tuple[str, ...],
    lines: Sequence[Line],
    columns: Sequence[Column],
) -> Check:
    """An outcome as it is reported."""
    status = "not checkable" if outcome.difference is None else "ok" if outcome.closes else "off"
    place = (_name(lines[line]), line, columns[column].label, column)
    return Check(rule, *place, status, outcome.difference, outcome.tolerance, parts, outcome.reason)


def _totals_above(
    lines: Sequence[Line], columns: Sequence[Column]
) -> tuple[list[Check], dict[int, tuple[Addend, ...]], set[int]]:
    """(checks, parts by total, lines that are in a line above them) of lines whose parts stand further in below them.

    Where those do not add up they are "of which" for all we know, and there is no check.
    """
    checks: list[Check] = []
    used: dict[int, tuple[Addend, ...]] = {}
    covered: set[int] = set()
    for number, line in enumerate(lines):
        if not line.level_source or line.kind == "section" or not _adds(line):
            continue
        children = _children(number, lines)
        parts = tuple(Addend(other, _sign(lines[other], False)) for other in children)
        outcomes = [sum_outcome(lines, column, number, parts) for column in range(len(columns))]
        if len(parts) > 1 and any(outcome.closes for outcome in outcomes):
            checks += _checks(number, parts, outcomes, lines, columns)
            used[number] = parts
            covered.update(children)
        elif children and lines[children[0]].name.of_which:
            covered.update(children)
    return checks, used, covered


def _children(parent: int, lines: Sequence[Line]) -> list[int]:
    """The lines one level further in that follow, up to the next that is not further in."""
    after = range(parent + 1, len(lines))
    following = list(takewhile(lambda number: lines[number].level > lines[parent].level, after))
    nearest = min((lines[number].level for number in following), default=0)
    return [number for number in following if lines[number].level == nearest and lines[number].kind != "section"]


def _adds(line: Line) -> bool:
    """Whether a line can be part of a sum."""
    if line.name.of_which or line.name.per_share or line.kind == "section":
        return False
    return any(value and value.figure.kind not in (*_NOT_ADDED, "text", "absent") for value in line.values)


def _name(line: Line) -> str:
    return line.name.plain or "(no name)"
