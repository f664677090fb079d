"""The model's own tokens written out in pages and prompts: refused wherever they come in, and never trained on."""

import copy
import json
import re
from functools import lru_cache

import pytest
import torch
from datasets import Dataset
from transformers import AutoProcessor

from helpers.parrot import Parrot
from helpers.real_checkpoint import BOS, EOS, PAD
from helpers.recorded_reader import RecordedReader, layout
from helpers.tiny_pages import page_row, processor
from ocr2_hf.data.collator import PromptEncoder, PromptError, TargetEncoder, control_tokens
from ocr2_hf.data.columns import FEATURES
from ocr2_hf.data.page_tasks import PageTasks
from ocr2_hf.document.grounding import TAGS
from ocr2_hf.document.model_tokens import find_model_token
from ocr2_hf.document.records import PageRecord, RecordError, check_record
from ocr2_hf.errors import UsageError, WorkError
from ocr2_hf.reading.dataset_predictions import predict_dataset
from ocr2_hf.reading.reader import DocumentReader
from ocr2_hf.statements.parser import FinancialStatementParser

ROLES = ("<|User|>", "<|Assistant|>")
OTHER = ("<｜fim▁hole｜>", "<|EOT|>", "<｜User｜>", "<｜tool▁calls▁begin｜>", "<｜place▁holder▁no▁7｜>")
CONTROL = (BOS, EOS, PAD, *ROLES, *OTHER)
CELLS = "<table><tr><td>7</td><td>1,234</td></tr></table>"
LOOKS_ALIKE = "<|endoftext|> <user> ｜ <s> <｜ x < y ｜> <User> |User| <td>"


@lru_cache
def twin(folder):
    return AutoProcessor.from_pretrained(folder)


def page(**changes) -> dict:
    return page_row("bad page", (150, 120), ["Tea", "A longer line"], 2) | changes


def dataset_of(row: dict) -> Dataset:
    return Dataset.from_list([row], features=FEATURES)


def record(**changes) -> PageRecord:
    fields = {"id": "p1", "image_path": "p1.png", "text": "a", "bboxes": [[1, 2, 3, 4]], "labels": ["text"]}
    return PageRecord(**(fields | changes))


def test_every_control_token_of_the_real_tokenizer_is_known_by_name(real_checkpoint):
    control = control_tokens(twin(real_checkpoint).tokenizer)
    assert set(CONTROL) <= set(control.values()) and len(control) > 800
    assert all(find_model_token(token)[0] == token for token in control.values())
    assert not {*TAGS, "<td>", "</td>", "<tr>", "</tr>"} & set(control.values())


@pytest.mark.parametrize("token", CONTROL)
@pytest.mark.parametrize("field", ["text", "texts", "labels", "prompt", "target"])
def test_a_record_with_a_control_token_is_refused(field, token):
    value = f"a {token}"
    with pytest.raises(RecordError, match=r"holds <.*>, a token of the model's own, at offset 2"):
        check_record(record(**{field: [value] if field in ("texts", "labels") else value}), 100, 100)


def test_what_a_record_may_hold():
    asked = {"prompt": "<image>\n<|grounding|>Where?", "target": "<|ref|>a<|/ref|><|det|>[[1, 2, 3, 4]]<|/det|>"}
    checked, _ = check_record(record(text=f"{CELLS}\n{LOOKS_ALIKE}", texts=[CELLS], **asked), 100, 100)
    assert checked.text == f"{CELLS}\n{LOOKS_ALIKE}" and checked.target == asked["target"]
    with pytest.raises(RecordError, match="target holds <image>"):
        check_record(record(prompt="Q", target="A <image>"), 100, 100)


CASES = {
    "ocr": {"text": "a TOKEN b"},
    "markdown": {"texts": ["Tea", "a TOKEN b"]},
    "markdown's label": {"labels": ["TOKEN", "text"]},
    "markdown without boxes": {"text": "a TOKEN b", "bboxes": [], "labels": [], "texts": []},
    "locate": {"texts": ["TOKEN", f"A longer line {'x' * 60}"]},
    "table": {"labels": ["table", "table"], "texts": ["<table>TOKEN</table>", f"<table>{'x' * 90}</table>"]},
    "custom": {"prompt": "Total?", "target": "a TOKEN b"},
    "custom prompt": {"prompt": "Tot TOKEN al?", "target": "a"},
}


def check_refused(processor, case: str, token: str) -> None:
    row = page(**json.loads(json.dumps(CASES[case], ensure_ascii=False).replace("TOKEN", token)))
    task = re.match("[a-z]+", case)[0]
    with pytest.raises(WorkError, match="page 'bad page' cannot be trained on") as caught:
        PageTasks(dataset_of(row), processor, {task: 1.0})
    assert token in str(caught.value)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("token", [EOS, PAD, "<|User|>", "<｜fim▁hole｜>"])
def test_a_page_that_was_built_before_is_not_trained_on(real_checkpoint, case, token):
    check_refused(twin(real_checkpoint), case, token)


@pytest.mark.parametrize("case", CASES)
def test_nor_with_a_token_that_this_tokenizer_alone_has(case):
    other = copy.deepcopy(processor())
    other.tokenizer.add_special_tokens({"additional_special_tokens": ["[STOP]"]})
    check_refused(other, case, "[STOP]")


@pytest.mark.parametrize("task", ["ocr", "table", "locate"])
def test_tags_are_free_only_where_a_task_writes_them(task):
    text = "<table><|det|></table>" if task == "table" else "a <|det|> b"
    row = page(text=text, labels=["table", "table"], texts=[text, "<table>longer than the other</table>"])
    with pytest.raises(WorkError, match=r"its text holds <\|det\|>, a token of the model's own and no text"):
        PageTasks(dataset_of(row), processor(), {task: 1.0})


def test_cells_tags_and_what_looks_alike_are_trained_on(real_checkpoint):
    row = page(labels=["table", "text"], texts=[CELLS, LOOKS_ALIKE.replace("<td>", "")], text=f"{CELLS} {LOOKS_ALIKE}")
    row |= {"prompt": "<|grounding|>Where?", "target": "<|ref|>a<|/ref|><|det|>[[1, 2, 3, 4]]<|/det|>"}
    tasks = dict.fromkeys(("ocr", "markdown", "table", "locate", "custom"), 1.0)
    for each in (processor(), twin(real_checkpoint)):
        assert (PageTasks(dataset_of(row), each, tasks).lengths > 0).all()


def test_targets_and_prompts_hold_no_control_token(real_checkpoint):
    for each in (processor(), twin(real_checkpoint)):
        for token in (BOS, EOS, PAD, "<image>"):
            with pytest.raises(ValueError, match="a token of the model's own and no text"):
                TargetEncoder(each.tokenizer)(f"a {token} b")
        with pytest.raises(PromptError, match="must not hold <｜end▁of▁sentence｜>, a control token"):
            PromptEncoder(each).prompt(f"<image>\nRead{EOS}", 0)


@pytest.mark.parametrize(("task", "prompt"), [("ocr", "Read<|User|>"), ("locate", EOS), ("custom", "<image><image>")])
def test_a_prompt_of_the_command_line_is_refused(task, prompt):
    with pytest.raises(UsageError, match=r"the prompt '.*' must (not hold <.*>, a control token|hold <image> exactly)"):
        Parrot("").prompt(task, prompt)


def test_a_prompt_that_only_the_tokenizer_refuses_is_told_too():
    other = copy.deepcopy(processor())
    other.tokenizer.add_special_tokens({"additional_special_tokens": ["[STOP]"]})

    class Model:
        device, dtype = torch.device("cpu"), torch.float32

        def eval(self):
            return self

    reader = DocumentReader(Model(), other)
    with pytest.raises(UsageError, match=r"must not hold \[STOP\]"):
        reader.read(page_image(), task="custom", prompt="Read [STOP]")


def page_image():
    return PageTasks(dataset_of(page()), processor(), {"ocr": 1.0}).image(0)


@pytest.mark.parametrize(
    ("task", "changes"),
    [("custom", {"prompt": f"Q{EOS}", "target": "A"}), ("locate", {"texts": ["<|User|>", ""]})],
)
def test_evaluation_names_the_page_that_cannot_be_asked(tmp_path, task, changes):
    with pytest.raises(WorkError, match=rf"page 'bad page' cannot be asked \({task}\): its prompt must not hold"):
        predict_dataset(Parrot(""), dataset_of(page(**changes)), task, tmp_path / "predictions.jsonl")


def test_values_of_a_statement_with_a_token_are_not_asked_for():
    size = (400, 400)
    table = "<table><tr><td></td><td>2024</td></tr><tr><td>Cash</td><td>12 <|User|></td></tr>"
    table += "<tr><td>Total assets</td><td>12</td></tr></table>"
    reader = RecordedReader([layout(size, ("table", (20, 20, 380, 380), ""))], [table], {"12": (1, 2, 30, 40)})
    image = page_image().resize(size)
    FinancialStatementParser(reader, locate=True).parse_statement(image)
    assert not [prompt for _, prompt in reader.shown if "User" in prompt]
