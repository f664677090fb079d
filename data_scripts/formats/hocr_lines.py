"""The lines in a region of hOCR, each with its words, and with its own text where that is not what the words say."""

from collections.abc import Iterator
from typing import Any

from data_scripts.formats.hocr_elements import LINES, WORDS, box_of, kind_of
from data_scripts.formats.hocr_texts import text_of, written
from data_scripts.formats.layout import LayoutBlock, letters_of


def lines_in(parent: Any) -> Iterator[LayoutBlock]:
    """The lines in `parent`, at any depth."""
    for child in parent:
        if kind_of(child) in LINES:
            yield line_block(child)
        else:
            yield from lines_in(child)


def line_block(line: Any) -> LayoutBlock:
    """The element, of whatever class, as a line."""
    words = [
        LayoutBlock("word", word.get("id", ""), box_of(word), text_of(word))
        for word in line.iter()
        if kind_of(word) in WORDS
    ]
    block = LayoutBlock("line", line.get("id", ""), box_of(line), parts=words)
    letters = letters_of(block.text)
    if letters != letters_of("".join(line.itertext())):  # not all of it is in words, or some of it twice
        text, _, is_repeated = written(line)
        if is_repeated or letters != letters_of(text):
            block.own_text = " ".join(text.split())
    return block
