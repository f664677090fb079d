"""A file that never ends or takes all memory costs its own page and no other; nothing is left of the process."""

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from PIL import Image

from helpers.apart import heavy_modules, process_id, sleep
from helpers.bad_pdfs import million_pages, nested_forms, stream_bomb
from helpers.commands import ROOT
from ocr2_hf.document import page_process
from ocr2_hf.document.page_files import PageSource, list_pages
from ocr2_hf.document.page_process import open_apart
from ocr2_hf.errors import WorkError


@pytest.fixture
def good(tmp_path):
    Image.new("RGB", (30, 20), "red").save(tmp_path / "good.png")
    return tmp_path / "good.png"


def size(path: Path) -> tuple[int, int]:
    (page,) = list_pages(path)
    return page.load().size


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_page_that_never_ends_is_left_and_the_next_one_is_read(tmp_path, good, monkeypatch):
    monkeypatch.setattr(page_process, "SECONDS", 1)
    (tmp_path / "forms.pdf").write_bytes(nested_forms())
    with pytest.raises(WorkError, match=r"forms\.pdf: not opened within 1 s: it is broken or has too much on it"):
        size(tmp_path / "forms.pdf")
    assert size(good) == (30, 20)


def test_a_page_that_takes_all_memory_is_left_and_the_next_one_is_read(tmp_path, good, monkeypatch):
    monkeypatch.setattr(page_process, "MEMORY", 2**29)
    (tmp_path / "bomb.pdf").write_bytes(stream_bomb())
    with pytest.raises(WorkError, match=r"bomb\.pdf: the process that opened it was ended by SIG.* than 512 MiB"):
        size(tmp_path / "bomb.pdf")
    assert size(good) == (30, 20)


def test_a_page_that_fits_no_memory_is_told(tmp_path, monkeypatch):
    Image.new("1", (12_000, 12_000)).save(tmp_path / "large.png")
    monkeypatch.setattr(page_process, "MEMORY", 2**29)
    with pytest.raises(WorkError, match=r"large\.png: takes more memory than there is"):
        PageSource(tmp_path / "large.png").load()


def test_a_million_pages_are_not_listed(tmp_path):
    (tmp_path / "many.pdf").write_bytes(million_pages())
    with pytest.raises(WorkError, match=r"many\.pdf: 1,000,000 pages, more than 20,000 at a time: name some"):
        list_pages(tmp_path / "many.pdf")
    assert [page.load().size for page in list_pages(tmp_path / "many.pdf", "1")] == [(400, 400)]


def test_a_file_whose_pages_never_end_is_left_after_some(tmp_path, monkeypatch):
    monkeypatch.setattr(page_process, "SECONDS", 1)
    monkeypatch.setattr(page_process, "MAX_LOST", 2)
    path = tmp_path / "book.pdf"
    path.write_bytes(nested_forms(pages=4))
    told = []
    for page in list_pages(path):
        with pytest.raises(WorkError) as caught:
            page.load()
        told.append(str(caught.value))
    assert [" within 1 s" in reason for reason in told] == [True, True, False, False]
    assert told[3] == f"{path}, page 4: not opened: 2 of its pages took too long or too much memory"
    Image.new("1", (30, 20)).save(path, resolution=72)  # mended
    assert size(path) == (60, 40)


def its_id() -> int:
    return open_apart(process_id, "page.png", "page.png")


def test_the_process_has_no_torch_and_a_thread_has_its_own(good):
    assert size(good) == (30, 20) and not open_apart(heavy_modules, good, "good.png")
    found = {its_id()}
    assert found == {its_id()} and os.getpid() not in found
    threads = [threading.Thread(target=lambda: found.add(its_id())) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 3
    assert [is_alive(pid) for pid in found].count(True) == 1  # those of threads end with them


def test_a_fork_has_a_process_of_its_own(good):
    pid = its_id()
    with multiprocessing.get_context("fork").Pool(2) as pool:
        assert pool.map(size, [good] * 8) == [(30, 20)] * 8
    assert its_id() == pid


def test_a_path_is_that_of_the_folder_that_the_command_is_in(good, monkeypatch):
    assert size(good) == (30, 20)
    monkeypatch.chdir(good.parent)
    assert size(Path(good.name)) == (30, 20)
    with pytest.raises(WorkError, match=r"^gone\.png: no such file"):
        list_pages("gone.png")


def test_a_process_that_was_killed_while_it_had_nothing_to_do_is_no_fault_of_the_next_file(good):
    os.kill(its_id(), signal.SIGKILL)
    time.sleep(0.1)
    assert size(good) == (30, 20)


def test_an_interrupted_call_does_not_answer_the_next_one(good):
    def interrupt(*_):
        raise KeyboardInterrupt

    its_id()
    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, 0.2)
    try:
        with pytest.raises(KeyboardInterrupt):
            open_apart(sleep, good, "good.png", 5)
    finally:
        signal.signal(signal.SIGALRM, before)
    assert size(good) == (30, 20)


STOPPED = """
import sys
from helpers.apart import process_id, sleep
from ocr2_hf.document.page_process import open_apart
print(open_apart(process_id, "page.png", "page.png"), flush=True)
if sys.argv[1] == "busy":
    open_apart(sleep, "page.png", "page.png", 30)
sys.stdin.read()
"""


@pytest.mark.parametrize("work", ["busy", "idle"])
@pytest.mark.parametrize("stop", [signal.SIGKILL, signal.SIGINT])
def test_nothing_is_left_of_a_command_that_is_stopped(work, stop):
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests")])}
    command = [sys.executable, "-c", STOPPED, work]
    with subprocess.Popen(command, env=environment, text=True, **pipes) as process:
        pid = int(process.stdout.readline())
        time.sleep(0.2)
        process.send_signal(stop)
        end = time.monotonic() + 5
        while is_alive(pid) and time.monotonic() < end:
            time.sleep(0.05)
        assert not is_alive(pid)
        told = process.communicate()[1]
    assert process.returncode == -stop and told.count("Traceback") == (stop == signal.SIGINT)
