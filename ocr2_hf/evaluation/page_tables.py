"""How well the tables of a page were read: which belongs to which, and the cells that are right."""

from functools import cached_property

import numpy as np
from rapidfuzz.distance import Levenshtein
from rapidfuzz.process import cdist
from scipy.optimize import linear_sum_assignment

from ocr2_hf.document.tables import Table, parse_tables
from ocr2_hf.evaluation.tables import TableTree, tree_similarity
from ocr2_hf.evaluation.text import normalize_text

# Up to so many pairs of tables on a page, which belongs to which is decided by TEDS, beyond by their text.
MAX_TEDS_PAIRS = 25


class ScoredTable:
    """A table as it is compared: texts in NFC, blanks run together."""

    def __init__(self, table: Table):
        self.table = table

    @cached_property
    def tree(self) -> TableTree:
        """The tree of TEDS: a head cell is a cell, head and body are not told apart, a cell's content is its text."""
        cells = (
            [(normalize_text(cell.text), cell.column_span, cell.row_span) for cell in row] for row in self.table.rows
        )
        return TableTree.of_cells(list(cells))

    @cached_property
    def text(self) -> str:
        return "\n".join(normalize_text(cell.text) for row in self.table.rows for cell in row)

    @cached_property
    def placed(self) -> list[set[tuple[int, str]]]:
        """For each row its (column, text) of every cell that begins there and is not empty; columns count from 0."""
        rows = ([(cell.column, normalize_text(cell.text)) for cell in row] for row in self.table.rows)
        return [{cell for cell in row if cell[1]} for row in rows]


def find_tables(text: str) -> list[ScoredTable]:
    """The tables of a text (`parse_tables`), to be compared with others."""
    return list(map(ScoredTable, parse_tables(text)))


def match_tables(
    predicted: list[ScoredTable], reference: list[ScoredTable], structure_only: bool = False
) -> list[tuple[int, int, float]]:
    """(predicted index, reference index, TEDS) of the one-to-one pairs with the largest total similarity.

    As many pairs as the shorter side has tables, by reference index. `structure_only` gives the pairs' TEDS-S.
    """
    if not predicted or not reference:
        return []
    if len(predicted) * len(reference) <= MAX_TEDS_PAIRS:
        similarity = np.array([[tree_similarity(p.tree, r.tree) for r in reference] for p in predicted])
    else:
        texts = ([table.text for table in tables] for tables in (predicted, reference))
        similarity = cdist(*texts, scorer=Levenshtein.normalized_similarity, dtype=np.float64)
    pairs = [(int(p), int(r)) for p, r in zip(*linear_sum_assignment(similarity, maximize=True), strict=True)]
    scored = ((p, r, tree_similarity(predicted[p].tree, reference[r].tree, structure_only)) for p, r in pairs)
    return sorted(scored, key=lambda pair: pair[1])


def right_cells(predicted: ScoredTable, reference: ScoredTable) -> int:
    """How many cells with text were read right: the same text in the same column of a row paired with its row.

    Rows are paired in order so that most cells are right; a lost row does not make those below it wrong.
    """
    best = np.zeros(len(reference.placed) + 1, dtype=int)
    for row in predicted.placed:
        paired = best[:-1] + np.array([len(row & other) for other in reference.placed], dtype=int)
        best[1:] = np.maximum.accumulate(np.maximum(best[1:], paired))
    return int(best[-1])


def count_cells(table: ScoredTable) -> int:
    """The cells that hold text."""
    return sum(map(len, table.placed))
