"""Loops at the end of a page, and pages that never end."""

import time

import pytest

from ocr2_hf.evaluation.robustness import ends_in_loop, missing_eos_rate, repetition_rate

INVOICE = "Invoice 2024\nTotal 1,000,000.00\n"


@pytest.mark.parametrize(
    "loop",
    [
        "and the " * 20,
        "the same line\n" * 12,
        "a" * 80,
        "的" * 80,
        "<td>0</td>" * 40,
        "<|ref|>text<|/ref|><|det|>[[10, 20, 30, 40]]<|/det|>\n" * 10,
        "This sentence has fifty characters, more or less. " * 7,
        "0" * 300,
        "." * 300,
        "\n" * 300,
        "and the " * 20 + "and t",  # the last copy is cut short
        "and the " * 20 + "\n",
    ],
)
def test_loops_are_seen(loop):
    assert ends_in_loop(INVOICE + loop)


@pytest.mark.parametrize(
    "text",
    [
        "",
        INVOICE,
        INVOICE + "1,000,000,000,000",
        "Chapter 1 " + "." * 100 + " 12",
        "Chapter 1 " + "." * 120,
        "Name: " + "_" * 90,
        "| a | b |\n" + "|---" * 12 + "|",
        "| a | b |\n" + "| --- " * 12 + "|\n" + "|     " * 12 + "|",
        "<table>" + "<tr><td></td><td></td></tr>" * 30 + "</table>",
        "loop " * 100 + "and then the page goes on to its end.",
        "Yes\n" * 8,
        "ha " * 6,
        "Signed ________ Date ________\n" * 4,
        "\n".join(f"{row} | 0.00 | 0.00 | 0.00" for row in range(20)),
    ],
)
def test_ordinary_pages_are_no_loops(text):
    assert not ends_in_loop(text)


def test_rates():
    assert repetition_rate(["fine", "no " * 100, "", "x" * 99]) == 0.5
    assert missing_eos_rate([True, False, True, True]) == 0.25
    for metric in (repetition_rate, missing_eos_rate):
        with pytest.raises(ValueError):
            metric([])


def test_a_long_page_is_judged_quickly():
    start = time.perf_counter()
    ends_in_loop("aab" * 10_000 + "c")
    ends_in_loop("".join(chr(97 + i * i % 17) for i in range(40_000)))
    assert time.perf_counter() - start < 2
