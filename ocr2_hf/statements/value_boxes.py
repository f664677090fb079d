"""Boxes of single figures: the model is asked where each stands."""

from collections import Counter
from collections.abc import Sequence

from PIL import Image

from ocr2_hf.data.images import Crop
from ocr2_hf.document.grounding import Box, parse_regions
from ocr2_hf.statements.page_reader import PageReader
from ocr2_hf.statements.statement import Line

MAX_TOKENS = 64  # a text and four numbers


def locate_values(
    reader: PageReader, image: Image.Image, crop: Crop, lines: Sequence[Line], batch_size: int
) -> dict[str, Box]:
    """Text -> box of every figure that the model could point at, in pixels of what `image` shows the piece `crop` of.

    A text that stands in the table twice is not asked for, and an answer with no box or several is not believed.
    """
    texts = [value.figure.text for line in lines for value in line.values if value]
    asked = [text for text, count in Counter(texts).items() if count == 1 and any(map(str.isdigit, text))]
    boxes: dict[str, Box] = {}
    for start in range(0, len(asked), batch_size):
        batch = asked[start : start + batch_size]
        prompts = [reader.prompt("locate", text) for text in batch]
        answers = reader.answer_batch([image] * len(batch), prompts, MAX_TOKENS)
        for text, answer in zip(batch, answers, strict=True):
            if answer is None:
                continue
            found = [region for region in parse_regions(answer.text, *image.size) if region.label == text]
            if len(found) == 1:
                boxes[text] = _uncropped(found[0].box, crop)
    return boxes


def _uncropped(box: Sequence[float], crop: Crop) -> Box:
    left, top = crop[:2]
    return (box[0] + left, box[1] + top, box[2] + left, box[3] + top)
