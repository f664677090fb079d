"""The script of most letters."""

import pytest

from ocr2_hf.evaluation.text import dominant_script


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
