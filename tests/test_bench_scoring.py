"""What is measured of scoring, at a small size: that it is measured. How fast it is, no test says: run it."""

import json

import pytest

from helpers.scoring_peers import contests
from ocr2_hf.benchmark import scoring
from ocr2_hf.benchmark.predictions import make_predictions
from ocr2_hf.errors import run_command
from ocr2_hf.evaluation.summary import summarize


def test_the_pages_are_drawn_from_their_numbers_and_have_all_that_is_measured():
    pages = list(make_predictions(40))
    assert pages[:5] == list(make_predictions(5)) != list(make_predictions(5, seed=1))
    metrics = summarize(pages)
    assert 0.005 < metrics["cer"] < 0.2 and 0.8 < metrics["box_f1_50"] < 1 and 0.5 < metrics["map"] < 1
    assert 0.5 < metrics["teds"] < 1 and metrics["formula_edit"] is not None
    assert summarize(list(make_predictions(400)))["reading_order_edit"] > 0


def test_what_others_score_with_gives_the_same():
    compared = {name: (theirs(), ours()) for name, _, _, theirs, ours in contests(list(make_predictions(12)))}
    assert compared.keys() == {"CER", "WER", "TEDS", "mAP"}
    for theirs, ours in compared.values():
        assert ours > 0 and abs(theirs - ours) < 1e-12


def test_two_checkouts_are_timed_on_the_same_pages(repo, tmp_path, capsys):
    words = ["--pages", "3", "--against", str(repo), "--output", str(tmp_path / "scoring.json")]
    assert run_command(scoring.main, words) == 0
    results = json.loads((tmp_path / "scoring.json").read_text(encoding="utf-8"))
    assert results["equal"] is True and results["runs"].keys() == {"ours", "against"}
    for (row,) in results["runs"].values():
        assert row["pages"] == 3 and row["seconds"] > 0 and row["processor_seconds"] > 0 and row["peak_mb"] > 20
    assert "| 3 | against |" in capsys.readouterr().out


def test_the_exponent_is_that_of_the_growth():
    rows = [{"pages": pages, "processor_seconds": 0.01 * pages**1.5} for pages in (10, 100, 1000)]
    assert scoring.growth_exponent(rows) == pytest.approx(1.5)


def test_a_wrong_checkout_is_told(tmp_path, capsys):
    words = ["--against", str(tmp_path), "--output", str(tmp_path / "scoring.json")]
    assert run_command(scoring.main, words) == 2
    assert f"--against {tmp_path}: no ocr2_hf there" in capsys.readouterr().err
    assert run_command(scoring.main, ["--pages", "0", *words[2:]]) == 2
    assert "--pages 0: name numbers of at least 1" in capsys.readouterr().err
