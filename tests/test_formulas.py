"""Formulas found, normalised and compared; CDM by an external command."""

import shlex
import sys

import pytest

from ocr2_hf.document.predictions import Prediction
from ocr2_hf.errors import WorkError
from ocr2_hf.evaluation.formulas import (
    find_formulas,
    formula_edits,
    match_formulas,
    normalize_formula,
    score_formulas,
)
from ocr2_hf.evaluation.registry import measure_pages
from ocr2_hf.evaluation.summary import summarize


def line(prediction, reference):
    return Prediction(prediction, prediction, reference)


@pytest.mark.parametrize(
    ("text", "formulas"),
    [
        (r"so \(2x\) and \[ a = b \]", ["2x", "a = b"]),
        ("$$\nx^2\n$$ then $y_1$.", ["x^2", "y_1"]),
        ("$x$ and $n$th", ["x", "n"]),
        ("It costs $5 and $6, or US$ 7 = 5 + 2.", []),
        ("US$5=$4", []),
        (r"\$5 = \$4 + \$1", []),
        (r"\[ never closed", []),
        (r"\(\) \[ \]", []),
        ("no formula", []),
    ],
)
def test_formulas_are_found(text, formulas):
    assert find_formulas(text) == formulas


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (r"\left( \frac{1}{2} \right)", r"(\frac12)"),
        (r"\mathrm{d}x", "dx"),
        (r"a = b \tag{3}", "a=b"),
        (r"\begin{equation} a \, b \quad c \end{equation}", "abc"),
        (r"x^{2}", "x^2"),
    ],
)
def test_what_only_changes_the_look_is_no_difference(one, other):
    assert normalize_formula(one) == normalize_formula(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [("x", "X"), (r"\leftarrow", r"\rightarrow"), (r"\leftarrow", "arrow"), ("x^{23}", "x^23"), (r"\rm x", r"\rho x")],
)
def test_what_is_another_formula_stays_one(one, other):
    assert normalize_formula(one) != normalize_formula(other)


def test_formulas_are_matched_and_those_alone_are_wrong():
    assert match_formulas(["b+c", "a"], ["a", "b+d"]) == [(0, 1), (1, 0)]
    assert formula_edits(["b + c", "a"], ["a", "b + d"]) == (1, 4)
    assert formula_edits(["abc"], []) == formula_edits([], ["abc"]) == (3, 3)
    assert formula_edits([], []) == (0, 0)
    # The same formula five times, one of them lost.
    assert formula_edits(["a+b"] * 4, ["a+b"] * 5) == (3, 15)


def test_formula_edit_is_over_all_pages_and_none_without_a_formula():
    lines = [line(r"\(a+b\)", r"\(a+c\)"), line("text", r"text \[x\]"), line("none", "none")]
    metrics = summarize(lines)
    assert metrics["formula_edit"] == pytest.approx(2 / 4)
    assert metrics["cdm"] is None
    assert summarize([line(r"\(invented\)", "none")])["formula_edit"] is None


@pytest.mark.timeout(60)
@pytest.mark.parametrize("text", [r"\[" * 5000, "$=" * 5000, "$" * 9000, "$" + "=" * 9000, r"\(x" * 5000])
def test_hostile_text_takes_no_time(text):
    for formula in find_formulas(text):
        normalize_formula(formula)


def command(code):
    return shlex.join([sys.executable, "-c", code])


SCORER = """
import json, sys
for line in sys.stdin:
    pair = json.loads(line)
    print(float(pair["prediction"] == pair["reference"]))
"""


def test_cdm_by_a_command():
    lines = [line(r"\(a\) \(b\)", r"\(a\) \(c\) \(d\)"), line(r"\(é\)", r"\(é\)"), line("none", "none")]
    measures = measure_pages(lines, cdm_command=command(SCORER))
    # Right: a and é; wrong: b for c or d; lost: the other.
    assert summarize(lines, measures)["cdm"] == pytest.approx(2 / 4)
    no_formulas = [line("none", "none")]
    assert summarize(no_formulas, measure_pages(no_formulas, command(SCORER)))["cdm"] is None


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("import sys; sys.exit('no TeX here')", "status 1: no TeX here"),
        ("print('good')", "one number a line"),
        ("print(0.5)", "1 numbers for 2 formulas"),
        ("print(0.5, 7)", r"in \[0, 1\]"),
        ("print('nan nan')", r"in \[0, 1\]"),
    ],
)
def test_a_command_that_does_not_score_is_named(code, message):
    with pytest.raises(WorkError, match=message) as caught:
        score_formulas([("a", "b"), ("c", "d")], command(code))
    assert sys.executable in str(caught.value)


@pytest.mark.parametrize("missing", ["no-such-scorer --fast", "", "'"])
def test_a_command_that_is_not_there(missing):
    with pytest.raises(WorkError, match="cannot be run"):
        score_formulas([("a", "b")], missing)
    assert score_formulas([], missing) == []
