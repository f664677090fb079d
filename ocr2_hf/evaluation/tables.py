"""How well tables were read: TEDS, which table of a page belongs to which, and the cells that are right.

TEDS is the tree edit distance similarity of HTML tables (Zhong et al., arXiv 1911.10683; IBM's code). The edit distance
of two ordered trees is exact, by the algorithm of Zhang and Shasha (SIAM Journal on Computing 18, 1989), a row of its
tables at a time in numpy: a table of 20 rows of 8 cells takes about 20 ms, a fortieth of what apted takes for the same
number.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from operator import itemgetter

import numpy as np
from lxml import etree, html

from ocr2_hf.document.tables import Table, cell_span, parse_tables
from ocr2_hf.evaluation.pairing import best_pairs, text_distances
from ocr2_hf.evaluation.text import normalize_text

# Real tables nest a handful of levels; markup nested deeper than this is a broken prediction and is cut there.
MAX_DEPTH = 16
# More than a model can write on a page (8,192 tokens). Two tables of this size take about 1 s and 250 MB.
MAX_NODES = 2000
# Up to so many pairs of tables on a page, which belongs to which is decided by TEDS, beyond by their text.
MAX_TEDS_PAIRS = 25


def teds(predicted_html: str, reference_html: str, structure_only: bool = False) -> float:
    """1 - (tree edit distance / node count of the larger table), in [0, 1], of the first table on each side.

    Deleting, inserting or relabelling a node (tag, colspan or rowspan differ) costs 1; between two `td` of one span the
    cost is the normalised edit distance of their content, markup included, and 0 with `structure_only` (TEDS-S). As in
    IBM's code the text of `th` is not compared: replace `th` by `td` on both sides where it should be. HTML that is cut
    off or malformed is repaired as libxml2 does; 0.0 when either side has no table. Of a table with more than
    `MAX_NODES` nodes the first are compared; what one side has more than the other beyond them is wrong.
    """
    predicted, reference = parse_table(predicted_html), parse_table(reference_html)
    if predicted is None or reference is None:
        return 0.0
    return tree_similarity(TableTree.of_element(predicted), TableTree.of_element(reference), structure_only)


def parse_table(text: str) -> html.HtmlElement | None:
    """The first `<table>` element of untrusted, possibly truncated HTML; None when there is none."""
    # NUL ends the input for libxml2; lone surrogates cannot be encoded.
    clean = text.replace("\0", "").encode("utf-8", "replace")
    parser = html.HTMLParser(remove_comments=True, remove_pis=True, encoding="utf-8")
    try:
        tables = html.document_fromstring(b"<html><body>" + clean, parser=parser).xpath("//table")
    except etree.ParserError:
        return None
    return tables[0] if tables else None


@dataclass
class TableTree:
    """A table's nodes in postorder, the table itself last; cells have no nodes below them.

    `leftmost` [N] are postorder indices of leaves, `kinds` [N] (tag, colspan, rowspan), `contents` [N] what is in a
    cell. `total` counts the table's nodes as IBM does, without itself and with what is inside cells; `cut` counts those
    that were left out beyond MAX_NODES.
    """

    leftmost: list[int] = field(default_factory=list)
    kinds: list[tuple[str, int, int]] = field(default_factory=list)
    contents: list[Sequence[str]] = field(default_factory=list)
    total: int = 0
    cut: int = 0

    @classmethod
    def of_element(cls, table: html.HtmlElement) -> "TableTree":
        """Of a `table` element, what is inside its cells as it is written."""
        tree = cls(total=_count(table))
        tree._add_element(table, 0)
        return tree

    @classmethod
    def of_table(cls, table: Table) -> "TableTree":
        """A head cell is a cell, head and body are not told apart, a cell's content is its text."""
        tree = cls(total=sum(map(len, table.rows)) + len(table.rows))
        for row in table.rows:
            first = len(tree.kinds)
            if first + len(row) >= MAX_NODES:
                tree.cut += len(row) + 1
                continue
            for cell in row:
                tree._add(len(tree.kinds), ("td", cell.column_span, cell.row_span), normalize_text(cell.text))
            tree._add(first, ("tr", 1, 1))
        tree._add(0, ("table", 1, 1))
        return tree

    def _add(self, leftmost: int, kind: tuple[str, int, int], content: Sequence[str] = ()) -> None:
        self.leftmost.append(leftmost)
        self.kinds.append(kind)
        self.contents.append(content)

    def _add_element(self, element: html.HtmlElement, depth: int) -> None:
        first = len(self.kinds)
        if element.tag == "td":
            kind = ("td", cell_span(element, "colspan"), cell_span(element, "rowspan"))
            self._add(first, kind, tuple(_cell_tokens(element)))
            return
        for child in element if depth < MAX_DEPTH else ():
            if len(self.kinds) < MAX_NODES:
                self._add_element(child, depth + 1)
            else:
                self.cut += 1 + _count(child)
        self._add(first, (element.tag, 1, 1))


def tree_similarity(a: TableTree, b: TableTree, structure_only: bool = False) -> float:
    """`teds` of two tables that are parsed."""
    return max(0.0, signed_similarity(a, b, structure_only))


def signed_similarity(a: TableTree, b: TableTree, structure_only: bool = False) -> float:
    """`tree_similarity` as IBM's code has it, without a floor.

    A deep tree and a flat one have so few nodes in common that the distance can pass the count: then it is below 0.
    """
    if max(a.total, b.total) == 0 or a == b:
        return 1.0
    distance = 0.0
    if not (structure_only and a.kinds == b.kinds and a.leftmost == b.leftmost):
        distance = tree_distance(a.leftmost, b.leftmost, _rename_costs(a, b, structure_only))
    return 1.0 - (distance + abs(a.cut - b.cut)) / (max(a.total, b.total) - min(a.cut, b.cut))


def _rename_costs(a: TableTree, b: TableTree, structure_only: bool) -> np.ndarray:
    """[A, B]: 1 between nodes of two kinds, else the normalised edit distance of what is in them."""
    numbers = {kind: number for number, kind in enumerate(dict.fromkeys([*a.kinds, *b.kinds]))}
    kinds = [np.array([numbers[kind] for kind in tree.kinds]) for tree in (a, b)]
    other_kind_AB = kinds[0][:, None] != kinds[1][None, :]
    if structure_only:
        return other_kind_AB.astype(np.float64)
    places = [{content: place for place, content in enumerate(dict.fromkeys(tree.contents))} for tree in (a, b)]
    distance = text_distances(*map(list, places))
    rows, columns = ([place[content] for content in tree.contents] for place, tree in zip(places, (a, b), strict=True))
    return np.where(other_kind_AB, 1.0, distance[np.ix_(rows, columns)])


class ScoredTable:
    """A table as it is compared: texts in NFC, blanks run together."""

    def __init__(self, table: Table):
        self.table = table

    @cached_property
    def tree(self) -> TableTree:
        """The tree of TEDS."""
        return TableTree.of_table(self.table)

    @cached_property
    def text(self) -> str:
        """All cells, a line each."""
        return "\n".join(normalize_text(cell.text) for row in self.table.rows for cell in row)

    @cached_property
    def placed(self) -> list[set[tuple[int, str]]]:
        """For each row its (column, text) of every cell that begins there and is not empty; columns count from 0."""
        rows = self.table.rows
        return [{(cell.column, text) for cell in row if (text := normalize_text(cell.text))} for row in rows]


def find_tables(text: str) -> list[ScoredTable]:
    """The tables of a text (`parse_tables`), to be compared with others."""
    return list(map(ScoredTable, parse_tables(text)))


def match_tables(predicted: list[ScoredTable], reference: list[ScoredTable]) -> list[tuple[int, int, float]]:
    """(predicted index, reference index, TEDS) of the one-to-one pairs with the largest total similarity.

    As many pairs as the shorter side has tables, by reference index.
    """
    if not predicted or not reference:
        return []
    if len(predicted) * len(reference) <= MAX_TEDS_PAIRS:
        similarity = np.array([[tree_similarity(p.tree, r.tree) for r in reference] for p in predicted])
        scored = [(p, r, float(similarity[p, r])) for p, r in best_pairs(similarity, maximize=True)]
    else:
        alike = 1 - text_distances(*([table.text for table in side] for side in (predicted, reference)))
        pairs = best_pairs(alike, maximize=True)
        scored = [(p, r, tree_similarity(predicted[p].tree, reference[r].tree)) for p, r in pairs]
    return sorted(scored, key=itemgetter(1))


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


def tree_distance(leftmost_a: np.ndarray, leftmost_b: np.ndarray, rename_AB: np.ndarray) -> float:
    """The least cost to turn one tree into another: deleting or inserting a node costs 1.

    `leftmost_a` [A] and `leftmost_b` [B] int have for every node, in postorder, the postorder index of the leftmost
    leaf below it.
    `rename_AB` [A, B] float in [0, 1] is the cost of turning one node into another.
    """
    a, b = np.asarray(leftmost_a), np.asarray(leftmost_b)
    distance_AB = _leaf_distances(a, b, rename_AB)
    groups = _groups(b)
    for root in _inner_keyroots(a):
        for roots_b in groups:
            _fill(distance_AB, a, b, rename_AB, root, roots_b)
    return float(distance_AB[-1, -1])


def _leaf_distances(a: np.ndarray, b: np.ndarray, rename_AB: np.ndarray) -> np.ndarray:
    """[A, B]: the distances of all subtree pairs of which one is a leaf; the others are not filled in yet.

    A leaf becomes the node that it resembles most, and the others are inserted.
    """
    distance_AB = rename_AB.astype(np.float64)
    for node in np.flatnonzero(b < np.arange(len(b))):
        distance_AB[:, node] = rename_AB[:, b[node] : node + 1].min(axis=1) + node - b[node]
    leaves_b = np.flatnonzero(b == np.arange(len(b)))
    for node in np.flatnonzero(a < np.arange(len(a))):
        distance_AB[node, leaves_b] = rename_AB[a[node] : node + 1, leaves_b].min(axis=0) + node - a[node]
    return distance_AB


def _inner_keyroots(leftmost: np.ndarray) -> list[int]:
    """The highest node over each leftmost leaf, in postorder, without the leaves."""
    highest = {int(leaf): node for node, leaf in enumerate(leftmost)}
    return sorted(node for leaf, node in highest.items() if node > leaf)


def _groups(leftmost: np.ndarray) -> list[np.ndarray]:
    """The inner keyroots in groups that can be filled at once: none is below another, sizes are alike."""
    roots = np.array(_inner_keyroots(leftmost), dtype=int)
    levels = np.zeros(len(roots), dtype=int)
    groups = defaultdict(list)
    for index, root in enumerate(roots):
        below = leftmost[roots[:index]] >= leftmost[root]
        levels[index] = levels[:index][below].max(initial=-1) + 1
        size = int(root - leftmost[root])
        groups[levels[index], size.bit_length()].append(root)
    return [np.array(groups[key]) for key in sorted(groups)]


def _fill(
    distance_AB: np.ndarray, a: np.ndarray, b: np.ndarray, rename_AB: np.ndarray, root: int, roots_G: np.ndarray
) -> None:
    """Fill in the distances of the subtrees on the left path of `root` in a, and on those of `roots_G` in b.

    The table of forest distances is [rows, G, W + 1]: a row per node below `root`, a column per node below each of the
    G roots (padded to the widest), with an empty forest before the first of either. A column's number is taken off all
    distances in it, so that insertions, which run along the row, cost nothing more.
    """
    start, starts_G1, end = a[root], b[roots_G][:, None], root + 1
    width = int((roots_G[:, None] - starts_G1).max()) + 1
    columns = np.arange(1, width + 1)
    nodes_GW = np.minimum(starts_G1 + columns - 1, roots_G[:, None])
    before_GW = b[nodes_GW] - starts_G1  # the column of what lies to the left of the column's subtree
    on_path_GW = (before_GW == 0) & (starts_G1 + columns - 1 <= roots_G[:, None])
    matched_RGW = distance_AB[start:end][:, nodes_GW] + (before_GW - columns)
    renamed_RGW = rename_AB[start:end][:, nodes_GW] - 1
    before_GW = before_GW + np.arange(len(roots_G))[:, None] * (width + 1)
    forest = np.zeros((end - start + 1, len(roots_G), width + 1))
    for row, node in enumerate(range(start, end), 1):
        candidates_GW = forest[a[node] - start].take(before_GW) + matched_RGW[row - 1]
        on_left_path = a[node] == start
        if on_left_path:
            renamed_GW = forest[row - 1, :, :-1] + renamed_RGW[row - 1]
            candidates_GW = np.where(on_path_GW, renamed_GW, candidates_GW)
        forest[row, :, 0] = row
        np.minimum(forest[row - 1, :, 1:] + 1, candidates_GW, out=forest[row, :, 1:])
        np.minimum.accumulate(forest[row], axis=1, out=forest[row])
        if on_left_path:
            distance_AB[node, nodes_GW[on_path_GW]] = (forest[row, :, 1:] + columns)[on_path_GW]


def _cell_tokens(cell: html.HtmlElement) -> Iterator[str]:
    """The cell's content in order: its characters, and each tag inside it as one token."""
    for event, element in etree.iterwalk(cell, events=("start", "end")):
        inner = element is not cell
        if event == "start":
            if inner:
                yield f"<{element.tag}>"
            yield from element.text or ""
        elif inner:
            yield f"</{element.tag}>"
            yield from element.tail or ""


def _count(table: html.HtmlElement) -> int:
    """All elements below the table, as IBM counts: the table itself is not one of them."""
    return sum(1 for _ in table.iterdescendants())
