"""Augmented examples: the same under any workers, processes and resumes; targets that fit the image; no evaluation."""

import numpy as np
import pytest
from datasets import Dataset
from PIL import Image
from torch.utils.data import DataLoader

from helpers.tiny_pages import page_dataset, page_row, processor, text_model
from ocr2_hf import OCR2Trainer
from ocr2_hf.data.augment import Augmentation
from ocr2_hf.data.collator import Example, TrainingCollator
from ocr2_hf.data.columns import FEATURES
from ocr2_hf.data.page_tasks import PageTasks
from ocr2_hf.document.grounding import parse_regions
from ocr2_hf.recipe import OCR2TrainingArguments
from ocr2_hf.training.curves import CurvesCallback
from ocr2_hf.training.run_folder import complete_checkpoints

MARKDOWN = {"markdown": 1.0}
MOVING = {"rotation": 5, "scale": 0.3}


def augmented(dataset=None, augment="photo", tasks=None, seed=0, **options) -> PageTasks:
    return PageTasks(
        dataset or page_dataset(),
        processor(),
        tasks or MARKDOWN,
        seed=seed,
        augment=Augmentation.of(augment),
        **options,
    )


def seen(example: Example) -> tuple:
    return example.id, example.prompt, example.target, example.image.tobytes()


def all_seen(pages: PageTasks) -> list[tuple]:
    return [seen(pages[i]) for i in range(len(pages))]


def test_every_epoch_page_and_seed_has_its_own():
    pages, other_seed = augmented(), augmented(seed=1)
    epochs = []
    for epoch in (0, 1, 0):
        pages.set_epoch(epoch)
        epochs.append(all_seen(pages))
    assert epochs[0] == epochs[2]
    assert not set(epochs[0]) & set(epochs[1]) and not set(epochs[0]) & set(all_seen(other_seed))


@pytest.mark.parametrize("persistent", [True, False])
def test_workers_give_the_same_in_every_epoch(persistent):
    pages = augmented()
    loader = DataLoader(pages, batch_size=None, num_workers=2, persistent_workers=persistent, collate_fn=seen)
    for epoch in (0, 1, 3):
        pages.set_epoch(epoch)
        assert list(loader) == all_seen(pages)


def test_two_processes_give_together_what_one_gives():
    whole, halves = all_seen(augmented()), [augmented(), augmented()]
    shares = [[seen(pages[i]) for i in range(process, len(pages), 2)] for process, pages in enumerate(halves)]
    assert sorted(shares[0] + shares[1]) == sorted(whole)


def test_it_does_not_depend_on_what_else_is_in_the_dataset():
    dataset = page_dataset()
    assert all_seen(augmented(dataset.select([3, 1]))) == [all_seen(augmented(dataset))[i] for i in (3, 1)]


def test_lengths_measured_before_still_hold():
    pages = augmented(augment={"rotation": 15, "perspective": 0.1, "scale": 0.5, "jpeg": 20})
    collate = TrainingCollator(processor())
    for epoch in range(4):
        pages.set_epoch(epoch)
        for index in range(len(pages)):
            assert collate([pages[index]])["input_ids"].shape[1] == pages.lengths[index, 0]


def assert_boxes_hold_the_ink(example: Example, lines: int) -> None:
    """No ink outside the regions of the target, and some in every one."""
    dark = np.asarray(example.image.convert("L")) < 150
    covered = np.zeros(dark.shape, bool)
    regions = parse_regions(example.target, *example.image.size)
    assert len(regions) == lines
    for region in regions:
        x0, y0, x1, y1 = region.box
        inside = np.s_[max(0, int(y0) - 1) : int(y1) + 2, max(0, int(x0) - 1) : int(x1) + 2]
        assert dark[inside].any()
        covered[inside] = True
    assert not (dark & ~covered).any()


def test_the_target_says_where_the_ink_is_now():
    dataset = Dataset.from_list([page_row("p", (220, 200), ["Tea 1.50", "Bun", "Total"], 3)], features=FEATURES)
    pages, still = augmented(dataset, MOVING), augmented(dataset, "none")
    targets = set()
    for epoch in range(10):
        pages.set_epoch(epoch)
        assert_boxes_hold_the_ink(pages[0], 3)
        targets.add(pages[0].target)
    assert len(targets) == 10 and still[0].target not in targets


def test_the_box_of_locate_moves_too():
    pages = augmented(augment=MOVING, tasks={"locate": 1.0})
    located = set()
    for epoch in range(8):
        pages.set_epoch(epoch)
        [region] = parse_regions(pages[0].target, *pages[0].image.size)
        x0, y0, x1, y1 = (round(value) for value in region.box)
        assert np.asarray(pages[0].image.convert("L"))[y0:y1, x0:x1].min() < 150
        located.add(region.box)
    assert len(located) == 8


def test_parts_of_a_long_page_are_augmented_each_for_itself():
    lines = [f"Line {i} of the page" for i in range(9)]
    dataset = Dataset.from_list([page_row("long", (220, 200), lines, 9)], features=FEATURES)
    pages = augmented(dataset, MOVING, max_length=950, overlong="split")
    still = augmented(dataset, "none", max_length=950, overlong="split")
    assert len(pages) == len(still) > 1
    for index in range(len(pages)):
        regions = len(parse_regions(still[index].target, *still[index].image.size))
        assert pages[index].image.size == still[index].image.size and pages[index].target != still[index].target
        assert_boxes_hold_the_ink(pages[index], regions)


@pytest.mark.parametrize(
    ("prompt", "target", "moves"),
    [
        ("What is the total?", '{"total": 1.50}', True),
        ("Where is the total?", "<|ref|>Total<|/ref|><|det|>[[1, 2, 3, 4]]<|/det|>", False),
        ("What is in <|det|>[[1, 2, 3, 4]]<|/det|>?", "Tea", False),
    ],
)
def test_a_custom_row_whose_text_holds_boxes_is_not_moved(prompt, target, moves):
    row = page_row("p", (220, 200), ["Tea 1.50", "Total"], 2) | {"prompt": prompt, "target": target}
    dataset = Dataset.from_list([row], features=FEATURES)
    custom = {"custom": 1.0}
    moved = augmented(dataset, MOVING, custom)[0]
    still = augmented(dataset, "none", custom)[0]
    assert moved.target == still.target == target
    assert (moved.image.tobytes() != still.image.tobytes()) == moves
    blurred = augmented(dataset, MOVING | {"blur": 5}, custom)[0]
    assert blurred.image.tobytes() != moved.image.tobytes()


# --- in training


def trainer_for(folder, **values) -> OCR2Trainer:
    quick = {
        "num_train_epochs": 3,
        "per_device_train_batch_size": 2,
        "logging_steps": 1,
        "save_steps": 1,
        "save_total_limit": None,
        "learning_rate": 1e-3,
        "eval_pages": 0,
        "disable_tqdm": True,
        "augment": "photo",
    }
    args = OCR2TrainingArguments(output_dir=str(folder), **(quick | values))
    data = page_dataset()
    options = {"train_dataset": data, "eval_dataset": data, "guard_dataset": data}
    trainer = OCR2Trainer(text_model(), args, processor=processor(), **options)
    trainer.remove_callback(CurvesCallback)
    return trainer


def test_training_sees_it_and_evaluation_does_not(tmp_path):
    trainer, still = trainer_for(tmp_path), augmented(augment="none")
    assert not set(all_seen(trainer.train_dataset)) & set(all_seen(still))
    assert all_seen(trainer.eval_dataset) == all_seen(trainer.guard.pages) == all_seen(still)
    trainer.guard.cer = lambda: 0.0  # reading takes long, and nothing here depends on it
    assert trainer.evaluate(trainer.train_dataset) == trainer.evaluate(page_dataset()) == trainer.evaluate()
    assert not set(all_seen(trainer.train_dataset)) & set(all_seen(still))


def test_a_resumed_run_sees_the_pages_that_an_undisturbed_one_sees(tmp_path):
    def train(folder, checkpoint=None, **values) -> list[float]:
        trainer = trainer_for(folder, num_train_epochs=2, **values)
        trainer.remove_callback(trainer.guard)
        trainer.train(resume_from_checkpoint=checkpoint)
        return [row["loss"] for row in trainer.state.log_history if "loss" in row]

    whole = train(tmp_path / "a")
    assert len(whole) == 4
    # Within an epoch, and at its end.
    for step, workers in ((1, 2), (2, 0)):
        checkpoint = complete_checkpoints(tmp_path / "a")[step - 1]
        assert checkpoint.name == f"checkpoint-{step}"
        resumed = train(tmp_path / "b", str(checkpoint), dataloader_num_workers=workers, save_strategy="no")
        assert resumed == pytest.approx(whole, rel=1e-5)


def test_pages_of_other_kinds_than_rgb_are_augmented(tmp_path):
    image = Image.new("LA", (60, 40), (255, 0))
    image.save(tmp_path / "a.png")
    row = page_row("p", (60, 40), ["Tea"], 1) | {"image": {"bytes": (tmp_path / "a.png").read_bytes(), "path": None}}
    example = augmented(Dataset.from_list([row], features=FEATURES))[0]
    assert example.image.mode == "RGB" and example.image.size == (60, 40)
