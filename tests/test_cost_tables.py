"""What work costs, beside others and as pages grow: the README's figures are those that are kept; small runs."""

import json
import re
import runpy
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from ocr2_hf.benchmark.growth import beyond_one_page, exponent, growth_table, processor_seconds
from ocr2_hf.benchmark.peers import (
    PeerRow,
    building_rows,
    collator_row,
    image_row,
    peers_table,
    side_by_side,
    training_row,
)
from ocr2_hf.benchmark.workload import OURS, STOCK
from ocr2_hf.errors import WorkError, run_command
from ocr2_hf.recipe import load_recipe

SCRIPT = "recipes/tiny/costs.py"


@pytest.fixture(scope="module")
def costs(repo) -> SimpleNamespace:
    return SimpleNamespace(**runpy.run_path(str(repo / SCRIPT)))


def block(readme: Path, what: str) -> str:
    (found,) = re.findall(rf"<!-- {what} -->\n\n(.*?)\n<!-- end of {what} -->", readme.read_text(), re.DOTALL)
    return found


@pytest.mark.parametrize("what", ["peers", "growth"])
def test_the_readme_has_the_figures_that_are_kept(repo, costs, what):
    kept = repo / f"recipes/tiny/{what}.json"
    told = "Not measured yet.\n"
    if kept.is_file():
        results = json.loads(kept.read_text())
        told = costs.told_results(what, results, costs.table_of(what, results))
    assert block(repo / "recipes/README.md", what) == told


def straight(power: float) -> dict[int, list[float]]:
    costs = {pages: 2 + 0.1 * pages**power for pages in (10, 100, 1000)}
    return {1: [2.5, 2.0]} | {pages: [cost, cost + 1] for pages, cost in costs.items()}


@pytest.mark.parametrize("power", [0.5, 1, 2])
def test_the_exponent_of_a_known_curve(power):
    curve = straight(power)
    assert beyond_one_page(curve)[100] == pytest.approx(0.1 * 100**power)
    assert exponent(curve) == pytest.approx(power)
    assert growth_table({"x": curve}).splitlines()[-1].endswith(f"| {power:.2f} |")


def test_what_does_not_grow_has_no_exponent():
    flat = {1: [2.0], 10: [2.01], 100: [1.99], 1000: [2.2]}
    assert exponent(flat) is None
    assert growth_table({"x": flat}).endswith("| x | 2.00 | 1,000 | 0.20 | 0.20 | none seen |\n")


def test_processor_seconds_are_those_of_the_work_and_what_it_says_is_kept(tmp_path):
    def work() -> None:
        print("working")
        end = time.process_time() + 0.3
        while time.process_time() < end:
            pass

    assert 0.3 <= processor_seconds(work, tmp_path / "log") < 0.6
    assert processor_seconds(lambda: time.sleep(0.5), tmp_path / "log") < 0.3
    assert (tmp_path / "log").read_text() == "working\n"
    with pytest.raises(WorkError, match=r"(?s)ended badly.*working.*ValueError: no pages"):
        processor_seconds(fail, tmp_path / "log")


def fail() -> None:
    raise ValueError("no pages")


def test_rows_are_of_the_least_rounds():
    rounds = {OURS: (0.3, 0.2, 0.4), STOCK: (0.5, 0.6, 0.4)}
    sides = {name: {"rounds": [{"processor_seconds_per_page": s} for s in each]} for name, each in rounds.items()}
    trained = training_row("training", {"runs": [{"sides": sides, "ratios": {"peak_memory": 0.75}}]})
    assert trained == PeerRow("training", "the stock Trainer", 200, 400, 0.75) and trained.ratio == 0.5
    collated = collator_row({"data": {"rounds": {OURS: [4.0, 5.0], STOCK: [2.0, 1.0]}}})
    assert (collated.ours, collated.theirs) == (200, 500)
    seconds = {"build": [4.0, 2.0], "imagefolder": [8.0, 9.0], "copy": [1.0, 3.0]}
    built = building_rows({"settings": {"pages": 100}, "results": {"PNG": {"seconds": seconds}}})
    assert [(row.peer, row.ours, row.theirs) for row in built] == [("`imagefolder`", 20, 80), ("a plain copy", 20, 10)]
    assert peers_table([trained, built[1]]).splitlines()[2:] == [
        "| training | the stock Trainer | 200 / 400 | 0.50 | 0.75 |",
        "| building, PNG, by the clock | a plain copy | 20 / 10 | 2.00 |  |",
    ]


def test_two_ways_side_by_side_take_turns():
    seen = []

    def busy(name: str, seconds: float) -> None:
        seen.append(name)
        end = time.process_time() + seconds
        while time.process_time() < end:
            pass

    row = side_by_side("x", "them", lambda: busy("ours", 0.02), lambda: busy("theirs", 0.06), pages=2, rounds=2)
    assert (row.work, row.peer, row.memory) == ("x", "them", None)
    assert row.ours == pytest.approx(10, abs=5) and row.theirs == pytest.approx(30, abs=5)
    assert seen == ["ours", "theirs", "theirs", "ours", "ours", "theirs"]


def test_an_image_beside_the_stock_processor(repo):
    row = image_row(load_recipe(str(repo / "recipes/tiny/full.yaml")), pages=1, rounds=1)
    assert row.ours > 0 and row.theirs > 0 and row.memory is None


def work_in(folder: Path, monkeypatch) -> None:
    """What the script sets for itself goes with the test."""
    monkeypatch.chdir(folder)
    monkeypatch.setenv("TOKENIZERS_PARALLELISM", "false")


def test_growth_is_measured_once_and_kept_with_its_table(repo, costs, tmp_path, monkeypatch, datasets_cache, capfd):
    """A call that was killed has some of the points: the next one measures the others."""
    words = ["growth", "--works", "build", "--rounds", "1", "--share", "0.01"]
    words += ["--output_dir", str(tmp_path / "costs"), "--keep"]
    for name in ("recipes/README.md", SCRIPT):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text((repo / name).read_text())
    work_in(tmp_path, monkeypatch)
    assert costs.main(words) == 0
    results = json.loads((tmp_path / "recipes/tiny/growth.json").read_text())
    points = {name: sorted(map(int, curve)) for name, curve in results["curves"].items()}
    assert points == {"build": [1, 3, 30, 300]}
    assert all(seconds > 0 for curve in results["curves"].values() for (seconds,) in curve.values())
    told = costs.told_results("growth", results, costs.table_of("growth", results))
    assert block(tmp_path / "recipes/README.md", "growth") == told and "| build |" in told
    assert (tmp_path / "recipes/tiny/pages_growth.png").stat().st_size > 10_000
    (tmp_path / "costs/growth/build-30-0.json").unlink()
    capfd.readouterr()
    assert costs.main(words) == 0
    assert re.findall("measuring (.*)", capfd.readouterr().out) == ["build-30-0"]


@pytest.mark.parametrize("words", [["--share", "0"], ["--share", "nan"], ["--share", "1e9"], ["--rounds", "0"]])
def test_nothing_is_measured_of_nothing(costs, repo, tmp_path, monkeypatch, capsys, words):
    work_in(repo, monkeypatch)
    try:
        assert run_command(costs.main, ["growth", *words, "--output_dir", str(tmp_path)]) == 2
    except SystemExit as ended:  # argparse says it
        assert ended.code == 2
    assert words[0] in capsys.readouterr().err and not list(tmp_path.iterdir())


@pytest.mark.slow
def test_every_peer_is_met(costs, repo, tmp_path, monkeypatch, datasets_cache):
    work_in(repo, monkeypatch)
    assert costs.main(["peers", "--rounds", "1", "--share", "0.02", "--output_dir", str(tmp_path)]) == 0
    rows = json.loads((tmp_path / "peers.json").read_text())["rows"]
    assert len(rows) == len(costs.TRAININGS) + 7 and all(row["ours"] > 0 and row["theirs"] > 0 for row in rows)
