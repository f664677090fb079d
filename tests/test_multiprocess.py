"""Two real processes under DDP, FSDP2, ZeRO-2 and ZeRO-3, by accelerate and by the deepspeed launcher.

One launch a strategy, many checks in it. The pages are such that in a step one process's page has tiles and the
other's none.
"""

import json

import pytest
import torch
import yaml
from commands import BIN, build, run, write_pages
from tiny_pages import page_row
from transformers import AutoModelForImageTextToText, AutoProcessor
from workers.train_worker import probe_batch

STRATEGIES = {
    "ddp": ("DistributedType.MULTI_CPU", "DistributedDataParallel"),
    "fsdp2": ("DistributedType.FSDP", "FSDPOCR2Model"),
    "zero2": ("DistributedType.DEEPSPEED", "DeepSpeedEngine"),
    "zero3": ("DistributedType.DEEPSPEED", "DeepSpeedEngine"),
    "deepspeed": ("DistributedType.DEEPSPEED", "DeepSpeedEngine"),
}
RECIPE = {
    "model": "tiny",
    "dataset": "mixed",
    "train_vision": "all",
    "train_projector": True,
    "train_language": "full",
    "token_weights": {"coordinate": 2.0, "eos": 3.0},
    "label_weights": {"title": 1.5},
    "box_weight": 1.0,
    "loss_chunks": 3,
    "per_device_train_batch_size": 1,
    "gradient_accumulation_steps": 1,
    "per_device_eval_batch_size": 2,
    "learning_rate": 1e-3,
    "num_train_epochs": 2,
    "logging_steps": 1,
    "save_strategy": "no",
    "eval_strategy": "epoch",
    "eval_split": "train",
    "eval_pages": 3,
    "eval_max_new_tokens": 6,
    "seed": 42,
}


def launcher(strategy: str) -> list[str]:
    if strategy == "deepspeed":
        return [str(BIN / "deepspeed"), "--num_gpus", "2", "--master_port", "29617"]
    config = f"accelerate_configs/{strategy}.yaml"
    return [
        str(BIN / "accelerate"),
        "launch",
        "--config_file",
        config,
        "--num_processes",
        "2",
        "--main_process_port",
        "0",
    ]


@pytest.fixture(scope="module")
def workplace(tmp_path_factory):
    """The mixed pages, built; the recipe; and one process's run over the same pages, two at a time."""
    folder = tmp_path_factory.mktemp("multiprocess")
    sizes, boxes = ((150, 120), (300, 400), (180, 100), (250, 380)), (2, 0, 1, 3)
    rows = [
        page_row(f"p{i}", size, [f"Line {i} {k}" for k in range(max(count, 1))], count)
        for i, (size, count) in enumerate(zip(sizes, boxes, strict=True))
    ]
    build("mixed", write_pages(folder / "pages", rows), "--val", "0", "--test", "0")
    recipe = folder / "recipe.yaml"
    recipe.write_text(yaml.safe_dump(RECIPE))
    work("single", folder, ["python"], "--per_device_train_batch_size", "2", "--per_device_eval_batch_size", "4")
    return folder


def work(name: str, folder, launch: list[str], *overrides: str) -> dict:
    words = [*launch, "tests/workers/train_worker.py", folder / name, folder / "recipe.yaml"]
    if launch == ["python"]:
        words[0] = BIN / "python"
    words += ["--output_dir", folder / name / "run", *overrides]
    done = run(*words, OMP_NUM_THREADS="1")
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return result(folder, name)


def result(folder, name: str, rank: int = 0) -> dict:
    return json.loads((folder / name / f"{rank}.json").read_text())


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_two_processes_train_as_one(strategy, workplace):
    extra = ["--deepspeed", "accelerate_configs/ds_zero3.json"] if strategy == "deepspeed" else []
    told = work(strategy, workplace, launcher(strategy), *extra)
    other = result(workplace, strategy, rank=1)

    assert (told["world"], other["world"]) == (2, 2)
    assert (told["distributed"], told["wrapped"]) == STRATEGIES[strategy]
    assert any((a == 0) != (b == 0) for a, b in zip(told["tiles"], other["tiles"], strict=True)), "one has tiles"

    same_rows(told["log"], result(workplace, "single")["log"])
    loads_with_stock_classes(workplace / strategy)


def same_rows(log: list[dict], single: list[dict]) -> None:
    """Every loss term, gradient norm and evaluation as one process has them over the same pages."""
    names = {"loss", "loss_text", "loss_box", "grad_norm"}
    names |= {
        "eval_loss",
        "eval_loss_text",
        "eval_loss_box",
        "eval_token_accuracy",
        "eval_cer",
        "eval_missing_eos_rate",
    }
    compared = 0
    assert len(log) == len(single)
    for row, reference in zip(log, single, strict=True):
        for name in names & set(reference):
            assert row[name] == pytest.approx(reference[name], rel=1e-4), (name, row, reference)
            compared += 1
    assert compared >= 4 * 4 + 2 * 6


def loads_with_stock_classes(folder) -> None:
    """The saved model gives the logits that the trained one gave in its processes."""
    model = AutoModelForImageTextToText.from_pretrained(folder / "run").eval()
    processor = AutoProcessor.from_pretrained(folder / "run")
    with torch.no_grad():
        logits = model(**probe_batch(processor)).logits
    torch.testing.assert_close(logits, torch.load(folder / "logits.pt"), rtol=1e-4, atol=1e-4)
