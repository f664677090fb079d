"""TEDS, by the hand cases of IBM's algorithm, and on HTML as models write it."""

import json
import random

import pytest

from helpers.scoring_peers import teds_by_apted
from ocr2_hf.evaluation.tables import teds


def table(*rows: str) -> str:
    return "<table>" + "".join(f"<tr>{row}</tr>" for row in rows) + "</table>"


ROW = "<td>abcd</td><td>x</td>"


@pytest.mark.parametrize(
    ("predicted", "reference", "score", "structure"),
    [
        (table(ROW), table(ROW), 1, 1),
        (table("<td>abcx</td><td>x</td>"), table(ROW), 1 - 0.25 / 3, 1),
        (table("<td>a</td>"), table("<td>a</td>", "<td>b</td>"), 0.5, 0.5),
        (table("<td>a</td><td>b</td>"), table("<td colspan='2'>a</td><td>b</td>"), 2 / 3, 2 / 3),
        (table("<td>a</td><td>b</td>"), table("<td rowspan='2'>a</td><td>b</td>"), 2 / 3, 2 / 3),
        (
            table("<td>a</td><td>b</td><td>c</td>"),
            table("<td>a</td>", "<td>b</td>", "<td>c</td>"),
            1 / 3,
            1 / 3,
        ),
        (table("<th>a</th><th>b</th>"), table("<td>a</td><td>b</td>"), 1 / 3, 1 / 3),
        (
            "<table><tr><td>a</td></tr><tr><td>b</td></tr></table>",
            "<table><thead><tr><td>a</td></tr></thead><tbody><tr><td>b</td></tr></tbody></table>",
            2 / 3,
            2 / 3,
        ),
        # Markup inside a cell is content: <b> and </b> are two tokens of six, and one more counted node.
        (table("<td>abcd</td>"), table("<td><b>abcd</b></td>"), 1 - (2 / 6) / 3, 1),
    ],
)
def test_hand_cases(predicted, reference, score, structure):
    assert teds(predicted, reference) == pytest.approx(score, abs=1e-6)
    assert teds(predicted, reference, structure_only=True) == pytest.approx(structure, abs=1e-6)


def test_symmetric():
    a, b = (
        table("<td>one</td><td>two</td>", "<td colspan=2>three</td>"),
        table("<td>one</td>", "<td>thre</td><td>x</td>"),
    )
    assert teds(a, b) == pytest.approx(teds(b, a))


def test_text_around_and_whitespace_between_tags_do_not_count():
    spaced = "Before\n\n<TABLE border=1>\n <tr>\n  <td>abcd</td>\n  <td>x</td>\n </tr>\n</TABLE>\nafter"
    assert teds(spaced, table(ROW)) == 1


def test_content_is_compared_as_characters_of_any_script():
    assert teds(table("<td>资产合计</td>"), table("<td>资产总计</td>")) == pytest.approx(1 - 0.25 / 2)
    assert teds(table("<td>a &amp; b &lt;</td>"), table("<td>a & b &lt;</td>")) == 1


def test_equals_apted_on_real_tables_gone_wrong(real_pages):
    rows = (real_pages / "pubtabnet" / "PubTabNet_Examples.jsonl").read_text(encoding="utf-8").splitlines()
    draw = random.Random(0)
    for row in rows[:12]:
        html = json.loads(row)["html"]
        tokens, cells = html["structure"]["tokens"], iter(html["cells"])
        good = [token + "".join(next(cells)["tokens"]) if token in ("<td>", ">") else token for token in tokens]
        good = [f"<{piece}" for piece in "".join(good).split("<")[1:]]
        bad = [piece for piece in good if draw.random() > 0.1]
        sides = [f"<table>{''.join(pieces)}</table>".replace("<table></", "<table><tr></") for pieces in (bad, good)]
        for structure_only in (False, True):
            expected = teds_by_apted(*sides, structure_only)
            assert 0 < expected < 1
            assert teds(*sides, structure_only) == pytest.approx(expected, abs=1e-9)


@pytest.mark.timeout(60)
def test_large_tables_take_no_minutes():
    tables = [table(*["<td>12</td>" * 10] * rows) for rows in (150, 160, 2000)]
    assert teds(tables[0], tables[1]) == pytest.approx(150 / 160)
    # Beyond the limit what one side has more than the other is wrong.
    assert teds(tables[2], tables[2].replace("12", "13", 1)) > 0.999
    assert teds(tables[2], tables[1]) == pytest.approx(160 / 2000)


@pytest.mark.parametrize("cut", range(0, 62, 3))
def test_truncated_html_scores_what_is_left(cut):
    whole = table(ROW, ROW)
    assert 0 <= teds(whole[:cut], whole) < 1


@pytest.mark.parametrize(
    "html",
    [
        "",
        "no table",
        "<tr><td>a",
        "\0",
        "<!--",
        "<![CDATA[",
        "<?xml version='1.0'?>",
        "&#0;&#xD800;",
        "\ud800",
    ],
)
def test_what_holds_no_table_scores_zero(html):
    assert teds(html, table(ROW)) == 0
    assert teds(table(ROW), html) == 0


@pytest.mark.parametrize(
    "html",
    [
        "<table>" + "<tr><td>" * 3000,
        "<table><tr><th>" + "<b>" * 5000,
        "<table><tr><td>" + "<table><tr><td>" * 2000,
        "<table><tr><td colspan='many' rowspan='-3'>a</td><td colspan='9999999999999'>",
        "<!DOCTYPE a [<!ENTITY b SYSTEM 'file:///etc/passwd'>]><table><tr><td>&b;</td></tr></table>",
    ],
)
def test_hostile_html_is_scored(html):
    assert 0 <= teds(html, table(ROW)) < 1
