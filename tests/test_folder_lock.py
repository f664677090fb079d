"""Two of one command in one output folder: the second is told who holds it, and what the first does stays whole."""

import errno
import json
import os
import signal
import sys
from functools import partial
from pathlib import Path
from subprocess import PIPE

import pytest
from filelock import _native

from helpers.commands import ROOT, build, environment, run, write_pages
from helpers.fork_server import Popen
from helpers.launches import launcher
from helpers.tiny_pages import page_row
from ocr2_hf.__main__ import main
from ocr2_hf.document.atomic_files import whole_folder
from ocr2_hf.document.folder_lock import folder_lock, launch_lock, lock_file
from ocr2_hf.errors import UsageError, WorkError, run_command
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
HOLDING_WITHOUT_LOCKS = (
    """
import fcntl
def flock(*_):
    raise OSError(38, "Function not implemented")
fcntl.flock = flock
"""
    + HOLDING
)
PROCESS = {"cwd": ROOT, "env": environment(), "stdout": PIPE, "text": True}


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
    with Popen([sys.executable, "-c", HOLDING, str(tmp_path / "out")], **PROCESS) as process:
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
        "train": [
            "train",
            "recipes/tiny/full.yaml",
            "--train_split",
            "test",
            "--eval_strategy",
            "no",
            "--output_dir",
            output,
        ],
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


def pair(command) -> list[str]:
    """Start it twice at once: one is done, and one is refused. What they said."""
    words = list(map(str, [sys.executable, "-m", "ocr2_hf", *command]))
    both = [Popen(words, **PROCESS, stderr=PIPE) for _ in range(2)]
    told = [process.communicate(timeout=300)[1] for process in both]
    assert sorted(process.returncode for process in both) == [0, 1], told
    assert sum("is in use: process" in each for each in told) == 1, told
    return words


@pytest.mark.slow
@pytest.mark.parametrize("name", ["read", "statements", "export", "synthesize", "crop", "inspect", "train"])
def test_two_of_one_command_at_once(place, tmp_path, name):
    """One does the work; the same command after it finds it done, or goes on."""
    more = {"synthesize": ["--pages", "200"], "train": ["--dataset", DATASET, "--max_steps", "1"]}
    more |= {"inspect": ["--tokenizer", place / "model"]}
    words = pair([*commands(place, tmp_path / "out")[name], *more.get(name, [])])
    made = {path: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()}
    assert made and not [path for path in tmp_path.iterdir() if path.name != "out"]
    assert run(*words).returncode in (0, 2), "2 where the folder must be new"
    assert {path: path.read_bytes() for path in made} == made


def test_two_evaluations_at_once(place, tmp_path):
    """The first reads all pages; the second is refused, and finds all done when it is run again."""
    command = pair(commands(place, tmp_path / "out")["evaluate"])
    assert json.loads((tmp_path / "out" / "metrics.json").read_text())["pages"] == 4
    assert run_command(main, command[3:]) == 0
    assert len((tmp_path / "out" / "predictions.jsonl").read_text().splitlines()) == 4


@pytest.mark.parametrize("name", [pytest.param("evaluate", marks=pytest.mark.slow), "train"])
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


def no_flock(*_, code=errno.ENOSYS):
    raise OSError(code, os.strerror(code))


@pytest.mark.parametrize("code", [errno.ENOSYS, errno.ENOLCK])
def test_on_a_disk_without_locks_a_file_with_the_process_stands_for_one(tmp_path, monkeypatch, capsys, code):
    monkeypatch.setattr(_native._unix.fcntl, "flock", partial(no_flock, code=code))
    with folder_lock(tmp_path / "out"):
        assert "on a disk without locks: start one command a folder" in capsys.readouterr().err
        with pytest.raises(WorkError, match=HELD.format(os.getpid())), folder_lock(tmp_path / "out"):
            pass
    assert not list(tmp_path.iterdir())


def test_a_killed_holder_on_a_disk_without_locks_is_found_out_and_one_elsewhere_is_not(tmp_path, monkeypatch):
    monkeypatch.setattr(_native._unix.fcntl, "flock", no_flock)
    marker = tmp_path / ".out.lock.process"
    with Popen([sys.executable, "-c", HOLDING_WITHOUT_LOCKS, str(tmp_path / "out")], **PROCESS) as process:
        assert process.stdout.readline() == "held\n"
        with pytest.raises(WorkError, match=HELD.format(process.pid)), folder_lock(tmp_path / "out"):
            pass
        process.kill()
    assert marker.exists()
    with folder_lock(tmp_path / "out"):
        lines = marker.read_text().splitlines()
        assert lines[0] == str(os.getpid())
    marker.write_text("\n".join([lines[0], "another-machine", *lines[2:]]) + "\n")
    told = f"is in use: .*; where that process is gone, remove {marker}"
    with pytest.raises(WorkError, match=told), folder_lock(tmp_path / "out"):
        pass


def test_names_as_long_as_names_can_be_and_what_no_lock_can_lie_beside(tmp_path):
    for name in ("n" * 255, "ä" * 127):
        (tmp_path / name).mkdir()
        with folder_lock(tmp_path / name), pytest.raises(WorkError, match="in use"), folder_lock(tmp_path / name):
            pass
    assert lock_file(Path("/")) == Path("/.lock")
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(WorkError, match=rf"{tmp_path}/file: "),
        folder_lock(tmp_path / "file" / "out"),
    ):
        pass


@pytest.mark.parametrize("there", [True, False])
def test_a_folder_that_is_a_link_comes_to_where_that_leads(tmp_path, there):
    goal = tmp_path / "disk" / "goal"
    goal.mkdir(parents=True)
    (tmp_path / "link").symlink_to(goal)
    if not there:
        goal.rmdir()
    with whole_folder(tmp_path / "link") as beside:
        assert beside.parent == goal.parent  # no rename from one disk to another
        (beside / "a").touch()
    assert (tmp_path / "link").is_symlink() and (goal / "a").is_file()
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["a", "disk", "goal", "link"]


def test_a_folder_that_is_a_link_to_itself(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "link")
    with pytest.raises(UsageError, match=r"is a link to .*link, which is not there"), whole_folder(tmp_path / "link"):
        pytest.fail("it began")


def test_half_files_of_whoever_was_killed_go_and_the_users_hidden_files_stay(tmp_path):
    half, mine = f".{'0a' * 16}.partial", ".download.partial"
    for folder in (tmp_path / "out", tmp_path / "out" / "overlays"):
        folder.mkdir()
        for name in (half, mine):
            (folder / name).touch()
    with folder_lock(tmp_path / "out"):
        pass
    assert sorted(path.name for path in (tmp_path / "out").rglob("*.partial")) == [mine, mine]
