"""What an item of a DoclingDocument refers to, and where it is on the pages."""

import re
from typing import Any

from data_scripts.formats.json_files import are_all
from ocr2_hf.document.records import RecordError, shown

Item = dict[str, Any]

_SHOWN = ("texts", "tables", "pictures", "key_value_items", "form_items")
_REF = re.compile(r"#/(\w{1,40})/(0|[1-9][0-9]{0,8})")


def referred(document: dict[str, Any], ref: str) -> Item:
    """The item that a reference such as #/texts/3 means; `RecordError` where there is none."""
    found = _REF.fullmatch(ref)
    items = document.get(found[1]) if found else None
    if not isinstance(items, list) or int(found[2]) >= len(items) or not isinstance(items[int(found[2])], dict):
        raise RecordError(f"{shown(ref)} is referred to, but is no item of the document")
    return items[int(found[2])]


def item_refs(item: Any, key: str, where: str) -> list[str]:
    """The references under the key; docling names them "$ref", or "cref" where the fields' own names are written."""
    found = item.get(key) or [] if isinstance(item, dict) else []
    refs = [ref.get("$ref", ref.get("cref")) for ref in found] if are_all(dict, found) else [None]
    if not are_all(str, refs):
        raise RecordError(f"{key} of {where} is {shown(found)}, not a list of references")
    return refs


def item_places(item: Item, ref: str) -> list[dict[str, Any]]:
    """Where the item is: its `prov`, of which a cell has one and others a list."""
    found = item.get("prov") or []
    places = [found] if isinstance(found, dict) else found
    if not are_all(dict, places):
        raise RecordError(f"prov of {ref} is {shown(found)}, not a list of objects")
    for place in places:
        if type(place.get("page_no")) is not int or not isinstance(place.get("bbox"), dict):
            raise RecordError(f"prov of {ref} is {shown(place)}, without a page_no and a bbox")
    return places


def is_above(caption: Item, item: Item) -> bool:
    """Is the caption above what it is of, on the same page?"""
    both = [item_places(each, "a caption or what it is of") for each in (caption, item)]
    if not all(both) or both[0][0]["page_no"] != both[1][0]["page_no"]:
        return False
    (upper, lower) = (places[0]["bbox"] for places in both)
    tops = [upper.get("t"), lower.get("t")]
    if upper.get("coord_origin") != lower.get("coord_origin") or not all(type(top) in (int, float) for top in tops):
        return False
    return tops[0] > tops[1] if upper.get("coord_origin") == "BOTTOMLEFT" else tops[0] < tops[1]


def shown_refs(document: dict[str, Any]) -> list[str]:
    """References to all items that can be on a page."""
    lists = {name: document.get(name) for name in _SHOWN}
    return [f"#/{name}/{i}" for name, found in lists.items() if isinstance(found, list) for i in range(len(found))]


def caption_owners(document: dict[str, Any]) -> dict[str, str]:
    """Each caption -> what it is of; older versions of docling have both side by side in the body, captions first."""
    owners: dict[str, str] = {}
    for ref in shown_refs(document):
        for caption in item_refs(referred(document, ref), "captions", ref):
            owners.setdefault(caption, ref)
    return owners


def cell_refs(table: Item) -> list[str]:
    """The groups of a table that say once more what its cells do."""
    data = table.get("data")
    cells = data.get("table_cells") if isinstance(data, dict) else None
    refs = [cell.get("ref") for cell in cells] if are_all(dict, cells) else []
    return [str(ref.get("$ref", ref.get("cref"))) for ref in refs if isinstance(ref, dict)]


def loose_cells(form: Item, ref: str) -> list[Item]:
    """The cells of a form, or of keys and values, that are no item of the document besides."""
    graph = form.get("graph")
    cells = graph.get("cells") if isinstance(graph, dict) else []
    if not are_all(dict, cells):
        raise RecordError(f"cells of {ref} is {shown(cells)}, not a list of objects")
    return [cell for cell in cells if not cell.get("item_ref")]
