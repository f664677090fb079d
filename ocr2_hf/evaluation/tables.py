"""TEDS, the tree edit distance similarity of HTML tables (Zhong et al., arXiv 1911.10683; IBM's code)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from lxml import etree, html
from rapidfuzz.distance import Levenshtein
from rapidfuzz.process import cdist

from ocr2_hf.document.tables import cell_span
from ocr2_hf.evaluation.tree_distance import tree_distance

# Real tables nest a handful of levels; markup nested deeper than this is a broken prediction and is cut there.
MAX_DEPTH = 16
# More than a model can write on a page (8,192 tokens). Two tables of this size take about 1 s and 250 MB.
MAX_NODES = 2000


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
        tree = cls(total=_count(table))
        tree._add_element(table, 0)
        return tree

    @classmethod
    def of_cells(cls, rows: Sequence[Sequence[tuple[str, int, int]]]) -> "TableTree":
        """Rows of cells (text, colspan, rowspan), as if they were written with `tr` and `td` and no more."""
        tree = cls(total=sum(map(len, rows)) + len(rows))
        for row in rows:
            if len(tree.kinds) + len(row) >= MAX_NODES:
                tree.cut += len(row) + 1
                continue
            first = len(tree.kinds)
            for text, *spans in row:
                tree._add(len(tree.kinds), ("td", *spans), text)
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
    distinct = [list(dict.fromkeys(tree.contents)) for tree in (a, b)]
    distance = cdist(*distinct, scorer=Levenshtein.normalized_distance, dtype=np.float64)
    places = [{content: place for place, content in enumerate(contents)} for contents in distinct]
    rows, columns = ([place[content] for content in tree.contents] for place, tree in zip(places, (a, b), strict=True))
    return np.where(other_kind_AB, 1.0, distance[np.ix_(rows, columns)])


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
