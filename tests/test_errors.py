"""How commands end: what a disk refuses, who does not listen, what a terminal cannot show."""

import errno
import os
import subprocess
import sys

import pytest

from helpers.commands import ROOT, environment
from ocr2_hf.document.atomic_files import write_whole
from ocr2_hf.errors import DiskError, WorkError, run_command, writing_to

FULL = "No space left on device; make room, and run the same command again"


def ends(main, capsys) -> tuple[int, str]:
    """The status of a command, and what it told on stderr."""
    return run_command(main), capsys.readouterr().err


def raising(error, cause=None):
    def main(argv):
        raise error from cause

    return main


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (OSError(errno.ENOSPC, "a library's words"), FULL),
        (OSError(errno.ENOSPC, "full", "/runs/a.json"), f"/runs/a.json: {FULL}"),
        (OSError(errno.EXDEV, "no", "/a", None, "/b"), "/b: Invalid cross-device link; see what is there"),
        (PermissionError(errno.EACCES, "no", "/runs"), "/runs: Permission denied; see that this user may"),
        (ValueError("I/O error: No space left on device (os error 28)"), FULL),
        (RuntimeError("[enforce fail at inline_container.cc:664] unexpected pos"), "a file cannot be written, most"),
    ],
)
def test_what_a_disk_refuses_is_one_message(capsys, error, told):
    for main in (raising(error), raising(RuntimeError("building failed"), error)):
        status, printed = ends(main, capsys)
        assert status == 1 and printed.startswith(f"error: {told}") and printed.count("\n") == 1


@pytest.mark.parametrize("error", [ConnectionError(errno.ECONNREFUSED, "no"), FileNotFoundError("x"), KeyError("x")])
def test_other_exceptions_keep_their_traceback(error):
    with pytest.raises(type(error)):
        run_command(raising(error))


def test_every_process_tells_of_its_own_disk(capsys, monkeypatch):
    monkeypatch.setenv("RANK", "1")
    assert ends(raising(WorkError("seen by all")), capsys) == (1, "")
    assert ends(raising(DiskError("mine")), capsys) == (1, "error: mine\n")


def test_whose_neighbour_ended_has_no_traceback(capsys):
    gone = RuntimeError("[/pytorch/gloo/gloo/transport/tcp/pair.cc:553] Connection closed by peer [127.0.0.1]:10669.")
    assert ends(raising(gone), capsys) == (
        1,
        "stopped: another process of this launch ended first; see what it told\n",
    )


def test_where_nobody_told_the_file_the_place_is_told(tmp_path):
    with pytest.raises(DiskError, match=f"^runs: {FULL}"), writing_to("runs"):
        raise OSError(errno.ENOSPC, "full")
    with pytest.raises(WorkError, match="no pages"), writing_to("runs"):
        raise WorkError("no pages")


def test_a_file_is_told_by_its_own_name(tmp_path):
    (tmp_path / "there").mkdir()
    with pytest.raises(DiskError, match=f"^{tmp_path}/there: Is a directory"), writing_to("runs"):
        write_whole(tmp_path / "there", "text")


@pytest.mark.parametrize("then", [ImportError("numpy failed"), TimeoutError()])
def test_what_a_library_makes_of_an_interruption_is_one_too(capsys, then):
    def main(argv):
        try:
            raise KeyboardInterrupt
        finally:
            raise then

    assert ends(main, capsys) == (130, "interrupted\n")


# --- streams, by real processes

SYNTHESIZE = ("synthesize", "--kind", "receipts", "--pages", "1")


def started(*words: str | bytes, stdout=subprocess.PIPE, **extra: str) -> subprocess.CompletedProcess:
    """`ocr2` in a process that is not forked: streams are made when Python starts."""
    command = [sys.executable, "-c", "from ocr2_hf.__main__ import cli; cli()", *words]
    return subprocess.run(command, stdout=stdout, stderr=subprocess.PIPE, cwd=ROOT, env=environment(**extra))


@pytest.mark.parametrize(
    ("name", "shown", "extra"),
    [
        ("caf\u00e9 \u96fb", rb"caf\xe9 \u96fb", {"PYTHONIOENCODING": "ascii"}),
        ("caf\u00e9 \u96fb", rb"caf\udcc3\udca9 ", {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}),
        (b"caf\xe9", rb"caf\udce9", {"PYTHONUTF8": "1"}),
    ],
    ids=["ascii terminal", "the C locale", "a name that is no text"],
)
def test_names_that_a_terminal_cannot_show(tmp_path, name, shown, extra):
    folder = os.fsencode(tmp_path) + b"/" + os.fsencode(name)
    done = started(*SYNTHESIZE, folder, **extra)
    assert done.returncode == 0, done.stderr
    assert shown in done.stdout and os.path.isfile(folder + b"/images/000000.png")


def test_nobody_reads_what_is_printed():
    read, write = os.pipe()
    os.close(read)
    done = started("--help", stdout=write)
    os.close(write)
    assert (done.returncode, done.stderr) == (141, b"")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full")
def test_what_is_printed_goes_to_a_full_disk():
    with open("/dev/full", "wb") as full:
        done = started("--help", stdout=full)
    assert (done.returncode, done.stderr.decode()) == (1, f"error: {FULL}\n")
