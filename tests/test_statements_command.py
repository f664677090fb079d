"""`ocr2 statements` with a real tiny model: files in, results out, bad ones listed, and on where it stopped."""

import csv
import json
import time

import openpyxl
import pypdfium2
import pytest
from PIL import Image

from helpers.statement_tables import BALANCE, table_html
from ocr2_hf import DocumentReader
from ocr2_hf.commands import statements
from ocr2_hf.data.tasks import PROMPTS
from ocr2_hf.errors import run_command
from ocr2_hf.modeling.generation import Generation
from ocr2_hf.modeling.tiny import save_tiny


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return str(save_tiny(tmp_path_factory.mktemp("tiny")))


@pytest.fixture
def files(tmp_path):
    """A drawn page, a blank PDF of two, one that is broken, one that is not there."""
    Image.linear_gradient("L").resize((192, 192)).save(tmp_path / "page.png")
    pdf = pypdfium2.PdfDocument.new()
    for _ in range(2):
        pdf.new_page(300, 400)
    pdf.save(tmp_path / "blank.pdf")
    (tmp_path / "broken.pdf").write_bytes(b"%PDF-1.4 nothing")
    return {name: str(tmp_path / name) for name in ("page.png", "blank.pdf", "broken.pdf", "gone.png")}


@pytest.fixture
def answering(monkeypatch):
    """The model's answers replaced by recorded ones: every page has one table, with an error in it."""
    rows = [[*row[:2], "4,009", row[3]] if row[0] == "Total assets" else row for row in BALANCE]
    layout = "<|ref|>title<|/ref|><|det|>[[1, 1, 900, 40]]<|/det|>\nBalance sheet\n\n"
    layout += "<|ref|>table<|/ref|><|det|>[[50, 60, 950, 900]]<|/det|>\n"
    answers = {PROMPTS["markdown"]: layout, PROMPTS["table"]: table_html(rows)}

    def generate(self, images, prompts, max_new_tokens=0):
        return [Generation(answers[prompt], 5, True, 0.1) for prompt in prompts]

    monkeypatch.setattr(DocumentReader, "generate", generate)
    return answers


def run(*argv):
    return run_command(statements.main, [*map(str, argv)])


def test_a_real_model_on_good_and_bad_files_ends_with_a_clear_result(model, files, tmp_path, capsys):
    start = time.monotonic()
    limits = ("--max_new_tokens", 30, "--max_seconds", 60)
    out = tmp_path / "out"
    assert run(*files.values(), "--model", model, "--to", "json", "--output_dir", out, *limits) == 1
    told = capsys.readouterr()
    assert "broken.pdf: broken PDF" in told.err and "gone.png: no such file" in told.err
    assert "Traceback" not in told.err and "files without a statement: 2" in told.out
    # A model that learned nothing never ends: that is told, not waited for.
    assert "page.png, page 1: the answer for its layout was cut off at the limit of tokens" in told.out
    blank = json.loads((out / "blank.statements.json").read_text(encoding="utf-8"))
    assert [page["blank"] for page in blank["pages"]] == [True, True] and blank["statements"] == []
    assert not list(out.glob("broken*")) and time.monotonic() - start < 120


def test_every_format_is_written_and_what_is_off_is_told(model, files, tmp_path, capsys, answering):
    out = tmp_path / "out"
    assert run(files["page.png"], "--model", model, "--to", "json", "csv", "xlsx", "--output_dir", out) == 0
    told = capsys.readouterr().out
    assert "statements: 1" in told and "page.png: Total assets, 2023: off by 9" in told
    content = json.loads((out / "page.statements.json").read_text(encoding="utf-8"))
    assert content["statements"][0]["title"] == "Balance sheet"
    with open(out / "page.statements.csv", encoding="utf-8-sig") as file:
        assert any(row["check"] == "off" for row in csv.DictReader(file))
    assert openpyxl.load_workbook(out / "page.statements.xlsx").sheetnames == ["Balance sheet", "Checks"]
    assert not list(out.glob("*.partial")) and not list(out.glob(".*.partial"))


def test_it_goes_on_where_it_stopped_and_anew_with_other_settings(model, files, tmp_path, capsys, answering):
    call = (files["page.png"], "--model", model, "--to", "json", "--output_dir", tmp_path / "out")
    assert run(*call) == 0
    answering[PROMPTS["table"]] = "gone"
    capsys.readouterr()
    assert run(*call) == 0 and "files read before: 1" in capsys.readouterr().out
    assert run(files["blank.pdf"], *call) == 0 and "files read before: 1" in capsys.readouterr().out
    assert run(*call, "--max_new_tokens", 99) == 0 and "read before" not in capsys.readouterr().out
    content = json.loads((tmp_path / "out" / "page.statements.json").read_text(encoding="utf-8"))
    assert content["statements"] == []


def test_the_recipes_prompt_is_asked_and_a_given_one_before_it(model, files, tmp_path, answering, monkeypatch):
    english = "<image>\nExtract the table."
    with open(f"{model}/recipe.yaml", "w", encoding="utf-8") as file:
        json.dump({"tasks": {"table": 1.0}, "prompts": {"table": english}}, file)
    answering[english] = answering.pop(PROMPTS["table"])
    call = (files["page.png"], "--model", model, "--to", "json", "--output_dir")
    assert run(*call, tmp_path / "one") == 0
    answering["<image>\nRead it."] = answering.pop(english)
    assert run(*call, tmp_path / "two", "--prompt", "Read it.") == 0
    results = [(tmp_path / name / "page.statements.json").read_text(encoding="utf-8") for name in ("one", "two")]
    assert results[0] == results[1] and "Goodwill" in results[0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--detector", "no_such_detector"], "--detector no_such_detector: cannot be loaded"),
        (["--output_dir", "page.png"], "is a file"),
        (["--pages", "0"], "count from 1"),
        (["--no_repeat_ngram", "91"], "is shorter than no_repeat_ngram: 91"),
    ],
)
def test_a_wrong_call_gives_one_message(model, files, arguments, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    call = [files["page.png"], "--model", model, "--to", "csv", "--output_dir", "out", *arguments]
    assert run(*call) == 2
    error = capsys.readouterr().err
    assert message in error and "Traceback" not in error


@pytest.mark.parametrize("arguments", [[], ["--to", "docx"], ["--to"]])
def test_what_argparse_refuses(model, files, arguments):
    with pytest.raises(SystemExit, match="2"):
        run(files["page.png"], "--model", model, "--output_dir", "out", *arguments)
