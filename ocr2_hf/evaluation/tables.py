"""TEDS, the tree edit distance similarity of HTML tables (Zhong et al., arXiv 1911.10683; IBM's code)."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from apted import APTED, Config
from lxml import etree, html
from rapidfuzz.distance import Levenshtein

# Real tables nest a handful of levels; markup nested deeper than this is a broken prediction and is cut
# there, so that neither we nor apted run out of stack.
MAX_DEPTH = 100


def teds(predicted_html: str, reference_html: str, structure_only: bool = False) -> float:
    """1 - (tree edit distance / node count of the larger table), in [0, 1], of the first table on each side.

    Deleting, inserting or relabelling a node (tag, colspan or rowspan differ) costs 1; between two `td` of
    one span the cost is the normalised edit distance of their content, markup included, and 0 with
    `structure_only` (TEDS-S). As in IBM's code the text of `th` is not compared: replace `th` by `td` on
    both sides where it should be. HTML that is cut off or malformed is repaired as libxml2 does; 0.0 when
    either side has no table.
    """
    predicted, reference = parse_table(predicted_html), parse_table(reference_html)
    if predicted is None or reference is None:
        return 0.0
    nodes = max(_count(predicted), _count(reference))
    if nodes == 0:
        return 1.0
    trees = _tree(predicted, structure_only), _tree(reference, structure_only)
    # A deep tree and a flat one have so few nodes in common that the distance can pass the count: hence the
    # floor.
    return max(0.0, 1.0 - float(APTED(*trees, _Costs()).compute_edit_distance()) / nodes)


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
class _Node:
    tag: str
    span: tuple[int, int] = (1, 1)
    content: list[str] = field(default_factory=list)
    children: list["_Node"] = field(default_factory=list)


class _Costs(Config):
    """Costs of apted: insert and delete 1 (the defaults), rename as in `teds`."""

    def rename(self, node1: _Node, node2: _Node) -> float:
        if (node1.tag, node1.span) != (node2.tag, node2.span):
            return 1.0
        return Levenshtein.normalized_distance(node1.content, node2.content)


def _tree(element: html.HtmlElement, structure_only: bool, depth: int = 0) -> _Node:
    if element.tag == "td":
        content = [] if structure_only else list(_cell_tokens(element))
        return _Node("td", (_span(element, "colspan"), _span(element, "rowspan")), content)
    children = [] if depth == MAX_DEPTH else [_tree(child, structure_only, depth + 1) for child in element]
    return _Node(element.tag, children=children)


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


def _span(cell: html.HtmlElement, name: str) -> int:
    """The attribute as an integer; 1 where it is missing or no number, as browsers read it."""
    value = cell.get(name, "").strip()
    return int(value) if value.isdecimal() and len(value) < 10 else 1


def _count(table: html.HtmlElement) -> int:
    """All elements below the table, as IBM counts: the table itself is not one of them."""
    return sum(1 for _ in table.iterdescendants())
