"""One evaluation by several processes: the same predictions as by one, also after all of them were killed."""

import json
import subprocess
import sys
import time

import psutil
import pytest

from helpers.commands import BIN, ROOT, build, environment, run, write_pages
from helpers.fork_server import Popen
from helpers.tiny_pages import page_row
from ocr2_hf.commands import evaluate
from ocr2_hf.errors import run_command
from ocr2_hf.modeling.tiny import save_tiny
from ocr2_hf.reading.dataset_predictions import plan_batches

DATASET = "evaluate_in_processes"
PAGES = 16
OPTIONS = ["--max_new_tokens", "24", "--batch_size", "2", "--split", "test"]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return save_tiny(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def arguments(model, tmp_path_factory):
    texts = [[f"Page {number}"] * (number % 4 + 1) for number in range(PAGES)]
    rows = [page_row(f"p{n:02}", (140 + n, 220), lines, boxes=min(n % 3, len(lines))) for n, lines in enumerate(texts)]
    build(DATASET, write_pages(tmp_path_factory.mktemp("pages"), rows), "--val", "0", "--test", "1")
    return ["evaluate", "--model", str(model), "--dataset", DATASET, *OPTIONS]


@pytest.fixture(scope="module")
def alone(arguments, tmp_path_factory):
    """The predictions of one process that was left in peace."""
    output = tmp_path_factory.mktemp("alone")
    assert run_command(evaluate.main, [*arguments[1:], "--output_dir", str(output)]) == 0
    return answers(output)


def answers(output):
    rows = (output / "predictions.jsonl").read_text(encoding="utf-8").splitlines()
    return [{key: value for key, value in json.loads(row).items() if key != "seconds"} for row in rows]


def launched(count, port):
    config = ["--config_file", "accelerate_configs/ddp.yaml", "--num_processes", str(count)]
    return [str(BIN / "accelerate"), "launch", *config, "--main_process_port", str(port), "-m", "ocr2_hf"]


def kill_when(command, ready):
    """Start a command and SIGKILL it with all its processes once `ready()`."""
    process = Popen(command, cwd=ROOT, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    end = time.monotonic() + 120
    while not ready():
        assert process.poll() is None, process.stderr.read().decode()
        assert time.monotonic() < end
        time.sleep(0.005)
    started = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
    for each in started:
        each.kill()
    process.communicate()


def written(output):
    files = output.glob("predictions*.jsonl")
    return sum(file.read_bytes().count(b"\n") for file in files)


def test_killed_twice_and_finished_by_another_number_of_processes(arguments, alone, tmp_path):
    command = [*arguments, "--output_dir", str(tmp_path)]
    kill_when([*launched(2, 29631), *command], lambda: written(tmp_path) >= 4)
    first = written(tmp_path)
    assert 4 <= first < PAGES and len(list(tmp_path.glob("predictions*.jsonl"))) == 2
    kill_when([sys.executable, "-m", "ocr2_hf", *command], lambda: written(tmp_path) >= first + 2)
    second = written(tmp_path)
    assert first < second < PAGES
    done = run(*launched(2, 29632), *command)
    assert done.returncode == 0, done.stderr
    assert answers(tmp_path) == alone
    assert sorted(file.name for file in tmp_path.iterdir()) == [
        "evaluation.json",
        "metrics.json",
        "predictions.jsonl",
        "report.html",
    ]
    assert json.loads((tmp_path / "metrics.json").read_text())["pages"] == PAGES
    assert done.stdout.count(f"{PAGES} pages; report:") == 1


def test_batches_are_of_one_length_longest_first_and_depend_on_nothing_else():
    lengths = {0: 5, 2: 90, 3: 5, 5: 70, 8: 91}
    assert plan_batches(lengths, 2) == [[8, 2], [5, 0], [3]]
    assert plan_batches(lengths, 9) == [[8, 2, 5, 0, 3]]
