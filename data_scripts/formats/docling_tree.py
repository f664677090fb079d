"""The items of a DoclingDocument in reading order, each with its text, and where that is on the pages."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from data_scripts.formats.docling_items import (
    Item,
    caption_owners,
    cell_refs,
    is_above,
    item_places,
    item_refs,
    loose_cells,
    referred,
    shown_refs,
)
from data_scripts.formats.docling_texts import item_text, table_html, text_parts
from data_scripts.formats.formulas import inline_formula
from data_scripts.formats.json_files import string
from data_scripts.formats.paragraphs import join_pieces
from ocr2_hf.document.records import RecordError

_HEADER = "page_header"
_DEEPEST = 100
_UNSEEN_LAYERS = ("invisible", "notes")  # what was hidden, and a speaker's notes, are not on the page


class Piece(NamedTuple):
    """A text, or a part of one, on one page. `boxes` are as the document has them; several are around one line."""

    ref: str
    page: int
    label: str
    text: str
    boxes: list[dict[str, Any]]


def document_pieces(document: dict[str, Any], first_page: int) -> Iterator[Piece]:
    """Every piece, by the tree of the body, and last what it does not reach; headers of pages come first.

    A text from the page before would else be above them. Raises `RecordError` where a reference leads nowhere or to
    what it is in.
    """
    walk = _Walk(document, first_page, caption_owners(document))
    pieces = [*walk.below("body"), *walk.below("furniture"), *walk.unreached()]
    yield from (piece for piece in pieces if piece.label == _HEADER)
    yield from (piece for piece in pieces if piece.label != _HEADER)


@dataclass
class _Walk:
    """A walk: `page` is of the piece before, `owners` are what captions are of, `around` is what the walk is in."""

    document: dict[str, Any]
    page: int
    owners: dict[str, str]
    seen: set[str] = field(default_factory=set)
    around: set[str] = field(default_factory=set)

    def below(self, root: str) -> Iterator[Piece]:
        for ref in item_refs(self.document.get(root), "children", root):
            yield from self.visit(ref)

    def unreached(self) -> Iterator[Piece]:
        for ref in shown_refs(self.document):
            yield from self.visit(ref)
        self.owners = {}  # there may be captions that are of each other
        for ref in shown_refs(self.document):
            yield from self.visit(ref)

    def visit(self, ref: str, named: Item | None = None) -> Iterator[Piece]:
        """The pieces of an item and of all in it; `named` is the item around it where that leaves its text to it."""
        if ref in self.around:
            raise RecordError(f"{ref} is within itself")
        if ref in self.seen or self.owners.get(ref, ref) not in {ref, *self.around}:
            return
        if len(self.around) >= _DEEPEST:
            raise RecordError(f"{ref} lies more than {_DEEPEST} items deep")
        item = referred(self.document, ref)
        self.seen.add(ref)
        self.around.add(ref)
        children, captions, footnotes = (item_refs(item, key, ref) for key in ("children", "captions", "footnotes"))
        for caption in captions:
            if is_above(referred(self.document, caption), item):
                yield from self.visit(caption)
        yield from self.own(ref, item, named or item)
        for inner in (*captions, *children, *footnotes):
            yield from self.visit(inner, item if item.get("text") == "" else None)
        self.around.remove(ref)

    def own(self, ref: str, item: Item, named: Item) -> Iterator[Piece]:
        """The pieces of the item itself."""
        match "" if item.get("content_layer") in _UNSEEN_LAYERS else ref.split("/")[1]:
            case "groups" if item.get("label") == "inline":
                yield from self.line(ref, item, named)
            case "texts":
                text = item_text(item, ref)
                if text or not item.get("children"):
                    yield from self.placed(ref, item, text)
            case "tables":
                for cell in cell_refs(item):
                    list(self.visit(cell))  # so that nothing else says it again
                yield from self.placed(ref, item, table_html(item, ref))
            case "pictures":
                yield from self.placed(ref, item, "")
            case "key_value_items" | "form_items":
                for cell in loose_cells(item, ref):
                    yield from self.placed(ref, cell, item_text(cell, ref))

    def placed(self, ref: str, item: Item, text: str) -> Iterator[Piece]:
        """The text where it is: in one box, or in parts in several."""
        label, places = string(item.get("label"), f"label of {ref}"), item_places(item, ref)
        if not places:
            yield Piece(ref, self.page, label, text, [])  # where the piece before is
        parts = text_parts(text, [place.get("charspan") for place in places])
        for place, part in zip(places, parts):
            self.page = place["page_no"]
            yield Piece(ref, self.page, label, part, [place["bbox"]])

    def line(self, ref: str, group: Item, named: Item) -> Iterator[Piece]:
        """What stands in one line, as one piece with the label of `named`, and the pictures in it."""
        pieces = [piece for child in item_refs(group, "children", ref) for piece in self.visit(child)]
        text = join_pieces(inline_formula(p.text) if p.label == "formula" else p.text for p in pieces)
        boxes = [box for p in pieces if p.text and p.page == pieces[0].page for box in p.boxes]
        boxes = boxes or [place["bbox"] for place in item_places(named, ref)[:1]]
        label = "text" if named is group else string(named.get("label"), f"label around {ref}")
        if text:
            yield Piece(ref, pieces[0].page, label, text, boxes)
        yield from (piece for piece in pieces if not piece.text)
