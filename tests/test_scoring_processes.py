"""Scoring by several processes: the figures are those of one, and what is ended ends all of it, with a word."""

import signal
import subprocess
import sys
import time

import psutil
import pytest

from helpers.commands import ROOT, environment
from ocr2_hf.benchmark.predictions import make_predictions
from ocr2_hf.commands import evaluate, scoring
from ocr2_hf.document.predictions import read_predictions, write_predictions
from ocr2_hf.errors import run_command
from ocr2_hf.evaluation import registry
from ocr2_hf.evaluation.processes import MAX_PROCESSES, process_count
from ocr2_hf.processors import usable_processors

PAGES = 70


@pytest.fixture(scope="module")
def predictions(tmp_path_factory):
    path = tmp_path_factory.mktemp("elsewhere") / "answers.jsonl"
    write_predictions(path, make_predictions(PAGES))
    return path


def test_the_figures_and_the_report_are_those_of_one_process(predictions, tmp_path):
    written = []
    for processes in (1, 2):
        output = tmp_path / str(processes)
        words = ["--predictions", predictions, "--num_proc", processes, "--report_pages", 8, "--output_dir", output]
        assert run_command(evaluate.main, list(map(str, words))) == 0
        names = ("metrics.json", "report.html", "predictions.jsonl")
        written.append([(output / name).read_bytes() for name in names])
    assert written[0] == written[1]
    assert read_predictions(tmp_path / "1" / "predictions.jsonl") == list(make_predictions(PAGES))


def test_each_page_is_measured_once(predictions, tmp_path, monkeypatch):
    counts = {}

    def counting(module, name):
        real = getattr(module, name)

        def counted(*arguments, **named):
            counts[name] = counts.get(name, 0) + 1
            return real(*arguments, **named)

        monkeypatch.setattr(module, name, counted)

    counting(registry, "measure_page")
    for name in ("match_tables", "box_iou", "dominant_script"):
        counting(registry.measures, name)
    assert run_command(evaluate.main, ["--predictions", str(predictions), "--output_dir", str(tmp_path)]) == 0
    assert counts == dict.fromkeys(("measure_page", "match_tables", "box_iou", "dominant_script"), PAGES)


def test_few_pages_are_measured_here():
    few = scoring.PAGES_FOR_PROCESSES
    assert process_count(few - 1, few) == 1
    assert process_count(few, few) == min(usable_processors(), MAX_PROCESSES)


def start(predictions, output):
    """The command, and the processes that it started to measure."""
    words = ["evaluate", "--predictions", predictions, "--num_proc", "2", "--output_dir", output]
    process = subprocess.Popen(
        [sys.executable, "-m", "ocr2_hf", *map(str, words)],
        cwd=ROOT,
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 120
    while len(workers := measuring(process.pid)) < 2:
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)
    return process, workers


def measuring(pid):
    children = psutil.Process(pid).children()
    return [child for child in children if any("spawn_main" in word for word in child.cmdline())]


def test_a_process_that_is_killed_is_told(predictions, tmp_path):
    process, workers = start(predictions, tmp_path / "out")
    workers[0].kill()
    told = process.communicate(timeout=120)[1]
    assert process.returncode == 1 and "Traceback" not in told
    assert "error: a worker process was killed" in told and "--num_proc 1" in told
    assert not psutil.wait_procs(workers, timeout=10)[1]
    assert not (tmp_path / "out" / "metrics.json").exists()
    words = ["--predictions", str(predictions), "--output_dir", str(tmp_path / "out")]
    assert run_command(evaluate.main, words) == 0


@pytest.mark.slow
@pytest.mark.parametrize(("number", "status"), [(signal.SIGKILL, -9), (signal.SIGTERM, -15), (signal.SIGINT, 130)])
def test_what_ends_the_command_ends_those_that_measure(predictions, tmp_path, number, status):
    process, workers = start(predictions, tmp_path / "out")
    for worker in workers * (number == signal.SIGINT):  # as a terminal sends it to all
        worker.send_signal(number)
    process.send_signal(number)
    told = process.communicate(timeout=120)[1]
    assert process.returncode == status and "Traceback" not in told
    assert not psutil.wait_procs(workers, timeout=10)[1]
