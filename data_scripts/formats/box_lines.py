"""Lines of a box and its text, as SROIE and the other Robust Reading challenges of ICDAR have them.

`x1,y1,x2,y2,x3,y3,x4,y4,text`: four corners, then the text with whatever commas it has (SROIE, ICDAR 2015); where every
line of a page has its language before the text (MLT 2017 and 2019), or its text in quotes, these are no part of it.
`x0 y0 x1 y1 "text"`, also with commas between (ICDAR 2013). The text `###` is one that cannot be read: "".
"""

import re

from data_scripts.formats.entries import Fields
from data_scripts.formats.layout import box_around
from ocr2_hf.document.records import RecordError, shown

LANGUAGES = "Arabic|Bangla|Chinese|Hindi|Japanese|Korean|Latin|Mixed|None|Symbols"
UNREADABLE = "###"
GROUND_TRUTH = "gt_"  # the names of their files begin so, but for SROIE's

_NUMBER = r"(-?[0-9]{1,9}(?:\.[0-9]{1,20})?)"
# More corners, as CTW1500 has them before "####", are no text.
_CORNERS = re.compile(r"\s*" + rf"{_NUMBER}\s*,\s*" * 8 + r"(?!(?:-?\d{1,9},){2,}####)(.*)", re.DOTALL)
_BOX = re.compile(r"\s*" + rf"{_NUMBER}(?:\s*,\s*|\s+)" * 4 + r'"(.*)"\s*', re.DOTALL)
_LANGUAGE = re.compile(rf"(?:{LANGUAGES}),(.*)", re.DOTALL)
_QUOTED = re.compile(r'"(.*)"', re.DOTALL)
_ESCAPED = re.compile(r'\\(["\\])')


def is_box_line(line: str) -> bool:
    """Is it such a line?"""
    return bool(_CORNERS.fullmatch(line) or _BOX.fullmatch(line))


def box_line_fields(text: str) -> Fields:
    """The lines that are not blank as regions, and as the text of their page.

    `RecordError` with the number of one that is no such line.
    """
    bboxes, texts = [], []
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        if fields := _CORNERS.fullmatch(line):
            texts.append(fields[9].strip())
        elif fields := _BOX.fullmatch(line):
            texts.append(f'"{fields[5]}"')
        else:
            raise RecordError(f"line {number} is {shown(line)}, not x1,y1,x2,y2,x3,y3,x4,y4,text")
        values = [float(value) for value in fields.groups()[:-1]]
        bboxes.append(box_around(list(zip(values[::2], values[1::2])), f"line {number}"))
    texts = [readable(text) for text in _bare(_bare(texts, _LANGUAGE), _QUOTED)]
    whole = "\n".join(filter(None, texts))
    return {"text": whole, "bboxes": bboxes, "labels": ["text"] * len(bboxes), "texts": texts}


def _bare(texts: list[str], around: re.Pattern) -> list[str]:
    """The texts without what is around every one of them; as they are where one has it not."""
    found = [around.fullmatch(text) for text in texts]
    if not all(found):
        return texts
    return [unescaped_quotes(match[1]) if around is _QUOTED else match[1].strip() for match in found]


def unescaped_quotes(text: str) -> str:
    r"""What a text in quotes says, where \" is a quote and \\ a backslash."""
    return _ESCAPED.sub(r"\1", text)


def readable(text: str) -> str:
    """The text; "" where the annotation says that it cannot be read."""
    return "" if text == UNREADABLE else text
