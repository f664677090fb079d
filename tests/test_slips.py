"""Small statements: what they say adds up, and stands on the grid that the tiny models read."""

import random

import numpy as np
import pytest
from PIL import ImageFont

from data_scripts.synthetic.language import load_words
from data_scripts.synthetic.slips import draw_small_statement
from helpers.statement_tables import checked, read
from ocr2_hf.errors import UsageError
from ocr2_hf.modeling.tiny import build_tiny_tokenizer


@pytest.fixture(scope="module")
def pages():
    fonts, words = ImageFont.load_default, load_words("en")
    return [draw_small_statement(random.Random(seed), 192, 192, fonts, words) for seed in range(150)]


def test_every_table_is_a_statement_whose_checks_close_exactly(pages):
    kinds = set()
    for page in pages:
        html = page.regions[1].text
        content = read(html)
        assert content.unit.currency and len(content.columns) == 1 and content.columns[0].period.end
        checks = checked(html)
        assert checks and all(check.status == "ok" and check.difference == 0 for check in checks)
        kinds.add(tuple(check.rule for check in checks))
    assert kinds == {("sum",), ("sum", "sum", "balance")}


def test_figures_have_four_or_five_digits_in_one_style_per_page(pages):
    marks, negative = set(), 0
    for page in pages:
        values = [value for line in read(page.regions[1].text).lines for value in line.values]
        assert all(1000 <= abs(value.number) < 100_000 for value in values)
        found = {mark for value in values for mark in ".," if mark in value.printed.text}
        assert len(found) == 1
        marks |= found
        negative += any(value.number < 0 for value in values)
    assert marks == {".", ","} and 10 < negative < 100


def test_the_ink_is_within_the_page_and_the_box_around_it(pages):
    for page in pages[:30]:
        ink = np.asarray(page.image().convert("L")) < 128
        for region in page.regions:
            x0, y0, x1, y1 = region.box()
            assert 0 <= x0 < x1 <= 192 and 0 <= y0 < y1 <= 192 and ink[y0:y1, x0:x1].any()
        assert page.annotation()["labels"] == ["title", "table"]


def test_tags_and_figures_take_few_tokens(pages):
    tokenizer = build_tiny_tokenizer()
    lengths = [len(tokenizer(page.regions[1].text, add_special_tokens=False).input_ids) for page in pages]
    assert max(lengths) < 200
    assert len(tokenizer("<table><tr><td>", add_special_tokens=False).input_ids) == 3


@pytest.mark.parametrize("size", [(176, 192), (192, 176)])
def test_a_page_too_small_is_refused(size):
    with pytest.raises(UsageError, match="192x192 is its size"):
        draw_small_statement(random.Random(0), *size, ImageFont.load_default, load_words("en"))
