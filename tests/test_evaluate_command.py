"""`ocr2 evaluate`: a model on a dataset, saved predictions, two evaluations; killed and started again."""

import json
import os
import subprocess
import sys

import pytest
import torch
import yaml
from lxml import html
from PIL import Image, ImageDraw

from ocr2_hf.commands import evaluate
from ocr2_hf.errors import run_command
from ocr2_hf.modeling.tiny import save_tiny
from ocr2_hf.reading.reader import DocumentReader

DATASET = "evaluate_pages"
PAGES = 5


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return save_tiny(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module", autouse=True)
def dataset(repo, tmp_path_factory):
    """Five pages, all in `test`; the last has no boxes."""
    folder = tmp_path_factory.mktemp("pages")
    for sub in ("annotations", "images"):
        (folder / sub).mkdir()
    for number in range(PAGES):
        image = Image.new("RGB", (200, 100 + 60 * number), "white")
        ImageDraw.Draw(image).text((20, 20), f"Page {number}", fill="black", font_size=20)
        image.save(folder / "images" / f"p{number}.png")
        boxed = number < PAGES - 1
        annotation = {
            "text": f"Page {number}",
            "bboxes": [[20, 20, 90, 45]] * boxed,
            "labels": ["text"] * boxed,
            "texts": [f"Page {number}"] * boxed,
        }
        (folder / "annotations" / f"p{number}.json").write_text(json.dumps(annotation))
    build = [sys.executable, "data_scripts/build_dataset.py", DATASET, "--annotations", str(folder)]
    environment = {**os.environ, "PYTHONPATH": str(repo)}
    subprocess.run([*build, "--val", "0", "--test", "1"], cwd=repo, check=True, env=environment)


def run(*argv):
    return run_command(evaluate.main, list(map(str, argv)))


def on_model(model, output, *more):
    few = ("--max_new_tokens", 6, "--batch_size", 2)
    return run("--model", model, "--dataset", DATASET, "--output_dir", output, *few, *more)


def lines_of(output):
    return [json.loads(line) for line in (output / "predictions.jsonl").read_text(encoding="utf-8").splitlines()]


def without_time(lines):
    return [{key: value for key, value in line.items() if key != "seconds"} for line in lines]


@pytest.fixture
def asked(monkeypatch):
    """How many pages each batch of the real reader had."""
    sizes = []
    real = DocumentReader.generate

    def generate(self, images, prompts, max_new_tokens):
        sizes.append(len(images))
        return real(self, images, prompts, max_new_tokens)

    monkeypatch.setattr(DocumentReader, "generate", generate)
    return sizes


def test_a_model_on_a_dataset(model, tmp_path, capsys):
    assert on_model(model, tmp_path / "out") == 0
    lines = lines_of(tmp_path / "out")
    assert [line["id"] for line in lines] == [f"p{number}" for number in range(PAGES)]
    first, last = lines[0], lines[-1]
    assert first["prompt"] == "<image>\n<|grounding|>Convert the document to markdown."
    assert first["reference"] == "<|ref|>text<|/ref|><|det|>[[100, 200, 450, 450]]<|/det|>\nPage 0"
    assert first["reference_regions"][0]["box"] == pytest.approx([20, 20, 90, 45], abs=0.2)
    assert (first["width"], first["height"], first["tokens"]) == (200, 100, 6)
    assert last["reference"] == "Page 4" and last["reference_regions"] == []
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert metrics["pages"] == PAGES and metrics["cer"] > 0.5 and metrics["bbox_iou"] == 0
    assert metrics["inference_time"] > 0
    tree = html.fromstring((tmp_path / "out" / "report.html").read_text(encoding="utf-8"))
    items = json.loads(tree.xpath("//script[@id='data']/text()")[0])["items"]
    assert len(items) == PAGES and all(item["image"].startswith("data:image/jpeg") for item in items)
    printed = capsys.readouterr().out
    assert "Character errors" in printed and f"{PAGES} pages" in printed
    assert not list((tmp_path / "out").glob(".*"))
    assert f"{PAGES} pages have references longer than --max_new_tokens 6: their answers are cut off" in printed
    assert on_model(model, tmp_path / "text", "--task", "ocr", "--max_new_tokens", 7) == 0
    assert "longer than" not in capsys.readouterr().out, "six letters and an end are seven tokens"


def test_a_killed_evaluation_goes_on(model, tmp_path, asked):
    assert on_model(model, tmp_path) == 0
    whole = lines_of(tmp_path)
    assert asked == [2, 2, 1]
    path = tmp_path / "predictions.jsonl"
    rows = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(rows[:3]) + rows[3][:40])  # killed while it wrote the fourth page
    asked.clear()
    assert on_model(model, tmp_path) == 0
    assert asked == [2, 1]  # the batch that was cut in two is read again, and the last
    assert without_time(lines_of(tmp_path)) == without_time(whole)
    asked.clear()
    assert on_model(model, tmp_path) == 0
    assert asked == []


def test_an_evaluation_goes_on_with_the_batch_that_was_chosen_for_it(model, tmp_path, asked, monkeypatch):
    monkeypatch.setattr(DocumentReader, "fitting_pages", lambda *_: 3)
    assert on_model(model, tmp_path, "--batch_size", "auto") == 0 and asked == [3, 2]
    path = tmp_path / "predictions.jsonl"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[1:]))
    monkeypatch.setattr(DocumentReader, "fitting_pages", lambda *_: 4)  # on another GPU
    asked.clear()
    assert on_model(model, tmp_path, "--batch_size", "auto") == 0
    assert asked in ([3], [2]) and len(lines_of(tmp_path)) == PAGES


def test_a_page_that_fits_no_memory_ends_an_evaluation_with_its_name(model, tmp_path, capsys, monkeypatch):
    def fail(*_):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(DocumentReader, "generate", fail)
    assert on_model(model, tmp_path) == 1
    assert "error: page 'p" in (told := capsys.readouterr().err) and "too little GPU memory to read this page" in told


def test_what_other_processes_left_is_gathered_once(model, tmp_path, asked):
    assert on_model(model, tmp_path) == 0
    whole = lines_of(tmp_path)
    path, part = tmp_path / "predictions.jsonl", tmp_path / "predictions.process-3.jsonl"
    rows = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(rows[:2]))
    part.write_bytes(b"".join(rows[1:]) + rows[0][:20])  # killed after it gathered, before it tidied up
    asked.clear()
    assert on_model(model, tmp_path) == 0
    assert asked == [] and lines_of(tmp_path) == whole and not part.exists()
    path.unlink()
    part.write_bytes(b"".join(rows))
    assert on_model(model, tmp_path, "--task", "ocr") == 0  # other settings: nothing of the part is taken
    assert sum(asked) == PAGES and not part.exists()


@pytest.mark.parametrize("change", ["task", "limit", "model", "tokens", "guard"])
def test_predictions_of_other_settings_are_replaced(model, tmp_path, asked, capsys, change):
    first = save_tiny(tmp_path / "model")
    assert on_model(first, tmp_path / "out", "--limit", 2) == 0
    asked.clear()
    capsys.readouterr()
    flags = {"task": ["--task", "ocr"], "tokens": ["--max_new_tokens", 5], "guard": ["--no_repeat_ngram", 0]}
    more = flags.get(change, [])
    limit = 3 if change == "limit" else 2
    if change == "model":
        save_tiny(first, seed=1)
    assert on_model(first, tmp_path / "out", "--limit", limit, *more) == 0
    assert sum(asked) == limit
    assert "made with other settings" in capsys.readouterr().out
    assert len(lines_of(tmp_path / "out")) == limit


def test_the_recipe_of_the_model_decides_task_and_prompt(tmp_path):
    directory = save_tiny(tmp_path / "model")
    recipe = {"tasks": {"markdown": 0.2, "ocr": 0.8}, "prompts": {"ocr": "<image>\nLis la page."}}
    (directory / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    assert on_model(directory, tmp_path / "out", "--limit", 1) == 0
    (line,) = lines_of(tmp_path / "out")
    assert line["prompt"] == "<image>\nLis la page." and line["reference"] == "Page 0"
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert metrics["bbox_iou"] is None


def test_pages_that_do_not_suit_the_task_are_counted(model, tmp_path, capsys):
    assert on_model(model, tmp_path / "out", "--task", "locate") == 0
    assert "1 pages have nothing for the task 'locate'" in capsys.readouterr().out
    assert len(lines_of(tmp_path / "out")) == PAGES - 1
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert metrics["cer"] is None and metrics["bbox_iou"] == 0
    assert on_model(model, tmp_path / "none", "--task", "custom") == 1
    assert "none of the 5 pages suits the task 'custom'" in capsys.readouterr().err


def write_predictions(folder, **texts):
    folder.mkdir()
    rows = [{"id": page, "prediction": text, "reference": "abcd"} for page, text in texts.items()]
    (folder / "predictions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder / "predictions.jsonl"


def test_saved_predictions_are_scored(tmp_path, capsys):
    path = write_predictions(tmp_path / "elsewhere", a="abcd", b="abcx")
    assert run("--predictions", path, "--output_dir", tmp_path / "out") == 0
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert metrics["cer"] == 0.125 and metrics["text_accuracy"] == 0.875 and metrics["inference_time"] is None
    assert (tmp_path / "out" / "predictions.jsonl").read_text() == path.read_text()
    assert (tmp_path / "out" / "report.html").exists()
    assert "12.5%" in capsys.readouterr().out
    assert run("--predictions", path, "--output_dir", path.parent) == 0  # in place


def test_a_dataset_gives_what_predictions_made_elsewhere_lack(tmp_path, capsys):
    path = tmp_path / "vllm.jsonl"
    answer = "<|ref|>text<|/ref|><|det|>[[100, 200, 450, 450]]<|/det|>\nPage 0"
    rows = [{"id": "p0", "prediction": answer}, {"id": "p4", "prediction": "Page 4", "seconds": None}]
    path.write_text("\ufeff" + "".join(json.dumps(row) + "\r\n" for row in rows), encoding="utf-8")
    assert run("--predictions", path, "--dataset", DATASET, "--output_dir", tmp_path / "out") == 0
    lines = lines_of(tmp_path / "out")
    assert [line["id"] for line in lines] == [f"p{number}" for number in range(PAGES)]
    assert lines[0]["reference"] == answer and lines[0]["regions"] == lines[0]["reference_regions"]
    assert [line.get("missing", False) for line in lines] == [False, True, True, True, False]
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert metrics["pages"] == PAGES and metrics["missing_pages"] == 3
    assert metrics["bbox_iou"] == 0.25 and metrics["cer"] == pytest.approx(0.6)
    assert "on evaluate_pages, test, markdown" in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    again = tmp_path / "out" / "predictions.jsonl"  # now it has its references itself
    assert run("--predictions", again, "--output_dir", tmp_path / "again") == 0
    assert json.loads((tmp_path / "again" / "metrics.json").read_text()) == metrics


def test_a_model_that_gives_no_boxes_is_not_asked_for_them(tmp_path):
    path = tmp_path / "elsewhere.jsonl"
    path.write_text("".join(json.dumps({"id": f"p{n}", "prediction": f"Page {n}"}) + "\n" for n in range(PAGES)))
    assert run("--predictions", path, "--dataset", DATASET, "--output_dir", tmp_path / "out") == 0
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert metrics["cer"] == 0 and metrics["bbox_iou"] is None and metrics["missing_pages"] == 0
    assert run("--predictions", path, "--dataset", DATASET, "--limit", 2, "--output_dir", tmp_path / "two") == 0
    assert len(lines_of(tmp_path / "two")) == 2


def test_predictions_of_pages_that_the_dataset_does_not_have(tmp_path, capsys):
    path = tmp_path / "elsewhere.jsonl"
    path.write_text('{"id": "p9", "prediction": "Page 9"}\n')
    assert run("--predictions", path, "--dataset", DATASET, "--output_dir", tmp_path / "out") == 1
    assert "1 of 1 predictions are of pages that the dataset does not have, e.g. 'p9'" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"prediction": None}, "'prediction' must be text, found None; leave the line out"),
        ({"id": 3}, "'id' must be text, found 3"),
        ({"reference": None}, "'reference' must be text, found None; write it into the line, or name the --dataset"),
        ({"prompt": ["x"]}, "'prompt' must be text or null"),
        ({"seconds": -1}, "'seconds' must be a number of at least 0 or null, found -1"),
        ({"finished": "yes"}, "'finished' must be true, false or null, found 'yes'"),
        ({"regions": [{"box": [0, 0, 1]}]}, "regions[0] needs a 'box' of four finite numbers"),
        ({"regions": [{"box": [0, 0, 1, 1], "label": 5}]}, "regions[0]: 'label' must be text or null, found 5"),
    ],
)
def test_a_wrong_key_is_named_with_its_line(tmp_path, capsys, change, message):
    path = tmp_path / "elsewhere.jsonl"
    good = {"id": "a", "prediction": "x", "reference": "x"}
    path.write_text(json.dumps(good) + "\n" + json.dumps(good | {"id": "b"} | change) + "\n")
    assert run("--predictions", path, "--output_dir", tmp_path / "out") == 1
    assert f"line 2: {message}" in capsys.readouterr().err


def test_scored_predictions_are_not_taken_for_a_models_own(model, tmp_path, asked):
    assert on_model(model, tmp_path / "out", "--limit", 1) == 0
    path = write_predictions(tmp_path / "elsewhere", p0="abcd")
    assert run("--predictions", path, "--output_dir", tmp_path / "out") == 0
    asked.clear()
    assert on_model(model, tmp_path / "out", "--limit", 1) == 0
    assert asked == [1] and lines_of(tmp_path / "out")[0]["prediction"] != "abcd"


def test_two_evaluations_are_compared(tmp_path, capsys):
    write_predictions(tmp_path / "a", x="abxx", y="abcd")
    write_predictions(tmp_path / "b", x="abcd", y="abcd")
    assert run("--compare", tmp_path / "a", tmp_path / "b", "--output_dir", tmp_path / "out") == 0
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert (metrics["before"]["cer"], metrics["after"]["cer"], metrics["change"]["cer"]) == (0.25, 0, -0.25)
    assert "-25.0%" in capsys.readouterr().out
    assert (tmp_path / "out" / "report.html").exists()


def test_two_evaluations_of_a_dataset_are_compared_with_its_images(model, tmp_path, capsys):
    for name in ("a", "b"):
        assert on_model(model, tmp_path / name, "--limit", 2) == 0
    compared = ("--compare", tmp_path / "a", tmp_path / "b", "--output_dir", tmp_path / "out")
    assert run(*compared) == 0
    assert (tmp_path / "out" / "report.html").read_text(encoding="utf-8").count("data:image/jpeg;base64,") == 2
    for name in ("a", "b"):  # the dataset is gone
        settings = json.loads((tmp_path / name / "evaluation.json").read_text()) | {"dataset": "no_more"}
        (tmp_path / name / "evaluation.json").write_text(json.dumps(settings))
    capsys.readouterr()
    assert run(*compared) == 0
    assert "the report shows pages without their images: no dataset is built" in capsys.readouterr().out
    assert "data:image/jpeg;base64," not in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")


def test_formulas_by_a_scorer_of_the_users(tmp_path, capsys):
    path = tmp_path / "predictions.jsonl"
    path.write_text(json.dumps({"id": "a", "prediction": "$$x^2$$", "reference": "$$x^3$$"}) + "\n")
    (tmp_path / "scorer.py").write_text("import sys\nfor line in sys.stdin: print(0.5)\n")
    scored = ("--predictions", path, "--output_dir", tmp_path / "out")
    assert run(*scored) == 0
    assert json.loads((tmp_path / "out" / "metrics.json").read_text())["cdm"] is None
    assert run(*scored, "--cdm_command", f"{sys.executable} {tmp_path / 'scorer.py'}") == 0
    assert json.loads((tmp_path / "out" / "metrics.json").read_text())["cdm"] == 0.5
    assert run(*scored, "--cdm_command", "no_such_scorer") == 1
    assert "the CDM command 'no_such_scorer' cannot be run" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["--predictions", "gone.jsonl"], 2, "gone.jsonl: no such predictions file"),
        (["--predictions", "empty.jsonl"], 1, "empty.jsonl has no lines"),
        (["--predictions", "bad.jsonl"], 1, "bad.jsonl, line 1: "),
        (["--compare", "a", "b"], 2, "a/predictions.jsonl: no such"),
        (["--model", "tiny", "--dataset", "unbuilt"], 2, "unbuilt"),
        (["--model", "tiny", "--dataset", DATASET, "--split", "train"], 2, "train"),
        (["--model", "no_such_model", "--dataset", DATASET], 2, "no_such_model"),
        (["--predictions", "gone.jsonl", "--output_dir", "bad.jsonl"], 2, "bad.jsonl is a file"),
    ],
)
def test_a_bad_call_gives_one_message_and_writes_nothing(tmp_path, monkeypatch, capsys, arguments, status, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty.jsonl").write_text("\n")
    (tmp_path / "bad.jsonl").write_text('{"id": 1}\n')
    assert run("--output_dir", "out", *arguments) == status
    error = capsys.readouterr().err
    assert message in error.split("error: ")[1] and "Traceback" not in error
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--model", "tiny"],
        ["--dataset", "letters", "--compare", "x", "y"],
        ["--model", "tiny", "--dataset", "x", "--limit", "0"],
        ["--model", "tiny", "--predictions", "x"],
    ],
)
def test_what_argparse_refuses(arguments, tmp_path):
    with pytest.raises(SystemExit, match="2"):
        run("--output_dir", tmp_path, *arguments)


def test_an_evaluation_writes_into_no_folder_of_the_users(model, tmp_path, capsys):
    mine, path = tmp_path / "mine", write_predictions(tmp_path / "elsewhere", a="abcd")
    mine.mkdir()
    (mine / "notes.txt").write_text("mine")
    for words in (
        ["--predictions", path],
        ["--compare", path.parent, path.parent],
        ["--model", model, "--dataset", "x"],
    ):
        assert run(*words, "--output_dir", mine) == 2
        assert f"{mine} holds files that no evaluation wrote, e.g. notes.txt" in capsys.readouterr().err
    assert on_model(model, path.parent) == 2, "its predictions would be removed"
    assert f"{path} was written by no evaluation of a model" in capsys.readouterr().err
    assert len(list(mine.iterdir())) == len(list(path.parent.iterdir())) == 1
    assert run("--predictions", path, "--output_dir", path.parent) == 0
