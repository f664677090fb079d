"""Tables that were read -> statements: one that goes on over pages is joined where its header repeats."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date

from ocr2_hf.statements.balance import check_lines
from ocr2_hf.statements.context import Context, statement_kind
from ocr2_hf.statements.periods import resolve
from ocr2_hf.statements.statement import Column, Line, Place, Statement
from ocr2_hf.statements.table_lines import TableContent, merge_units
from ocr2_hf.statements.units import Unit

_CONTINUED = re.compile(r"\(?\s*(?:continued|cont['’.]?d?\.?|fortsetzung|suite|续(?:表)?|續)\s*\)?", re.IGNORECASE)


@dataclass(frozen=True)
class ReadTable:
    """One table of a page: `first` and `last` say whether it is the first or the last table there."""

    content: TableContent
    context: Context
    place: Place
    html: str
    first: bool
    last: bool

    @property
    def title(self) -> str:
        return " – ".join(filter(None, (self.context.title, *self.content.titles)))

    @property
    def kind(self) -> str:
        """By its title, else by its lines."""
        named = statement_kind(self.title)
        if named:
            return named
        names = [line.name for line in self.content.lines]
        if any(name.concept in ("assets", "liabilities and equity") for name in names):
            return "balance sheet"
        return "income statement" if sum(name.is_result for name in names) > 1 else ""


def join_tables(tables: Sequence[ReadTable]) -> list[Statement]:
    """Statements in reading order, checked."""
    groups: list[list[ReadTable]] = []
    for table in tables:
        if groups and _goes_on(groups[-1][-1], table):
            groups[-1].append(table)
        else:
            groups.append([table])
    return [_statement(group) for group in groups]


def _goes_on(before: ReadTable, table: ReadTable) -> bool:
    """Whether a table continues the last one: it is the first of the next page, under the same heads, and neither its
    title nor its kind says that it is something else."""
    next_page = before.last and table.first and table.place.page == before.place.page + 1
    heads = [[column.head for column in side.content.columns] for side in (before, table)]
    if not next_page or heads[0] != heads[1] or not any(heads[0]):
        return False
    titles = [_plain(side.title) for side in (before, table)]
    if titles[1] and titles[0] != titles[1]:
        return False
    named = statement_kind(table.title)
    return not named or named == before.kind


def _plain(title: str) -> str:
    return " ".join(_CONTINUED.sub(" ", title).lower().split())


def _statement(group: Sequence[ReadTable]) -> Statement:
    first = group[0]
    unit = merge_units(*(table.content.unit for table in group), *(table.context.unit for table in group)) or Unit()
    end = next(filter(None, (table.context.end for table in group)), None)
    columns = [_resolved(column, end) for column in first.content.columns]
    lines = [_with_unit(line, unit) for table in group for line in table.content.lines]
    kind = next(filter(None, (table.kind for table in group)), "")
    places, html = [table.place for table in group], [table.html for table in group]
    return Statement(first.title, kind, unit, columns, lines, places, html, check_lines(lines, columns))


def _resolved(column: Column, end: date | None) -> Column:
    return replace(column, period=resolve(column.period, end)) if column.period else column


def _with_unit(line: Line, unit: Unit) -> Line:
    """A page that goes on does not say the unit again."""
    if line.name.per_share:
        return line
    values = (
        replace(value, unit=unit)
        if value and value.unit == Unit() and value.figure.kind in ("amount", "nil")
        else value
        for value in line.values
    )
    return replace(line, values=tuple(values))
