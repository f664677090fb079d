"""TEDS, the tree edit distance similarity of HTML tables (Zhong et al., arXiv 1911.10683; IBM's code)."""

from collections.abc import Iterator

import numpy as np
from lxml import etree, html
from rapidfuzz.distance import Levenshtein
from rapidfuzz.process import cdist

from ocr2_hf.evaluation.tree_distance import tree_distance

# Real tables nest a handful of levels; markup nested deeper than this is a broken prediction and is cut there.
MAX_DEPTH = 16
# More than a model can write on a page (8,192 tokens). Two tables of this size take about 2 s and 300 MB.
MAX_NODES = 3000


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
    counts = _count(predicted), _count(reference)
    if max(counts) == 0:
        return 1.0
    trees = _Tree(predicted), _Tree(reference)
    if trees[0] == trees[1]:
        return 1.0
    distance = tree_distance(trees[0].leftmost, trees[1].leftmost, _rename_costs(*trees, structure_only))
    beyond = trees[0].cut, trees[1].cut
    # A deep tree and a flat one have so few nodes in common that the distance can pass the count: hence the floor.
    return max(0.0, 1.0 - (distance + abs(beyond[0] - beyond[1])) / (max(counts) - min(beyond)))


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


class _Tree:
    """A table's nodes in postorder: `leftmost` leaf indices [N], `kinds` (tag, colspan, rowspan), `contents` of cells.

    Cells have no nodes below them. `cut` is how many nodes were left out beyond MAX_NODES.
    """

    def __init__(self, table: html.HtmlElement):
        self.leftmost: list[int] = []
        self.kinds: list[tuple[str, int, int]] = []
        self.contents: list[tuple[str, ...]] = []
        self.cut = 0
        self._add(table, 0)

    def __eq__(self, other: object) -> bool:
        return vars(self) == vars(other)

    __hash__ = None

    def _add(self, element: html.HtmlElement, depth: int) -> None:
        first, cell = len(self.kinds), element.tag == "td"
        for child in element if not cell and depth < MAX_DEPTH else ():
            if len(self.kinds) < MAX_NODES:
                self._add(child, depth + 1)
            else:
                self.cut += 1 + _count(child)
        self.leftmost.append(first)
        self.kinds.append(
            ("td", cell_span(element, "colspan"), cell_span(element, "rowspan")) if cell else (element.tag, 1, 1)
        )
        self.contents.append(tuple(_cell_tokens(element)) if cell else ())


def _rename_costs(a: _Tree, b: _Tree, structure_only: bool) -> np.ndarray:
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


def cell_span(cell: html.HtmlElement, name: str) -> int:
    """The attribute as an integer; 1 where it is missing or no number, as browsers read it."""
    value = cell.get(name, "").strip()
    return int(value) if value.isdecimal() and len(value) < 10 else 1


def _count(table: html.HtmlElement) -> int:
    """All elements below the table, as IBM counts: the table itself is not one of them."""
    return sum(1 for _ in table.iterdescendants())
