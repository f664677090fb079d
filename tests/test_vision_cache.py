"""Stored vision features: the same training without vision and without images; damage, kills, a full disk, stages."""

import errno
import json
import logging
import os
import shutil
import subprocess
import sys
import time
from types import SimpleNamespace

import datasets
import pytest
import torch
import yaml
from datasets import Dataset
from safetensors import safe_open
from transformers.trainer_utils import set_seed

from helpers.commands import build, run, write_pages
from helpers.launches import launcher
from helpers.signals import kill_when
from helpers.tiny_pages import page_dataset, page_row, processor
from ocr2_hf import OCR2Trainer, load_dataset
from ocr2_hf.data.collator import TrainingCollator
from ocr2_hf.data.columns import FEATURES
from ocr2_hf.data.page_tasks import PageTasks
from ocr2_hf.data.vision_features import VisionFeatures, feature_bytes, write_shard
from ocr2_hf.errors import UsageError, WorkError
from ocr2_hf.modeling.adapters import apply_policy
from ocr2_hf.modeling.load import load_model
from ocr2_hf.modeling.tiny import build_tiny_model, save_tiny
from ocr2_hf.recipe import ModelArguments, OCR2TrainingArguments
from ocr2_hf.training import vision_cache
from ocr2_hf.training.run_folder import COMPLETE
from ocr2_hf.training.vision_cache import VisionCache

QUICK = {
    "augment": "none",
    "num_train_epochs": 2,
    "per_device_train_batch_size": 2,
    "logging_steps": 1,
    "eval_strategy": "epoch",
    "save_strategy": "no",
    "learning_rate": 1e-3,
    "eval_pages": 0,
    "disable_tqdm": True,
}
WIDTH = 128  # of the tiny encoder


def trainer_for(folder, cached: bool = True, data=None, policy=None, **values) -> OCR2Trainer:
    """A trainer of adapters and the projector; all of a test share one cache."""
    set_seed(1)
    cache = {"cache_vision_features": True, "vision_cache_dir": str(folder / "cache")} if cached else {}
    args = OCR2TrainingArguments(output_dir=str(folder / "run"), **(QUICK | cache | values))
    model = apply_policy(build_tiny_model(), policy or ModelArguments(train_projector=True))
    data = data or page_dataset()
    return OCR2Trainer(model, args, processor=processor(), train_dataset=data, eval_dataset=data)


def cache_of(folder, **values) -> VisionCache:
    args = OCR2TrainingArguments(output_dir=str(folder), vision_cache_dir=str(folder / "cache"), **values)
    set_seed(1)
    return VisionCache(build_tiny_model().model.vision_tower, processor(), args)


def pages_of(dataset=None, **options) -> PageTasks:
    return PageTasks(dataset or page_dataset(), processor(), {"markdown": 1.0}, **options)


def log_of(trainer: OCR2Trainer) -> list[dict[str, float]]:
    names = ("loss", "loss_text", "loss_box", "grad_norm", "eval_loss", "eval_loss_text", "eval_loss_box")
    return [{name: row[name] for name in names if name in row} for row in trainer.state.log_history]


def shards(folder) -> list:
    return sorted((folder / "cache").rglob("*.safetensors"))


# --- the same training


def test_unrounded_features_give_the_stock_forwards_loss_and_gradients(tmp_path):
    """Pages with and without tiles in one batch, in float32: rounding to 16 bits is all that storing adds."""
    trainer = trainer_for(tmp_path, cached=False)
    model, pages, collate = trainer.model, pages_of(), TrainingCollator(processor())
    cache = VisionCache(model.get_base_model().model.vision_tower, processor(), trainer.args)
    with_images = collate([pages[index] for index in range(4)])
    pages.features = dict(zip(map(pages.view, range(4)), cache.encode(with_images), strict=True))
    without = collate([pages[index] for index in range(4)])
    assert not {"pixel_values", "pixel_values_local", "num_local_patches"} & set(without)
    assert len(without["vision_features"]) == sum(pages.visual_tokens()) - 4
    results = []
    for batch in (with_images, without):
        model.zero_grad()
        outputs = model(**batch)
        outputs.loss.backward()
        gradients = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
        results.append((outputs, gradients))
    (live, expected), (cached, found) = results
    torch.testing.assert_close(cached.loss, live.loss, rtol=1e-6, atol=0)
    torch.testing.assert_close(cached.bbox_preds, live.bbox_preds, rtol=1e-5, atol=1e-6)
    assert set(found) == set(expected) and any("multi_modal_projector" in name for name in found)
    for name, gradient in expected.items():
        torch.testing.assert_close(found[name], gradient, rtol=1e-4, atol=1e-6, msg=name)


def test_no_vision_no_image_and_the_same_losses(tmp_path, monkeypatch):
    live = trainer_for(tmp_path, cached=False)
    live.train()
    trainer_for(tmp_path).cache_vision()
    trainer = trainer_for(tmp_path)

    def forbidden(*_, **__):
        raise AssertionError("neither vision nor an image is wanted here")

    trainer.model.get_base_model().model.vision_tower.forward = forbidden
    monkeypatch.setattr(datasets.Image, "decode_example", forbidden)
    monkeypatch.setattr(vision_cache.VisionCache, "encode", forbidden)
    projector = trainer.model.get_base_model().model.multi_modal_projector
    before = {name: tensor.clone() for name, tensor in projector.named_parameters() if tensor.requires_grad}
    trainer.train()
    with pytest.raises(WorkError, match="neither vision"):
        trainer.train_dataset.with_images()[0]
    trained = dict(projector.named_parameters())
    assert before and not any(torch.equal(tensor, trained[name]) for name, tensor in before.items())
    assert len(log_of(live)) == 4 + 2 + 1
    for row, same in zip(log_of(trainer), log_of(live), strict=True):
        assert row == pytest.approx(same, rel=1e-3)


def test_in_bf16_as_well(tmp_path):
    """The projector rounds its input to 16 bits there anyway."""
    rows, small = [], page_dataset().select([0, 2])
    for cached in (False, True):
        trainer = trainer_for(tmp_path, cached, small, bf16=True, max_steps=1, eval_strategy="no")
        trainer.train()
        rows.append(log_of(trainer)[0])
    assert rows[1] == pytest.approx(rows[0], rel=1e-3)


def test_generation_reads_from_the_images(tmp_path):
    trainer = trainer_for(tmp_path, eval_pages=2, eval_max_new_tokens=4)
    trainer.cache_vision()
    assert trainer.eval_dataset.features is not None
    assert {"eval_loss", "eval_cer"} <= set(trainer.evaluate())


def test_parts_of_long_pages_have_features_of_their_own(tmp_path):
    rows = [page_row("long", (220, 200), [f"Line {i} of the page" for i in range(9)], 9)]
    dataset = Dataset.from_list([*rows, page_row("short", (150, 90), ["Tea"], 1)], features=FEATURES)
    pages = pages_of(dataset, max_length=950, overlong="split")
    assert len(pages) > 2
    pages.features = cache_of(tmp_path).fill(pages, "training")
    live, collate = pages.with_images(), TrainingCollator(processor())
    for index in range(len(pages)):
        cached, image = collate([pages[index]]), collate([live[index]])
        assert cached.pop("vision_features").shape == (pages.visual_tokens()[index] - 1, WIDTH)
        assert pages[index].id == live[index].id
        assert all(torch.equal(cached[name], image[name]) for name in cached)


# --- what is stored


def test_the_size_is_known_before_and_is_what_lies_on_disk(tmp_path):
    assert feature_bytes([1121], 896) == 1120 * 896 * 2 == 2_007_040
    pages = pages_of()
    cache_of(tmp_path).fill(pages, "training")
    stored = sum(path.stat().st_size for path in shards(tmp_path))
    told = feature_bytes(pages.visual_tokens(), WIDTH)
    assert told < stored < told + 4 * 200 + 1000  # names, checksums
    with safe_open(shards(tmp_path)[0], "pt") as shard:
        assert shard.get_tensor("0").dtype == torch.bfloat16


def test_other_weights_pages_or_settings_have_a_folder_of_their_own(tmp_path):
    first = cache_of(tmp_path)
    folders = {first.folder(pages_of()), cache_of(tmp_path).folder(pages_of())}
    assert len(folders) == 1
    other = build_tiny_model()
    with torch.no_grad():
        next(other.model.vision_tower.parameters())[0, 0] += 1e-3
    fewer = page_dataset().select([0, 1])
    assert pages_of(fewer).dataset._fingerprint == pages_of(page_dataset().select([0, 1])).dataset._fingerprint
    folders |= {
        VisionCache(other.model.vision_tower, processor(), first.args).folder(pages_of()),
        first.folder(pages_of(fewer)),
        cache_of(tmp_path, bf16=True).folder(pages_of()),
    }
    settings = processor().image_processor
    most, settings.max_patches = settings.max_patches, 2
    try:
        folders.add(cache_of(tmp_path).folder(pages_of()))
    finally:
        settings.max_patches = most
    assert len(folders) == 5


def cut(content: bytearray) -> None:
    del content[-100:]


def overwrite_header(content: bytearray) -> None:
    content[8:40] = b"\0" * 32


def empty(content: bytearray) -> None:
    content.clear()


@pytest.mark.parametrize("damage", [cut, overwrite_header, empty])
def test_a_damaged_shard_is_found_and_its_pages_are_computed_anew(tmp_path, monkeypatch, caplog, damage):
    monkeypatch.setattr(vision_cache, "SHARD_BYTES", 1)
    pages, cache = pages_of(), cache_of(tmp_path, per_device_eval_batch_size=1)
    whole = cache.fill(pages, "training")
    before = [whole[pages.view(index)].clone() for index in range(4)]
    assert len(shards(tmp_path)) == 4
    content = bytearray(shards(tmp_path)[1].read_bytes())
    damage(content)
    shards(tmp_path)[1].write_bytes(content)
    with caplog.at_level(logging.INFO):
        again = cache.fill(pages, "training")
    assert "1 damaged files of vision features" in caplog.text
    assert "3 pages are there, 1 (" in caplog.text
    assert len(shards(tmp_path)) == 4
    assert all(torch.equal(again[pages.view(index)], before[index]) for index in range(4))


def test_a_bit_that_flipped_stops_training_and_the_next_run_computes_it_anew(tmp_path):
    pages, cache = pages_of(), cache_of(tmp_path)
    stored = cache.fill(pages, "training")
    [path] = shards(tmp_path)
    content = bytearray(path.read_bytes())
    content[-1000] ^= 1
    path.write_bytes(content)
    broken = 0
    for index in range(4):
        try:
            stored[pages.view(index)]
        except WorkError as error:
            assert "damaged" in str(error)
            broken += 1
            break
    assert broken == 1 and not path.exists()
    assert len(cache.fill(pages, "training")) == 4


def test_a_page_is_read_as_fast_from_a_shard_of_many(tmp_path):
    """The library's look at one page reads what the file says of all: of 4,000 it took 4 ms."""

    def seconds(pages: int) -> float:
        folder = tmp_path / str(pages)
        folder.mkdir()
        write_shard(folder, {str(page): torch.full((4, 8), page) for page in range(pages)})
        stored = VisionFeatures(folder)
        start = time.process_time()
        assert all(torch.equal(stored[str(page)], torch.full((4, 8), page).bfloat16()) for page in range(0, pages, 20))
        return (time.process_time() - start) / (pages // 20)

    assert seconds(4000) < 5 * seconds(400)


def test_what_a_killed_write_left_goes_and_a_fresh_one_stays(tmp_path):
    cache = cache_of(tmp_path)
    folder = cache.folder(pages_of())
    folder.mkdir(parents=True)
    for name, age in ((".old.partial", 7200), (".new.partial", 10)):
        (folder / name).write_bytes(b"half")
        os.utime(folder / name, (time.time() - age, time.time() - age))
    cache.fill(pages_of(), "training")
    assert {path.name for path in folder.glob("*.partial")} == {".new.partial"}


# --- what is refused


def test_what_training_would_change_is_refused(tmp_path):
    with pytest.raises(UsageError, match="the vision encoder trains"):
        trainer_for(tmp_path, policy=ModelArguments(train_vision="encoder")).train()
    with pytest.raises(UsageError, match="set augment: none"):
        trainer_for(tmp_path, augment="light").train()
    assert not (tmp_path / "cache").exists()


def test_too_little_room_is_told_before_anything_is_computed(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1000))
    with pytest.raises(WorkError, match=r"take 0\.5 MB in .*, where 0\.0 MB are free; make room, or name a folder"):
        trainer_for(tmp_path).train()
    assert not shards(tmp_path)


def test_a_place_that_cannot_be_is_refused(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match=r"vision_cache_dir: .* cannot be made: Not a directory; name another"):
        trainer_for(tmp_path, vision_cache_dir=str(tmp_path / "file")).train()


def test_a_shard_that_cannot_be_written_leaves_nothing(tmp_path, monkeypatch):
    def full(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as disk, pytest.raises(OSError, match="No space left"):
        disk.setattr(os, "fsync", full)
        write_shard(tmp_path, {"0": torch.zeros(3, 4)})
    assert not list(tmp_path.iterdir())
    write_shard(tmp_path, {"0": torch.zeros(3, 4)})
    assert len(VisionFeatures(tmp_path)) == 1


# --- by the command: a full disk, SIGKILL, stages

RECIPE = {
    "dataset": "stored",
    "train_projector": True,
    "augment": "none",
    "loss_chunks": 1,
    "cache_vision_features": True,
    "per_device_train_batch_size": 2,
    "per_device_eval_batch_size": 2,
    "max_steps": 4,
    "logging_steps": 1,
    "save_strategy": "no",
    "eval_strategy": "no",
    "stages": [{"name": "text", "box_weight": 0}, {"name": "joint", "tasks": {"markdown": 1.0, "ocr": 1.0}}],
}
# As `ocr2 train`, with small shards and, if it is told so, a limit on the size of a file as a full disk would have it.
COMMAND = "tests/helpers/workers/limited_disk.py"


def test_two_processes_share_the_work_where_their_weights_are_split(tmp_path):
    """Under ZeRO-3. What the two store is what one process with whole weights finds and would store."""
    sizes = [(150, 90), (220, 200), (90, 80)]
    rows = [page_row(f"p{i}", size, [f"Line {i}", "Total"], 1) for i, size in enumerate(sizes)]
    build("split", write_pages(tmp_path / "pages", rows), "--val", "0", "--test", "0")
    base = save_tiny(tmp_path / "base")
    worker = "tests/helpers/workers/vision_cache_worker.py"
    done = run(*launcher("ddp"), worker, tmp_path, base, "split", OMP_NUM_THREADS="1")
    assert done.returncode == 0, done.stderr[-3000:]
    for rank in (0, 1):
        told = json.loads((tmp_path / f"{rank}.json").read_text())
        assert told == {"world": 2, "left": 0, "pages": 3}
    assert len(shards(tmp_path)) == 2
    args = OCR2TrainingArguments(output_dir=str(tmp_path), vision_cache_dir=str(tmp_path / "cache"))
    alone = VisionCache(load_model(base).model.vision_tower, processor(), args)
    pages, collate = pages_of(load_dataset("split", split="train")), TrainingCollator(processor())
    stored = VisionFeatures(alone.folder(pages))
    assert len(stored) == len(pages) == 3
    for index in range(3):
        [features] = alone.encode(collate([pages[index]]))
        torch.testing.assert_close(stored[pages.view(index)].float(), features, rtol=1e-2, atol=1e-3)


def test_disk_full_then_killed_then_whole_and_both_stages_use_it(tmp_path):
    rows = [page_row(f"p{i}", (120 + 10 * i, 90), [f"Line {i}", "Total"], i % 3) for i in range(20)]
    build("stored", write_pages(tmp_path / "pages", rows), "--val", "0", "--test", "0")
    save_tiny(tmp_path / "base")
    recipe = tmp_path / "recipe.yaml"
    cache = tmp_path / "cache"
    settings = {"model": str(tmp_path / "base"), "vision_cache_dir": str(cache), "output_dir": str(tmp_path / "run")}
    recipe.write_text(yaml.safe_dump(RECIPE | settings))

    def words(limit: int) -> list:
        return [sys.executable, COMMAND, str(limit), "train", str(recipe)]

    def train(limit: int = 0) -> subprocess.CompletedProcess:
        return run(*words(limit))

    full = train(limit=100_000)  # two pages take 130 kB
    assert full.returncode == 1 and "Traceback" not in full.stderr
    assert "error: vision features cannot be written to" in full.stderr and "File too large" in full.stderr
    assert not list(cache.rglob("*.*")) and not (tmp_path / "run" / "stage-1-text" / "trainer_state.json").exists()

    kill_when(lambda: len(list(cache.rglob("*.safetensors"))) >= 3, *words(0))
    left = list(cache.rglob("*.safetensors"))
    assert 3 <= len(left) < 10
    done = train()
    assert done.returncode == 0, done.stderr
    assert f"; {2 * len(left)} pages are there, {20 - 2 * len(left)} (" in done.stderr  # the first stage
    assert "; 20 pages are there, 0 (0.0 MB) are computed now" in done.stderr  # the second
    assert set(left) < set(cache.rglob("*.safetensors")) and len(list(cache.rglob("*.safetensors"))) == 10
    assert (tmp_path / "run" / COMPLETE).is_file()
    steps = json.loads((tmp_path / "run" / "trainer_state.json").read_text())["global_step"]
    assert steps == 4
