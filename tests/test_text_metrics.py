"""CER, WER and edit distance, against jiwer and by hand."""

import random
import unicodedata

import jiwer
import pytest

from ocr2_hf.evaluation.text import (
    character_error_rate,
    normalized_edit_distance,
    strip_grounding,
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
    for metric in (character_error_rate, word_error_rate, normalized_edit_distance):
        with pytest.raises(ValueError):
            metric(*pages)


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("no tags, a < b | c", "no tags, a < b | c"),
        (
            "<|ref|>title<|/ref|><|det|>[[1, 2, 3, 4]]<|/det|>\n# One\n\n"
            "<|ref|>text<|/ref|><|det|>[[5, 6, 7, 8]]<|/det|>\nTwo",
            "# One\nTwo",
        ),
        ("<|ref|>image<|/ref|><|det|>[[1, 2, 3, 4]]<|/det|>\n", ""),
        ("before<|ref|>text<|/ref|><|det|>[[1, 2, 3, 4], [5, 6, 7, 8]]<|/det|>after", "before\nafter"),
        ("<|ref|>text<|/ref|><|det|>[[1, 2,\nOne", "One"),  # the end tag is missing
        ("One\n<|ref|>text<|/ref|><|det|>[[1, 2", "One"),  # cut off
        ("<|ref|>\n" * 3, ""),
    ],
)
def test_grounding_is_no_text(text, plain):
    assert strip_grounding(text) == plain


def test_grounding_of_an_endless_page_is_stripped_quickly():
    assert strip_grounding("<|ref|>" * 20_000) == ""
    assert strip_grounding("<|ref|>a<|/ref|><|det|>[[" * 20_000).strip() == ""
