"""Pages with their regions drawn on them: numbers hide no text, and a label has one colour everywhere."""

import numpy as np
import pytest
from PIL import Image, ImageColor, ImageDraw

from ocr2_hf.document.dialect import LABELS
from ocr2_hf.document.grounding import Region
from ocr2_hf.document.overlay import draw_overlay, label_color


def page_of(boxes: list[tuple[int, int, int, int]], size: tuple[int, int] = (600, 800)) -> Image.Image:
    """A white page with bars of ink in these boxes, as letters stand in a line."""
    page = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(page)
    for left, top, right, bottom in boxes:
        for x in range(left, right - 3, 7):
            draw.rectangle((x, top, min(x + 1, right - 1), bottom - 1), fill="black")
    return page


def hidden(page: Image.Image, overlay: Image.Image) -> float:
    """The share of the ink of the page that the overlay covers."""
    ink = np.asarray(page.convert("L")) < 128
    return float((np.asarray(overlay.convert("L"))[ink] > 60).mean())


def covered(page: Image.Image, color: str) -> np.ndarray:
    """[height, width]: where a picture has exactly this colour."""
    return (np.asarray(page) == ImageColor.getrgb(color)).all(2)


LINES = [(100, 100 + 22 * number, 500, 120 + 22 * number) for number in range(20)]
WORDS = [
    (60 + 40 * column, 60 + 22 * row, 96 + 40 * column, 80 + 22 * row) for row in range(20) for column in range(12)
]
FULL = [(2, 22 * number, 598, 22 * number + 20) for number in range(36)]


@pytest.mark.parametrize(
    "boxes", [LINES, WORDS, FULL, [(50, 50, 560, 600), *LINES]], ids=["lines", "words", "full", "nested"]
)
@pytest.mark.parametrize("labels", [["text"], ["text", "title"]])
def test_numbers_hide_no_text(boxes, labels):
    page = page_of([box for box in boxes if box[3] - box[1] < 100])
    regions = [Region(labels[number % len(labels)], box) for number, box in enumerate(boxes)]
    overlay = draw_overlay(page, regions)
    assert overlay.size == page.size and hidden(page, overlay) < 0.01  # frames around the boxes may touch letters


def test_every_line_has_its_number_where_there_is_a_margin():
    overlay = draw_overlay(page_of(LINES), [Region("text", box) for box in LINES])
    margin = covered(overlay, label_color("text"))[:, 60:97]
    starts = np.diff(margin.any(1).astype(int), prepend=0) == 1
    assert margin.sum() > 20 * 50 and starts.sum() >= 19


@pytest.mark.parametrize("kind", ["image", "form"])
def test_a_region_of_the_whole_page_does_not_take_the_numbers_of_what_is_in_it(kind):
    boxes = [(0, 0, 600, 800), (100, 300, 500, 320)]
    overlay = draw_overlay(page_of(boxes[1:]), [Region(kind, boxes[0]), Region("text", boxes[1])])
    assert (
        covered(overlay, label_color("text"))[270:340].sum()
        > covered(draw_overlay(page_of([]), [Region("text", boxes[1])]), label_color("text"))[300:320].sum()
    )


def test_labels_are_written_where_there_are_several():
    box, page = (100, 100, 500, 150), Image.new("RGB", (600, 800), "white")
    above = []
    for labels in (["text", "text"], ["text", "title"]):
        overlay = draw_overlay(page, [Region(labels[0], box), Region(labels[1], (100, 500, 500, 550))])
        above.append(int(covered(overlay, label_color("text"))[90:98].any(0).sum()))
    assert 0 < above[0] < 20 < above[1]


def test_a_label_has_one_colour_in_every_picture():
    page, box = Image.new("RGB", (600, 800), "white"), (100, 100, 500, 150)
    for labels in (["Stamp", "title"], ["text", "Stamp"], ["Stamp"]):
        overlay = draw_overlay(
            page, [Region(label, (100, 100 + 200 * at, 500, 150 + 200 * at)) for at, label in enumerate(labels)]
        )
        for at, label in enumerate(labels):
            assert overlay.getpixel((499, 99 + 200 * at)) == ImageColor.getrgb(label_color(label))
    assert len({label_color(label) for label in ("text", "title", "sub_title", "table", "image", "figure_title")}) == 6
    assert all(label_color(label) != label_color("text") for label in LABELS - {"text"})
    assert draw_overlay(page, []).tobytes() == page.tobytes() and box


@pytest.mark.parametrize(
    "box", [(500, 400, 100, 100), (-50, -50, 20, 20), (590, 790, 900, 900), (0, 0, 0, 0), (3, 3, 5, 5)]
)
def test_boxes_that_a_model_makes_up_are_drawn_or_left_out(box):
    regions = [Region("text", box), Region("title", (100, 100, 200, 200))]
    assert draw_overlay(Image.new("RGB", (600, 800), "white"), regions).size == (600, 800)
    assert draw_overlay(Image.new("RGB", (5, 5), "white"), regions).size == (5, 5)
