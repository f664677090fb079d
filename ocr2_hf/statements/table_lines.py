"""A table as columns of periods and typed lines."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from ocr2_hf.document.tables import Table
from ocr2_hf.statements.amounts import NumberStyle, PrintedAmount, bare_number, find_style, read_amount
from ocr2_hf.statements.names import Name, line_levels, read_name
from ocr2_hf.statements.statement import Place, StatementColumn, StatementLine, Value
from ocr2_hf.statements.table_grid import ColumnBlock, find_blocks, table_grid
from ocr2_hf.statements.units import Unit, find_unit, merge_units, unit_in_head

_BRACKETED = re.compile(r"[(（\[]([^()（）\[\]]+)[)）\]]")


@dataclass(frozen=True)
class TableContent:
    """What a table says: `titles` and the `unit` in its heads (None where they name none), its columns and lines."""

    titles: list[str]
    unit: Unit | None
    columns: list[StatementColumn]
    lines: list[StatementLine]


def read_table(table: Table, place: Place, unit: Unit | None = None) -> TableContent | None:
    """A table's content; None where it is no statement: no column of names with values beside it.

    `unit` is what the page says around it; what its own heads say goes before. Values of blocks beside each other
    (assets to the left of liabilities) follow each other where they have the same columns, else the first block counts.
    """
    titles, grid = table_grid(table)
    blocks = find_blocks(grid)
    if not blocks:
        return None
    blocks = [block for block in blocks if len(block.values) == len(blocks[0].values)]
    own = merge_units(*map(find_unit, [*(block.name.head for block in blocks), *titles]))
    columns = [StatementColumn(column.head, column.period, unit_in_head(column.head)) for column in blocks[0].values]
    texts = (text for block in blocks for column in block.values for text in column.filled)
    style, nearest = find_style(map(bare_number, texts)), merge_units(own, unit)
    lines = [line for block in blocks for line in _read_lines(block, columns, style, nearest, place)]
    return TableContent(titles, own, columns, _without_results(lines))


def _read_lines(
    block: ColumnBlock, columns: Sequence[StatementColumn], style: NumberStyle, unit: Unit | None, place: Place
) -> list[StatementLine]:
    """The lines of a block; rows without a name and a value are left out."""
    styles = [find_style(map(bare_number, column.filled), fallback=style) for column in block.values]
    rows = []
    for index, text in enumerate(block.name.texts):
        amounts = [read_amount(column.texts[index], own) for column, own in zip(block.values, styles, strict=True)]
        if text or any(amount.kind != "empty" for amount in amounts):
            rows.append((index, read_name(text), amounts))
    levels, source = line_levels([name for _, name, _ in rows], [block.name.indents[index] for index, _, _ in rows])
    lines = []
    for (index, name, amounts), level in zip(rows, levels, strict=True):
        values = tuple(
            None if amount.kind == "empty" else Value(amount, _unit(name, amount, column, unit), place)
            for amount, column in zip(amounts, columns, strict=True)
        )
        is_total = name.is_total or name.is_result or name.is_balance_total or not name.text
        kind = "section" if not any(values) else "total" if is_total else "item"
        note = " ".join(column.texts[index] for column in block.notes).strip()
        lines.append(StatementLine(name, level, source, kind, note, values))
    return lines


def _unit(name: Name, amount: PrintedAmount, column: StatementColumn, unit: Unit | None) -> Unit:
    """Cell before name of the line before column before table. What is per share is not in thousands."""
    if amount.kind in ("percent", "per_mille"):
        return Unit()
    named = merge_units(*map(find_unit, _BRACKETED.findall(name.text)))
    merged = merge_units(Unit(amount.currency, amount.scale or 1), named, column.unit, unit)
    if name.per_share and not (named and named.scale != 1):
        return Unit(merged.currency, 1, named.text if named else "")
    return merged


def _without_results(lines: list[StatementLine]) -> list[StatementLine]:
    """In a balance sheet the profit of the year is an item, not what the lines above add up to."""
    if not any(line.name.is_balance_total for line in lines):
        return lines
    return [replace(line, kind="item") if line.kind == "total" and _only_result(line.name) else line for line in lines]


def _only_result(name: Name) -> bool:
    return name.is_result and not name.is_total and not name.concept
