"""Loops at the end of a page, and pages that never end."""

import pytest

from ocr2_hf.evaluation.robustness import ends_in_loop, invented_characters, repetition_rate

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
    with pytest.raises(ValueError, match="at least one"):
        repetition_rate([])


@pytest.mark.timeout(60)
def test_a_long_page_is_judged_quickly():
    ends_in_loop("aab" * 10_000 + "c")
    ends_in_loop("".join(chr(97 + i * i % 17) for i in range(40_000)))


PAGE = """The committee met in the old town hall on Tuesday and heard the report of its treasurer.
He said that the funds would last until the spring, provided that no further repairs came up.
The roof of the school has been covered again at a cost of 1,240 pounds."""
OTHER = "Whales are warm-blooded mammals; they breathe air and nurse their calves in all the oceans of our planet."
CHINESE = "本公司董事会保证公告内容真实准确完整没有虚假记载误导性陈述或者重大遗漏并承担个别及连带责任"


@pytest.mark.parametrize(
    "prediction",
    [
        PAGE,
        PAGE.replace("e", "c"),  # misread, not invented
        "\n".join(reversed(PAGE.splitlines())),  # in another place
        PAGE + "\n" + PAGE,  # twice
        PAGE[40:90],
        "<table><tr><td>the report of its treasurer</td></tr></table>",
        "",
    ],
)
def test_what_resembles_the_page_is_not_invented(prediction):
    assert invented_characters(prediction, PAGE)[0] == 0


def test_invented_text_is_counted_in_characters():
    pieces = OTHER.split()
    assert invented_characters(OTHER, PAGE) == (len(OTHER) - 1, len(OTHER) - 1)  # two pieces, the space between is none
    assert len(pieces) > 10
    invented, predicted = invented_characters(PAGE + "\n" + OTHER, PAGE)
    assert invented / predicted == pytest.approx(len(OTHER) / len(PAGE + OTHER), abs=0.01)


def test_invented_text_without_spaces():
    other = "鲸鱼是温血哺乳动物它们呼吸空气并在地球所有的海洋里哺育幼崽"
    assert invented_characters(CHINESE.replace("公", "么"), CHINESE) == (0, len(CHINESE))
    assert invented_characters(other, CHINESE) == (len(other), len(other))


def test_all_of_a_text_on_an_empty_page_is_invented():
    assert invented_characters("Something.", "") == (10, 10)
    assert invented_characters("", "") == invented_characters(" ", "x") == (0, 0)
    # A short reference inside a long invention does not make it right.
    invented, predicted = invented_characters(OTHER[:60], "the")
    assert invented == predicted > 0
