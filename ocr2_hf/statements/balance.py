"""Assets = liabilities + equity; and all checks of a statement together."""

from collections.abc import Mapping, Sequence

from ocr2_hf.statements.names import Concept
from ocr2_hf.statements.statement import Check, Column, Line
from ocr2_hf.statements.sums import Addend, Outcome, check_sums, make_check, sum_outcome


def check_lines(lines: Sequence[Line], columns: Sequence[Column]) -> list[Check]:
    """Every check of a statement's lines: sums, then the balance."""
    sums, parts = check_sums(lines, columns)
    return [*sums, *check_balance(lines, columns, parts)]


def check_balance(
    lines: Sequence[Line], columns: Sequence[Column], parts: Mapping[int, Sequence[Addend]]
) -> list[Check]:
    """Total assets against liabilities and equity in every column; [] where the lines know none of them.

    The right side is the line that says it is both; else the sum of the totals of liabilities and of equity. `parts`
    are those of the totals (`check_sums`): a bare "Total" that adds equity up is the total of liabilities and equity.
    """
    found = _concepts(lines, parts)
    if not found:
        return []
    right = [found[concept] for concept in ("liabilities", "equity") if concept in found]
    if "liabilities and equity" in found:
        right = [found["liabilities and equity"]]
    missing = _missing(found)
    assets, names = found.get("assets", next(iter(found.values()))), tuple(lines[number].name.plain for number in right)
    checks = []
    for column in range(len(columns)):
        added = [Addend(number) for number in right]
        outcome = Outcome(reason=missing) if missing else sum_outcome(lines, column, assets, added)
        checks.append(make_check("balance", assets, column, outcome, () if missing else names, lines, columns))
    return checks


def _missing(found: Mapping[Concept, int]) -> str:
    if "assets" not in found:
        return "no line is the total of assets"
    if "liabilities and equity" in found:
        return ""
    absent = [concept for concept in ("liabilities", "equity") if concept not in found]
    return f"no line is the total of {' or of '.join(absent)}" if absent else ""


def _concepts(lines: Sequence[Line], parts: Mapping[int, Sequence[Addend]]) -> dict[Concept, int]:
    """The line of each part of the equation: the first of assets, the last of the others."""
    found: dict[Concept, int] = {}
    for number, line in enumerate(lines):
        if line.kind == "section":
            continue
        concept = line.name.concept or _by_its_parts(number, lines, parts)
        if concept and not (concept == "assets" and "assets" in found):
            found[concept] = number
    # An income statement has none of them; equity alone is no balance sheet.
    return found if "assets" in found or "liabilities and equity" in found else {}


def _by_its_parts(number: int, lines: Sequence[Line], parts: Mapping[int, Sequence[Addend]]) -> Concept:
    named = {lines[part.line].name.concept for part in parts.get(number, ())}
    bare = lines[number].name.is_total and len(lines[number].name.plain.split()) == 1
    if bare and "equity" in named and "assets" not in named:
        return "liabilities and equity"
    return ""
