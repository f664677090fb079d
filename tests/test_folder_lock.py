"""Two of one command in one output folder: the second is told who holds it, and what the first does stays whole."""

import errno
import json
import os
import signal
import sys
from pathlib import Path
from subprocess import PIPE

import pytest
from filelock import _native

from helpers.commands import ROOT, build, environment, run, write_pages
from helpers.fork_server import Popen
from helpers.launches import launcher
from helpers.tiny_pages import page_row
from ocr2_hf.__main__ import main
from ocr2_hf.document.folder_lock import folder_lock, launch_lock, lock_file
from ocr2_hf.errors import WorkError, run_command
from ocr2_hf.modeling.tiny import save_tiny

DATASET = "locked_pages"
HELD = r"is in use: process {} on .+, since 20\d\d-\d\d-\d\d \d\d:\d\d:\d\d.*, writes into it"
HOLDING = """
import sys, time
from ocr2_hf.document.folder_lock import folder_lock
with folder_lock(sys.argv[1]):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("locked")
    rows = [page_row(f"p{number}", (120, 90), [f"Line {number}"], 1) for number in range(4)]
    build(DATASET, write_pages(folder / "pages", rows), "--val", "0", "--test", "1")
    save_tiny(folder / "model")
    return folder


@pytest.fixture
def holder(tmp_path):
    """A process that holds `tmp_path/out`."""
    words = [sys.executable, "-c", HOLDING, str(tmp_path / "out")]
    with Popen(words, cwd=ROOT, env=environment(), stdout=PIPE, text=True) as process:
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def commands(place, output):
    """Every command that writes into a folder."""
    page = place / "pages" / "p0.png"
    model, read = ["--model", place / "model"], ["--max_new_tokens", "4"]
    evaluation = ["evaluate", *model, "--dataset", DATASET, *read, "--output_dir", output]
    return {
        "evaluate": evaluation,
        "score": ["evaluate", "--predictions", place / "none.jsonl", "--output_dir", output],
        "read": ["read", page, *model, *read, "--output_dir", output],
        "statements": ["statements", page, *model, *read, "--to", "json", "--output_dir", output],
        "export": ["export", place / "model", "--to", "merged", "--output_dir", output],
        "train": ["train", "recipes/tiny/full.yaml", "--output_dir", output],
        "synthesize": ["synthesize", output, "--kind", "typed", "--pages", "1"],
        "crop": ["crop", DATASET, output],
        "inspect": ["inspect", DATASET, "--output_dir", output],
    }


def test_every_command_that_writes_into_a_folder_is_refused_and_says_who_holds_it(place, tmp_path, holder, capfd):
    for name, words in commands(place, tmp_path / "out").items():
        assert run_command(main, list(map(str, words))) == 1, name
        told = capfd.readouterr().err
        assert f"{tmp_path / 'out'} is in use: process {holder.pid} on " in told, (name, told)
        assert "Traceback" not in told and not (tmp_path / "out").exists(), name


def test_a_lock_says_since_when_and_is_gone_with_its_holder(tmp_path, holder):
    output = tmp_path / "out"
    with pytest.raises(WorkError, match=HELD.format(holder.pid)), folder_lock(output):
        pass
    (tmp_path / "link").symlink_to(tmp_path)
    with pytest.raises(WorkError, match="is in use"), folder_lock(tmp_path / "link" / "out"):
        pass
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    with folder_lock(output), pytest.raises(WorkError, match=HELD.format(os.getpid())), folder_lock(output):
        pass
    assert not lock_file(output).exists()


def test_two_evaluations_at_once(place, tmp_path):
    """The first reads all pages; the second is refused, and finds all done when it is run again."""
    command = list(map(str, [sys.executable, "-m", "ocr2_hf", *commands(place, tmp_path / "out")["evaluate"]]))
    pair = [Popen(command, cwd=ROOT, env=environment(), stdout=PIPE, stderr=PIPE, text=True) for _ in range(2)]
    told = [process.communicate(timeout=120)[1] for process in pair]
    assert sorted(process.returncode for process in pair) == [0, 1]
    assert sum("is in use: process" in each for each in told) == 1, told
    assert json.loads((tmp_path / "out" / "metrics.json").read_text())["pages"] == 4
    assert run_command(main, command[3:]) == 0
    assert len((tmp_path / "out" / "predictions.jsonl").read_text().splitlines()) == 4


@pytest.mark.parametrize("name", ["evaluate", "train"])
def test_the_refusal_reaches_every_process_of_a_launch(place, tmp_path, holder, name):
    done = run(*launcher("ddp"), "-m", "ocr2_hf", *commands(place, tmp_path / "out")[name], OMP_NUM_THREADS="1")
    assert done.returncode != 0 and done.stderr.count("is in use: process") == 1, done.stderr
    assert "exitcode  : 1" in done.stderr


def test_a_launch_is_one_holder(tmp_path, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    with launch_lock(tmp_path / "out") as first:
        with launch_lock(tmp_path / "out") as another:
            assert first is None and "is in use" in another
        monkeypatch.setenv("RANK", "1")
        with launch_lock(tmp_path / "out") as refusal:
            assert refusal is None


def test_a_page_that_another_program_took_away_is_missed(place, tmp_path, monkeypatch, capsys):
    from ocr2_hf.reading import dataset_predictions

    answer = dataset_predictions._answer

    def emptied(*words):
        (tmp_path / "out" / "predictions.jsonl").write_text("")
        return answer(*words)

    monkeypatch.setattr(dataset_predictions, "_answer", emptied)
    words = [*commands(place, tmp_path / "out")["evaluate"], "--batch_size", "2"]
    assert run_command(main, list(map(str, words))) == 1
    assert "2 of 4 pages that were read, e.g. " in capsys.readouterr().err
    assert not (tmp_path / "out" / "metrics.json").exists()


@pytest.mark.parametrize("code", [errno.ENOSYS, errno.ENOLCK])
def test_on_a_disk_without_locks_a_file_with_the_process_stands_for_one(tmp_path, monkeypatch, capsys, code):
    def flock(*_):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(_native._unix.fcntl, "flock", flock)
    with folder_lock(tmp_path / "out"):
        assert "on a disk without locks: start one command a folder" in capsys.readouterr().err
        with pytest.raises(WorkError, match=HELD.format(os.getpid())), folder_lock(tmp_path / "out"):
            pass
    assert not list(tmp_path.iterdir())


def test_names_as_long_as_names_can_be_and_what_no_lock_can_lie_beside(tmp_path):
    for name in ("n" * 255, "ä" * 127):
        (tmp_path / name).mkdir()
        with folder_lock(tmp_path / name), pytest.raises(WorkError, match="in use"), folder_lock(tmp_path / name):
            pass
    assert lock_file(Path("/")) == Path("/.lock")
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(WorkError, match=rf"cannot be written to: {tmp_path}/file: "),
        folder_lock(tmp_path / "file" / "out"),
    ):
        pass
