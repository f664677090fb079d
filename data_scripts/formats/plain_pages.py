"""What a plain page has, in a file of its own or in a row: text, or boxes, or both, or a question and its answer."""

from typing import Any

from data_scripts.formats.columns import renamed
from data_scripts.formats.json_files import told_keys
from ocr2_hf.document.records import PageRecord, RecordError

PAGE_KEYS = ("text", "bboxes", "labels", "prompt", "target")
NEEDED = "it needs text, or bboxes and labels, or prompt and target"


def plain_record(
    annotation: dict[str, Any],
    columns: dict[str, str] | None,
    page_id: str,
    image_path: str,
    page_number: int | None = None,
    image_bytes: bytes | None = None,
) -> PageRecord:
    """The record of a page with such an annotation, in which `columns` have other names; `RecordError` where it has too
    little. Values are not yet checked (see `check_record`)."""
    page = renamed(annotation, columns)
    given = {key: page[key] for key in (*PAGE_KEYS, "texts") if page.get(key) is not None}
    if absent := _absent(given):
        empty = "".join(f"; its {key} is empty" for key in absent if key in page)
        raise RecordError(f"annotation has no {', '.join(absent)}; {NEEDED}{empty}; {told_keys(annotation)}")
    sides = page.get("width"), page.get("height")
    page_size = None if sides == (None, None) else sides
    image = {"image_path": image_path, "page_number": page_number, "image_bytes": image_bytes}
    return PageRecord(page_id, **image, page_size=page_size, **{"text": "", **given})


def _absent(given: dict[str, Any]) -> list[str]:
    """What is missing to what is given for a page to be known."""
    needed: tuple[str, ...] = ()
    if not given.keys().isdisjoint(("bboxes", "labels", "texts")):
        needed = ("text", "bboxes", "labels") if "texts" in given else ("bboxes", "labels")
    elif "text" not in given:
        needed = ("text",) if given.keys().isdisjoint(("prompt", "target")) else ("prompt", "target")
    absent = [key for key in needed if key not in given]
    # Boxes that are none say nothing: to take such a page for a blank one would teach silence.
    is_known = given.get("bboxes") or "text" in given or "target" in given
    return absent or ([] if is_known else ["text"])
