"""Builds with two processes, of which one is killed, or which are interrupted: one message, no hang, nothing left."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from helpers.commands import ROOT, environment
from helpers.fork_server import Popen
from helpers.tiny_pages import noise, png

WORKERS = 3  # two that read pages, and the one that holds their queue
KILLED = "error: a worker process was killed (signal 9), most often because memory ran out"


@pytest.fixture(scope="module")
def pages(tmp_path_factory) -> Path:
    """The first half is read in a moment, the other takes a while."""
    folder = tmp_path_factory.mktemp("pages")
    for half, side in (("a", 30), ("b", 1400)):
        content = png(noise((side, side)))
        for number in range(50):
            (folder / f"{half}{number:02}.png").write_bytes(content)
            (folder / f"{half}{number:02}.txt").write_text("A page")
    return folder


def build(pages: Path, cache: Path, act: Callable[[subprocess.Popen, list[psutil.Process]], None]) -> tuple[int, str]:
    """Start a build with two workers, call `act` with it and its children, the oldest first; its status and stderr."""
    words = ["-m", "ocr2_hf", "build", "interrupted", "--annotations", str(pages), "--check", "full"]
    process = Popen(
        [sys.executable, *words, "--val", "0", "--test", "0", "--num_proc", "2"],
        cwd=ROOT,
        env=environment(HF_DATASETS_CACHE=str(cache)),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        while len(children := psutil.Process(process.pid).children()) < WORKERS:
            time.sleep(0.01)
        time.sleep(0.4)  # the first half is read
        act(process, sorted(children, key=lambda child: child.create_time()))
        told = process.communicate(timeout=60)[1]
        assert not psutil.wait_procs(children, timeout=10)[1]
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    return process.returncode, told


@pytest.mark.parametrize("number", range(WORKERS), ids=["idle", "reading", "queue"])
def test_a_worker_that_is_killed_is_told(pages, tmp_path, number):
    """An idle one dies with the lock that the others wait for."""
    status, told = build(pages, tmp_path, lambda _, children: children[number].kill())
    assert status == 1 and told.count(KILLED) == 1 and "Traceback" not in told
    assert "--num_proc" in told and not list(tmp_path.rglob("work-*"))


@pytest.mark.parametrize("whom", [os.killpg, os.kill], ids=["all of them, as Ctrl-C does", "the build alone"])
def test_interrupted(pages, tmp_path, whom):
    status, told = build(pages, tmp_path, lambda process, _: whom(process.pid, signal.SIGINT))
    assert status == 130 and told.endswith("interrupted\n") and "Traceback" not in told
    assert not list(tmp_path.rglob("work-*"))
