"""The whole line by its commands: folder -> dataset -> training -> evaluation -> a page read."""

import json

import pytest

from helpers.commands import BIN, build, python, run

TINY = "recipes/tiny/full.yaml"
LAUNCH = [BIN / "accelerate", "launch", "--config_file", "accelerate_configs/cpu.yaml", "-m", "ocr2_hf", "train"]


def train(dataset: str, folder, *words: str) -> list[float]:
    """Train by `accelerate launch`; returns the losses of the log rows."""
    words = ["--dataset", dataset, "--output_dir", folder, "--eval_strategy", "no", "--save_strategy", "no", *words]
    done = run(*LAUNCH, TINY, *words, timeout=600)
    assert done.returncode == 0, done.stderr
    history = json.loads((folder / "trainer_state.json").read_text())["log_history"]
    return [row["loss"] for row in history if "loss" in row]


def evaluate(model, dataset: str, split: str, folder, *words: str) -> dict:
    words = ["--model", model, "--dataset", dataset, "--split", split, "--output_dir", folder, *words]
    done = python("-m", "ocr2_hf", "evaluate", *words, timeout=600)
    assert done.returncode == 0, done.stderr
    assert {path.name for path in folder.iterdir()} >= {"metrics.json", "predictions.jsonl", "report.html"}
    return json.loads((folder / "metrics.json").read_text())


def test_synthetic_receipts(tmp_path):
    pages = tmp_path / "pages"
    done = python("data_scripts/synthesize.py", pages, "--kind", "receipts", "--pages", "8", "--size", "192x192")
    assert done.returncode == 0, done.stderr
    build("receipts-e2e", pages, "--val", "0.25", "--test", "0.25")
    words = ["--max_steps", "40", "--warmup_steps", "5", "--per_device_train_batch_size", "2", "--logging_steps", "1"]
    losses = train("receipts-e2e", tmp_path / "run", *words)
    assert losses[-1] < losses[0] / 2
    metrics = evaluate(tmp_path / "run", "receipts-e2e", "validation", tmp_path / "eval", "--max_new_tokens", "64")
    assert metrics["pages"] == 2 and metrics["cer"] > 0 and metrics["inference_time"] > 0
    page = next((pages / "images").iterdir())
    words = ["--model", tmp_path / "run", "--output_dir", tmp_path / "read", "--max_new_tokens", "64"]
    done = python("-m", "ocr2_hf", "read", page, *words)
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "read" / f"{page.stem}.json").read_text())


@pytest.mark.slow
def test_real_letters(real_pages, tmp_path):
    """Four real pages: the loss falls by more than half, and the model comes to know its training pages."""
    build("letters-e2e", real_pages / "annotation_folder", "--val", "0.25", "--test", "0.25")
    # Text alone and two tiles a page, so that it takes a minute.
    words = ["--tasks", "{ocr: 1}", "--max_patches", "2", "--per_device_train_batch_size", "2", "--logging_steps", "1"]
    trained = tmp_path / "trained"
    losses = train("letters-e2e", trained, "--num_train_epochs", "50", "--warmup_steps", "10", *words)
    assert losses[-1] < losses[0] / 2
    fresh = tmp_path / "fresh"
    train("letters-e2e", fresh, "--max_steps", "1", "--learning_rate", "1e-9", *words)
    before = evaluate(fresh, "letters-e2e", "train", tmp_path / "before", "--max_new_tokens", "600")
    after = evaluate(trained, "letters-e2e", "train", tmp_path / "after", "--max_new_tokens", "600")
    assert after["cer"] < 0.5 < before["cer"]
    letter = real_pages / "annotation_folder" / "images" / "01R_P1S3SS1P019_003.png"
    words = ["--model", trained, "--task", "ocr", "--output_dir", tmp_path / "read", "--max_new_tokens", "100"]
    done = python("-m", "ocr2_hf", "read", letter, *words)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "read" / "01R_P1S3SS1P019_003.md").stat().st_size > 0
