"""What is read during training: dense pages to their end, each set within what its own references need."""

import json
import math
import random
import string
from functools import partial

import pytest
from accelerate import Accelerator
from datasets import Dataset
from transformers import AutoTokenizer

from data_scripts.synthesize import main as synthesize
from helpers.perfect_reader import perfect_reader
from helpers.tiny_pages import page_dataset, page_row, processor
from helpers.trainings import QUICK
from ocr2_hf import OCR2Trainer
from ocr2_hf.data.collator import TrainingCollator
from ocr2_hf.data.columns import FEATURES
from ocr2_hf.data.page_tasks import PageTasks
from ocr2_hf.data.tasks import build_target
from ocr2_hf.recipe import OCR2TrainingArguments
from ocr2_hf.training.generated_evaluation import MARGIN, Sample, context_of, score_sample

FEW = page_dataset()


def dense(*lengths: int) -> Dataset:
    """Pages without boxes whose text has so many characters, each a token of the tiny model."""
    rows = [page_row(f"p{length}", (150, 120), [_prose(length)], 0) for length in lengths]
    return Dataset.from_list(rows, features=FEATURES)


def _prose(length: int) -> str:
    chance = random.Random(length)
    return "".join(chance.choices(string.ascii_lowercase + " ", k=length - 1)).replace("  ", "x ") + "."


def texts(pages: Dataset) -> list[str]:
    return list(pages["text"])


def test_a_perfect_model_scores_0_on_dense_pages_and_every_set_has_its_own_limit(tmp_path):
    pages, general = dense(1100, 1300), dense(40)
    model, limits = perfect_reader(texts(pages) + texts(general))
    args = OCR2TrainingArguments(
        output_dir=str(tmp_path),
        **(QUICK | {"tasks": {"ocr": 1.0}, "eval_pages": 2, "per_device_eval_batch_size": 1}),
    )
    sets = {"eval_dataset": pages, "guard_dataset": general}
    metrics = OCR2Trainer(model, args, processor=processor(), **sets).evaluate()
    assert metrics["eval_cer"] == metrics["eval_missing_eos_rate"] == metrics["eval_guard_cer"] == 0
    assert "eval_references_cut" not in metrics
    assert limits == [math.ceil(MARGIN * length) for length in (1301, 1301, 41)]


def test_a_limit_that_cuts_is_measured(tmp_path):
    pages = dense(60, 61, 10)
    model, limits = perfect_reader(texts(pages))
    args = OCR2TrainingArguments(output_dir=str(tmp_path), per_device_eval_batch_size=1, eval_max_new_tokens=61)
    tasks = PageTasks(pages, processor(), {"ocr": 1.0})
    read = score_sample(model, processor(), Accelerator(cpu=True), args, tasks, 3)
    assert limits == [61] * 3 and read["references_cut"] == 1
    assert read["missing_eos_rate"] == pytest.approx(1 / 3)


def test_the_margin_ends_with_the_context_and_no_reference_is_cut():
    of = partial(Sample.of, PageTasks(dense(200, 40), processor(), {"ocr": 1.0}), 2, None)
    prompt = PageTasks(dense(200), processor(), {"ocr": 1.0}).token_counts(0)[0]
    assert of(context_of(perfect_reader([])[0])) == Sample((0, 1), 302, 0)
    assert of(prompt + 250) == Sample((0, 1), 250, 0)
    assert of(prompt + 150) == Sample((0, 1), 201, 0)


def test_counted_tokens_are_those_of_the_batch():
    table = page_row("t", (300, 260), ["<table><tr><td>7</td></tr></table>", "<table></table>"], 2)
    row = table | {"labels": ["table", "table"], "prompt": "Total?", "target": "7.50"}
    pages = Dataset.from_list([*FEW, row], features=FEATURES)
    tasks = PageTasks(pages, processor(), dict.fromkeys(("table", "locate", "markdown", "custom"), 1.0), seed=3)
    collate = TrainingCollator(processor())
    for epoch in range(6):
        tasks.set_epoch(epoch)
        for index in range(len(tasks)):
            labels = collate([tasks[index]])["labels"][0]
            supervised = int((labels != -100).sum())
            assert tasks.token_counts(index) == (len(labels) - supervised, supervised)


def test_a_page_with_one_letter_in_ten_wrong_ends_within_the_limit(real_checkpoint, tmp_path):
    assert synthesize([str(tmp_path / "raw"), "--kind", "articles", "--pages", "2", "--seed", "1"]) == 0
    tokenizer, chance = AutoTokenizer.from_pretrained(real_checkpoint), random.Random(0)
    for path in (tmp_path / "raw").glob("annotations/*.json"):
        row = json.loads(path.read_text()) | {"width": 1240, "height": 1754, "id": path.stem}
        right = build_target("markdown", row)
        wrong = "".join(
            chance.choice(string.ascii_letters) if letter.isalpha() and chance.random() < 0.1 else letter
            for letter in right
        )
        tokens = [len(tokenizer(text, add_special_tokens=False).input_ids) + 1 for text in (right, wrong)]
        assert tokens[0] > 1024, "the limit that there was"
        assert 1.3 < tokens[1] / tokens[0] < MARGIN
