"""How the model writes a page down: marks before headings, what stands between regions, where captions go.

A `Dialect` is what outputs of one version have in common. `encode_regions` writes one, what is read
(`ocr2_hf.document.grounding`) may be in any. Where real outputs say otherwise, they are right: correct `VERSION_2`.
"""

import re
from dataclasses import dataclass

TABLE, TABLE_CAPTION = "table", "table_caption"
IMAGES, IMAGE_CAPTION = ("image", "figure"), "image_caption"

# Version 2 writes every sub_title so, those numbered 1.1 and 1.1.1 too.
_MARKS = {"title": "# ", "sub_title": "## "}
_MARK = re.compile(r"#{1,6}(?:[ \t]+|$)")


@dataclass(frozen=True)
class Dialect:
    """What a version writes between regions and around their texts.

    - `text_end`: behind the text of a region, tables apart, before the blank line and the next region.
    - `table_gap`: between a table's tag, which ends its line, and its HTML.
    - `caption_in_table`: a caption right before its table stands between the table's tag and its HTML; `caption_end`
      comes behind it, before a blank line.
    - `caption_at_image`: the tag of a caption right behind an image is on the line below the image's tag.
    - `image_caption`: what is made of such a caption, with {} for its text.
    """

    text_end: str = ""
    table_gap: str = ""
    caption_in_table: bool = False
    caption_end: str = ""
    caption_at_image: bool = False
    image_caption: str = "{}"


# The first DeepSeek-OCR, as public outputs of it show.
VERSION_1 = Dialect(
    text_end="  ",
    table_gap="\n",
    caption_in_table=True,
    caption_end="   ",
    caption_at_image=True,
    image_caption="<center>{} </center>",
)
VERSION_2 = Dialect()


def is_heading(label: str) -> bool:
    """Whether regions of this label are headings, whose texts have marks."""
    return label in _MARKS


def heading(label: str, text: str) -> str:
    """The text as a target has it: with marks before a heading; one that has its mark keeps it."""
    return text if not text or _MARK.match(text) else _MARKS.get(label, "") + text


def without_mark(label: str, text: str) -> str:
    """The text of a heading as the page shows it."""
    return _MARK.sub("", text, count=1) if is_heading(label) else text
