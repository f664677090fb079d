"""Pages of image and text alone: what they train, what is refused, and that nothing is told of boxes there."""

import json
import re

import pytest
import torch
from datasets import Dataset, DatasetDict
from huggingface_hub import DatasetCard

from data_scripts.build_dataset import main as build
from data_scripts.crop_regions import main as crop
from data_scripts.dataset_push import without_empty_columns, write_card
from data_scripts.inspect_dataset import main as inspect
from data_scripts.synthesize import main as synthesize
from helpers.page_folders import image_bytes, write_page
from helpers.tiny_pages import page_dataset, plain_pages, processor, text_model
from ocr2_hf import OCR2Trainer
from ocr2_hf.commands.evaluate import main as evaluate
from ocr2_hf.data.columns import FEATURES, as_page_records, has_boxes
from ocr2_hf.data.page_tasks import check_boxes
from ocr2_hf.data.tasks import PROMPTS, box_tasks, build_example
from ocr2_hf.document.grounding import Region
from ocr2_hf.document.predictions import Prediction
from ocr2_hf.errors import UsageError, run_command
from ocr2_hf.evaluation.boxes import Detections
from ocr2_hf.evaluation.report.items import report_item
from ocr2_hf.evaluation.report.pages import ReportPages
from ocr2_hf.evaluation.summary import summarize, summarize_with_intervals
from ocr2_hf.modeling.losses import named_losses
from ocr2_hf.reading.reader import page_task
from ocr2_hf.recipe import OCR2TrainingArguments, load_recipe
from ocr2_hf.training.launch_checks import check_pages

PLAIN = "<image>\nConvert the document to markdown."
TEXT_ONLY = {"sizes": ((150, 120), (190, 100), (180, 100), (120, 190)), "boxes": (0, 0, 0, 0)}
QUICK = {"per_device_train_batch_size": 2, "max_steps": 2, "logging_steps": 1, "save_strategy": "no", "eval_pages": 2}
QUICK |= {"eval_max_new_tokens": 4, "use_cpu": True, "augment": "none", "report_to": "none"}


@pytest.fixture
def scans(tmp_path, datasets_cache):
    """An imagefolder of four pages, whose text is under another name."""
    for split in ("train", "test"):
        folder = tmp_path / "scans" / split
        folder.mkdir(parents=True)
        lines = []
        for number in range(2):
            (folder / f"{number}.png").write_bytes(image_bytes(120 + number, 80))
            lines.append(json.dumps({"file_name": f"{number}.png", "said": f"{split} page {number} says this"}))
        (folder / "metadata.jsonl").write_text("\n".join(lines))
    return tmp_path / "scans"


# --- asked and trained


def test_text_whose_place_nobody_knows_is_not_asked_with_boxes():
    boxed, plain = page_dataset()[0], page_dataset()[1]
    assert build_example("markdown", plain) == (PLAIN, plain["text"])
    assert build_example("markdown", boxed)[0] == PROMPTS["markdown"]
    assert build_example("markdown", plain, {"markdown": "<image>\n<|grounding|>Read."})[0] == "<image>\nRead."
    blank = plain | {"text": ""}
    assert build_example("markdown", blank) == (PROMPTS["markdown"], "")  # it is known: there is nothing to point at


def test_which_tasks_ask_for_boxes():
    every = dict.fromkeys(PROMPTS, 1.0)
    assert box_tasks(every) == ["markdown", "locate", "table"]
    assert box_tasks(every | {"locate": 0.0, "table": 0.0}, {"markdown": PLAIN}) == []


def test_boxes_are_looked_for_on_every_page():
    rows = page_dataset(**TEXT_ONLY)
    many = Dataset.from_list([*rows] * 600 + [page_dataset()[0]], features=FEATURES)
    assert not has_boxes(rows) and has_boxes(many)


def test_a_mix_that_asks_for_boxes_needs_one_dataset_that_has_them():
    plain, boxed = page_dataset(**TEXT_ONLY), page_dataset()
    check_boxes({"plain": plain, "boxed": boxed}, {"markdown": 1.0}, {})
    check_boxes({"plain": plain}, {"ocr": 1.0, "custom": 1.0, "locate": 0.0}, {})
    with pytest.raises(UsageError, match=r"plain, more: no page has boxes, .*\(tasks: markdown, locate\)") as refused:
        check_boxes({"plain": plain, "more": plain}, {"markdown": 1.0, "ocr": 1.0, "locate": 0.5}, {})
    assert "--tasks '{ocr: 1}'" in str(refused.value) and PLAIN.replace("\n", "\\n") in str(refused.value)


def test_a_recipe_or_a_later_stage_that_wants_boxes_is_refused_before_the_model(scans, tmp_path):
    columns = ["--columns", "text=said", "--dataset", str(scans)]
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("model: nowhere\ntasks: {ocr: 1}\n")
    check_pages(load_recipe(recipe, columns))
    stages = "stages: [{name: a, share: 0.5}, {name: b, share: 0.5, tasks: {locate: 1}}]\n"
    recipe.write_text("model: nowhere\ntasks: {ocr: 1}\n" + stages)
    with pytest.raises(UsageError, match=r"no page has boxes, and the recipe asks for them \(tasks: locate\)"):
        check_pages(load_recipe(recipe, columns))
    with pytest.raises(UsageError, match="has no column text; its columns are: image, said; --columns"):
        check_pages(load_recipe(recipe, columns[2:]))


def test_columns_of_a_recipe_are_a_mapping_or_pairs(tmp_path):
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("dataset: x\ncolumns: {image: scan}\n")
    assert load_recipe(recipe).data.columns == {"image": "scan"}
    assert load_recipe(recipe, ["--columns", "image=a,text=b"]).data.columns == {"image": "a", "text": "b"}
    with pytest.raises(UsageError, match=r"columns: .*'picture' is none of image"):
        load_recipe(recipe, ["--columns", "picture=scan"])
    recipe.write_text("dataset: x\ncolumns: {picture: scan}\n")
    with pytest.raises(UsageError, match="columns"):
        load_recipe(recipe)


def test_trained_and_evaluated_without_a_word_about_boxes(tmp_path):
    rows = page_dataset(**TEXT_ONLY)
    args = OCR2TrainingArguments(output_dir=str(tmp_path), tasks={"ocr": 1.0}, **QUICK)
    trainer = OCR2Trainer(text_model(), args, processor=processor(), train_dataset=rows, eval_dataset=rows)
    trainer.train()
    told = {name for row in (*trainer.state.log_history, trainer.evaluate()) for name in row}
    assert {"loss_text", "eval_loss_text", "eval_cer"} <= told
    assert not [name for name in told if "box" in name]
    with pytest.raises(UsageError, match="train_dataset: no page has boxes"):
        OCR2Trainer(
            text_model(),
            OCR2TrainingArguments(output_dir=str(tmp_path), **QUICK),
            processor=processor(),
            train_dataset=rows,
        )


def test_mixed_with_boxed_pages_it_trains_both(tmp_path):
    rows = plain_pages()
    args = OCR2TrainingArguments(
        output_dir=str(tmp_path), tasks={"markdown": 1.0}, **QUICK | {"per_device_train_batch_size": 4}
    )
    trainer = OCR2Trainer(text_model(), args, processor=processor(), train_dataset=rows)
    prompts = {page.id: page.prompt for page in map(trainer.train_dataset.__getitem__, range(4))}
    assert prompts == dict.fromkeys(["p0", "p2", "p3"], PROMPTS["markdown"]) | {"p1": PLAIN}
    trainer.train()
    assert trainer.state.log_history[0]["loss_box"] > 0


def test_a_term_of_which_there_was_nothing_has_no_name():
    assert set(named_losses(torch.tensor([2.0, 0.0, 4.0, 0.0]), {"text": 1.0, "box": 0.5})) == {"loss", "loss_text"}
    assert set(named_losses(torch.tensor([2.0, 0.0, 4.0, 1.0]), {"text": 1.0, "box": 0.5})) >= {"loss_box"}


@pytest.mark.parametrize(
    ("tasks", "task"),
    [({}, "markdown"), ({"ocr": 1}, "ocr"), ({"ocr": 1, "custom": 2}, "ocr"), ({"ocr": 3, "markdown": 1}, "markdown")],
)
def test_pages_are_read_by_the_task_that_was_trained(tmp_path, tasks, task):
    (tmp_path / "recipe.yaml").write_text(json.dumps({"tasks": tasks}))
    assert page_task(tmp_path) == task


def test_a_dataset_of_questions_is_told_its_task():
    asked = page_dataset(**TEXT_ONLY).map(lambda row: {"text": "", "prompt": "Sum?", "target": "1"}, features=FEATURES)
    with pytest.raises(UsageError, match=r"build it with boxes, or its questions by --tasks '\{custom: 1\}'$"):
        check_boxes({"chats": asked}, {"markdown": 1.0}, {})


def test_a_split_to_evaluate_on_that_is_not_there_is_told_before_the_model(scans, tmp_path):
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("model: nowhere\ntasks: {ocr: 1}\neval_strategy: epoch\n")
    words = ["--columns", "text=said", "--dataset", str(scans)]
    with pytest.raises(
        UsageError, match=r"no split 'validation'; it has: train, test; the recipe evaluates .*--eval_split"
    ):
        check_pages(load_recipe(recipe, words))
    check_pages(load_recipe(recipe, [*words, "--eval_split", "test"]))


# --- scored


def line(name: str, reference: str, found: int, wanted: int) -> Prediction:
    regions = [[Region("text", (0.0, 0.0, 10.0, 10.0), "a")] * count for count in (found, wanted)]
    return Prediction(name, "a", reference, width=20, height=20, regions=regions[0], reference_regions=regions[1])


def test_boxes_read_on_a_page_of_text_alone_are_neither_right_nor_wrong():
    boxed, plain, blank = line("boxed", "a", 1, 1), line("plain", "a", 3, 0), line("blank", "", 1, 0)
    for lines, precision in (([boxed, plain], 1.0), ([boxed, blank], 0.5), ([boxed, plain, blank], 0.5)):
        assert summarize(lines)["box_precision_50"] == precision
    assert Detections.of([boxed, plain]).mean() == Detections.of([boxed]).mean()
    by_label = summarize_with_intervals([boxed, plain])["by"]["label"]
    assert by_label["text"]["box_precision_50"] == 1.0
    alone = summarize([plain])
    assert all(alone[name] is None for name in ("bbox_iou", "box_f1_50", "box_recall_75", "map"))
    assert alone["cer"] == 0


def test_the_report_gives_no_overlap_where_none_can_be_measured():
    sides = {
        name: report_item(ReportPages([[line(name, text, 1, 0)]])[0], (20, 20), None)["sides"][0]
        for name, text in (("a", "a"), ("b", ""))
    }
    assert [sides[name]["regions"][0]["iou"] for name in "ab"] == [None, 0.0]


def test_an_evaluation_of_rows_of_others(scans, tmp_path, capsys):
    text_model().save_pretrained(tmp_path / "model")
    processor().save_pretrained(tmp_path / "model")
    call = ["--model", str(tmp_path / "model"), "--dataset", str(scans), "--columns", "text=said"]
    call += ["--max_new_tokens", "4", "--output_dir", str(tmp_path / "out")]
    assert run_command(evaluate, call) == 0
    printed = capsys.readouterr().out
    assert "Character errors" in printed and "Box" not in printed and "TEDS" not in printed
    settings = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    assert settings["columns"] == {"text": "said"} and settings["task"] == "ocr"
    lines = (tmp_path / "out" / "predictions.jsonl").read_text()
    assert run_command(evaluate, call) == 0 and "replaced" not in capsys.readouterr().out  # the same dataset again
    assert (tmp_path / "out" / "predictions.jsonl").read_text() == lines
    again = ["--predictions", str(tmp_path / "out" / "predictions.jsonl"), "--dataset", str(scans)]
    assert run_command(evaluate, [*again, "--columns", "text=said", "--output_dir", str(tmp_path / "scored")]) == 0
    assert (
        run_command(
            evaluate,
            ["--compare", str(tmp_path / "out"), str(tmp_path / "scored"), "--output_dir", str(tmp_path / "both")],
        )
        == 0
    )
    assert "without their images" not in capsys.readouterr().out


# --- looked at, cut, drawn, pushed


def test_inspected(scans, tmp_path, capsys):
    call = [str(scans), "--columns", "text=said", "--tokenizer", "tiny", "--output_dir", str(tmp_path / "inspected")]
    assert run_command(inspect, call) == 0
    printed = capsys.readouterr().out
    assert "regions" not in printed and "no page has boxes: pages with their texts" in printed
    texts = {path.read_text() for path in (tmp_path / "inspected" / "overlays").glob("*.txt")}
    assert texts == {f"{split} page {number} says this" for split in ("train", "test") for number in range(2)}


def test_questions_and_answers_are_inspected(tmp_path, datasets_cache, capsys):
    """They are counted as a build counts them, and written beside the pictures where nothing else is."""
    pages, none = tmp_path / "chats", {"bboxes": None, "labels": None, "texts": None}
    write_page(pages, "a", text=None, prompt="What does it cost?", target="5.20", **none)
    write_page(pages, "b", prompt="Which town?", target="Basel", **none)
    write_page(pages, "c", text="", **none)
    assert run_command(build, ["chats", "--annotations", str(pages), "--val", "0", "--test", "0"]) == 0
    assert "\nwithout text        1 " in capsys.readouterr().out
    call = ["chats", "--tokenizer", "tiny", "--output_dir", str(tmp_path / "inspected")]
    assert run_command(inspect, call) == 0
    printed = capsys.readouterr().out
    assert re.search(r"^  without text +1$", printed, re.MULTILINE)
    assert "no page has boxes: pages with their texts, or questions and answers" in printed
    texts = {path.stem: path.read_text() for path in (tmp_path / "inspected" / "overlays").glob("*.txt")}
    assert texts == {"train-a": "What does it cost?\n\n5.20", "train-b": "page b"}


@pytest.mark.parametrize(
    ("contents", "mix"),
    [
        ({"a": {"text": "t"}}, "{ocr: 1}"),
        ({"a": {"prompt": "q", "target": "t"}}, "{custom: 1}"),
        ({"a": {"prompt": "q", "target": "t"}, "b": {"text": "t"}}, "{ocr: 1, custom: 1}"),
        ({"a": {"text": "t"}, "b": {"text": "t", "bboxes": [[1, 1, 9, 9]], "labels": ["text"]}}, None),
    ],
)
def test_a_build_without_boxes_tells_how_it_is_trained(tmp_path, datasets_cache, capsys, contents, mix):
    for name, content in contents.items():
        write_page(tmp_path / "pages", name, **{"text": None, "bboxes": None, "labels": None, "texts": None} | content)
    assert run_command(build, ["letters", "--annotations", str(tmp_path / "pages"), "--val", "0", "--test", "0"]) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("train it with: ")]
    assert lines == ([f"train it with: --dataset letters --tasks '{mix}'"] if mix else [])


def test_there_is_nothing_to_cut_out(scans, tmp_path, capsys):
    assert run_command(crop, [str(scans), str(tmp_path / "crops"), "--columns", "text=said"]) == 1
    assert "no region with text to cut out; no page has boxes" in capsys.readouterr().err


def test_synthetic_pages_of_text_alone(tmp_path, capsys):
    call = [str(tmp_path / "slips"), "--kind", "tickets", "--pages", "2"]
    assert run_command(synthesize, [*call, "--text_only"]) == 0
    assert run_command(synthesize, [str(tmp_path / "boxed"), *call[1:]]) == 0
    for number in range(2):
        boxed = json.loads((tmp_path / "boxed" / "annotations" / f"{number:06d}.json").read_text())
        text = (tmp_path / "slips" / "annotations" / f"{number:06d}.txt").read_text()
        row = {"id": "p", "width": 192, "height": 192, "prompt": None, "target": None} | boxed
        assert text == build_example("ocr", row)[1] and text.startswith("# ") and text != boxed["text"]
    capsys.readouterr()
    assert run_command(synthesize, call) == 2
    assert "made with other settings (text_only True, not False)" in capsys.readouterr().err


def test_a_push_has_no_empty_columns_and_they_come_back():
    rows = page_dataset(**TEXT_ONLY)
    pushed = without_empty_columns(DatasetDict({"train": rows, "test": rows}))
    assert pushed["train"].column_names == ["id", "image", "width", "height", "text"]
    assert as_page_records(pushed["train"], "me/pages")[0].keys() == rows[0].keys()
    boxed = without_empty_columns(DatasetDict({"train": rows, "test": page_dataset()}))
    assert boxed["train"].column_names == [name for name in FEATURES if name not in ("prompt", "target")]
    asked = rows.map(lambda row: {"prompt": "", "target": "x"}, features=FEATURES)
    assert without_empty_columns(DatasetDict({"train": asked}))["train"].column_names[-2:] == ["prompt", "target"]


def test_the_card_of_pages_of_text_alone_says_nothing_of_regions():
    splits = without_empty_columns(DatasetDict({"train": page_dataset(**TEXT_ONLY)}))
    card = DatasetCard("---\n---\n")
    write_card(card, dict(splits), "me/pages", "mit", {"splits": {"train": {"pages": 4, "regions": 0}}, "rejected": 0})
    assert "| train | 4 |" in card.text and "| text |" in card.text
    assert not [word for word in ("bboxes", "labels", "texts", "prompt") if word in card.text]
