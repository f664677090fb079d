"""What of a directory is published, and what its card says; no network."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from huggingface_hub import ModelCard
from PIL import Image

from ocr2_hf.document.grounding import Region
from ocr2_hf.document.overlay import example_picture
from ocr2_hf.errors import UsageError
from ocr2_hf.modeling.model_files import files_beside
from ocr2_hf.publishing.contents import Contents, is_published_name, read_contents
from ocr2_hf.publishing.evaluations import Evaluation, example_of, find_evaluations, read_evaluations
from ocr2_hf.publishing.hub import PushOptions, push_model
from ocr2_hf.publishing.model_card import CardFacts, model_card, reading_task
from ocr2_hf.reading.resume_log import fingerprint

CONFIG = {"model_type": "deepseek_ocr2", "text_config": {"max_position_embeddings": 8192, "eos_token_id": 1}}


@pytest.fixture
def model(tmp_path) -> Path:
    folder = tmp_path / "letters"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(CONFIG))
    for name in ("model.safetensors", "tokenizer.json", "optimizer.pt", "training_args.bin", "events.out.tfevents"):
        (folder / name).write_bytes(b"x")
    return folder


@pytest.fixture
def adapter(tmp_path) -> Path:
    folder = tmp_path / "adapter"
    folder.mkdir()
    (folder / "adapter_model.safetensors").write_bytes(b"x")
    named = {"base_model_name_or_path": "deepseek-community/DeepSeek-OCR-2", "r": 16}
    (folder / "adapter_config.json").write_text(json.dumps(named))
    return folder


def evaluation(folder: Path, model: Path | None, **metrics) -> Path:
    folder.mkdir(parents=True)
    (folder / "metrics.json").write_text(json.dumps({"pages": 3, "cer": 0.1} | metrics))
    if model is not None:
        settings = {"dataset": "letters", "split": "test", "model_files": fingerprint(model)}
        (folder / "evaluation.json").write_text(json.dumps(settings))
    return folder


def test_pickles_and_logs_stay_at_home(model):
    contents = read_contents(model, "me/x", {"model": "org/base"})
    assert contents.files.keys() == {"config.json", "model.safetensors", "tokenizer.json", "generation_config.json"}
    assert (contents.is_adapter, contents.base, contents.base_goes_along) == (False, "org/base", False)
    reading = json.loads(contents.files["generation_config.json"])
    assert (reading["eos_token_id"], reading["pad_token_id"], reading["max_new_tokens"]) == (1, 1, 8192)


def test_adapters_of_a_base_on_the_hub_go_alone(adapter, model):
    contents = read_contents(adapter, "me/x", {})
    assert contents.files.keys() == {"adapter_config.json", "adapter_model.safetensors", "generation_config.json"}
    assert contents.base == "deepseek-community/DeepSeek-OCR-2"
    assert json.loads(contents.files["adapter_config.json"])["r"] == 16
    assert json.loads(contents.files["generation_config.json"])["eos_token_id"] == 1


def test_a_base_loaded_from_a_copy_goes_along_unless_its_name_is_said(adapter, model):
    (adapter / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": str(model)}))
    along = read_contents(adapter, "me/x", {})
    assert along.files["base/model.safetensors"] == model / "model.safetensors" and along.base is None
    assert json.loads(along.files["adapter_config.json"])["base_model_name_or_path"] == "me/x/base"
    named = read_contents(adapter, "me/x", {}, base="org/base")
    assert not named.base_goes_along and named.base == "org/base"
    assert json.loads(named.files["adapter_config.json"])["base_model_name_or_path"] == "org/base"


@pytest.mark.parametrize(
    ("broken", "told"),
    [
        ({"base_model_name_or_path": "/nowhere"}, "neither a folder here nor a Hub id; say --base ORG/NAME"),
        ({}, "neither a folder here nor a Hub id"),
        ([], "must hold a mapping"),
        ("{", "is no JSON"),
    ],
)
def test_adapters_whose_base_is_not_known_are_refused(adapter, broken, told):
    (adapter / "adapter_config.json").write_text(broken if broken == "{" else json.dumps(broken))
    with pytest.raises(UsageError, match=told):
        read_contents(adapter, "me/x", {})


def test_the_original_layout_is_not_pushed_as_a_model_of_the_library(model):
    (model / "config.json").write_text(json.dumps({"model_type": "deepseek_vl_v2"}))
    with pytest.raises(UsageError, match=r"holds a 'deepseek_vl_v2' model.*--to merged"):
        read_contents(model, "me/x", {})


def test_a_recipe_with_a_token_is_not_published(model):
    (model / "recipe.yaml").write_text(yaml.safe_dump({"hub_token": "hf_abc"}))
    with pytest.raises(UsageError, match="take it out, and revoke it") as caught:
        push_model(model, "me/x", PushOptions())
    assert "hf_abc" not in str(caught.value)


def test_only_what_a_push_wrote_is_taken_away_by_a_later_one():
    names = ("model-00002-of-00003.safetensors", "base/config.json", "evaluation/test/metrics.json", "example.png")
    assert all(map(is_published_name, names))
    assert not any(map(is_published_name, ("LICENSE", ".gitattributes", "README.md", "onnx/config.json", "photo.png")))


def test_evaluations_of_other_weights_are_left_out_and_named(model):
    evaluation(model / "test", model)
    evaluation(model / "scored", None)
    evaluation(model / "checkpoint-5" / "test", model)
    found, notes = find_evaluations(model)
    assert [(each.name, each.dataset, each.split) for each in found] == [("test", "letters", "test")]
    assert len(notes) == 1 and "scored" in notes[0] and "--evaluation" in notes[0]
    (model / "model.safetensors").write_bytes(b"trained on")
    found, notes = find_evaluations(model)
    assert not found and any("of other weights" in note for note in notes)
    assert [each.name for each in read_evaluations([model / "test"])] == ["test"]  # the user may know better


def test_comparisons_and_two_folders_of_one_name_are_no_evaluations(tmp_path):
    (tmp_path / "comparison").mkdir()
    (tmp_path / "comparison" / "metrics.json").write_text('{"before": {}}')
    with pytest.raises(UsageError, match=r"no metrics\.json of one evaluation"):
        read_evaluations([tmp_path / "comparison"])
    with pytest.raises(UsageError, match="two folders have this name"):
        read_evaluations([evaluation(tmp_path / "a" / "test", None), evaluation(tmp_path / "b" / "test", None)])


def test_the_example_needs_a_dataset(tmp_path):
    (each,) = read_evaluations([evaluation(tmp_path / "test", None)])
    with pytest.raises(UsageError, match="names no dataset"):
        example_of(each)


def test_small_pages_are_enlarged_and_large_ones_reduced_with_their_boxes():
    page = Image.new("RGB", (200, 100), "white")
    picture = example_picture(page, [Region("text", (50, 25, 150, 75))])
    assert picture.size == (800, 400) and picture.getpixel((400, 200)) != (255, 255, 255)
    assert picture.getpixel((700, 380)) == (255, 255, 255)
    assert max(example_picture(Image.new("RGB", (2480, 3508)), []).size) == 1600


def card(text: str) -> ModelCard:
    return ModelCard(text)


def test_the_card_of_omnidocbench_and_of_an_answer_with_fences():
    metrics = {"pages": 9, "text_edit": 0.05, "teds": 0.9, "cdm": None, "overall": None, "table_edit": None}
    each = Evaluation(Path("omni"), metrics | {"formula_edit": 0.1, "teds_s": 0.9, "reading_order_edit": 0.1}, {})
    contents = Contents({}, False, "org/base", None)
    text = model_card(CardFacts("me/letters", contents, "mit", {}, {}, [each], answer="```\n| a |\n" + "x" * 5000))
    (result,) = card(text).data.to_dict()["model-index"][0]["results"]
    assert result["dataset"]["name"] == "OmniDocBench v1.5" and "split" not in result["dataset"]
    assert {metric["type"] for metric in result["metrics"]} == {
        *("text_edit", "teds", "formula_edit", "teds_s", "reading_order_edit")
    }
    assert "~~~~~~text\n```\n| a |" in text and "x ...\n~~~~~~" in text
    assert card(text).data.base_model == "org/base" and card(text).data.base_model_relation == "finetune"
    assert "Training" not in text and "Reproduce" not in text


def test_the_prompt_in_the_card_is_the_recipes_and_its_code_compiles():
    prompt = '<image>\nRead "all" of it, don\'t stop.\\'
    recipe = {"tasks": {"ocr": 2.0, "markdown": 1.0}, "prompts": {"ocr": prompt}, "dataset": "my pages", "model": "/x"}
    assert reading_task(recipe) == ("ocr", prompt)
    text = model_card(CardFacts("me/letters", Contents({}, True, "org/base", None), None, recipe))
    code = text.split("```python\n")[1].split("```")[0]
    spaces: dict = {}
    exec(next(line for line in code.splitlines() if line.startswith("prompt = ")), spaces)
    assert spaces["prompt"] == prompt
    compile(code, "card", "exec")
    assert "Not on the Hub is the dataset `my pages`" in text and "--model org/base" in text
    assert card(text).data.to_dict().keys() == {
        *("base_model", "base_model_relation", "library_name", "pipeline_tag", "tags")
    }


def test_a_card_of_a_mixture_names_every_dataset():
    recipe = {"dataset": {"org/letters": 0.8, "general pages": 0.2}, "model": "org/base"}
    text = model_card(CardFacts("me/letters", Contents({}, True, "org/base", None), None, recipe))
    assert "on [org/letters](https://huggingface.co/datasets/org/letters) and on the dataset `general pages`" in text
    assert text.count("Not on the Hub is the dataset") == 1 and "dataset `general pages`: build one" in text
    assert card(text).data.datasets == ["org/letters"]


EARLY = """
import sys
from ocr2_hf.commands import export, push
from ocr2_hf.errors import run_command
empty, occupied, new = sys.argv[1:]
for words in ([f"{empty}/gone", "--to", "merged", "--output_dir", new], [empty, "--to", "onnx", "--output_dir", new],
              [empty, "--to", "original", "--output_dir", occupied]):
    assert run_command(export.main, words) == 2
for words in ([f"{empty}/gone", "me/x"], [empty, "me/x"]):
    assert run_command(push.main, words) == 2
print({"torch", "transformers", "datasets", "peft", "onnx", "matplotlib"} & sys.modules.keys())
"""


def test_what_cannot_be_exported_or_pushed_is_told_before_torch_is_imported(tmp_path, repo):
    (tmp_path / "empty").mkdir()
    (tmp_path / "occupied").mkdir()
    (tmp_path / "occupied" / "file").touch()
    words = [sys.executable, "-c", EARLY, *(str(tmp_path / name) for name in ("empty", "occupied", "new"))]
    run = subprocess.run(words, capture_output=True, text=True, check=True, cwd=repo)
    assert run.stdout.strip() == "set()"
    told = ("no directory", "holds no model: config.json", "is there already", "no directory", "holds no model")
    lines = run.stderr.splitlines()
    assert len(lines) == len(told) and all(message in line for message, line in zip(told, lines, strict=True))


def test_a_hub_that_is_not_there_leaves_it_to_the_library_to_say_so(tmp_path):
    assert files_beside(tmp_path) == tmp_path
    for name in ("nobody/nothing", "tiny"):
        assert files_beside(name) == Path(name)
