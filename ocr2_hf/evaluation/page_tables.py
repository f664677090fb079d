"""The tables of a page's text, HTML and markdown alike, and how well they were read."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from rapidfuzz.distance import Levenshtein
from rapidfuzz.process import cdist
from scipy.optimize import linear_sum_assignment

from ocr2_hf.document.pipe_tables import PipeTable, escape_stray_brackets, find_pipe_tables
from ocr2_hf.evaluation.tables import TableTree, cell_span, parse_table, tree_similarity
from ocr2_hf.evaluation.text import normalize_text

MAX_SPAN = 1000  # as browsers cap it
# Up to so many pairs of tables on a page, which belongs to which is decided by TEDS, beyond by their text.
MAX_TEDS_PAIRS = 25

_HTML_TABLE = re.compile(r"<table\b.*?(?:</table\s*>|\Z)", re.DOTALL | re.IGNORECASE)


@dataclass(frozen=True)
class Cell:
    """Text (NFC, whitespace runs one space, markup removed) and how many columns and rows it covers."""

    text: str
    columns: int = 1
    rows: int = 1


@dataclass(frozen=True)
class Table:
    """Rows of cells as they are written: a row leaves out what a cell above covers."""

    rows: tuple[tuple[Cell, ...], ...]

    @cached_property
    def tree(self) -> TableTree:
        """The tree of TEDS: a head cell is a cell, head and body are not told apart, a cell's content is its text."""
        return TableTree.of_cells([[(cell.text, cell.columns, cell.rows) for cell in row] for row in self.rows])

    @cached_property
    def placed(self) -> list[set[tuple[int, str]]]:
        """For each row its (column, text) of every cell that begins there and is not empty; columns count from 0."""
        covered: dict[int, int] = {}  # column -> rows that a cell above still covers
        return [_place(row, covered) for row in self.rows]


def find_tables(text: str) -> list[Table]:
    """Every table of the text in order: HTML, also cut off, and markdown's pipe tables (a line of dashes is needed)."""
    found = [(match.start(), match[0]) for match in _HTML_TABLE.finditer(text)]
    outside = _HTML_TABLE.sub(lambda match: re.sub(r"[^\n]", " ", match[0]), text)
    pipes = ((table.start, _pipe_html(table)) for table in find_pipe_tables(outside))
    return [_read(html) for _, html in sorted([*found, *pipes])]


def match_tables(predicted: list[Table], reference: list[Table]) -> list[tuple[int, int, float]]:
    """(predicted index, reference index, TEDS) of the one-to-one pairs with the largest total similarity.

    As many pairs as the shorter side has tables, by reference index.
    """
    if not predicted or not reference:
        return []
    if len(predicted) * len(reference) <= MAX_TEDS_PAIRS:
        similarity = np.array([[tree_similarity(p.tree, r.tree) for r in reference] for p in predicted])
    else:
        texts = (["\n".join(_texts(table)) for table in tables] for tables in (predicted, reference))
        similarity = cdist(*texts, scorer=Levenshtein.normalized_similarity, dtype=np.float64)
    pairs = [(int(p), int(r)) for p, r in zip(*linear_sum_assignment(similarity, maximize=True), strict=True)]
    if len(predicted) * len(reference) > MAX_TEDS_PAIRS:
        for p, r in pairs:
            similarity[p, r] = tree_similarity(predicted[p].tree, reference[r].tree)
    return sorted(((p, r, float(similarity[p, r])) for p, r in pairs), key=lambda pair: pair[1])


def right_cells(predicted: Table, reference: Table) -> int:
    """How many cells with text were read right: the same text in the same column of a row paired with its row.

    Rows are paired in order so that most cells are right; a lost row does not make those below it wrong.
    """
    best = np.zeros(len(reference.placed) + 1, dtype=int)
    for row in predicted.placed:
        paired = best[:-1] + np.array([len(row & other) for other in reference.placed], dtype=int)
        best[1:] = np.maximum.accumulate(np.maximum(best[1:], paired))
    return int(best[-1])


def count_cells(table: Table) -> int:
    """The cells that hold text."""
    return sum(map(len, table.placed))


def _read(html: str) -> Table:
    element = parse_table(html)
    if element is None:
        return Table(())
    for line_break in element.iter("br"):
        line_break.tail = " " + (line_break.tail or "")
    rows = [[cell for cell in row if cell.tag in ("td", "th")] for row in element.iter("tr")]
    return Table(
        tuple(
            tuple(
                Cell(
                    normalize_text(cell.text_content()),
                    min(max(cell_span(cell, "colspan"), 1), MAX_SPAN),
                    min(max(cell_span(cell, "rowspan"), 1), MAX_SPAN),
                )
                for cell in row
            )
            for row in rows
        )
    )


def _pipe_html(table: PipeTable) -> str:
    """A pipe table as HTML; as in GitHub's markdown rows are filled up or cut to the width of the head."""
    width = len(table.rows[0])
    rows = (([*row] + [""] * width)[:width] for row in table.rows)
    cells = (("<td>" + escape_stray_brackets(cell) + "</td>" for cell in row) for row in rows)
    return f"<table>{''.join('<tr>' + ''.join(row) + '</tr>' for row in cells)}</table>"


def _texts(table: Table) -> Iterator[str]:
    return (cell.text for row in table.rows for cell in row)


def _place(row: tuple[Cell, ...], covered: dict[int, int]) -> set[tuple[int, str]]:
    """The row's (column, text); `covered` is brought to the next row."""
    placed, column, below = set(), 0, {at: rows - 1 for at, rows in covered.items() if rows > 1}
    for cell in row:
        while column in covered:
            column += 1
        if cell.text:
            placed.add((column, cell.text))
        if cell.rows > 1:
            below |= dict.fromkeys(range(column, column + cell.columns), cell.rows - 1)
        column += cell.columns
    covered.clear()
    covered.update(below)
    return placed
