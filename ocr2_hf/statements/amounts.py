"""Amounts in the ways statements write them: separators, sign, currency, magnitude, percent, nil.

A cell is read alone (`read_amount`) but for its separators, which are found from all cells of a column or table
together (`find_style`).
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from ocr2_hf.statements.units import read_affixes

Kind = Literal["amount", "percent", "per_mille", "nil", "absent", "text", "empty"]

# Marks that refer to a footnote. The reader writes <sup>1</sup> as the character: it must not become a digit.
_FOOTNOTE = re.compile(r"[⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁽⁾ⁿ*†‡§#]+|(?<=\d)\s*\([a-z]\)$")
_DASHES = "-‐‑‒–—―−﹣－─"
_NIL = re.compile(rf"[{_DASHES}]{{1,3}}|nil|\.|·", re.IGNORECASE)
_ABSENT = re.compile(
    r"n\.?\s?/?\s?[am]\.?|not (?:applicable|meaningful|available)|不适用|不適用|无|無|entfällt|k\.\s?a\.|s\.\s?o\.|/",
    re.IGNORECASE,
)
_MINUS_BEFORE = re.compile(rf"^[{_DASHES}△▲]\s*(?=\S)")
_MINUS_AFTER = re.compile(rf"(?<=\S)\s*[{_DASHES}]$")
_DIGITS = re.compile(r"\d[\d.,'’\s]*")
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
class PrintedAmount:
    """What a cell says.

    `number` is what is printed, in the cell's own unit (12.5 for "12.5 %", 3 for "3 million"); 0 for nil, None where
    there is no number. `scale` and `currency` are the cell's own and None where it has none. `doubt` says what had to
    be guessed.
    """

    text: str
    kind: Kind
    number: Decimal | None = None
    currency: str | None = None
    scale: int | None = None
    doubt: str = ""

    @property
    def decimals(self) -> int:
        """Digits after the decimal mark, as printed."""
        return max(-self.number.as_tuple().exponent, 0) if self.number is not None else 0


@dataclass(frozen=True)
class NumberStyle:
    """`decimal` is "." or ","; the other one, a space or an apostrophe parts thousands. `assumed`: nothing in the table
    decided it."""

    decimal: str = "."
    assumed: bool = True

    def parse(self, text: str) -> tuple[Decimal | None, str]:
        """(number, doubt); the number is None where the text is none. One that does not fit the style but can only be
        read in one way is read so, and the doubt says it."""
        digits = _clean_digits(text)
        number = _number(digits, self.decimal)
        if number is not None:
            return number, ""
        number = _number(digits, "," if self.decimal == "." else ".")
        return number, f"written unlike the table's other numbers (decimal mark {self.decimal!r})"


def find_style(numbers: Iterable[str], fallback: NumberStyle | None = None) -> NumberStyle:
    """The style of numbers (digits and separators, see `bare_number`) of a column or a table.

    A number tells for sure where both marks stand in it (the last one is the decimal mark) or one comes twice (it parts
    thousands). Where the only mark has other than three digits behind it, or a zero or four digits before it, it is the
    decimal mark, unless more numbers have three digits behind that mark: then a digit was misread, since the amounts of
    a column have one number of decimals. `1.234` alone tells nothing: among numbers that all look like it the mark
    parts thousands, for statements print amounts with none or two decimals. Where numbers disagree the majority
    decides. `fallback` is the style where none of them tells anything.
    """
    told = [(number, *_decimal_mark(number)) for number in numbers]
    sure = Counter(mark for _, mark, is_sure in told if is_sure)
    likely = Counter(mark for _, mark, _ in told if mark)
    silent = (_ONE_MARK.fullmatch(number) for number, mark, _ in told if not mark)
    thousands = Counter(match[2] for match in silent if match)
    if not sure:
        likely = Counter({mark: count for mark, count in likely.items() if count >= thousands[mark]})
    for votes in (sure, likely):
        if votes["."] != votes[","]:
            return NumberStyle(max(votes, key=votes.get), assumed=False)
    if fallback is not None:
        return fallback
    return NumberStyle("," if thousands["."] > thousands[","] else ".", assumed=True)


def read_amount(text: str, style: NumberStyle) -> PrintedAmount:
    """A cell's text -> `PrintedAmount`, its separators as the table writes them (`find_style`)."""
    text = text.strip()
    plain = _without_footnotes(text)
    if not plain:
        return PrintedAmount(text, "empty")
    body, currency, scale, kind = read_affixes(plain)
    if _NIL.fullmatch(body):
        return PrintedAmount(text, "nil", Decimal(0), currency, scale)
    if _ABSENT.fullmatch(plain):
        return PrintedAmount(text, "absent")
    body, negative, doubt = _take_sign(body)
    # "(12.5)%" and "($1,234)": the brackets are around what was taken off, or within it.
    body, inner_currency, inner_scale, inner_kind = read_affixes(body)
    body, inner_negative, inner_doubt = _take_sign(body)
    number, misfit = style.parse(body)
    if number is None:
        return PrintedAmount(text, "text")
    doubts = "; ".join(filter(None, (doubt, inner_doubt, misfit)))
    signed = -number if negative or inner_negative else number
    kind = inner_kind if kind == "amount" else kind
    return PrintedAmount(text, kind, signed, currency or inner_currency, scale or inner_scale, doubts)


def bare_number(text: str) -> str:
    """The digits and separators of a cell that holds one number, else "": what `find_style` looks at."""
    body = _without_footnotes(text)
    for _ in range(2):
        body = _take_sign(read_affixes(body)[0])[0]
    return _clean_digits(body) if _DIGITS.fullmatch(body) else ""


def _without_footnotes(text: str) -> str:
    return unicodedata.normalize("NFKC", _FOOTNOTE.sub("", text)).strip()


def _take_sign(text: str) -> tuple[str, bool, str]:
    """(text without its sign, whether it is below zero, doubt)."""
    text = text.strip()
    if len(text) > 2 and text[0] in "([<" and text[-1] in ")]>":
        return text[1:-1].strip(), True, ""
    for pattern in (_MINUS_BEFORE, _MINUS_AFTER):
        if pattern.search(text):
            return pattern.sub("", text), True, ""
    if text.startswith("+"):
        return text[1:].strip(), False, ""
    if text[:1] == "(" or text[-1:] == ")":
        return text.strip("()").strip(), True, "a bracket is missing"
    return text, False, ""


def _clean_digits(text: str) -> str:
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


def _number(digits: str, decimal: str) -> Decimal | None:
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
