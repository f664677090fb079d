"""The plan's memory against counted tensors of real steps of the tiny model, and by hand where that is exact."""

import pytest
import torch

from ocr2_hf.benchmark.contenders import Contender, bench_processor
from ocr2_hf.benchmark.pages import make_pages
from ocr2_hf.benchmark.results import count_peak
from ocr2_hf.benchmark.workload import OURS, PageMix, Workload
from ocr2_hf.planning import budget
from ocr2_hf.planning.memory import PARTS, StepMemory, fits, step_memory, verdict
from ocr2_hf.planning.plan import make_plan
from ocr2_hf.recipe import load_recipe

FLOAT32 = ("float32", None)
SETTINGS = [
    ("lora", {"per_device_train_batch_size": 2}, {2: 1.0}),
    ("lora", {"per_device_train_batch_size": 3, "gradient_checkpointing": True}, {0: 1.0}),
    ("full", {"per_device_train_batch_size": 2, "gradient_checkpointing": True}, {2: 1.0}),
]
# For `make slow`.
MORE_SETTINGS = [
    ("full", {"per_device_train_batch_size": 2}, {2: 1.0}),
    ("full", {"per_device_train_batch_size": 2, "bf16": True, "gradient_accumulation_steps": 2}, {0: 1.0}),
]
SETTINGS += [pytest.param(*settings, marks=pytest.mark.slow) for settings in MORE_SETTINGS]


@pytest.mark.parametrize(("recipe", "values", "tiles"), SETTINGS)
def test_planned_memory_is_what_a_real_step_takes_within_15_percent(repo, recipe, values, tiles):
    words = [word for name, value in values.items() for word in (f"--{name}", str(value).lower())]
    recipe = load_recipe(repo / "recipes/tiny" / f"{recipe}.yaml", ["--dataset", "no_such_pages", *words])
    workload = Workload(PageMix(tiles, {60: 1.0}), values["per_device_train_batch_size"], drawn=2)
    pages = make_pages(workload.mix, workload.drawn, bench_processor(recipe))
    measured = count_peak(Contender(OURS, recipe), workload, pages)["bytes"]

    page = {0: (100, 100), 2: (150, 300)}[next(iter(tiles))]
    plan = make_plan(recipe, recipe.training_arguments(), page, 60)
    assert plan.memory(values.get("gradient_checkpointing", False)).peak == pytest.approx(measured, rel=0.15)


def tiny_step(**changes) -> tuple[budget.ImageSettings, budget.Step]:
    images = budget.image_settings("tiny", None)
    values = {"batch": 1, "tiles": 0, "target_tokens": 50, "chunks": 4, "checkpointing": False, **changes}
    return images, budget.Step(visual_tokens=images.tokens(0), **values)


def test_weights_gradients_and_optimizer_by_hand():
    policy = budget.ModelArguments(model="tiny", train_language="full", train_vision="all", train_projector=True)
    images, step = tiny_step()
    memory = step_memory(policy, images, step, *FLOAT32, "adamw_torch", accumulates=True)
    size = sum(parameter.numel() for parameter in budget.outline(policy, "float32").parameters())
    assert memory.gradients == memory.early == 4 * size
    assert memory.weights == pytest.approx(4 * size, rel=0.01)  # buffers beside them
    assert memory.optimizer == 8 * size
    assert memory.copies == 0
    mixed = step_memory(policy, images, step, "float32", torch.bfloat16, "adamw_8bit")
    assert mixed.optimizer == 2 * size
    assert 0 < mixed.copies <= 2 * size
    assert mixed.early < mixed.gradients


def test_checkpointing_lowers_activations_and_nothing_else():
    policy = budget.ModelArguments(model="tiny", train_language="full", train_vision="all")
    off, on = (step_memory(policy, *tiny_step(checkpointing=c), *FLOAT32, "adamw") for c in (False, True))
    assert on.activations < off.activations / 2
    assert (on.weights, on.gradients, on.optimizer) == (off.weights, off.gradients, off.optimizer)


def test_the_peak_is_in_the_backward_pass_or_in_the_optimizers_step():
    backward = StepMemory(weights=10, gradients=20, optimizer=40, activations=30, copies=1, logits=2, early=5)
    assert backward.parts() == dict(zip(PARTS, (10, 1, 5, 40, 30, 2), strict=True))
    assert backward.peak == 88
    optimizer = StepMemory(weights=10, gradients=20, optimizer=40, activations=3, copies=1, logits=2, early=5)
    assert optimizer.parts() == dict(zip(PARTS, (10, 0, 20, 40, 0, 0), strict=True))
    assert optimizer.peak == 70


def test_a_tenth_stays_in_reserve():
    parts = dict.fromkeys(PARTS, 0) | {"optimizer": 22 * 10**9}
    assert not fits(22 * 10**9, 24) and fits(21 * 10**9, 24)
    assert verdict(parts, 25) == "fits in 25 GB: 24.2 GB with a tenth in reserve"
    assert "most is optimizer" in verdict(parts, 24)
