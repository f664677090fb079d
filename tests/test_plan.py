"""`ocr2 plan`: what it prints, and how it refuses."""

import re
from pathlib import Path

import pytest
import yaml

from helpers.commands import build, write_pages
from helpers.tiny_pages import page_row, processor
from ocr2_hf.commands import plan
from ocr2_hf.data import page_counts
from ocr2_hf.data.collator import PromptEncoder, TargetEncoder
from ocr2_hf.data.tasks import PROMPTS, build_target
from ocr2_hf.errors import UsageError, WorkError, run_command
from ocr2_hf.modeling.tiny import save_tiny
from ocr2_hf.planning import budget, printed
from ocr2_hf.planning.plan import make_plan
from ocr2_hf.recipe import load_recipe

PROMPT = len(PromptEncoder(processor()).prompt(PROMPTS["markdown"], 0)) - 257


def recipe(tmp_path, **values):
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump({"dataset": "none", "model": "tiny", **values}), encoding="utf-8")
    return str(path)


def test_the_real_model_without_weights_or_network(tmp_path, capsys):
    path = recipe(tmp_path, model="deepseek-community/DeepSeek-OCR-2", bf16=True, per_device_train_batch_size=1)
    assert plan.main([path, "--gpu_memory", "24"]) == 0
    out = capsys.readouterr().out
    assert re.search(r"^  all +3,389,119,360$", out, re.MULTILINE)
    assert "3,978,240 of" in out
    assert "weights in bfloat16" in out
    assert re.search(r"1240 x 1754 +6 tiles +1,121 tokens", out)
    assert re.search(r"^  weights +6\.79 GB +6\.79 GB$", out, re.MULTILINE)
    assert "estimated" in out
    assert "fits in 24 GB" in out


def test_a_verdict_that_says_what_to_do(tmp_path, capsys):
    path = recipe(tmp_path, train_language="full", train_vision="all", per_device_train_batch_size=256)
    assert plan.main([path, "--gpu_memory", "24", "--page", "100x100"]) == 0
    out = capsys.readouterr().out
    assert "with checkpointing off as in the recipe: does not fit in 24 GB" in out
    assert "most is activations: set gradient_checkpointing: true" in out


def test_every_launch_configuration_for_its_processes_or_others(tmp_path, capsys):
    path = recipe(tmp_path, train_language="full", train_vision="all")
    names = {file.stem for file in Path("accelerate_configs").glob("*.yaml")}
    for words, processes in (([], "8"), (["--num_processes", "3"], "3")):
        assert plan.main([path, "--page", "100x100", "--gpu_memory", "1", *words]) == 0
        told = capsys.readouterr().out.partition("under the launch configurations")[2]
        rows = [line.split() for line in told.splitlines() if " processes " in line]
        assert {row[0] for row in rows} == names
        assert {row[1] for row in rows if row[0] in ("ddp", "fsdp2", "zero2", "zero3")} == {processes}
        assert {row[1] for row in rows if row[0] == "cpu"} == {"1"}
        assert all(row.count("fits") == 2 for row in rows)


def test_tokens_are_those_of_the_datasets_pages(tmp_path, datasets_cache, capsys, monkeypatch):
    """By hand: 257 visual tokens without tiles, 545 with two; BOS and the prompt are 45 of the tiny tokenizer."""
    sizes, lines = [(100, 100), (100, 100), (150, 300)], ["aa", "bbbb", "cccccc"]
    rows = [page_row(f"p{i}", size, [line], 1) for i, (size, line) in enumerate(zip(sizes, lines, strict=True))]
    rows.append(page_row("long", (100, 100), ["x" * 900], 1))
    build("planned", write_pages(tmp_path / "pages", rows), "--val", "0", "--test", "0")
    path = recipe(tmp_path, dataset="planned", train_language="full", max_length=1000)
    plan.main([path])
    out = capsys.readouterr().out
    assert "tokens of the 3 pages of planned that train" in out
    assert re.search(r"^  visual +257 +257 +516 +545$", out, re.MULTILINE)
    target = TargetEncoder(processor().tokenizer)
    texts = [PROMPT + len(target(build_target("markdown", row)).ids) for row in rows[:3]]
    assert re.search(rf"^  prompt and target +{texts[0]} +{texts[1]} +\d+ +{texts[2]}$", out, re.MULTILINE)
    assert "1 left out: longer than max_length" in out
    assert f"257 visual and {texts[1] - PROMPT} target tokens" in out
    assert f"8 x {545 + texts[2]:,} tokens" in out
    monkeypatch.setattr(printed, "_print_memory", lambda *_: None)  # tracing a step takes seconds
    monkeypatch.setattr(printed, "_print_launches", lambda *_: None)
    plan.main([path, "--page", "1240x1754", "--max_length", "2000"])
    assert "1240 x 1754" in capsys.readouterr().out
    build("planned_too", write_pages(tmp_path / "more", rows[2:]), "--val", "0", "--test", "0")
    plan.main([path, "--dataset", "{planned: 1, planned_too: 1}"])
    out = capsys.readouterr().out
    assert "tokens of the 4 pages of planned and planned_too that train" in out
    assert re.search(r"^  visual +257 +401 +545 +545$", out, re.MULTILINE)
    assert "2 left out: longer than max_length" in out
    monkeypatch.setattr(page_counts, "text_length", None)  # what is counted is kept
    plan.main([path, "--dataset", "{planned: 1, planned_too: 1}"])
    again = capsys.readouterr().out
    assert again and out.endswith(again)


def planned(path: str, *words: str, page: tuple[int, int] | None = None, target_tokens: int | None = None):
    recipe = load_recipe(path, words)
    return make_plan(recipe, recipe.training_arguments(), page, target_tokens)


def test_a_dataset_without_text_is_refused(tmp_path, datasets_cache):
    rows = [page_row("p", (100, 100), ["x"], 1) | {"text": "", "texts": [""]}]
    build("silent", write_pages(tmp_path / "pages", rows), "--val", "0", "--test", "0")
    path = recipe(tmp_path, dataset="silent", train_language="full")
    with pytest.raises(WorkError, match=r"^silent: none of the 1 pages for the task markdown has any text"):
        plan.main([path])


def test_pages_batches_and_overrides_count(tmp_path):
    path = recipe(tmp_path, train_language="full", per_device_train_batch_size=2)

    def flops(*words: str, **asked) -> int:
        return sum(planned(path, *words, **asked).flops().values())

    page = flops(page=(1240, 1754))
    assert flops("--per_device_train_batch_size", "6", page=(1240, 1754)) == pytest.approx(3 * page, rel=0.01)
    assert flops(page=(100, 100)) < page / 2
    assert flops("--max_patches", "2", page=(1240, 1754)) < page
    assert flops(page=(1240, 1754), target_tokens=2000) > page


def test_stored_features_have_a_size_and_spare_the_vision(tmp_path, capsys, monkeypatch):
    live, stored = (
        make_plan(loaded, loaded.training_arguments(), None, None)
        for loaded in (
            load_recipe(recipe(tmp_path, augment="none", cache_vision_features=cached)) for cached in (False, True)
        )
    )
    assert live.stored_features() is None
    assert stored.stored_features() == (1, 1120 * 128 * 2)  # a page of 6 tiles, at the tiny encoder's width
    parts = live.flops()
    assert parts["vision forward"] > 0 and stored.flops() == parts | {"vision forward": 0}
    monkeypatch.setattr(printed, "_print_memory", lambda *_: None)
    monkeypatch.setattr(printed, "_print_launches", lambda *_: None)
    plan.main([recipe(tmp_path, augment="none"), "--cache_vision_features"])
    assert "stored vision features (cache_vision_features) of 1 pages: 0.3 MB" in capsys.readouterr().out


def test_a_budget_of_tokens_sets_the_batch(tmp_path):
    loaded = load_recipe(recipe(tmp_path, per_device_train_batch_size=64, tokens_per_batch=8000))
    plan_ = make_plan(loaded, loaded.training_arguments(), None, None)
    step = plan_.step(plan_.usual)
    assert step.batch == 4 and 4 * step.length <= 8000 < 5 * step.length


def test_a_saved_model_is_planned_from_its_own_config(tmp_path):
    saved = planned(recipe(tmp_path, model=str(save_tiny(tmp_path / "saved")), train_language="full"))
    fresh = planned(recipe(tmp_path, model="tiny", train_language="full"))
    assert saved.flops() == fresh.flops() and saved.prompt_tokens == fresh.prompt_tokens == PROMPT
    assert budget.parameters_by_part(saved.model) == budget.parameters_by_part(fresh.model)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--page", "100"], "'100' is not WIDTHxHEIGHT"),
        (["--page", "0x10"], "'0x10' is not WIDTHxHEIGHT"),
        (["--gpu_memory", "lots"], "'lots' is not a whole number"),
    ],
)
def test_wrong_calls(tmp_path, capsys, words, message):
    with pytest.raises(SystemExit) as stop:
        plan.main([recipe(tmp_path, train_language="full"), *words])
    assert stop.value.code == 2
    assert message in capsys.readouterr().err


def test_a_wrong_recipe_is_status_2_and_one_message(tmp_path, capsys):
    path = recipe(tmp_path, learning_rat=1, lora_r="many")
    assert run_command(plan.main, [path]) == 2
    error = capsys.readouterr().err
    assert "did you mean learning_rate" in error
    assert "lora_r" in error
    assert "Traceback" not in error


def test_a_page_too_long_for_the_recipe_is_told(tmp_path):
    path = recipe(tmp_path, train_language="full", max_length=1200)
    with pytest.raises(UsageError, match="max_length"):
        plan.main([path, "--target_tokens", "600"])
