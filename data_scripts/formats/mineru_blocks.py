"""The regions of a page in MinerU's NAME_middle.json: its blocks, of lines, of spans.

Where there are `preproc_blocks` these count: in `para_blocks` a paragraph that goes on in the next column or on the
next page is one block, with the lines of both. From those come only levels of titles and where items of lists begin.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from data_scripts.formats.documents import DocumentRegion
from data_scripts.formats.formulas import display_formula, inline_formula
from data_scripts.formats.json_files import are_all, numbers, string
from data_scripts.formats.mineru_margins import with_margins
from data_scripts.formats.paragraphs import join_lines, join_pieces
from ocr2_hf.document.records import RecordError, shown

Block = dict[str, Any]
_Box = tuple[float, ...]

_MOVED = "lines_deleted"  # MinerU's mark of a block whose lines it has put into the one before
_DEEPEST = 8
_PICTURES = ("image", "chart")
_TABLE_END = "</table>"


def page_regions(page: Block, height: float) -> list[DocumentRegion]:
    """The regions of a page of `pdf_info`, with what MinerU leaves out of its Markdown first or last, by its place."""
    reader = _Reader(*_told_by_paragraphs(_list(page, "para_blocks")))
    regions = [region for block in _list(page, _own_key(page)) for region in reader.regions(block)]
    discarded = [region for block in _list(page, "discarded_blocks") for region in reader.regions(block)]
    return with_margins(regions, discarded, height)


def has_moved(page: Block) -> bool:
    """Are lines of this page in the block before them, and so perhaps on the page before?"""
    own = _list(page, _own_key(page))
    return any(block.get(_MOVED) is True for outer in own for block in (outer, *_list(outer, "blocks")))


def _own_key(page: Block) -> str:
    return "para_blocks" if page.get("preproc_blocks") is None else "preproc_blocks"


def _told_by_paragraphs(blocks: list[Block]) -> tuple[dict[_Box, Any], set[_Box]]:
    """The level of each title and the first lines of items, by their boxes."""
    lines = [line for block in blocks for line in _list(block, "lines")]
    starts = {_box_of(line) for line in lines if line.get("is_list_start_line") is True}
    return {_box_of(block): block.get("level") for block in blocks}, starts


def _box_of(block: Block) -> _Box:
    box = block.get("bbox")
    return tuple(box) if isinstance(box, list) and all(type(value) in (int, float) for value in box) else ()


@dataclass(frozen=True)
class _Reader:
    """Reads blocks of a page; `levels` and `starts` are by boxes."""

    levels: dict[_Box, Any]
    starts: set[_Box]

    def regions(self, block: Block, depth: int = 0) -> Iterator[DocumentRegion]:
        """The regions in a block: pictures, tables and code have some, a list is one."""
        kind = string(block.get("type"), "type of a block")
        if depth > _DEEPEST:
            raise RecordError(f"blocks lie more than {_DEEPEST} deep")
        inner = _list(block, "blocks")
        if inner and kind not in ("list", "index", "ref_text"):
            if all(type(each.get("index")) in (int, float) for each in inner):
                inner = sorted(inner, key=lambda each: each["index"])
            for each in inner:
                yield from self.regions(each, depth + 1)
            return
        text = self.text(block)
        yield DocumentRegion(
            self.label(kind, block), text, numbers(block.get("bbox"), 4, f"bbox of a block {shown(kind)}")
        )

    def label(self, kind: str, block: Block) -> str:
        level = block.get("level") or self.levels.get(_box_of(block))
        return "paragraph_title" if kind == "title" and type(level) is int and level > 1 else kind

    def text(self, block: Block, depth: int = 0) -> str:
        """The text of lines, or of the items of a list, which may be lists, a line each."""
        if (inner := _list(block, "blocks")) and depth <= _DEEPEST:
            return "\n".join(filter(None, (self.text(each, depth + 1) for each in inner)))
        if block.get("type") == "code_body":
            lines = ["".join(map(_span_text, _list(line, "spans"))).rstrip() for line in _list(block, "lines")]
            return "\n".join(lines).strip("\n")
        items: list[list[str]] = [[]]
        for line in _list(block, "lines"):
            if _box_of(line) in self.starts and items[-1]:
                items.append([])
            items[-1].append(_line_text(line))
        return "\n".join(map(join_lines, items))


def _line_text(line: Block) -> str:
    return join_pieces(map(_span_text, _list(line, "spans")))


def _span_text(span: Block) -> str:
    kind = string(span.get("type"), "type of a span")
    if kind == "table":
        return table_element(string(span.get("html") or span.get("latex") or "", "html of a table"))
    content = string(span.get("content") or "", f"content of a span {shown(kind)}")
    if kind in _PICTURES:
        return ""  # what a picture shows, said by a model
    as_text = {"inline_equation": inline_formula, "interline_equation": display_formula}
    return as_text[kind](content) if kind in as_text else content


def table_element(html: str) -> str:
    """The table without the page that some versions write around it."""
    begin, end = html.find("<table"), html.rfind(_TABLE_END)
    return html[begin : end + len(_TABLE_END)] if 0 <= begin < end else html.strip()


def _list(block: Block, key: str) -> list[Block]:
    found = block.get(key)
    if found is not None and not are_all(dict, found):
        raise RecordError(f"{key} is {shown(found)}, not a list of objects")
    return found or []
