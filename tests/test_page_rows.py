"""Pages whose images are damaged, and loaders whose workers raise or are killed: one message, whoever reads them."""

import os
import re
import signal
from collections.abc import Callable

import pytest
from datasets import Dataset
from torch.utils.data import DataLoader

from helpers.tiny_pages import page_row
from ocr2_hf.data.columns import FEATURES
from ocr2_hf.data.page_rows import page_row as decoded
from ocr2_hf.data.page_rows import page_rows
from ocr2_hf.errors import WorkError, run_command


def damaged() -> Dataset:
    """Two pages, the second without its pixels, which a header does not tell."""
    rows = [page_row(name, (60, 40), ["Tea"], 1) for name in ("good", "bad")]
    content = rows[1]["image"]["bytes"]
    rows[1]["image"]["bytes"] = content[: content.index(b"IDAT") + 8]
    return Dataset.from_list(rows, features=FEATURES)


class Pages:
    """What a loader is given: `act` is called in a worker."""

    def __init__(self, act: Callable[[int], object]) -> None:
        self.act = act

    def __len__(self) -> int:
        return 2

    def __getitem__(self, index: int) -> int:
        self.act(index)
        return index


def ends(act: Callable[[int], object], capsys) -> tuple[int, str]:
    loader = DataLoader(Pages(act), num_workers=1, batch_size=1)
    return run_command(lambda argv: list(loader) and None), capsys.readouterr().err


def test_a_damaged_page_is_named():
    pages = damaged()
    assert decoded(pages, 0)["image"].size == (60, 40)
    with pytest.raises(WorkError, match=r"^page 'bad' of the dataset .*--check full.*: cannot be read \("):
        list(page_rows(pages))


def test_so_it_is_in_a_worker_of_a_loader(capsys, monkeypatch):
    pages = damaged()
    monkeypatch.setenv("RANK", "1")  # the others do not know of it
    status, told = ends(lambda index: decoded(pages, index), capsys)
    assert status == 1 and re.fullmatch(r"error: page 'bad' of the dataset .*\n", told)


def test_a_worker_that_is_killed_is_told(capsys):
    status, told = ends(lambda index: os.kill(os.getpid(), signal.SIGKILL), capsys)
    assert status == 1 and told.startswith("error: a worker process was killed (signal 9), most often because memory")
    assert "--dataloader_num_workers" in told and told.count("\n") == 1
