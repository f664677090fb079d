"""Two real processes under DDP, FSDP2, ZeRO-2 and ZeRO-3, by accelerate, by the deepspeed launcher and on two machines.

One launch a strategy, many checks in it; one process is the measure of all. Trained, the loss terms, gradient norms and
evaluations are one process's; the pages are such that in a step one process's page has tiles and the other's none.
And the same 8 pages in one optimizer step, split in every way, give the same loss terms and gradients, to a relative
error under 1e-4 in float32: pages with zero, one and many boxes, tiles or none; tokens and labels have weights. So too
of a mixture of two datasets from stored vision features, and with batches by a budget of tokens.
"""

import json

import pytest
import torch
import yaml
from safetensors.torch import load_file
from transformers import AutoModelForImageTextToText, AutoProcessor

from helpers.commands import BIN, build, run, write_pages
from helpers.launches import launcher, two_machines
from helpers.tiny_pages import page_row
from helpers.trainings import STAGED_RECIPE, logged
from helpers.workers.train_worker import probe_batch
from ocr2_hf.modeling.load import load_model
from ocr2_hf.training.run_folder import COMPLETE

STRATEGIES = {
    "ddp": ("DistributedType.MULTI_CPU", "DistributedDataParallel"),
    "fsdp2": ("DistributedType.FSDP", "FSDPOCR2Model"),
    "zero2": ("DistributedType.DEEPSPEED", "DeepSpeedEngine"),
    "zero3": ("DistributedType.DEEPSPEED", "DeepSpeedEngine"),
    "deepspeed": ("DistributedType.DEEPSPEED", "DeepSpeedEngine"),
}
# The others are `make slow`'s: ZeRO-2 is ZeRO-3 with less split, and the deepspeed launcher starts the same workers.
SLOW = ("zero2", "deepspeed")
LAUNCHED = [pytest.param(name, marks=[pytest.mark.slow] if name in SLOW else []) for name in STRATEGIES]
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
    "eval_dataset": {"mixed": 0.7, "eight": 0.3},
    "eval_split": "train",
    "eval_pages": 3,
    "eval_max_new_tokens": 6,
    "seed": 42,
}
ONE_STEP = {
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
MIXTURE = {"dataset": "{eight: 0.5, mixed: 0.5}"}
STORED = MIXTURE | {"train_vision": "none", "augment": "none", "cache_vision_features": "true"}
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


STAGED = STAGED_RECIPE | {"dataset": "mixed", "max_steps": 4}


@pytest.fixture(scope="module")
def workplace(tmp_path_factory):
    """The pages, built; the recipes; and what one process makes of them."""
    folder = tmp_path_factory.mktemp("multiprocess")
    sizes, boxes = ((150, 120), (150, 300), (180, 100), (300, 150)), (2, 0, 1, 3)
    build_pages(folder, "mixed", sizes, boxes, "Line {} {}")
    sizes = ((150, 120), (200, 100), (180, 100), (120, 90), (100, 205), (160, 80), (90, 90), (140, 140))
    build_pages(folder, "eight", sizes, (2, 0, 1, 3, 1, 0, 2, 1), "Line {} {}.50")
    (folder / "recipe.yaml").write_text(yaml.safe_dump(RECIPE))
    (folder / "one_step.yaml").write_text(yaml.safe_dump(ONE_STEP))
    (folder / "staged.yaml").write_text(yaml.safe_dump(STAGED))
    wider = ["--per_device_train_batch_size", "2", "--per_device_eval_batch_size", "4"]
    launch(folder, "single", [BIN / "python"], SPLITS["one"], ["2"], *wider)
    return folder


def build_pages(folder, name: str, sizes, boxes, line: str) -> None:
    pages = [
        page_row(f"p{i}", size, [line.format(i, k) for k in range(max(count, 1))], count)
        for i, (size, count) in enumerate(zip(sizes, boxes, strict=True))
    ]
    build(name, write_pages(folder / name, pages), "--val", "0", "--test", "0")


def launch(folder, name: str, words: list, splits: list[dict], staged: list[str], *overrides: str) -> None:
    """`staged`: the batch size of the run with stages, or nothing where there is none."""
    stages = [str(folder / "staged.yaml"), "--per_device_train_batch_size", *staged] if staged else []
    worker = ["tests/helpers/workers/strategy_worker.py", folder / name]
    worker += [folder / "one_step.yaml", json.dumps(splits), json.dumps(stages)]
    training = [folder / "recipe.yaml", "--output_dir", folder / name / "run", *overrides]
    done = run(*words, *worker, *training, OMP_NUM_THREADS="1")
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]


@pytest.fixture(scope="module")
def launched(request, workplace) -> str:
    """The strategy, once its two processes have done everything."""
    strategy = request.param
    by_deepspeed = strategy == "deepspeed"  # another launcher of what zero3 has shown
    extra = ["--deepspeed", "accelerate_configs/ds_zero3.json"] if by_deepspeed else []
    staged = ["1"] if strategy in ("ddp", "zero2") else []
    launch(workplace, strategy, launcher(strategy), [] if by_deepspeed else SPLITS["two"], staged, *extra)
    return strategy


def told(folder, name: str, part: str | int) -> dict:
    """What a process (its rank) or a split (its name) has written down."""
    return json.loads((folder / name / f"{part}.json").read_text())


# --- trained


@pytest.mark.parametrize("launched", LAUNCHED, indirect=True)
def test_two_processes_train_as_one(launched, workplace):
    first, other = (told(workplace, launched, rank) for rank in (0, 1))
    assert (first["world"], other["world"]) == (2, 2)
    assert (first["distributed"], first["wrapped"]) == STRATEGIES[launched]
    assert any((a == 0) != (b == 0) for a, b in zip(first["tiles"], other["tiles"], strict=True)), "one has tiles"
    same_rows(first["log"], told(workplace, "single", 0)["log"])
    same_counts(first["log"], other["log"], told(workplace, "single", 0)["log"])
    loads_with_stock_classes(workplace / launched)


@pytest.mark.parametrize("launched", [LAUNCHED[0], LAUNCHED[2]], indirect=True)
def test_two_processes_train_the_stages(launched, workplace):
    folder, single = workplace / launched / "staged", workplace / "single" / "staged"
    assert [row["stage"] for row in logged(single)] == ["text"] * 2 + ["joint"] * 2
    for row, reference in zip(logged(folder), logged(single), strict=True):
        assert row["stage"] == reference["stage"]
        assert row["loss"] == pytest.approx(reference["loss"], rel=1e-3)
    assert (folder / COMPLETE).is_file()
    load_model(folder)


@pytest.mark.slow
def test_two_machines_train_as_one_process_where_they_share_the_output_folder(workplace, tmp_path):
    """ZeRO-3. Without a folder they share they are refused before anything is done."""
    worker = [
        "tests/helpers/workers/nodes_worker.py",
        workplace / "nodes",
        tmp_path / "disk{rank}",
        workplace / "recipe.yaml",
    ]
    machines = two_machines(tmp_path, *worker, "--output_dir", workplace / "nodes" / "run")
    assert [status for status, _ in machines] == [0, 0], machines[0][1][-3000:] + machines[1][1][-3000:]

    assert [(workplace / "nodes" / f"refused-{rank}").read_text() for rank in (0, 1)] == ["2", "2"]
    output = machines[0][1]
    assert "disk0 of machine 0 is not there on" in output and "name a folder on a disk all share" in output
    assert not any(path.is_file() for path in tmp_path.glob("disk*/**/*"))

    nodes = [told(workplace, "nodes", rank) for rank in (0, 1)]
    assert [node["world"] for node in nodes] == [2, 2]
    assert {node["wrapped"] for node in nodes} == {"DeepSpeedEngine"}
    same_rows(nodes[0]["log"], told(workplace, "single", 0)["log"])
    loads_with_stock_classes(workplace / "nodes")


def same_rows(log: list[dict], single: list[dict]) -> None:
    """Every loss term, gradient norm and evaluation as one process has them over the same pages."""
    training = {"loss", "loss_text", "loss_box", "grad_norm"}
    metrics = ("loss", "loss_text", "loss_box", "token_accuracy", "cer", "missing_eos_rate")
    evaluation = {f"eval_{source}{name}" for source in ("", "mixed_", "eight_") for name in metrics}
    assert len(log) == len(single)
    assert sum(training <= row.keys() for row in single) == 4 and sum(evaluation <= row.keys() for row in single) == 3
    for row, reference in zip(log, single, strict=True):
        for name in (training | evaluation) & set(reference):
            assert row[name] == pytest.approx(reference[name], rel=1e-4), (name, row, reference)


def same_counts(log: list[dict], other: list[dict], single: list[dict]) -> None:
    """Every row counts the pages of both processes, as one process does, and the memory of the one that needs most."""

    def counted(rows: list[dict], *names: str) -> list[list[float]]:
        training = [row | {"page": row["tokens_per_second"] / row["pages_per_second"]} for row in rows if "loss" in row]
        return [[row[name] for name in names] for row in training]

    assert counted(log, "padding", "memory_gb") == counted(other, "padding", "memory_gb")
    assert counted(log, "page") == [pytest.approx(row) for row in counted(single, "page")]


def loads_with_stock_classes(folder) -> None:
    """The saved model gives the logits that the trained one gave in its processes."""
    model = AutoModelForImageTextToText.from_pretrained(folder / "run").eval()
    processor = AutoProcessor.from_pretrained(folder / "run")
    with torch.no_grad():
        logits = model(**probe_batch(processor)).logits
    torch.testing.assert_close(logits, torch.load(folder / "logits.pt"), rtol=1e-4, atol=1e-4)


# --- split


def test_one_process_accumulating(workplace):
    assert told(workplace, "single", "1x8")["loss_box"] > 0
    same_step(workplace, "single", "8x1", "1x8")
    same_step(workplace, "single", "tokens", "1x8 stored")


@pytest.mark.parametrize("launched", LAUNCHED[:-1], indirect=True)
def test_two_processes(launched, workplace):
    assert told(workplace, launched, "2x4")["world"] == 2
    same_step(workplace, launched, "2x4", "1x8")
    same_step(workplace, launched, "2x2x2", "1x8")
    same_step(workplace, launched, "2x2x2 head", "1x8 head")
    same_step(workplace, launched, "tokens", "1x8 stored")


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
    row, single = told(folder, name, part), told(folder, "single", reference)
    terms = {"grad_norm"} | {name for name in single if "loss" in name}
    assert len(terms) == (10 if "stored" in reference else 4)
    for term in terms:
        assert row[term] == pytest.approx(single[term], rel=1e-4), (part, term)
    head = "head" in part
    expected, found = gradients(folder / "single" / reference, head), gradients(folder / name / part, head)
    assert set(expected) == set(found)
    total = torch.cat([tensor.flatten() for tensor in expected.values()]).norm()
    assert total.item() == pytest.approx(single["grad_norm"], rel=1e-4)
    for parameter, gradient in expected.items():
        if "vision_tower" in parameter and reference == "1x8 stored":
            assert not gradient.any() and not found[parameter].any()
            continue
        error = (found[parameter] - gradient).norm()
        assert gradient.norm() > 0 and error < 1e-4 * gradient.norm(), (part, parameter)
