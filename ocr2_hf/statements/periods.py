"""Periods and dates in the heads of columns."""

import re
import unicodedata
from calendar import monthrange
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Literal

_MONTHS = (
    "january januar janvier|february februar février fevrier|march märz maerz mars|april avril|may mai|june juni juin|"
    "july juli juillet|august août aout|september septembre|october oktober octobre|november novembre|"
    "december dezember décembre decembre"
)
_NUMBERS = {name: number for number, names in enumerate(_MONTHS.split("|"), 1) for name in names.split()}
_NUMBERS |= {name[:3]: number for name, number in list(_NUMBERS.items()) if name[:3] not in ("mar", "jui", "mai")}
_NUMBERS |= {"mar": 3, "sept": 9}
_MONTH = "|".join(sorted(_NUMBERS, key=len, reverse=True))
_YEAR = r"(?<!\d)(?:19|20)\d\d(?!\d)"
_ORDINALS = {"first": 1, "second": 2, "third": 3, "fourth": 4, "一": 1, "二": 2, "三": 3, "四": 4, "上": 1, "下": 2}
_COUNTS = {"three": 3, "six": 6, "nine": 9, "twelve": 12, "drei": 3, "sechs": 6, "neun": 9, "trois": 3, "neuf": 9}

_DATES = (
    re.compile(r"(?P<year>(?:19|20)\d\d)\s*年\s*(?P<month>\d{1,2})\s*月\s*(?P<day>\d{1,2})\s*日"),
    re.compile(rf"(?P<year>{_YEAR})[-/.](?P<month>\d{{1,2}})[-/.](?P<day>\d{{1,2}})(?!\d)"),
    re.compile(rf"(?P<day>\d{{1,2}})(?:st|nd|rd|th|er|\.)?\s+(?P<name>{_MONTH})\.?,?\s+(?P<year>{_YEAR})"),
    re.compile(rf"(?P<name>{_MONTH})\.?\s+(?P<day>\d{{1,2}})(?:st|nd|rd|th)?,?\s+(?P<year>{_YEAR})"),
    re.compile(rf"(?<!\d)(?P<first>\d{{1,2}})[./-](?P<second>\d{{1,2}})[./-](?P<year>{_YEAR})"),
)
# (\d\d) alone is a year of this century: FY23, Q1 24.
_QUARTER = (
    re.compile(
        r"\b(?P<part>[1-4])q\s?'?(?P<year>(?:20)?\d\d)\b|\bq(?P<part2>[1-4])[\s/'-]*(?:fy)?\s?(?P<year2>(?:20)?\d\d)?\b"
    ),
    re.compile(rf"(?P<year>{_YEAR})\s*(?:年)?\s*(?:第?\s?(?P<part>[1-4一二三四])\s?季度|q(?P<part2>[1-4]))"),
    re.compile(rf"(?P<part>first|second|third|fourth)\s+quarter(?:\s+of)?(?:\s+(?P<year>{_YEAR}))?"),
)
_HALF = (
    re.compile(r"\b(?:h(?P<part>[12])|(?P<part2>[12])h|hy(?P<part3>[12])?)[\s/'-]*(?P<year>(?:20)?\d\d)?\b"),
    re.compile(rf"(?P<year>{_YEAR})\s*年?\s*(?P<part>[上下])半年"),
)
_MONTHS_ENDED = re.compile(
    rf"(?P<count>{'|'.join(_COUNTS)}|\d{{1,2}})[\s-]+(?:months?|monate|mois)\b|(?P<zh>\d{{1,2}})个月"
)
_MONTH_COUNTS = (3, 6, 9, 12)  # of the periods that statements are about
# 2023年1-6月
_MONTHS_TO = re.compile(rf"(?P<year>{_YEAR})\s*年\s*1\s*[-–~至]\s*(?P<last>\d{{1,2}})\s*月")
_WEEKS = re.compile(r"\b\d\d weeks\b")
_YEAR_ENDED = re.compile(r"years?[\s-]+end(?:ed|ing)?|for the year|fiscal year|geschäftsjahr|exercice|年度")
_FISCAL = re.compile(
    r"\b(?:fy|gj)\s?'?(?P<year>(?:20)?\d\d)(?:[/-](?P<to>(?:20)?\d\d))?\b|(?<![\d/])(?P<from2>20\d\d)\s?[/-]\s?(?P<to2>\d\d)(?!\d)"
)
_RELATIVE = (
    ("opening", re.compile(r"上年年?末|上年度末")),
    ("closing", re.compile(r"期末|年末|closing|end of (?:the )?(?:year|period)")),
    ("opening", re.compile(r"期初|年初|opening|beginning of")),
    ("current", re.compile(r"本期|本年|current (?:year|period)|this year|berichtsjahr|geschäftsjahr$|exercice n$")),
    ("previous", re.compile(r"上期|上年|去年|(?:prior|previous|last|preceding) (?:year|period)|vorjahr|précédent")),
)
_RESTATED = re.compile(r"restated|重述|angepasst|retraité|reclassified|\*$")

Relation = Literal["", "closing", "opening", "current", "previous"]


@dataclass(frozen=True)
class Period:
    """What a column is about: `text` as its head has it; `label` for people and for joining ("2023", "Q1 2024",
    "2023-12-31", "closing"); `start` and `end` where the head tells them, `start` None for a date; `relation` where the
    head says it by words alone; `restated` where it says so."""

    text: str
    label: str
    start: date | None = None
    end: date | None = None
    relation: Relation = ""
    restated: bool = False


def read_period(text: str) -> Period | None:
    """The period that the head of a column names, None where it names none.

    A year alone is the calendar year; FY2023 and 2022/23 have a label and no dates, since fiscal years end when they
    like. 04/05/2023 is read as a date only where one of the numbers can be no month or both readings are one day.
    """
    plain = _plain(text)
    found = next((period for period in _readings(plain) if period), None)
    return found and replace(found, text=text.strip(), restated=_RESTATED.search(plain) is not None)


def resolve(period: Period | None, end: date | None) -> Period | None:
    """A period told by words alone (期末余额, prior year), with the dates it has in a statement up to or at `end`."""
    if end is None or period is None or period.end or not period.relation:
        return period
    ends = {"opening": date(end.year - 1, 12, 31), "previous": _months_before(end, 12)}
    return replace(period, end=ends.get(period.relation, end))


def find_date(text: str) -> date | None:
    """The first date in a title or caption."""
    return next(_dates(_plain(text)), None)


def _plain(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text).lower().split())


def _readings(text: str) -> Iterator[Period | None]:
    end, months, weeks = next(_dates(text), None), _months_ended(text), _WEEKS.search(text)
    if end and (months or _YEAR_ENDED.search(text)):
        yield _months_up_to(end, months or 12)
    if end:
        yield Period("", f"{weeks[0]} to {end.isoformat()}" if weeks else end.isoformat(), None, end)
    if (to := _MONTHS_TO.search(text)) and int(to["last"]) in _MONTH_COUNTS:
        yield _months_up_to(_month_end(int(to["year"]), int(to["last"])), int(to["last"]))
    yield _part(text, _QUARTER, 3, "Q")
    yield _part(text, _HALF, 6, "H")
    yield _fiscal(text)
    if open_date := _DATES[-1].search(text):
        yield Period("", open_date[0])
    if year := re.search(_YEAR, text):
        yield _months_up_to(date(int(year[0]), 12, 31), 12)
    for relation, pattern in _RELATIVE:
        if pattern.search(text):
            yield Period("", relation, relation=relation)


def _dates(text: str) -> Iterator[date]:
    for pattern in _DATES:
        for match in pattern.finditer(text):
            groups = match.groupdict()
            month, day = groups.get("month"), groups.get("day")
            if groups.get("name"):
                month = _NUMBERS[groups["name"]]
            if groups.get("first"):
                day, month = _day_and_month(int(groups["first"]), int(groups["second"]))
            try:
                yield date(int(groups["year"]), int(month), int(day))
            except (TypeError, ValueError):
                continue  # the 31st of June, or 04/05 that could be either


def _day_and_month(first: int, second: int) -> tuple[int | None, int | None]:
    if first == second or first > 12:
        return first, second
    return (second, first) if second > 12 else (None, None)


def _months_ended(text: str) -> int | None:
    if not (match := _MONTHS_ENDED.search(text)):
        return None
    count = match["count"] or match["zh"]
    number = _COUNTS.get(count) or int(count)
    return number if number in _MONTH_COUNTS else None


def _part(text: str, patterns: tuple[re.Pattern, ...], months: int, letter: str) -> Period | None:
    """A quarter or a half; without a year it has a label alone."""
    match = next(filter(None, (pattern.search(text) for pattern in patterns)), None)
    if not match:
        return None
    said = {key.rstrip("23"): value for key, value in match.groupdict().items() if value}
    name, year = said.get("part", "1"), _century(said.get("year"))
    part = _ORDINALS.get(name) or int(name)
    if year is None:
        return Period("", f"{letter}{part}")
    return _months_up_to(_month_end(year, part * months), months, f"{letter}{part} {year}")


def _fiscal(text: str) -> Period | None:
    if not (match := _FISCAL.search(text)):
        return None
    if match["from2"]:
        if (int(match["from2"]) + 1) % 100 != int(match["to2"]):
            return None
        return Period("", f"{match['from2']}/{match['to2']}")
    label = f"FY{_century(match['year'])}"
    return Period("", f"{label}/{match['to'][-2:]}" if match["to"] else label)


def _century(year: str | None) -> int | None:
    return None if not year else int(year) if len(year) == 4 else 2000 + int(year)


def _month_end(year: int, month: int) -> date:
    return date(year, month, monthrange(year, month)[1])


def _months_before(day: date, months: int) -> date:
    """The same day of an earlier month, or that month's last day."""
    year, month = divmod(day.year * 12 + day.month - 1 - months, 12)
    return date(year, month + 1, min(day.day, monthrange(year, month + 1)[1]))


def _months_up_to(end: date, months: int, label: str = "") -> Period:
    """So many months, of which `end` is the last day."""
    if not label:
        is_year = months == 12 and (end.month, end.day) == (12, 31)
        label = str(end.year) if is_year else f"{months}M to {end.isoformat()}"
    return Period("", label, _months_before(end + timedelta(days=1), months), end)
