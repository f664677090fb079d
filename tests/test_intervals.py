"""Bootstrap intervals, and the paired comparison of two evaluations."""

from dataclasses import replace

import numpy as np
import pytest

from ocr2_hf.document.grounding import Region
from ocr2_hf.document.predictions import Prediction
from ocr2_hf.evaluation.registry import measure_pages
from ocr2_hf.evaluation.summary import bootstrap, compare, interval, resamples, summarize, summarize_with_intervals

NOT_RESAMPLED = ("pages", "missing_pages", "definitions", "intervals", "by")


def line(number, prediction, reference, **more):
    return Prediction(str(number), prediction, reference, **more)


def pages(count, wrong, seconds=1.0):
    """`count` pages of ten characters, of which the numbers in `wrong` have one wrong; they take longer and longer."""
    return [
        line(n, "abcdefghiX" if n in wrong else "abcdefghij", "abcdefghij", seconds=seconds * (1 + n / count))
        for n in range(count)
    ]


def test_a_sample_is_as_many_pages_and_the_seed_decides():
    first, again, other = (np.concatenate(list(resamples(50, 300, seed))) for seed in (1, 1, 2))
    assert first.shape == (300, 50) and (first.sum(axis=1) == 50).all()
    assert (first == again).all() and (first != other).any()
    # Each page is drawn once on average, with a variance of 1 - 1/50.
    assert first.mean() == 1 and first.var() == pytest.approx(0.98, rel=0.05)


def test_many_pages_come_in_parts():
    parts = list(resamples(1_000_000, 5))
    assert len(parts) > 1 and sum(map(len, parts)) == 5


def test_interval_is_the_middle_95_percent():
    assert interval(np.arange(1001.0)) == pytest.approx([25, 975])
    assert interval(np.array([1.0, np.nan, 1.0])) == [1, 1]
    assert interval(np.array([np.nan])) is None


def test_interval_of_a_share_is_the_normal_one():
    metrics = summarize_with_intervals(pages(400, range(0, 400, 4)))
    low, high = metrics["intervals"]["exact_match"]
    half = 1.96 * (0.75 * 0.25 / 400) ** 0.5
    assert (low, high) == (pytest.approx(0.75 - half, abs=0.007), pytest.approx(0.75 + half, abs=0.007))
    # One of ten characters of these pages is wrong.
    assert metrics["intervals"]["cer"] == pytest.approx([(1 - high) / 10, (1 - low) / 10])
    assert metrics["intervals"]["text_accuracy"] == pytest.approx([1 - (1 - low) / 10, 1 - (1 - high) / 10])


def test_every_figure_that_was_measured_has_an_interval_around_it():
    box, moved = Region("text", (0, 0, 10, 10), "x"), Region("text", (1, 1, 10, 10), "x")
    lines = [
        replace(page, regions=[moved] * (n % 3), reference_regions=[box], finished=n % 5 > 0, tokens=n)
        for n, page in enumerate(pages(30, range(10)))
    ]
    metrics = summarize_with_intervals(lines, samples=300)
    flat = {name: value for name, value in metrics.items() if name not in NOT_RESAMPLED}
    assert flat == {name: value for name, value in summarize(lines).items() if name in flat}
    assert set(metrics["intervals"]) == {name for name, value in flat.items() if value is not None}
    for name, (low, high) in metrics["intervals"].items():
        assert low <= flat[name] <= high, name
    assert {"map", "bbox_iou", "box_f1_50", "missing_eos_rate", "tokens_per_page"} <= set(metrics["intervals"])
    assert metrics["intervals"]["map"][0] < flat["map"] < metrics["intervals"]["map"][1]


def test_the_same_seed_gives_the_same_intervals():
    lines = pages(20, range(7))
    assert summarize_with_intervals(lines, seed=3) == summarize_with_intervals(lines, seed=3)
    assert summarize_with_intervals(lines, seed=3) != summarize_with_intervals(lines, seed=4)


def test_one_page_and_none_have_no_intervals():
    assert summarize_with_intervals(pages(1, []))["intervals"] == {}
    assert summarize_with_intervals([])["intervals"] == summarize_with_intervals([])["by"] == {}


def test_paired_comparison_by_hand():
    before, after = pages(100, range(40)), pages(100, range(10), seconds=2.0)
    comparison = compare(before, after)
    cer, time_ = comparison["paired"]["cer"], comparison["paired"]["inference_time"]
    assert cer["better_by"] == pytest.approx(0.03) and comparison["change"]["cer"] == pytest.approx(-0.03)
    # 30 of 100 pages lose an error of 0.1: their number moves by 1.96 x sqrt(100 x 0.3 x 0.7) = 9.
    assert cer["interval"] == pytest.approx([0.021, 0.039], abs=0.0025)
    assert comparison["paired"]["exact_match"]["better_by"] == pytest.approx(0.3)
    # Twice the time on each page is worse by the time before.
    assert time_["better_by"] == pytest.approx(-comparison["before"]["inference_time"])
    assert time_["interval"][0] < time_["better_by"] < time_["interval"][1] < 0
    assert "bbox_iou" not in comparison["paired"]


def test_pairing_sees_what_two_intervals_do_not():
    # Pages differ by far more than the two evaluations do, and on each page the second is better.
    draw = np.random.default_rng(0)
    wrong = draw.integers(5, 90, 60)
    before = [line(n, "x" * k + "a" * (100 - k), "a" * 100) for n, k in enumerate(wrong)]
    after = [line(n, "x" * (k - 2) + "a" * (102 - k), "a" * 100) for n, k in enumerate(wrong)]
    sides = [summarize_with_intervals(lines)["intervals"]["cer"] for lines in (before, after)]
    assert sides[1][1] > sides[0][0]  # they overlap
    assert compare(before, after)["paired"]["cer"]["interval"] == pytest.approx([0.02, 0.02])


def test_an_evaluation_and_itself():
    lines = pages(20, range(5))
    for difference in compare(lines, lines)["paired"].values():
        assert difference == {"better_by": 0, "interval": [0, 0]}
    assert compare(lines[:1], lines[:1])["paired"] == {}


@pytest.mark.timeout(60)
def test_a_thousand_pages_take_no_minutes():
    regions = [Region("text", (0, 10 * n, 100, 10 * n + 9)) for n in range(10)]
    lines = [replace(page, regions=regions, reference_regions=regions) for page in pages(1000, range(50))]
    measures = measure_pages(lines)
    bootstrap(measures, samples=1000)
