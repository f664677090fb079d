"""CER, WER and edit distance, against jiwer and by hand; the script of most letters."""

import random
import unicodedata

import jiwer
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ocr2_hf.evaluation.text import (
    character_error_rate,
    dominant_script,
    exact_match,
    normalized_edit_distance,
    word_error_rate,
)


def test_rates_agree_with_jiwer_on_random_corpora():
    draw = random.Random(0)
    alphabets = ["abc de", "ابتث نم", "कखगिीं प", "发票金额 合", "é ü"]
    for _ in range(50):
        alphabet = draw.choice(alphabets)
        texts = ["x " + "".join(draw.choices(alphabet, k=draw.randint(0, 40))) for _ in range(8)]
        references = [" ".join(unicodedata.normalize("NFC", text).split()) for text in texts[:4]]
        predictions = [" ".join(unicodedata.normalize("NFC", text).split()) for text in texts[4:]]
        assert character_error_rate(predictions, references) == pytest.approx(jiwer.cer(references, predictions))
        assert word_error_rate(predictions, references) == pytest.approx(jiwer.wer(references, predictions))


TEXT = st.text(st.one_of(st.sampled_from("abc  \n\u0301\u0640اَ发कि"), st.characters()), max_size=30)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(TEXT, TEXT), min_size=1, max_size=4))
def test_rates_agree_with_jiwer_on_any_text(pages):
    def normal(text):
        return " ".join(unicodedata.normalize("NFC", text).split())

    # jiwer refuses empty references.
    predictions, references = [p for p, _ in pages], ["x " + r for _, r in pages]
    normal_p, normal_r = list(map(normal, predictions)), list(map(normal, references))
    assert character_error_rate(predictions, references) == pytest.approx(jiwer.cer(normal_r, normal_p))
    assert word_error_rate(predictions, references) == pytest.approx(jiwer.wer(normal_r, normal_p))


@pytest.mark.parametrize(
    ("prediction", "reference", "cer", "wer"),
    [
        # Arabic: a vowel mark and a tatweel are characters and are not taken out.
        ("كتب", "كَتَبَ", 3 / 6, 1),
        ("محـمد علي", "محمد علي", 1 / 8, 1 / 2),
        ("مرحبا بالعالم", "مرحبا بالعالم", 0, 0),
        # The order of two marks on one letter (shadda, fatha) is not a difference: NFC sorts them.
        ("\u0645\u064e\u0651", "\u0645\u0651\u064e", 0, 0),
        # Devanagari: vowel signs are characters, ka + nukta is one whichever way it is written.
        ("नमस्ते दुनया", "नमस्ते दुनिया", 1 / 13, 1 / 2),
        ("\u0958लम", "\u0915\u093cलम", 0, 0),
        # Chinese: whitespace parts no words, so a line is one.
        ("资产总计", "资产合计", 1 / 4, 1),
        ("资产合计\n1,000", "资产总计 1,000", 1 / 10, 1 / 2),
    ],
)
def test_other_scripts(prediction, reference, cer, wer):
    assert character_error_rate([prediction], [reference]) == pytest.approx(cer)
    assert word_error_rate([prediction], [reference]) == pytest.approx(wer)


def test_strict_compares_the_characters_as_they_are():
    predictions, references = ["caf\u0065\u0301\nx", "same"], ["caf\u00e9 x", "same"]
    assert character_error_rate(predictions, references) == 0 and exact_match(predictions, references) == 1
    # e and the accent for one letter: two edits; a line break for a space: one.
    assert character_error_rate(predictions, references, strict=True) == pytest.approx(3 / 10)
    assert exact_match(predictions, references, strict=True) == 0.5
    assert word_error_rate(predictions, references, strict=True) == pytest.approx(1 / 3)
    assert normalized_edit_distance(predictions, references, strict=True) == pytest.approx(3 / 7 / 2)


@pytest.mark.parametrize(
    ("prediction", "reference"),
    [
        ("caf\u0065\u0301", "caf\u00e9"),  # composed and decomposed accents
        ("one\nline", "one line"),
        ("  one\t\u00a0 line\r\n", "one line"),
        ("\u0915\u093c", unicodedata.normalize("NFC", "\u0915\u093c")),
    ],
)
def test_form_and_whitespace_do_not_count(prediction, reference):
    assert character_error_rate([prediction], [reference]) == 0
    assert word_error_rate([prediction], [reference]) == 0
    assert normalized_edit_distance([prediction], [reference]) == 0


def test_case_and_punctuation_count():
    assert character_error_rate(["Abc."], ["abc"]) == pytest.approx(2 / 3)


def test_rates_weigh_pages_by_length_and_the_distance_weighs_them_alike():
    predictions, references = ["xx", "abcdefgh"], ["ab", "abcdefgh"]
    assert character_error_rate(predictions, references) == pytest.approx(2 / 10)
    assert word_error_rate(predictions, references) == pytest.approx(1 / 2)
    assert normalized_edit_distance(predictions, references) == pytest.approx((1 + 0) / 2)


def test_a_rate_can_pass_one_and_the_distance_cannot():
    assert character_error_rate(["abcdef"], ["ab"]) == pytest.approx(2)
    assert normalized_edit_distance(["abcdef"], ["ab"]) == pytest.approx(4 / 6)


def test_empty_references():
    for metric in (character_error_rate, word_error_rate, normalized_edit_distance):
        assert metric(["", " "], ["", "\n"]) == 0
        assert metric(["invented"], [""]) == 1
        assert metric([""], ["lost"]) == 1
    # Beside other pages, what was invented on an empty page still counts.
    assert character_error_rate(["abcd", "xy"], ["abcd", ""]) == pytest.approx(2 / 4)


@pytest.mark.parametrize("pages", [([], []), (["a"], ["a", "b"]), ("abc", "abc")])
def test_wrong_calls_are_refused(pages):
    for metric in (character_error_rate, word_error_rate, normalized_edit_distance, exact_match):
        with pytest.raises(ValueError):
            metric(*pages)


@pytest.mark.parametrize(
    ("text", "script"),
    [
        ("Total: 1,000.00 €", "Latin"),
        ("éçā", "Latin"),
        ("Ａｂｃ", "Latin"),
        ("𝑥𝑦", "Latin"),
        ("الإجمالي كَتَبَ ١٢٣", "Arabic"),
        ("हिन्दी में", "Devanagari"),
        ("资产合计", "Han"),
        ("資産の合計", "Japanese"),
        ("カタカナ", "Japanese"),
        ("Приветствие", "Cyrillic"),
        ("Σύνολο", "Greek"),
        ("한국어", "Hangul"),
        ("ไทย", "Thai"),
        ("発票 Invoice", "Latin"),
        ("资产合计总计 Total", "Han"),
        ("1,000 — €", None),
        ("", None),
        ("\ud800", None),
    ],
)
def test_scripts(text, script):
    assert dominant_script(text) == script
