"""What is wrong with a call is told before a model is loaded, which for the real one takes minutes."""

import openpyxl
import pytest
import yaml
from PIL import Image, ImageDraw

from helpers.commands import build, write_pages
from helpers.parrot import Parrot
from helpers.tiny_pages import page_row
from ocr2_hf.commands import bench, evaluate, plan, read, statements
from ocr2_hf.errors import run_command
from ocr2_hf.planning import printed
from ocr2_hf.reading.reader import DocumentReader
from ocr2_hf.statements.statement import StatementDocument
from ocr2_hf.statements.workbook import write_workbook


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A page, a file, a run; no model can be loaded."""
    image = Image.new("RGB", (200, 100), "white")
    ImageDraw.Draw(image).text((5, 5), "one", fill="black", font_size=20)
    image.save(tmp_path / "page.png")
    (tmp_path / "file").touch()
    (tmp_path / "runs" / "letters").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)

    def load(*_, **__):
        raise AssertionError("a model was loaded")

    monkeypatch.setattr(DocumentReader, "from_pretrained", load)
    return tmp_path


READ = ["page.png", "--model", "runs/letters"]
STATEMENTS = [*READ, "--to", "json", "--output_dir", "out"]
CALLS = {
    "a model": (read, ["page.png", "--model", "runs/lettres"], 2, "there is no folder runs/lettres; did you mean"),
    "a file": (read, ["pages.png", *READ[1:]], 1, "pages.png: no such file"),
    "a file, into a folder": (read, ["pages.png", *READ[1:], "--output_dir", "runs"], 1, "pages.png: no such file"),
    "a prompt that is missing": (read, [*READ, "--task", "locate"], 2, "the task 'locate' needs a prompt"),
    "a prompt with a control token": (
        read,
        [*READ, "--prompt", "a<image><image>"],
        2,
        "must hold <image> exactly once",
    ),
    "pages": (read, [*READ, "--pages", "7-3"], 2, "7-3"),
    "an output that is a file": (read, [*READ, "--output_dir", "file"], 2, "file is a file; name a directory"),
    "an output in a file": (read, [*READ, "--output_dir", "file/out"], 2, "is a file, so there can be no folder in it"),
    "an output with a name too long": (read, [*READ, "--output_dir", "x" * 300], 2, "File name too long"),
    "a model with a name too long": (read, ["page.png", "--model", "y" * 300], 2, "there is no folder y"),
    "a detector": (statements, [*STATEMENTS, "--detector", "runs/tables"], 2, "there is no folder runs/tables"),
    "a prompt for tables": (statements, [*STATEMENTS, "--prompt", "<image><image>"], 2, "exactly once"),
}


@pytest.mark.parametrize("name", CALLS)
def test_before_a_model_is_loaded(here, capsys, name):
    command, words, status, message = CALLS[name]
    assert run_command(command.main, words) == status
    told = capsys.readouterr().err
    assert message in told and "Traceback" not in told


def test_a_link_that_leads_nowhere(here, capsys):
    (here / "out").symlink_to("gone")
    assert run_command(read.main, [*READ, "--output_dir", "out"]) == 2
    assert "error: out is a link to gone, which is not there; make that" in capsys.readouterr().err


def test_a_place_that_takes_nothing(here, capsys, monkeypatch):
    monkeypatch.setattr("os.access", lambda *_: False)  # the superuser may write anywhere
    assert run_command(read.main, [*READ, "--output_dir", "out/deep"]) == 2
    assert f"--output_dir out/deep: nothing can be written into {here}" in capsys.readouterr().err


def test_pages_that_do_not_suit_the_task_before_a_model_is_loaded(here, datasets_cache, capsys):
    build("letters", write_pages(here / "pages", [page_row("a", (100, 100), ["one"], 1)]), "--val", "0", "--test", "0")
    words = ["--model", "runs/letters", "--dataset", "letters", "--split", "train", "--output_dir", "out"]
    assert run_command(evaluate.main, [*words, "--task", "table"]) == 1
    assert "none of the 1 pages suits the task 'table'" in capsys.readouterr().err
    assert run_command(evaluate.main, [*words, "--task", "table", "--split", "tset"]) == 2
    assert "has no split 'tset'; it has: train" in capsys.readouterr().err


def recipe(folder, **values) -> str:
    (folder / "recipe.yaml").write_text(yaml.safe_dump({"dataset": "none", "model": "tiny", **values}))
    return str(folder / "recipe.yaml")


def test_a_benchmark_with_no_place_for_its_results(here, capsys, monkeypatch):
    monkeypatch.setattr("ocr2_hf.benchmark.results.bench", lambda *_: pytest.fail("it ran"))
    for place, message in {"runs": "--output runs is a folder", "file/x.json": "there can be no folder"}.items():
        assert run_command(bench.main, [recipe(here), "--output", place]) == 2
        assert message in capsys.readouterr().err


def test_a_plan_says_that_a_dataset_is_not_built(here, datasets_cache, capsys, monkeypatch):
    for part in ("_print_parameters", "_print_flops", "_print_memory", "_print_launches"):
        monkeypatch.setattr(printed, part, lambda *_: None)
    assert plan.main([recipe(here), "--dataset", "typo"]) == 0
    told = capsys.readouterr().out
    assert "not built here: typo (no dataset is built yet: run ocr2 build); so this is for a page of" in told
    build("typo", write_pages(here / "pages", [page_row("a", (100, 100), ["one"], 1)]), "--val", "0", "--test", "0")
    words = ["--model", "deepseek-community/DeepSeek-OCR-2", "--max_patches", "2"]
    assert plan.main([recipe(here), "--dataset", "typo", *words]) == 0
    assert "the tokenizer of deepseek-community/DeepSeek-OCR-2 is not at hand to measure" in capsys.readouterr().out


def test_an_empty_answer_is_told(here, capsys, monkeypatch, caplog):
    monkeypatch.setattr(DocumentReader, "from_pretrained", lambda *_, **__: Parrot(" "))
    assert run_command(read.main, [*READ, "--output_dir", "out"]) == 0
    assert "pages with an empty answer: 1\n  page.png" in capsys.readouterr().out
    assert run_command(read.main, READ) == 0
    assert [record.getMessage() for record in caplog.records] == ["page.png: the answer is empty"]


def test_a_workbook_without_a_statement_says_so(tmp_path):
    write_workbook(StatementDocument("report.pdf", [], []), tmp_path / "a.xlsx")
    book = openpyxl.load_workbook(tmp_path / "a.xlsx")
    assert book.sheetnames == ["No statement", "Checks"]
    assert book["No statement"]["A1"].value == "No statement was found in report.pdf"
