"""How a table writes numbers: which mark parts thousands and which decimals, found from all of its cells together."""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

_SPACES = re.compile(r"\s+")
# "1, 234" and "1 ,234" are what a recogniser makes of "1,234".
_LOOSE_MARK = re.compile(r"\s*([.,'])\s*")
_ONE_MARK = re.compile(r"(\d+)([.,])(\d+)")
# Groups of three digits, or the Indian way: 1,23,45,678.
_GROUPED = tuple(
    re.compile(rf"\d{{1,3}}(?:{mark}\d{{3}})+|\d{{1,2}}(?:{mark}\d{{2}})+{mark}\d{{3}}")
    for mark in (",", r"\.", "'", " ")
)


@dataclass(frozen=True)
class NumberStyle:
    """`decimal` is "." or ","; the other one, a space or an apostrophe parts thousands. `assumed`: nothing in the table
    decided it."""

    decimal: str = "."
    assumed: bool = True

    def parse(self, text: str) -> tuple[Decimal | None, str]:
        """(number, doubt): None where the text is no number. A number that does not fit the style but can only be read
        in one way is read so, and the doubt says it."""
        digits = clean_digits(text)
        number = _read(digits, self.decimal)
        if number is not None:
            return number, ""
        number = _read(digits, "," if self.decimal == "." else ".")
        return (
            number,
            "" if number is None else f"written unlike the table's other numbers (decimal mark {self.decimal!r})",
        )


def find_style(numbers: Iterable[str], fallback: NumberStyle | None = None) -> NumberStyle:
    """The style of numbers (digits and separators, see `figures.bare_number`) of a column or a table.

    A number tells for sure where both marks stand in it (the last one is the decimal mark) or one comes twice (it parts
    thousands). Where the only mark has other than three digits behind it, or a zero or four digits before it, it is the
    decimal mark, unless more numbers have three digits behind that mark: then a digit was misread, since the figures of
    a column have one number of decimals. `1.234` alone tells nothing: among numbers that all look like it the mark
    parts thousands, for statements print amounts with none or two decimals. Where numbers disagree the majority
    decides. `fallback` is the style where none of them tells anything.
    """
    numbers = [number for number in numbers if number]
    told = [_decimal_mark(number) for number in numbers]
    sure = Counter(mark for mark, is_sure in told if mark and is_sure)
    likely = Counter(mark for mark, _ in told if mark)
    silent = (_ONE_MARK.fullmatch(number) for number, (mark, _) in zip(numbers, told, strict=True) if not mark)
    thousands = Counter(match[2] for match in silent if match)
    if not sure:
        likely = Counter({mark: count for mark, count in likely.items() if count >= thousands[mark]})
    for votes in (sure, likely):
        if votes["."] != votes[","]:
            return NumberStyle(max(votes, key=votes.get), assumed=False)
    if fallback is not None:
        return fallback
    return NumberStyle("," if thousands["."] > thousands[","] else ".", assumed=True)


def clean_digits(text: str) -> str:
    """Digits and separators alike: one kind of space and apostrophe, none beside a mark."""
    text = _SPACES.sub(" ", text.replace("’", "'").replace("`", "'")).strip()
    return _LOOSE_MARK.sub(r"\1", text)


def _decimal_mark(number: str) -> tuple[str, bool]:
    """(the mark that can only be the decimal one, "" where the number does not tell; whether that is sure)."""
    marks = [character for character in number if character in ".,"]
    if len(set(marks)) == 2:
        last = marks[-1]
        return (last, True) if marks.count(last) == 1 else ("", False)
    if len(marks) > 1:
        return ("," if marks[0] == "." else "."), True
    match = _ONE_MARK.search(number)
    if not match:
        return "", False
    before, mark, after = number[: match.start(2)], match[2], match[3]
    if " " in before or "'" in before:
        return mark, True
    told = len(after) != 3 or before.startswith("0") or len(before) > 3
    return (mark if told else ""), False


def _read(digits: str, decimal: str) -> Decimal | None:
    """The number where its thousands are grouped rightly; None where they are not."""
    whole, mark, fraction = digits.partition(decimal)
    if mark and not fraction.isdecimal():
        return None
    plain = whole or ("0" if mark else "")
    if not plain.isdecimal():
        if not any(grouped.fullmatch(whole) for grouped in _GROUPED):
            return None
        plain = re.sub(r"\D", "", whole)
    return Decimal(f"{plain}.{fraction}" if mark else plain)
