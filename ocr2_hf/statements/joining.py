"""Tables with what their pages say around them -> statements; one that goes on over pages is joined."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date

from ocr2_hf.document.dialect import CAPTION, TABLE_CAPTION, without_mark
from ocr2_hf.document.grounding import Region
from ocr2_hf.statements.checks import check_lines
from ocr2_hf.statements.periods import find_date, resolve
from ocr2_hf.statements.statement import Place, Statement, StatementLine
from ocr2_hf.statements.table_lines import TableContent
from ocr2_hf.statements.units import Unit, find_unit, merge_units

TITLES = ("title", "sub_title", TABLE_CAPTION, "caption")
_LONGEST_TITLE = 150  # characters; what is longer is a paragraph
_KINDS = {
    "cash flow statement": r"cash flows?|现金流量|現金流量|kapitalflussrechnung|flux de trésorerie",
    "balance sheet": (
        r"balance sheet|financial position|\bbilanz\b|\bbilan\b|"
        r"资产负债表|資產負債表|财务状况表|財務狀況表"
    ),
    "income statement": (
        r"income statement|profit (?:and|or|&) loss|statements? of (?:\w+ )?(?:income|operations|earnings)|"
        r"利润表|利潤表|损益表|損益表|综合收益|gewinn-? und verlust|\bguv\b|compte de résultat"
    ),
}
_CONTINUED = re.compile(r"\(?\s*(?:continued|cont['’.]?d?\.?|fortsetzung|suite|续(?:表)?|續)\s*\)?", re.IGNORECASE)


@dataclass(frozen=True)
class TableContext:
    """`title`: the texts of headings above the table, joined, "" where there are none; `unit` and `end`, the date that
    the statement is of or ends at, None where nothing says them."""

    title: str = ""
    unit: Unit | None = None
    end: date | None = None


def table_context(regions: Sequence[Region], box: Sequence[float]) -> TableContext:
    """The context of the table at `box` among the regions of its page, which are in reading order.

    Headings are those between the table and the one before it. The unit is looked for there first, from the table up;
    then below the table; then on the page from its top.
    """
    place = _place(regions, box)
    start = max((i + 1 for i in range(place) if regions[i].label == "table"), default=0)
    below = [region for region in regions[place : place + 3] if region.label != "table"]
    above = [region for region in regions[start:place] if region.text]
    short = [region for region in above if len(region.text) <= _LONGEST_TITLE]
    # What version 2 calls a caption may be an image's, but for the one right above the table.
    titles = [region for region in short if region.label in TITLES or (region.label == CAPTION and region is above[-1])]
    headings = [without_mark(region.label, region.text) for region in titles]
    headings = headings or [region.text for region in short if statement_kind(region.text)]
    near = [region.text for region in [*reversed(above), *below, *regions[:start]] if region.label != "table"]
    unit = next(filter(None, map(find_unit, near)), None)
    end = next(filter(None, map(find_date, [*headings, *near])), None)
    return TableContext(" – ".join(" ".join(text.split()) for text in headings), unit, end)


def statement_kind(title: str) -> str:
    """What a title calls the statement: "balance sheet", "income statement", "cash flow statement", or ""."""
    return next((kind for kind, pattern in _KINDS.items() if re.search(pattern, title, re.IGNORECASE)), "")


@dataclass(frozen=True)
class ReadTable:
    """One table of a page: `first` and `last` say whether it is the first or the last table there."""

    content: TableContent
    context: TableContext
    place: Place
    html: str
    first: bool
    last: bool

    @property
    def title(self) -> str:
        """What the page calls it, then what rows across its top say."""
        return " – ".join(filter(None, (self.context.title, *self.content.titles)))

    @property
    def kind(self) -> str:
        """By its title, else by its lines."""
        if named := statement_kind(self.title):
            return named
        names = [line.name for line in self.content.lines]
        if any(name.is_balance_total for name in names):
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


def _place(regions: Sequence[Region], box: Sequence[float]) -> int:
    """Where a table at `box` comes in reading order: the number of regions before it."""
    for number, region in enumerate(regions):
        if region.label == "table" and tuple(region.box) == tuple(box):
            return number
    return sum((region.box[1] + region.box[3]) / 2 < box[1] for region in regions)


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
    columns = [replace(column, period=resolve(column.period, end)) for column in first.content.columns]
    lines = [_with_unit(line, unit) for table in group for line in table.content.lines]
    kind = next(filter(None, (table.kind for table in group)), "")
    places, html = [table.place for table in group], [table.html for table in group]
    return Statement(first.title, kind, unit, columns, lines, places, html, check_lines(lines, columns))


def _with_unit(line: StatementLine, unit: Unit) -> StatementLine:
    """A page that goes on does not say the unit again."""
    if line.name.per_share:
        return line
    values = (
        replace(value, unit=unit)
        if value and value.unit == Unit() and value.printed.kind in ("amount", "nil")
        else value
        for value in line.values
    )
    return replace(line, values=tuple(values))
