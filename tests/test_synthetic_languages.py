"""Synthetic pages in Chinese: fonts that have the letters, and those that have not."""

import json
import os
import re
from pathlib import Path

import numpy as np
import pytest
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from PIL import Image

from data_scripts.synthesize import main
from data_scripts.synthetic.fonts import LETTERS, load_fonts
from data_scripts.synthetic.language import letters, load_words, units
from ocr2_hf.errors import run_command

ENGLISH_WORDS, CHINESE_WORDS = load_words("en"), load_words("zh")
CHINESE = re.compile(r"[\u4e00-\u9fff]")


def draw(folder: Path, kind: str, *options: object) -> int:
    return run_command(main, [str(folder), "--kind", kind, "--pages", "2", *map(str, options)])


@pytest.fixture(scope="module")
def font(tmp_path_factory) -> Path:
    """A font with a letter for everything that pages say: boxes, each of another height."""
    path = tmp_path_factory.mktemp("font") / "boxes.ttf"
    build_font(path, LETTERS + letters(CHINESE_WORDS) + letters(ENGLISH_WORDS))
    return path


def build_font(path: Path, has: str) -> None:
    names = {ord(letter): f"g{ord(letter)}" for letter in dict.fromkeys(has)} | {32: "space"}
    order = [".notdef", *names.values()]
    builder = FontBuilder(1000, isTTF=True)
    builder.setupGlyphOrder(order)
    builder.setupCharacterMap(names)
    glyphs = {".notdef": box(950), "space": TTGlyphPen(None).glyph()}
    builder.setupGlyf({name: glyphs.get(name) or box(300 + i % 500) for i, name in enumerate(order)})
    builder.setupHorizontalMetrics({name: (600 if name == "space" else 1000, 50) for name in order})
    builder.setupHorizontalHeader(ascent=880, descent=-120)
    builder.setupNameTable({"familyName": "Boxes", "styleName": "Regular"})
    builder.setupOS2(sTypoAscender=880, sTypoDescender=-120)
    builder.setupPost()
    builder.save(path)


def box(height: int):
    pen = TTGlyphPen(None)
    pen.moveTo((50, 0))
    for corner in ((50, height), (850, height), (850, 0)):
        pen.lineTo(corner)
    pen.closePath()
    return pen.glyph()


def test_both_languages_have_the_same_names():
    english, chinese = ENGLISH_WORDS, CHINESE_WORDS
    assert list(vars(english)) == list(vars(chinese))
    assert [type(value) for value in vars(english).values()] == [type(value) for value in vars(chinese).values()]
    assert english.balance.keys() == chinese.balance.keys() and english.income.keys() == chinese.income.keys()
    for words in (english, chinese):
        assert len(words.balance_titles) == len(words.income_titles)
        listed = [value for value in vars(words).values() if isinstance(value, list)] + list(words.slots.values())
        assert all(isinstance(word, str) for words in listed for word in words), "a year or a yes needs quotes in YAML"
        used = {slot for text in words.sentences + words.titles for slot in re.findall(r"\{(\w+)\}", text)}
        assert used - words.slots.keys() <= {"number", "percent", "year", "reference", "reference2"}


DOCUMENTS = ("receipts", "statements", "articles")  # the other kinds stand on a grid of Latin letters


@pytest.mark.parametrize("kind", DOCUMENTS)
def test_pages_are_chinese_and_their_boxes_around_the_ink(tmp_path, font, kind):
    size = "384x512" if kind == "receipts" else "900x1200"
    assert draw(tmp_path / "a", kind, "--language", "zh", "--font", font, "--size", size) == 0
    for path in sorted(tmp_path.glob("a/images/*.png")):
        page = json.loads((tmp_path / f"a/annotations/{path.stem}.json").read_text())
        assert len(CHINESE.findall(page["text"])) > 15 and not re.search("[a-zA-Z]{4}", words_of(page))
        assert "？" not in page["text"] and "{" not in words_of(page)
        ink = 255 - np.asarray(Image.open(path).convert("RGB")).astype(int).min(2) >= 32
        for x0, y0, x1, y1 in page["bboxes"]:
            inside = ink[y0:y1, x0:x1]
            assert all(edge.any() for edge in (inside[0], inside[-1], inside[:, 0], inside[:, -1]))
        for x0, y0, x1, y1 in page["bboxes"]:
            ink[y0:y1, x0:x1] = False
        assert not ink.any()


def words_of(page: dict) -> str:
    """The page's words, without its formulas and the tags of its tables."""
    pairs = zip(page["labels"], page["texts"], strict=True)
    return re.sub("<[^>]*>", "", " ".join(text for label, text in pairs if label != "equation"))


def test_no_line_of_an_article_begins_with_a_closing_sign():
    pieces = units("平均27克），并保存[5，18]。如图1所示（见表2）。", CHINESE_WORDS)
    assert "".join(pieces) == "平均27克），并保存[5，18]。如图1所示（见表2）。"
    assert not any(piece[0] in "，。）]" for piece in pieces) and "27" in pieces and "克），" in pieces


def test_chinese_needs_a_font_and_says_so(tmp_path, capsys):
    assert draw(tmp_path / "a", "receipts", "--language", "zh") == 2
    error = capsys.readouterr().err
    assert "the font that Pillow carries has no" in error and "name a font that has with --font" in error
    assert CHINESE.search(error) and "and more" in error and not (tmp_path / "a").exists()


def test_a_font_that_lacks_a_letter_is_refused_by_that_letter(tmp_path, capsys):
    build_font(tmp_path / "less.ttf", (LETTERS + letters(CHINESE_WORDS)).replace("资", ""))
    options = ("--language", "zh", "--font", tmp_path / "less.ttf")
    assert draw(tmp_path / "a", "statements", *options) == 2
    assert capsys.readouterr().err.strip().endswith("less.ttf has no 资")


def test_pages_of_another_language_are_another_folder(tmp_path, font, capsys):
    assert draw(tmp_path / "a", "receipts", "--font", font) == 0
    assert draw(tmp_path / "a", "receipts", "--font", font, "--language", "zh") == 2
    assert "(language en, not zh)" in capsys.readouterr().err


def test_of_a_collection_the_face_of_the_language_is_taken():
    found = sorted(Path(os.environ.get("OCR2_FONTS", "/usr/share/fonts")).rglob("NotoSansCJK-Regular.ttc"))
    if not found:
        pytest.skip("no NotoSansCJK-Regular.ttc (set OCR2_FONTS to its folder)")
    fonts = load_fonts(found[0], letters(CHINESE_WORDS), CHINESE_WORDS.face)
    assert fonts(20).getname()[0] == "Noto Sans CJK SC"
    assert load_fonts(found[0])(20).getname()[0] == "Noto Sans CJK JP"
