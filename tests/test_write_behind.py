"""Calls behind who submits them: in order, bounded, all made at the end, and none behind one that failed."""

import threading
import time

import pytest

from ocr2_hf.reading.write_behind import WriteBehind


def test_calls_are_made_in_order_by_one_other_thread():
    made, threads = [], set()

    def write(number):
        time.sleep(0.001 * (number % 3))
        threads.add(threading.current_thread())
        made.append(number)

    with WriteBehind(4) as behind:
        for number in range(30):
            behind.submit(write, number)
            assert number - len(made) <= 4
        behind.settle()
        assert made == list(range(30))
        behind.submit(write, 30)
    assert made == list(range(31)) and len(threads) == 1 and threading.current_thread() not in threads


def test_what_was_submitted_is_written_before_an_interrupt_goes_on():
    made = []
    with pytest.raises(KeyboardInterrupt), WriteBehind(9) as behind:
        for number in range(5):
            behind.submit(lambda number=number: (time.sleep(0.01), made.append(number)))
        raise KeyboardInterrupt
    assert made == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("where", ["submit", "settle", "end"])
def test_what_fails_is_raised_and_what_follows_is_not_made(where):
    made = []

    def write(number):
        made.append(number)
        if number == 2:
            raise OSError("full")

    with pytest.raises(OSError, match="full"), WriteBehind(2 if where == "submit" else 99) as behind:
        for number in range(9):
            behind.submit(write, number)
        if where == "settle":
            behind.settle()
        assert where == "end"
    assert made == [0, 1, 2]
