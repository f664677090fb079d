"""`--tokenizer`: pages against the context of the model, by the model's own tokens."""

import json
import shutil
from pathlib import Path

import pytest

from data_scripts.build_dataset import main
from data_scripts.token_lengths import CONTEXT, TokenLengths
from helpers.page_folders import image_bytes, write_page, write_pages
from ocr2_hf.data.collator import PromptEncoder, TargetEncoder
from ocr2_hf.data.load import load_dataset
from ocr2_hf.data.tasks import build_example
from ocr2_hf.errors import run_command
from ocr2_hf.modeling.tiny import build_tiny_processor


@pytest.fixture
def pages(tmp_path, datasets_cache):
    return write_pages(tmp_path / "pages", 3)


def build(folder, *options) -> int:
    whole = ("--val", "0", "--test", "0", "--max_bad", "1")
    return run_command(main, ["letters", "--annotations", str(folder), *whole, *map(str, options)])


def test_lengths_are_those_of_the_sequence_that_is_trained_on(pages):
    processor = build_tiny_processor()
    build(pages)
    row = load_dataset("letters", split="train")[1]
    prompt, target = build_example("markdown", row)
    encoder = PromptEncoder(processor)
    sequence = [*encoder.prompt(prompt, 0), *TargetEncoder(processor.tokenizer)(target).ids]
    lengths = TokenLengths("tiny")
    assert lengths.measure(row) == (encoder.settings.tokens(0), len(sequence))
    assert lengths.context == 4096
    long = row | {"prompt": "fields", "target": "x" * 500}
    assert lengths.measure(long)[1] > 500 + encoder.settings.tokens(0) > len(sequence)


def test_what_can_be_split_is_counted_and_what_cannot_is_rejected(pages, capsys):
    image = image_bytes(60, 400)
    regions = {"bboxes": [[5, 10, 50, 150], [5, 200, 50, 390]], "labels": ["text", "text"]}
    write_page(pages, "parted", image, **regions, texts=["a" * 3000, "b" * 3000])
    write_page(pages, "one_region", image, bboxes=[[5, 10, 50, 150]], labels=["text"], texts=["c" * 6000])
    write_page(pages, "no_region", image, text="d" * 6000, bboxes=[], labels=[], texts=[])
    assert build(pages, "--tokenizer", "tiny") == 0
    output = capsys.readouterr().out
    assert "overlong            1" in output and "rejected            2" in output
    assert sorted(load_dataset("letters", split="train")["id"]) == ["p000", "p001", "p002", "parted"]
    listed = output[output.index("reasons: ") + 9 :].splitlines()[0]
    reasons = [json.loads(line) for line in Path(listed).read_text().splitlines()]
    assert [reject["id"] for reject in reasons] == ["no_region", "one_region"]
    assert all("tokens is over the context of 4,096 and cannot be split" in reject["reason"] for reject in reasons)
    assert build(pages) == 0  # without a tokenizer nothing is measured
    assert "rejected            0" in capsys.readouterr().out


def test_two_processes_measure_alike(pages):
    write_page(pages, "no_region", image_bytes(), text="d" * 6000, bboxes=[], labels=[], texts=[])
    for processes in (1, 2):
        assert build(pages, "--tokenizer", "tiny", "--num_proc", processes) == 0
        assert load_dataset("letters", split="train")["id"] == ["p000", "p001", "p002"]


def test_a_folder_with_a_tokenizer_alone_is_measured_as_the_real_model(tmp_path):
    processor = build_tiny_processor()
    processor.tokenizer.save_pretrained(tmp_path / "tokenizer")
    lengths = TokenLengths(str(tmp_path / "tokenizer"))
    row = {"id": "a", "text": "abc", "bboxes": [], "labels": [], "texts": [], "prompt": None, "target": None}
    visual, length = lengths.measure(row | {"width": 1240, "height": 1754})
    assert (lengths.context, visual) == (CONTEXT, 256 + 6 * 144 + 1)
    assert length > visual + 3


@pytest.mark.parametrize("content", [None, "{"])
def test_no_tokenizer_is_refused_and_nothing_is_built(pages, tmp_path, capsys, content):
    (tmp_path / "model").mkdir()
    if content:
        (tmp_path / "model" / "tokenizer.json").write_text(content)
    assert build(pages, "--tokenizer", tmp_path / "model") == 2
    error = capsys.readouterr().err
    assert "tokenizer" in error and str(tmp_path / "model") in error and "Traceback" not in error


def test_another_tokenizer_builds_again(pages, tmp_path, capsys):
    build_tiny_processor().save_pretrained(tmp_path / "model")
    shutil.copy(tmp_path / "model" / "tokenizer.json", tmp_path / "kept")
    assert build(pages, "--tokenizer", tmp_path / "model") == 0
    assert "letters: built" in capsys.readouterr().out
    assert build(pages, "--tokenizer", tmp_path / "model") == 0
    assert "unchanged" in capsys.readouterr().out
    shutil.copy(tmp_path / "kept", tmp_path / "model" / "tokenizer.json")  # another time
    assert build(pages, "--tokenizer", tmp_path / "model") == 0
    assert "letters: built" in capsys.readouterr().out
