"""A run is known by its recipe and its pages; a folder of anything else is left alone."""

import json

import pytest
import yaml

from helpers.commands import build, write_pages
from helpers.tiny_pages import page_row
from ocr2_hf.__main__ import main
from ocr2_hf.errors import run_command
from ocr2_hf.training.run_folder import COMPLETE, TRAINED_ON_FILE

RECIPE = {
    "model": "tiny",
    "dataset": "corrected",
    "train_language": "full",
    "loss_chunks": 1,
    "per_device_train_batch_size": 2,
    "max_steps": 1,
    "save_strategy": "steps",
}


@pytest.fixture
def place(tmp_path, datasets_cache):
    build_pages(tmp_path, "Total")
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(RECIPE))
    return tmp_path


def build_pages(folder, text) -> None:
    rows = [page_row(f"p{number}", (120, 90), ["Line", text], 1) for number in range(2)]
    build("corrected", write_pages(folder / "pages", rows), "--val", "0", "--test", "0")


def train(place, **values) -> int:
    words = [word for key, value in values.items() for word in (f"--{key}", str(value))]
    return run_command(main, ["train", str(place / "recipe.yaml"), "--output_dir", str(place / "run"), *words])


def test_a_dataset_that_was_built_again_makes_another_run(place, capfd):
    assert train(place) == 0
    run = place / "run"
    (digest,) = json.loads((run / TRAINED_ON_FILE).read_text()).values()
    build_pages(place, "Total, corrected")
    refused = f"{run} holds a run over other pages: corrected was built again since"
    for finished in (True, False):
        capfd.readouterr()
        assert train(place) == 2 and refused in capfd.readouterr().err
        assert train(place, max_steps=2) == 2 and refused in capfd.readouterr().err
        if finished:
            (run / COMPLETE).unlink()
    assert json.loads((run / TRAINED_ON_FILE).read_text()) == {"corrected": digest}, "nothing was written"
    (run / TRAINED_ON_FILE).unlink()  # a run of an earlier version goes on
    assert train(place, max_steps=2) == 0
    assert json.loads((run / TRAINED_ON_FILE).read_text())["corrected"] != digest


def test_a_training_writes_into_no_folder_of_the_users(place, capfd):
    (place / "run" / "scans").mkdir(parents=True)
    assert train(place) == 2
    told = capfd.readouterr().err
    assert f"{place / 'run'} holds files that no training wrote, e.g. scans; name a new or empty folder" in told
    assert [path.name for path in (place / "run").rglob("*")] == ["scans"]


def test_what_a_kill_or_a_person_left_there_is_no_hindrance(place):
    """A base is kept before a run has its marks."""
    (place / "run" / "base").mkdir(parents=True)
    (place / "run" / "recipe.yaml").write_text("{}")
    (place / "run" / ".hidden").write_text("")
    assert train(place) == 0
