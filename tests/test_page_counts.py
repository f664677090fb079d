"""What is counted of pages: once, by all processors, kept where others find it; broken files and full disks."""

import logging
import multiprocessing
import os
import resource
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from datasets import Dataset

from helpers.tiny_pages import page_dataset, page_row, processor
from ocr2_hf.data import page_counts
from ocr2_hf.data.augment import Augmentation
from ocr2_hf.data.columns import FEATURES
from ocr2_hf.data.page_tasks import PageTasks
from ocr2_hf.errors import WorkError
from ocr2_hf.modeling.load import load_processor

MIX = {"markdown": 1.0, "ocr": 1.0, "locate": 2.0, "table": 1.0}
TABLE = "<table><tr><td>1.50</td></tr></table>"

pytestmark = pytest.mark.usefixtures("datasets_cache")


def pages_of(dataset: Dataset | None = None, tasks=MIX, **options) -> PageTasks:
    return PageTasks(
        many_pages() if dataset is None else dataset, options.pop("processor", processor()), tasks, **options
    )


def many_pages(bad: tuple[int, ...] = ()) -> Dataset:
    """Ten pages, every third with a table; with text that is none in the `bad` ones."""
    rows = [page_row(f"p{i}", (150 + 20 * i, 210), [f"Tea {i} {k}" for k in range(9)], 1 + i % 9) for i in range(10)]
    for row in rows[::3]:
        row["labels"][-1], row["texts"][-1] = "table", TABLE
    for i in bad:
        rows[i]["texts"][0] = f"<image> {i}"
    return Dataset.from_list(rows, features=FEATURES)


def found(pages: PageTasks) -> tuple:
    """All that is counted."""
    texts = pages.regions, pages.regions_without_text, pages.pages_without_text
    drawn = [pages.drawn_lengths(epoch).tolist() for epoch in range(3)]
    return pages.lengths.tolist(), pages.labels, pages.roles, texts, pages.rows.tolist(), pages.sections, drawn


def kept(cache: Path) -> list[Path]:
    return sorted(cache.glob("page_*/*"))


@pytest.fixture
def uncounted(monkeypatch):
    """Calling it forbids to count any page from then on."""

    def forbid() -> None:
        def forbidden(*_):
            raise AssertionError("these pages are counted again")

        monkeypatch.setattr(page_counts, "text_length", forbidden)
        monkeypatch.setattr(page_counts, "split_page", forbidden)

    return forbid


@pytest.fixture
def processes(monkeypatch):
    """Two processes count, three pages at a time."""
    monkeypatch.setattr(page_counts, "_TOGETHER", 3)
    monkeypatch.setattr(page_counts, "_WORTH_A_PROCESS", 5)
    monkeypatch.setattr(page_counts, "usable_processors", lambda: 2)


# --- once


def test_a_second_start_counts_nothing(uncounted, tmp_path, datasets_cache):
    first = found(pages_of(max_length=950, overlong="split"))
    assert first[5] and len(kept(datasets_cache)) == 2
    processor().save_pretrained(tmp_path / "stage")
    uncounted()
    assert found(pages_of(max_length=950, overlong="split")) == first
    # The next stage has the processor that the one before has saved.
    again = pages_of(processor=load_processor(str(tmp_path / "stage")), max_length=950, overlong="split")
    assert found(again) == first


def test_what_counts_do_not_depend_on_counts_nothing(uncounted):
    pages = pages_of()
    uncounted()
    for options in ({"max_length": 900}, {"seed": 3}, {"tasks": dict.fromkeys(MIX, 7.0)}):
        assert (pages_of(**options).lengths == pages.lengths).all()
    turned = pages_of(augment=Augmentation(rotation=5))
    assert (turned.lengths[:, :3] == pages.lengths[:, :3]).all() and (turned.lengths[:, 3] > pages.lengths[:, 3]).any()


def test_what_they_depend_on_counts_anew(datasets_cache):
    other = page_dataset()
    pages_of()
    for number, options in enumerate(
        ({"dataset": other}, {"tasks": {"ocr": 1.0}}, {"prompts": {"ocr": "<image>\nRead."}}), 2
    ):
        pages_of(**options)
        assert len(kept(datasets_cache)) == number


# --- by all processors


def test_two_processes_find_what_one_finds_and_training_goes_on_the_same(datasets_cache, processes, monkeypatch):
    torch.manual_seed(0)
    state = torch.get_rng_state()
    apart = found(pages_of(max_length=950, overlong="split"))
    assert torch.equal(torch.get_rng_state(), state)
    for path in kept(datasets_cache):
        path.unlink()
    monkeypatch.setattr(page_counts, "usable_processors", lambda: 0)
    assert found(pages_of(max_length=950, overlong="split")) == apart


def test_the_first_page_that_cannot_be_trained_on_is_told(processes, datasets_cache):
    with pytest.raises(WorkError, match=r"^page 'p4' cannot be trained on \(markdown\): its text holds <image>"):
        pages_of(many_pages(bad=(4, 8)))
    assert not kept(datasets_cache)


def test_a_dataset_without_pages_has_none(datasets_cache):
    pages = pages_of(many_pages().select([]), overlong="split")
    assert len(pages) == 0 and pages.lengths.shape == (0, 4) and not pages.dropped


# --- files


def test_a_broken_file_is_counted_anew(datasets_cache):
    expected = found(pages_of())
    (path,) = kept(datasets_cache)
    whole = path.read_bytes()
    for content in (b"", b"PK", whole[:-30], whole[: len(whole) // 2], b"\x93NUMPY" + whole):
        path.write_bytes(content)
        assert found(pages_of()) == expected
        assert path.stat().st_size == len(whole)
    for place in range(0, len(whole), 211):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        assert found(pages_of()) == expected, place


def test_a_disk_that_takes_no_files_is_told_in_a_line(datasets_cache, caplog, monkeypatch):
    expected = found(pages_of())
    datasets_cache.rename(datasets_cache.with_name("away"))
    datasets_cache.write_text("a file, where no folder can be made")
    with caplog.at_level(logging.WARNING):
        assert found(pages_of()) == expected
    (told,) = caplog.messages
    assert "cannot be kept" in told and "counted anew at every start" in told


def test_a_full_disk_keeps_nothing_half(datasets_cache, caplog):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    dataset = many_pages()
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))
    try:
        lengths = pages_of(dataset).lengths
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert len(caplog.messages) == 1 and "File too large" in caplog.text
    assert not [path for path in kept(datasets_cache) if path.suffix != ".lock"]
    assert (pages_of(dataset).lengths == lengths).all() and len(kept(datasets_cache)) == 1


# --- two at once


def count_slowly(folder: Path, seconds: float) -> None:
    """Count in a process of its own: a line for every page, and the lengths at the end."""
    count = page_counts.text_length

    def slow(*args):
        with open(folder / "counted", "a") as file:
            file.write(f"{os.getpid()}\n")
        time.sleep(seconds)
        return count(*args)

    page_counts.text_length = slow
    np.save(folder / f"{os.getpid()}.npy", pages_of(tasks={"ocr": 1.0}).lengths)


def started(folder: Path, seconds: float) -> multiprocessing.Process:
    process = multiprocessing.get_context("fork").Process(target=count_slowly, args=(folder, seconds))
    process.start()
    return process


def counted(folder: Path) -> list[str]:
    path = folder / "counted"
    return path.read_text().split() if path.exists() else []


def test_of_two_processes_one_counts_and_the_other_waits(tmp_path):
    both = [started(tmp_path, 0.05) for _ in range(2)]
    for process in both:
        process.join()
    assert len(counted(tmp_path)) == 10 and len(set(counted(tmp_path))) == 1
    one, other = (np.load(tmp_path / f"{process.pid}.npy") for process in both)
    assert (one == other).all() and (one > 0).all()


def test_where_the_one_that_counts_is_killed_the_other_goes_on(tmp_path):
    killed = started(tmp_path, 60)
    while not counted(tmp_path):
        time.sleep(0.01)
    waiting = started(tmp_path, 0)
    waiting.join(0.5)
    assert waiting.is_alive() and len(counted(tmp_path)) == 1
    killed.kill()
    waiting.join()
    assert counted(tmp_path) == [str(killed.pid), *[str(waiting.pid)] * 10]
    assert (np.load(tmp_path / f"{waiting.pid}.npy") == pages_of(tasks={"ocr": 1.0}).lengths).all()
