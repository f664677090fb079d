"""What is loaded ahead comes in its order, within its bounds, and ends when it is left."""

import threading
import time

import pytest

from helpers.apart import sleep
from ocr2_hf.document.page_process import open_apart
from ocr2_hf.errors import WorkError
from ocr2_hf.reading import look_ahead as module
from ocr2_hf.reading.look_ahead import look_ahead


class Loader:
    """Loads numbers; knows which were begun, how many at once, and by which threads."""

    def __init__(self, seconds=0.0):
        self.seconds, self.begun, self.threads = seconds, [], set()
        self.now, self.most, self.beside = 0, 0, {}
        self._lock = threading.Lock()

    def __call__(self, number):
        with self._lock:
            self.begun.append(number)
            self.threads.add(threading.current_thread())
            self.now += 1
            self.most = max(self.most, self.now)
        time.sleep(self.seconds * (3 - number % 3))
        with self._lock:
            self.beside[number] = self.now - 1
            self.now -= 1
        if number % 10 == 9:
            raise WorkError(f"page {number}")
        return number * 100


def taken(sources, load, count=4, size=lambda loaded: 1, **options):
    for source, loaded in look_ahead(sources, load, size, count, **options):
        try:
            yield source, loaded()
        except WorkError as error:
            yield source, str(error)


def test_all_come_in_order_whatever_each_takes_and_raises():
    load = Loader(0.002)
    wanted = [(n, f"page {n}" if n % 10 == 9 else n * 100) for n in range(25)]
    assert list(taken(range(25), load)) == wanted and sorted(load.begun) == list(range(25))
    assert list(taken([], load)) == []


def test_so_many_are_loaded_while_one_is_worked_on_and_no_more(monkeypatch):
    monkeypatch.setattr(module, "usable_processors", lambda: 8)
    load = Loader(0.01)
    pages = taken(range(30), load)
    next(pages)
    time.sleep(0.3)
    assert sorted(load.begun) == [0, 1, 2, 3, 4] and 1 < load.most <= module.MOST_THREADS
    assert threading.current_thread() not in load.threads
    pages.close()


def test_no_more_is_held_than_memory_allows(monkeypatch):
    monkeypatch.setattr(module, "MOST_BYTES", 1000)
    monkeypatch.setattr(module, "usable_processors", lambda: 1)
    load, begun = Loader(), []
    for number, _ in taken(range(30), load, count=20, size=lambda loaded: 400):
        time.sleep(0.01)
        begun.append(len(load.begun) - number)
    assert max(begun) <= 5 and len(load.begun) == 30  # three fill the room; one is taken, one was begun before


def test_what_is_larger_than_all_room_is_loaded_all_the_same(monkeypatch):
    monkeypatch.setattr(module, "MOST_BYTES", 10)
    assert len(list(taken(range(8), Loader(0.001), size=lambda loaded: 400))) == 8


def test_what_is_alone_is_loaded_when_all_before_it_were_taken_and_nothing_beside_it():
    load = Loader(0.005)
    for number, _ in taken(range(20), load, is_alone=lambda number: number in (0, 7, 8)):
        if number == 6:
            assert max(load.begun) == 6
    assert [load.beside[number] for number in (0, 7, 8)] == [0, 0, 0] and load.begun.index(7) == 7


def test_one_alone_starts_no_thread():
    load = Loader()
    assert list(taken([5], load)) == [(5, 500)] and load.threads == {threading.current_thread()}


@pytest.mark.timeout(60)
def test_a_page_that_never_opens_holds_up_nobody_who_leaves(tmp_path):
    (tmp_path / "page.png").touch()
    opened = []

    def load(number):
        opened.append(number)
        return open_apart(sleep, tmp_path / "page.png", "page.png", 50 if number > 1 else 0)

    before = threading.active_count()
    pages = look_ahead(range(9), load, lambda loaded: 1, 4)
    next(pages)[1]()
    start = time.monotonic()
    while 2 not in opened:
        time.sleep(0.01)
    pages.close()
    assert time.monotonic() - start < 10 and threading.active_count() == before
    assert open_apart(sleep, tmp_path / "page.png", "page.png", 0) is None  # it is no fault of the file
