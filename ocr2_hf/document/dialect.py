"""How the model writes a page down: its labels, marks before headings, what stands between regions, where captions go.

A `Dialect` is what outputs of one version have in common. `encode_regions` writes one, what is read
(`ocr2_hf.document.grounding`) may be in any. Where real outputs say otherwise, they are right: correct `VERSION_2`;
`recipes/deepseek_ocr2/verify.sh` counts what a model at hand does.
"""

import re
from dataclasses import dataclass

TABLE, EQUATION, IMAGES = "table", "equation", ("image", "figure")
CAPTION = "figure_title"  # of images and of tables, in version 2
TABLE_CAPTION, IMAGE_CAPTION = "table_caption", "image_caption"  # in version 1
LABELS = frozenset(
    [
        *("title", "sub_title", "text", TABLE, EQUATION, *IMAGES, CAPTION, TABLE_CAPTION, IMAGE_CAPTION),
        *("table_footnote", "header", "footer", "page_number"),
    ]
)

# Version 2 writes every sub_title so, those numbered 1.1 and 1.1.1 too.
_MARKS = {"title": "# ", "sub_title": "## "}
_MARK = re.compile(r"#{1,6}(?:[ \t]+|$)")


@dataclass(frozen=True)
class Dialect:
    """What a version writes around the texts of regions, which a blank line parts.

    - `text_end`: behind a text, tables apart, where another region follows; `empty_end`: behind the tag of a region
      without a text.
    - `table_gap`: between a table's tag, which ends its line, and its HTML.
    - `around_equation`: on both sides of a formula; behind it where another region follows.
    - `caption_in_table`: a `TABLE_CAPTION` right before its table stands between the table's tag and its HTML;
      `caption_end` comes behind it, before a blank line.
    - `caption_at_image`: the tag of an `IMAGE_CAPTION` right behind an image is on the line below the image's tag.
    - `image_caption`: what is made of an `IMAGE_CAPTION`, with {} for its text.
    """

    text_end: str = ""
    empty_end: str = ""
    table_gap: str = ""
    around_equation: str = ""
    caption_in_table: bool = False
    caption_end: str = ""
    caption_at_image: bool = False
    image_caption: str = "{}"


# DeepSeek-OCR, by public outputs of it.
VERSION_1 = Dialect(
    text_end="  ",
    table_gap="\n",
    caption_in_table=True,
    caption_end="   ",
    caption_at_image=True,
    image_caption="<center>{} </center>",
)
# DeepSeek-OCR-2, by public outputs of it, most of them of a conversion for other hardware: captions are regions of
# their own, before or behind what they name.
VERSION_2 = Dialect(empty_end="\n", around_equation=" ")


def is_heading(label: str) -> bool:
    """Whether regions of this label are headings, whose texts have marks."""
    return label in _MARKS


def heading(label: str, text: str) -> str:
    """The text as a target has it: with marks before a heading; one that has its mark keeps it."""
    return text if not text or _MARK.match(text) else _MARKS.get(label, "") + text


def without_mark(label: str, text: str) -> str:
    """The text of a heading as the page shows it."""
    return _MARK.sub("", text, count=1) if is_heading(label) else text
