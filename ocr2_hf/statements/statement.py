"""A financial statement as it was read: columns with periods, lines with values, checks."""

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal

from ocr2_hf.document.grounding import Box
from ocr2_hf.statements.amounts import PrintedAmount
from ocr2_hf.statements.names import Name
from ocr2_hf.statements.periods import Period
from ocr2_hf.statements.units import Unit

# How fine a box is: around the value itself, around its table, or the whole page where no box is known.
BoxSource = Literal["value", "table", "page"]
Status = Literal["ok", "off", "not checkable"]
WORST_FIRST: tuple[Status, ...] = ("off", "not checkable", "ok")


@dataclass(frozen=True)
class Place:
    """Where something stands: `page` from 1; `box` xyxy in pixels of that page, upright, a PDF at 144 dpi."""

    page: int
    box: Box
    source: BoxSource


@dataclass(frozen=True)
class Value:
    """One value: what its cell says, what it counts, and where it stands."""

    printed: PrintedAmount
    unit: Unit
    place: Place

    @property
    def number(self) -> Decimal | None:
        """As printed, in the unit's scale; 0 for nil; None where the cell has no number."""
        return self.printed.number

    @property
    def amount(self) -> Decimal | None:
        """The number times the scale, 1,234 in thousands being 1234000; a percentage is what is printed."""
        if self.number is None or self.printed.kind in ("percent", "per_mille"):
            return self.number
        return self.number * self.unit.scale


@dataclass(frozen=True)
class StatementColumn:
    """A column of values: its head's text, rows of heads joined by a space, the period it names, and the unit that it
    names itself."""

    head: str
    period: Period | None = None
    unit: Unit | None = None

    @property
    def label(self) -> str:
        """The period's label, else the head."""
        return self.period.label if self.period else self.head


@dataclass(frozen=True)
class StatementLine:
    """A row of a statement: `values` has one for each column, None where the cell is empty.

    `level` is its indentation, 0 outermost; `level_source` is what told it: the spaces before the name, its numbering,
    or nothing (then the level is 0). `kind`: a section has a name and no values; a total adds up lines above it.
    """

    name: Name
    level: int
    level_source: Literal["spaces", "numbering", ""]
    kind: Literal["section", "item", "total"]
    note: str
    values: tuple[Value | None, ...]


@dataclass(frozen=True)
class Check:
    """One sum in one column; the line and the column by name and by their place in the statement, from 0.

    `difference` is what is printed less what it should be, in the column's unit; within `tolerance` it is rounding:
    each printed amount may be off by half of its last digit. `parts` are the names of what was added up, "-" before
    what was subtracted. `reason` says why a sum is not checkable.
    """

    rule: Literal["sum", "balance"]
    line: str
    line_index: int
    column: str
    column_index: int
    status: Status
    difference: Decimal | None = None
    tolerance: Decimal | None = None
    parts: tuple[str, ...] = ()
    reason: str = ""

    def __str__(self) -> str:
        """ "Total assets, 2023: off by 9 (...)"."""
        said = {"ok": "ok", "off": f"off by {self.difference}", "not checkable": f"not checkable ({self.reason})"}
        return f"{self.line}, {self.column}: {said[self.status]}"


@dataclass
class Statement:
    """One statement, joined from the tables it was found in."""

    title: str
    kind: Literal["balance sheet", "income statement", "cash flow statement", ""]
    unit: Unit
    columns: list[StatementColumn]
    lines: list[StatementLine]
    places: list[Place]
    html: list[str] = field(default_factory=list)
    checks: list[Check] = field(default_factory=list)

    def worst_check(self, line: int, column: int) -> Check | None:
        """Of the checks of one value, by its place in the statement; None where it has none."""
        own = [check for check in self.checks if (check.line_index, check.column_index) == (line, column)]
        return min(own, key=lambda check: WORST_FIRST.index(check.status), default=None)


@dataclass
class PageSummary:
    """A page: how large it is, whether it is of a single colour (then the model was not asked), how many tables were
    found on it and read, and what went wrong."""

    page: int
    width: int = 0
    height: int = 0
    blank: bool = False
    tables_found: int = 0
    tables_read: int = 0
    problem: str = ""


@dataclass
class StatementDocument:
    """All statements of a file, and its pages. `checks`: those that need several statements."""

    file: str | None
    pages: list[PageSummary]
    statements: list[Statement]
    checks: list[Check] = field(default_factory=list)

    @property
    def all_checks(self) -> list[Check]:
        """Every check, statement by statement."""
        return [*(check for statement in self.statements for check in statement.checks), *self.checks]

    @property
    def problems(self) -> list[str]:
        """What went wrong, page by page."""
        return [f"page {page.page}: {page.problem}" for page in self.pages if page.problem]
