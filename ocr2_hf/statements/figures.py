"""Figures in the ways statements write them, one cell at a time: sign, currency, magnitude, percent, nil."""

import re
import unicodedata
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from ocr2_hf.statements.number_style import NumberStyle, clean_digits
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


@dataclass(frozen=True)
class Figure:
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


def read_figure(text: str, style: NumberStyle) -> Figure:
    """A cell's text -> `Figure`, its separators as the table writes them (`find_style`)."""
    text = text.strip()
    plain = unicodedata.normalize("NFKC", _FOOTNOTE.sub("", text)).strip()
    if not plain:
        return Figure(text, "empty")
    body, currency, scale, kind = read_affixes(plain)
    if _NIL.fullmatch(body.strip()):
        return Figure(text, "nil", Decimal(0), currency, scale)
    if _ABSENT.fullmatch(plain):
        return Figure(text, "absent")
    body, negative, doubt = _take_sign(body)
    # "(12.5)%" and "($1,234)": the brackets are around what was taken off, or within it.
    body, inner_currency, inner_scale, inner_kind = read_affixes(body)
    kind = inner_kind if kind == "amount" else kind
    body, inner_negative, inner_doubt = _take_sign(body)
    number, misfit = style.parse(body)
    if number is None:
        return Figure(text, "text")
    doubts = "; ".join(filter(None, (doubt, inner_doubt, misfit)))
    signed = -number if negative or inner_negative else number
    return Figure(text, kind, signed, currency or inner_currency, scale or inner_scale, doubts)


def bare_number(text: str) -> str:
    """The digits and separators of a cell that holds one number, else "": what `find_style` looks at."""
    plain = unicodedata.normalize("NFKC", _FOOTNOTE.sub("", text)).strip()
    body = read_affixes(_take_sign(read_affixes(plain)[0])[0])[0]
    body = _take_sign(body)[0]
    return clean_digits(body) if _DIGITS.fullmatch(body) else ""


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
