"""`ocr2 read`: files in, markdown, JSON and overlays out."""

import json

import pytest
from PIL import Image

from ocr2_hf.commands import read
from ocr2_hf.errors import run_command
from ocr2_hf.modeling.tiny import save_tiny


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return str(save_tiny(tmp_path_factory.mktemp("tiny")))


@pytest.fixture
def files(tmp_path):
    Image.new("RGB", (200, 100), "white").save(tmp_path / "one.png")
    Image.new("RGB", (100, 50), "white").save(
        tmp_path / "two.pdf", save_all=True, append_images=[Image.new("L", (60, 60))]
    )
    return [str(tmp_path / "one.png"), str(tmp_path / "two.pdf")]


def run(*argv):
    return run_command(read.main, [*map(str, argv), "--max_new_tokens", "3"])


def test_every_file_gives_its_results(model, files, tmp_path):
    assert run(*files, "--model", model, "--task", "ocr", "--output_dir", tmp_path / "out") == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "one.json",
        "one.md",
        "one.overlay.png",
        "two.json",
        "two.md",
        "two.page-1.overlay.png",
        "two.page-2.overlay.png",
    ]
    document = json.loads((tmp_path / "out" / "two.json").read_text(encoding="utf-8"))
    assert document["file"] == files[1] and [page["page"] for page in document["pages"]] == [1, 2]
    assert [page["width"] for page in document["pages"]] == [200, 120]
    text = "\n\n".join(page["markdown"] for page in document["pages"])
    assert (tmp_path / "out" / "two.md").read_text(encoding="utf-8") == text + "\n"


def test_without_an_output_dir_the_markdown_is_printed(model, files, tmp_path, capsys):
    assert run(files[0], "--model", model, "--output_dir", tmp_path / "out") == 0
    capsys.readouterr()
    assert run(files[0], "--model", model) == 0
    assert capsys.readouterr().out == (tmp_path / "out" / "one.md").read_text(encoding="utf-8")


def test_a_bad_file_is_listed_and_the_others_are_read(model, files, tmp_path, capsys):
    (tmp_path / "bad.png").write_text("no image")
    bad = [tmp_path / "bad.png", tmp_path / "gone.pdf"]
    assert run(bad[0], files[0], bad[1], files[1], "--model", model, "--output_dir", tmp_path / "out") == 1
    message = capsys.readouterr().err.split("error: ")[1]
    assert "bad.png: not a readable image" in message and "gone.pdf: no such file" in message
    assert "Traceback" not in message and "one.png" not in message
    assert (tmp_path / "out" / "one.md").exists() and (tmp_path / "out" / "two.md").exists()
    assert not (tmp_path / "out" / "bad.md").exists()


def test_two_files_of_one_name_are_refused_before_anything_is_written(model, files, tmp_path, capsys):
    (tmp_path / "deep").mkdir()
    Image.new("RGB", (9, 9)).save(tmp_path / "deep" / "one.jpg")
    assert run(files[0], tmp_path / "deep" / "one.jpg", "--model", model, "--output_dir", tmp_path / "out") == 2
    assert "would both give one.md" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--model", "no_such_dir"], "no_such_dir"),
        (["--model", "tiny", "--task", "locate"], "needs a prompt"),
        (["--model", "tiny", "--output_dir", "one.png"], "is a file"),
        (["--model", "tiny", "--no_repeat_ngram", "91"], "no_repeat_window: 90 is shorter than no_repeat_ngram: 91"),
    ],
)
def test_a_wrong_call_gives_one_message(files, arguments, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run(files[0], *arguments) == 2
    error = capsys.readouterr().err
    assert message in error and "Traceback" not in error


@pytest.mark.parametrize("arguments", [[], ["--task", "translate"], ["--batch_size", "0"]])
def test_what_argparse_refuses(files, arguments, capsys):
    with pytest.raises(SystemExit, match="2"):
        run(files[0], *(["--model", "tiny", *arguments] if arguments else []))
