"""The same 8 pages in one optimizer step, split in every way, under every strategy: the same loss terms and gradients.

The pages have zero, one and many boxes, tiles or none; tokens and labels have weights. Relative error under 1e-4 in
float32. So too from stored vision features, and with batches by a budget of tokens.
"""

import json

import pytest
import torch
import yaml
from commands import BIN, build, run, write_pages
from safetensors.torch import load_file
from test_multiprocess import launcher
from tiny_pages import page_row

from ocr2_hf.modeling.load import load_model

RECIPE = {
    "model": "tiny",
    "dataset": "eight",
    "train_vision": "all",
    "train_projector": True,
    "train_language": "full",
    "token_weights": {"coordinate": 2.0, "eos": 3.0, "tag": 0.5},
    "label_weights": {"title": 1.5},
    "box_weight": 1.0,
    "loss_chunks": 3,
    "optim": "sgd",
    "learning_rate": 1.0,
    "lr_scheduler_type": "constant",
    "weight_decay": 0.0,
    "max_grad_norm": 1e9,
    "max_steps": 1,
    "logging_steps": 1,
    "save_strategy": "no",
}
HEAD = {"box_source": "head", "train_box_head": "true"}
STORED = {"train_vision": "none", "augment": "none", "cache_vision_features": "true"}
TOKENS = STORED | {"tokens_per_batch": 4200}  # two batches


def split(name: str, size: int, accumulated: int, **more) -> dict:
    return {
        "name": name,
        "per_device_train_batch_size": size,
        "gradient_accumulation_steps": accumulated,
        **more,
    }


SPLITS = {
    "one": [
        split("1x8", 8, 1),
        split("8x1", 1, 8),
        split("1x8 head", 8, 1, **HEAD),
        split("1x8 stored", 8, 1, **STORED),
        split("tokens", 8, 2, **TOKENS),
    ],
    "two": [
        split("2x4", 4, 1),
        split("2x2x2", 2, 2),
        split("2x2x2 head", 2, 2, **HEAD),
        split("tokens", 8, 1, **TOKENS),
    ],
}


@pytest.fixture(scope="module")
def workplace(tmp_path_factory):
    folder = tmp_path_factory.mktemp("exactness")
    sizes = [(150, 120), (200, 100), (180, 100), (120, 90), (100, 205), (160, 80), (90, 90), (140, 140)]
    boxes = [2, 0, 1, 3, 1, 0, 2, 1]
    rows = [
        page_row(f"p{i}", size, [f"Line {i} {k}.50" for k in range(max(count, 1))], count)
        for i, (size, count) in enumerate(zip(sizes, boxes, strict=True))
    ]
    build("eight", write_pages(folder / "pages", rows), "--val", "0", "--test", "0")
    (folder / "recipe.yaml").write_text(yaml.safe_dump(RECIPE))
    launch(folder, "one", [BIN / "python"], SPLITS["one"])
    return folder


def launch(folder, name: str, words: list, splits: list[dict]) -> None:
    worker = ["tests/workers/exactness_worker.py", folder / name, folder / "recipe.yaml", json.dumps(splits)]
    done = run(*words, *worker, OMP_NUM_THREADS="1")
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]


def told(folder, name: str, part: str) -> dict:
    return json.loads((folder / name / f"{part}.json").read_text())


def gradients(folder, head: bool) -> dict[str, torch.Tensor]:
    fresh = load_model("tiny")
    if head:
        fresh.add_box_head()
    start, trained = fresh.state_dict(), load_model(folder).state_dict()
    if head:
        own = load_file(folder / "box_head.safetensors")
        assert all(torch.equal(trained[f"box_head.{name}"], tensor) for name, tensor in own.items())
    return {name: start[name].double() - tensor.double() for name, tensor in trained.items()}


def same_step(folder, name: str, part: str, reference: str) -> None:
    row, single = told(folder, name, part), told(folder, "one", reference)
    for term in ("loss", "loss_text", "loss_box", "grad_norm"):
        assert row[term] == pytest.approx(single[term], rel=1e-4), (part, term)
    head = "head" in part
    expected, found = gradients(folder / "one" / reference, head), gradients(folder / name / part, head)
    assert set(expected) == set(found)
    total = torch.cat([tensor.flatten() for tensor in expected.values()]).norm()
    assert total.item() == pytest.approx(single["grad_norm"], rel=1e-4)
    for parameter, gradient in expected.items():
        if "vision_tower" in parameter and reference == "1x8 stored":
            assert not gradient.any() and not found[parameter].any()
            continue
        error = (found[parameter] - gradient).norm()
        assert gradient.norm() > 0 and error < 1e-4 * gradient.norm(), (part, parameter)


def test_one_process_accumulating(workplace):
    assert told(workplace, "one", "1x8")["loss_box"] > 0
    same_step(workplace, "one", "8x1", "1x8")
    same_step(workplace, "one", "tokens", "1x8 stored")


@pytest.mark.parametrize("strategy", ["ddp", "fsdp2", "zero2", "zero3"])
def test_two_processes(strategy, workplace):
    launch(workplace, strategy, launcher(strategy), SPLITS["two"])
    assert told(workplace, strategy, "2x4")["world"] == 2
    same_step(workplace, strategy, "2x4", "1x8")
    same_step(workplace, strategy, "2x2x2", "1x8")
    same_step(workplace, strategy, "2x2x2 head", "1x8 head")
    same_step(workplace, strategy, "tokens", "1x8 stored")
