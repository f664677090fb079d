"""Synthetic articles: two columns in reading order, formulas as LaTeX, boxes around the ink."""

import json
import random
import re
from functools import lru_cache
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from lxml import html
from PIL import Image, ImageFont

from data_scripts.synthesize import main
from data_scripts.synthetic.article_parts import FORMULAS, choose_formula, draw_formula
from data_scripts.synthetic.language import break_lines, load_words, paragraph, units
from ocr2_hf.errors import run_command

PAGES = 6
LABELS = ["title", "sub_title", "text", "table", "figure_title", "equation", "image"]
LABELS += ["header", "footer"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("articles") / "raw"
    assert run_command(main, [str(folder), "--kind", "articles", "--pages", str(PAGES), "--seed", "2"]) == 0
    return folder


@lru_cache
def annotations(folder: Path) -> list[dict]:
    return [json.loads(path.read_text()) for path in sorted(folder.glob("annotations/*.json"))]


def regions(page: dict) -> list[tuple[str, list[int], str]]:
    return list(zip(page["labels"], page["bboxes"], page["texts"], strict=True))


def test_every_page_has_all_that_an_article_has(folder):
    assert {label for page in annotations(folder) for label in page["labels"]} == set(LABELS)
    for page in annotations(folder):
        for label in ("header", "title", "table", "image", "footer"):
            assert page["labels"].count(label) == 1
        assert page["labels"].count("figure_title") == 2
        assert page["labels"].count("text") > 5 and page["labels"].count("equation") >= 1
        assert page["text"] == "\n\n".join(text for text in page["texts"] if text)
        assert [text for label, _, text in regions(page) if label == "image"] == [""]


def test_regions_are_in_reading_order_column_by_column(folder):
    for page in annotations(folder):
        body = [box for label, box, _ in regions(page)][3:-1]  # below header, title and authors
        middle = 1240 / 2
        sides = [box[0] > middle for box in body]
        assert sides == sorted(sides) and 5 < sum(sides) < len(sides) - 5
        for side in (False, True):
            column = [box for box in body if (box[0] > middle) == side]
            assert all(box[2] < middle or side for box in column)
            assert all(above[3] <= below[1] + 1 for above, below in pairwise(column))
        assert page["bboxes"][0][1] < page["bboxes"][1][1] < page["bboxes"][2][1] < min(box[1] for box in body)


def test_captions_stand_by_what_they_name(folder):
    for page in annotations(folder):
        labels = page["labels"]
        assert labels[labels.index("table") - 1] == "figure_title"
        assert labels[labels.index("image") + 1] == "figure_title"


def test_boxes_are_exactly_around_the_ink(folder):
    for path in sorted(folder.glob("images/*.png")):
        # Ink of any colour; what is just ink is paler where the colour is.
        dark = 255 - np.asarray(Image.open(path).convert("RGB")).astype(int).min(2)
        ink = dark >= 20
        page = json.loads((folder / f"annotations/{path.stem}.json").read_text())
        for x0, y0, x1, y1 in [*page["bboxes"], *(cell["box"] for cell in page["cells"])]:
            inside = ink[y0:y1, x0:x1]
            assert all(edge.any() for edge in (inside[0], inside[-1], inside[:, 0], inside[:, -1]))
        for x0, y0, x1, y1 in page["bboxes"]:
            dark[y0:y1, x0:x1] = 0
        assert dark.max() < 32


def test_cells_are_those_of_the_html(folder):
    for page in annotations(folder):
        table = html.fragment_fromstring(next(text for label, _, text in regions(page) if label == "table"))
        found = [(td.text or "", int(td.get("rowspan", 1)), int(td.get("colspan", 1))) for td in table.xpath(".//td")]
        assert found == [(cell["text"], cell["rowspan"], cell["colspan"]) for cell in page["cells"]]


def test_equations_are_latex_between_delimiters(folder):
    for page in annotations(folder):
        for _, box, text in (region for region in regions(page) if region[0] == "equation"):
            assert re.fullmatch(r"\\\[ [^{}]*(\{.*\}.*)?\\\]", text)
            assert text.count("{") == text.count("}")
            tagged = box[2] - box[0] > 200 and r"\tag{" in text
            assert tagged or r"\tag{" not in text


def test_every_formula_can_be_drawn_and_no_two_look_the_same():
    class First:
        """Chooses what it is told of the formulas, and always the first letter."""

        def __init__(self, formula: str):
            self.formula = formula

        def choice(self, choices):
            return self.formula if choices is FORMULAS else choices[0]

        def randint(self, low: int, high: int) -> int:
            return high

    drawn = {draw_formula(choose_formula(First(formula)), 24).tobytes() for formula in FORMULAS}
    assert len(drawn) == len(FORMULAS)
    assert draw_formula(r"\frac{a}{b}", 24).height > 1.5 * draw_formula("a b", 24).height


def test_a_paragraph_goes_on_in_the_second_column(folder):
    ends = [
        (left[2], right[2])
        for page in annotations(folder)
        for left, right in pairwise(regions(page))
        if left[0] == right[0] == "text" and right[1][0] > 620 > left[1][0] and right[1][1] < left[1][1]
    ]
    broken = [(first, second) for first, second in ends if not first.endswith(".")]
    assert broken and all(second.endswith(".") for _, second in broken)


def test_lines_hold_the_words_of_the_paragraph_and_stay_within_the_width():
    font, words = ImageFont.load_default(18), load_words("en")
    for seed in range(20):
        pieces = units(paragraph(random.Random(seed), words), words)
        lines = break_lines(pieces, font, 400, words, 20, justified=True)
        assert [piece for line in lines for piece in line.pieces] == pieces
        ends = [line.starts[-1] + font.getlength(line.pieces[-1]) for line in lines]
        assert lines[0].starts[0] == 20 and all(line.starts[0] == 0 for line in lines[1:])
        assert ends[:-1] == pytest.approx([400] * (len(lines) - 1)) and ends[-1] <= 400


@pytest.mark.parametrize("size", ["500x900", "1240x700"])
def test_a_page_too_small_is_refused(tmp_path, capsys, size):
    assert run_command(main, [str(tmp_path / "a"), "--kind", "articles", "--pages", "1", "--size", size]) == 2
    assert f"{size} is too small for an article" in capsys.readouterr().err
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize("seed", range(3))
def test_the_smallest_pages_hold_everything(tmp_path, seed):
    options = ["--kind", "articles", "--pages", "3", "--size", "640x800", "--seed", str(seed)]
    assert run_command(main, [str(tmp_path / "a"), *options]) == 0
    for page in annotations(tmp_path / "a"):
        boxes = np.array(page["bboxes"])
        assert boxes.min() >= 16 and (boxes[:, 2] <= 624).all() and (boxes[:, 3] <= 784).all()
        assert "image" in page["labels"] and "table" in page["labels"]
        for i, one in enumerate(boxes):
            overlap = np.minimum(one[2:], boxes[i + 1 :, 2:]) - np.maximum(one[:2], boxes[i + 1 :, :2])
            assert not (overlap > 1).all(axis=1).any()
