"""What the page says around a table: its title, its unit, its date."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from ocr2_hf.document.grounding import Region
from ocr2_hf.statements.periods import find_date
from ocr2_hf.statements.units import Unit, find_unit

TITLES = ("title", "sub_title", "table_caption", "caption")
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


@dataclass(frozen=True)
class Context:
    """`title`: the texts of headings above the table, joined, "" where there are none; `unit` and `end`, the date that
    the statement is of or ends at, None where nothing says them."""

    title: str = ""
    unit: Unit | None = None
    end: date | None = None


def table_context(regions: Sequence[Region], box: Sequence[float]) -> Context:
    """The context of the table at `box` among the regions of its page, which are in reading order.

    Headings are those between the table and the one before it. The unit is looked for there first, from the table up;
    then below the table; then on the page from its top.
    """
    place = _place(regions, box)
    start = max((i + 1 for i in range(place) if regions[i].label == "table"), default=0)
    below = [region for region in regions[place : place + 3] if region.label != "table"]
    above = [region for region in regions[start:place] if region.text]
    short = [region for region in above if len(region.text) <= _LONGEST_TITLE]
    headings = [region.text for region in short if region.label in TITLES]
    headings = headings or [region.text for region in short if statement_kind(region.text)]
    near = [region.text for region in [*reversed(above), *below, *regions[:start]] if region.label != "table"]
    unit = next(filter(None, map(find_unit, near)), None)
    end = next(filter(None, map(find_date, [*headings, *near])), None)
    return Context(" – ".join(" ".join(text.split()) for text in headings), unit, end)


def statement_kind(title: str) -> str:
    """What a title calls the statement: "balance sheet", "income statement", "cash flow statement", or ""."""
    return next((kind for kind, pattern in _KINDS.items() if re.search(pattern, title, re.IGNORECASE)), "")


def _place(regions: Sequence[Region], box: Sequence[float]) -> int:
    """Where a table at `box` comes in reading order: the number of regions before it."""
    for number, region in enumerate(regions):
        if region.label == "table" and tuple(region.box) == tuple(box):
            return number
    return sum((region.box[1] + region.box[3]) / 2 < box[1] for region in regions)
