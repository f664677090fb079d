"""`ocr2 bench`: real runs of the tiny model with very few steps, and sums on known numbers; no speed is asserted."""

import json
import math
import subprocess

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from helpers.commands import python
from helpers.fork_server import Popen
from helpers.tiny_pages import processor
from ocr2_hf.benchmark.contenders import ProcessorCollator, StockPages, as_stock
from ocr2_hf.benchmark.microbenchmarks import LossWorkload, bench_loss, recipe_loss
from ocr2_hf.benchmark.pages import make_pages, page_size
from ocr2_hf.benchmark.results import best, ratios, summary
from ocr2_hf.benchmark.step_timer import PARTS
from ocr2_hf.benchmark.workload import OURS, STOCK, PageMix
from ocr2_hf.commands import bench
from ocr2_hf.data.collator import IGNORED, TargetEncoder, TrainingCollator
from ocr2_hf.data.images import ImageSettings
from ocr2_hf.data.page_tasks import PageTasks
from ocr2_hf.data.tasks import build_target
from ocr2_hf.errors import UsageError, run_command
from ocr2_hf.modeling.losses import LossSettings
from ocr2_hf.modeling.tiny import build_tiny_model
from ocr2_hf.planning.plan import make_plan
from ocr2_hf.recipe import load_recipe

FEW = ["--tiles", "0:1", "--target_tokens", "40", "--pages", "2", "--steps", "1", "--warmup", "1", "--rounds", "1"]


@pytest.fixture(scope="module")
def told(tmp_path_factory, repo):
    """The results of one call with much in it; the launch of two processes is forked."""
    output = tmp_path_factory.mktemp("bench") / "lora.json"
    words = [str(repo / "recipes/tiny/lora.yaml"), "--output", str(output), "--against", "trainer", *FEW]
    words += ["--batch_sizes", "1", "--sweep", "target_tokens:60", "processes:2", "--cache_vision_features", "true"]
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(subprocess, "Popen", Popen)
        patched.setenv("TQDM_DISABLE", "1")  # as it is where processes are forked from
        assert run_command(bench.main, words) == 0
    return output, json.loads(output.read_text())


def test_every_value_is_there_and_possible(told):
    _, results = told
    assert results["machine"]["device"] == "cpu" and results["machine"]["torch"] == torch.__version__
    assert results["machine"]["processes"] == 1
    assert results["matrix_product"]["flops_per_second"] > 1e8
    assert 0 < results["parameters"]["trainable"] < results["parameters"]["all"]
    assert results["work"]["mix"] == {"tiles": {"0": 1.0}, "target_tokens": {"40": 1.0}}
    assert [run["batch_size"] for run in results["runs"]] == [1]
    for run in results["runs"]:
        assert set(run["sides"]) == {OURS, STOCK}
        for name, result in run["sides"].items():
            check_result(result, run["flops_per_page"][name])
        assert run["ratios"]["pages_per_second"]["pairs"] == [
            run["sides"][OURS]["pages_per_second"] / run["sides"][STOCK]["pages_per_second"]
        ]
    assert set(results["best"]["batch_size"]) == {OURS, STOCK}


def test_a_recipe_against_itself_with_something_changed(tmp_path, repo):
    """Memory is counted, so what a change does to it is the same every time."""
    output = tmp_path / "changed.json"
    words = [str(repo / "recipes/tiny/full.yaml"), "--output", str(output), *FEW, "--batch_sizes", "1"]
    changes = ["gradient_checkpointing=true", "experts_implementation=eager"]
    assert run_command(bench.main, [*words, "--against", *changes]) == 0
    (run,) = json.loads(output.read_text())["runs"]
    assert list(run["sides"]) == [OURS, ", ".join(changes)]
    for name, result in run["sides"].items():
        check_result(result, run["flops_per_page"][name])
    assert run["ratios"]["peak_memory"] > 1.1, "checkpointing keeps less"


def check_result(result: dict, flops: int) -> None:
    assert set(result["seconds_per_step_by_part"]) == set(PARTS)
    assert sum(result["seconds_per_step_by_part"].values()) == pytest.approx(result["seconds_per_step"])
    assert result["seconds_per_step_by_part"]["backward"] > 0
    assert result["peak_memory"]["bytes"] > 5e6 and result["peak_memory"]["how"].startswith("counted")
    assert result["flops_per_second"] == pytest.approx(result["pages_per_second"] * flops)
    # Pages of 257 visual tokens, 40 or 60 of target, and a prompt.
    assert 297 < result["tokens_per_second"] / result["pages_per_second"] < 400


def test_stored_features_leave_out_the_vision_tower_in_our_trainer_alone(told):
    for run in told[1]["runs"]:
        parts = {name: result["seconds_per_step_by_part"] for name, result in run["sides"].items()}
        assert parts[OURS]["vision forward"] == 0 < parts[STOCK]["vision forward"]
        assert run["flops_per_page"][OURS] < run["flops_per_page"][STOCK]


def test_sweeps_and_processes(told):
    sweeps = told[1]["sweeps"]
    (longer,) = sweeps["target_tokens"]
    assert longer["target_tokens"] == 60
    check_result(longer["sides"][OURS], longer["flops_per_page"][OURS])
    first = told[1]["runs"][0]["sides"][OURS]
    assert longer["sides"][OURS]["peak_memory"]["bytes"] > first["peak_memory"]["bytes"]
    (two,) = sweeps["processes"]
    assert two["processes"] == 2 and two["sides"][OURS]["pages_per_second"] > 0


def test_the_picture_is_drawn(told):
    with Image.open(told[0].with_suffix(".png")) as picture:
        assert picture.width == 1800 and len(picture.convert("RGB").getcolors(2**24)) > 50


def rounds(*pages_per_second: float) -> list[dict]:
    names = ("pages_per_second", "tokens_per_second", "seconds_per_step", "processor_seconds_per_page")
    values = [dict(zip(names, (r, 10 * r, 2 / r, 1 / r), strict=True)) for r in pages_per_second]
    return [result | {"parts": {"data": 0.5 * result["pages_per_second"]}} for result in values]


def test_ratios_of_known_rounds():
    ours = summary(rounds(4.0, 6.0, 5.0)) | {"peak_memory": {"bytes": 30}}
    stock = summary(rounds(2.0, 2.0, 4.0)) | {"peak_memory": {"bytes": 60}}
    assert (ours["pages_per_second"], ours["tokens_per_second"], stock["seconds_per_step"]) == (5.0, 50.0, 1.0)
    assert ours["seconds_per_step_by_part"] == {"data": 2.5}
    ratio = ratios(ours, stock)
    assert ratio["pages_per_second"] == {"median": 2.0, "least": 1.25, "largest": 3.0, "pairs": [2.0, 3.0, 1.25]}
    assert ratio["pages_per_processor_second"]["pairs"] == pytest.approx([2.0, 3.0, 1.25])
    assert ratio["peak_memory"] == 0.5


def test_the_best_batch_size_is_each_contenders_own():
    def run(size: int, ours: float, stock: float) -> dict:
        rates = {OURS: ours, STOCK: stock}
        sides = {s: {"pages_per_second": r, "peak_memory": {"bytes": size * 10}} for s, r in rates.items()}
        return {"batch_size": size, "sides": sides}

    found = best([run(1, 4.0, 3.0), run(2, 9.0, 2.0)])
    assert found == {"batch_size": {OURS: 2, STOCK: 1}, "pages_per_second": 3.0, "peak_memory": 2.0}


@given(
    st.dictionaries(st.sampled_from([0, 2, 3, 4, 6]), st.floats(0.1, 10), min_size=1),
    st.integers(1, 200),
    st.integers(0, 5),
)
def test_a_mix_is_kept_to_the_page(tiles, pages, seed):
    kinds = PageMix(tiles, {100: 1.0}).kinds(pages, seed)
    assert len(kinds) == pages
    for value, share in tiles.items():
        wanted = pages * share / sum(tiles.values())
        assert math.floor(wanted) <= sum(kind[0] == value for kind in kinds) <= math.ceil(wanted)


def test_pages_have_the_tiles_and_target_lengths_that_were_asked_for():
    pages = make_pages(PageMix({0: 1, 2: 1, 4: 1, 6: 1}, {33: 1, 150: 1, 400: 2}), 4, processor())
    settings, encoder = ImageSettings.of(processor()), TargetEncoder(processor().tokenizer)
    assert sorted(settings.tiles(page["width"], page["height"]) for page in pages) == [0, 2, 4, 6]
    assert sorted(len(encoder(build_target("markdown", page)).ids) for page in pages) == [33, 150, 400, 400]
    assert all(page["image"].size == (page["width"], page["height"]) for page in pages)
    with pytest.raises(UsageError, match="no page has 7 tiles"):
        page_size(settings, 7)
    with pytest.raises(UsageError, match="no room for one region"):
        make_pages(PageMix({0: 1}, {5: 1}), 1, processor())


def test_both_contenders_see_the_same_pages_and_the_same_loss():
    """But for the prompt, of which a plain collator makes labels too."""
    dataset = make_pages(PageMix({0: 1, 2: 1}, {60: 1}), 2, processor())
    pages, stock = PageTasks(dataset, processor(), {"markdown": 1.0}), StockPages(dataset)
    ours = TrainingCollator(processor())([pages[0], pages[1]])
    theirs = ProcessorCollator(processor())([stock[0], stock[1]])
    for name in ("input_ids", "attention_mask", "pixel_values", "pixel_values_local", "num_local_patches"):
        assert torch.equal(torch.as_tensor(ours[name]), torch.as_tensor(theirs[name])), name
    target = ours["labels"] != IGNORED
    assert torch.equal(ours["labels"][target], theirs["labels"][target])
    model = build_tiny_model().eval()
    model.loss_settings = LossSettings(tuple(range(1000)), {"text": 1.0, "box": 0.0})
    with torch.no_grad():
        text = model(**ours).loss
        plain = as_stock(model)(**theirs | {"labels": ours["labels"]}).loss
    assert not [type(module) for module in model.modules() if "ocr2_hf" in type(module).__module__]
    torch.testing.assert_close(text, plain, rtol=1e-5, atol=0)


@pytest.mark.parametrize(
    ("weights", "compute", "trains"),
    [
        (torch.float32, torch.float32, True),
        (torch.float32, torch.float32, False),
        (torch.bfloat16, torch.bfloat16, False),
        (torch.float32, torch.bfloat16, True),
    ],
)
def test_the_loss_takes_a_tenth_of_the_stock_paths_memory(weights, compute, trains):
    """Vocabulary, width, batch and length of the real model's, a third of the tokens supervised."""
    work = LossWorkload(129_280, 1280, 4, 2048, 1 / 3, 8, weights, compute, trains)
    counted = bench_loss(work, rounds=0, timed=False)["bytes"]
    assert counted["ratio"] <= 0.1
    assert counted[STOCK] > 4 * 2048 * 129_280 * 4 * 2


def test_the_loss_alone_of_a_recipe(tmp_path, repo, capsys):
    recipe = str(repo / "recipes/tiny/full.yaml")
    work = recipe_loss(load_recipe(recipe), 2, 300, 0.5)
    assert (work.vocabulary, work.trains, work.labelled, work.compute) == (1261, True, 150, torch.float32)
    output = tmp_path / "loss.json"
    assert bench.main([recipe, "--loss", "2x300", "--rounds", "2", "--output", str(output)]) == 0
    loss = json.loads(output.read_text())["loss"]
    assert loss["bytes"]["ratio"] == loss["bytes"][OURS] / loss["bytes"][STOCK]
    ratio = loss["seconds"]["ratio"]
    assert 0 < ratio["least"] <= ratio["median"] <= ratio["largest"]


def test_the_collators_alone(tmp_path, repo):
    output = tmp_path / "data.json"
    words = [str(repo / "recipes/tiny/lora.yaml"), "--data", "--output", str(output), *FEW]
    assert bench.main(words) == 0
    data = json.loads(output.read_text())["data"]
    assert set(data["pages_per_second"]) == {OURS, STOCK} and data["ratio"]["median"] > 0


def test_what_a_command_line_is_checked_by_needs_nothing_heavy():
    heavy = "{'torch', 'transformers', 'datasets', 'numpy'} & sys.modules.keys()"
    done = python("-c", f"import sys, ocr2_hf.benchmark.workload; print({heavy})")
    assert done.stdout.strip() == "set()", done.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--tiles", "two"], "'two' is not"),
        (["--tiles", "0:0"], "not all 0"),
        (["--sweep", "weather:1"], "'weather' is none of"),
        (["--sweep", "tiles:a"], "whole numbers"),
        (["--batch_sizes", "0"], "'0' is not"),
        (["--against", "stock"], "'stock' is neither trainer nor KEY=VALUE"),
    ],
)
def test_wrong_calls(tmp_path, repo, capsys, words, message):
    with pytest.raises(SystemExit) as stop:
        bench.main([str(repo / "recipes/tiny/lora.yaml"), "--output", str(tmp_path / "x.json"), *words])
    assert stop.value.code == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (["per_device_train_batch_size=3"], "changes nothing of what a benchmark runs"),
        (["loss_chunks=1"], "changes nothing of what a benchmark runs"),  # as the recipe has it
        (["experts_implementation=grouped_mm"], "changes nothing of what a benchmark runs"),  # as is the default
        (["loss_chunk=2"], "loss_chunk"),
        (["trainer", "loss_chunks=2"], "not both"),
    ],
)
def test_a_comparison_that_makes_no_sense(tmp_path, repo, capsys, changes, message):
    words = [str(repo / "recipes/tiny/lora.yaml"), "--output", str(tmp_path / "x.json"), *FEW]
    assert run_command(bench.main, [*words, "--against", *changes]) == 2
    assert message in capsys.readouterr().err


def test_the_real_model_needs_a_gpu(tmp_path, repo, capsys):
    words = [str(repo / "recipes/deepseek_ocr2/lora.yaml"), "--output", str(tmp_path / "x.json"), *FEW]
    assert run_command(bench.main, words) == 2
    error = capsys.readouterr().err
    assert "there is no GPU here" in error and "--model tiny" in error
    assert not list(tmp_path.iterdir())


@pytest.mark.gpu
def test_at_the_real_size_the_plan_is_within_15_percent_of_the_allocator(tmp_path, repo):
    """On one GPU with 24 GB or more: LoRA, with and without checkpointing."""
    recipe = str(repo / "recipes/deepseek_ocr2/lora.yaml")
    for on in ("true", "false"):
        output = tmp_path / f"{on}.json"
        words = ["bench", recipe, "--output", output, "--steps", "2", "--rounds", "1", "--pages", "4"]
        words += ["--gradient_checkpointing", on, "--gradient_accumulation_steps", "1"]
        done = python("-m", "ocr2_hf", *words, CUDA_VISIBLE_DEVICES="0")
        assert done.returncode == 0, done.stderr[-3000:]
        measured = json.loads(output.read_text())["runs"][0]["sides"][OURS]["peak_memory"]
        assert measured["how"].startswith("torch.cuda")
        planned = load_recipe(recipe, ["--gradient_checkpointing", on, "--gradient_accumulation_steps", "1"])
        plan = make_plan(planned, planned.training_arguments(), (1240, 1754), 600)
        assert plan.memory(on == "true").peak == pytest.approx(measured["bytes"], rel=0.15)
