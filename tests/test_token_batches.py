"""Batches by a budget of tokens: every page once, within the budget, little padding, the same everywhere."""

import time
from dataclasses import dataclass

import numpy as np
import pytest
from datasets import Dataset
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers.trainer_utils import set_seed

from helpers.tiny_pages import page_dataset, page_row, processor
from ocr2_hf import OCR2Trainer
from ocr2_hf.data import token_batches
from ocr2_hf.data.columns import FEATURES
from ocr2_hf.data.images import ImageSettings
from ocr2_hf.data.page_tasks import PageTasks
from ocr2_hf.data.token_batches import JITTER, TokenBatches
from ocr2_hf.modeling.adapters import apply_policy
from ocr2_hf.modeling.tiny import build_tiny_model
from ocr2_hf.recipe import ModelArguments, OCR2TrainingArguments
from ocr2_hf.training.run_folder import complete_checkpoints


@dataclass
class Lengths:
    """Stands for `PageTasks`: pages of one or of two lengths, one of which is drawn."""

    longest: np.ndarray
    shortest: np.ndarray
    epoch: int = 0

    def __len__(self) -> int:
        return len(self.longest)

    def longest_lengths(self) -> np.ndarray:
        return self.longest

    def drawn_lengths(self) -> np.ndarray:
        return np.where(np.random.default_rng(self.epoch).random(len(self)) < 0.5, self.longest, self.shortest)


@st.composite
def drawn_pages(draw) -> Lengths:
    longest = np.array(draw(st.lists(st.integers(1, 5000), min_size=1, max_size=60)))
    shares = np.array(draw(st.lists(st.floats(0.1, 1), min_size=len(longest), max_size=len(longest))))
    return Lengths(longest, np.maximum(1, longest * shares).astype(int), draw(st.integers(0, 9)))


@settings(max_examples=200, deadline=None)
@given(drawn_pages(), st.integers(5000, 20000), st.integers(1, 8), st.integers(1, 4), st.integers(0, 3))
def test_every_page_once_within_the_budget_and_as_many_batches_as_told(pages, tokens, most, processes, seed):
    batches = TokenBatches(pages, tokens, most, processes, seed)
    lengths, laid_out = pages.drawn_lengths(), list(batches)
    assert len(laid_out) == len(batches) and len(batches) % processes == 0
    seen = [index for batch in laid_out for index in batch]
    assert set(seen) == set(range(len(pages)))
    # Pages come twice only where there is not one for every batch.
    assert len(seen) == max(len(pages), len(batches)) if len(batches) > len(pages) else len(seen) == len(pages)
    for batch in laid_out:
        assert 1 <= len(batch) <= most
        assert len(batch) == 1 or len(batch) * lengths[batch].max() <= tokens
    assert list(TokenBatches(pages, tokens, most, processes, seed)) == laid_out
    pages.epoch += 1
    assert len(list(batches)) == len(batches)


def laid_out_one_by_one(lengths: np.ndarray, tokens: int, most_pages: int, count: int) -> list[tuple[int, int]]:
    """The batches of an epoch by their definition: a look at every page for every budget that is tried."""

    def pack(budget: int) -> list[tuple[int, int]]:
        spans, first = [], 0
        while first < len(lengths):
            last = min(first + max(1, min(most_pages, int(budget // lengths[first]))), len(lengths))
            spans.append((first, last))
            first = last
        return spans

    def padded(span: tuple[int, int]) -> float:
        return (span[1] - span[0]) * lengths[span[0]] if span[1] - span[0] > 1 else 0

    spans = pack(next((budget for budget in range(1, tokens) if len(pack(budget)) <= count), tokens))
    while len(spans) < count and padded(largest := max(spans, key=lambda span: (padded(span), -span[0]))):
        middle = sum(largest) // 2
        spans = sorted({*spans, (largest[0], middle), (middle, largest[1])} - {largest})
    return [spans[place % len(spans)] for place in range(count)]


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.integers(1, 60), min_size=1, max_size=40), st.integers(60, 200), st.integers(1, 6), st.integers(0, 9)
)
def test_batches_are_those_of_a_look_at_every_page(lengths, tokens, most, more):
    """`more` batches than there need be: pages that draw a short task."""
    lengths = np.sort(np.array(lengths) * np.linspace(1, 1.04, len(lengths)))[::-1]
    count = token_batches._least(lengths, tokens, most) + more
    spans = token_batches._spans(lengths, tokens, most, count)
    assert list(map(tuple, spans.tolist())) == laid_out_one_by_one(lengths, tokens, most, count)


def test_a_million_pages_are_laid_out_within_a_second():
    """A look at every page for every budget, and a generator for the task of each, took 15 s."""
    pages = PageTasks(page_dataset(), processor(), MIX)
    pages.fits, pages.lengths = (np.tile(each, (250_000, 1)) for each in (pages.fits, pages.lengths))
    pages.rows = np.arange(1_000_000)
    start = time.process_time()
    next(iter(TokenBatches(pages, 16384, 16, 2)))
    assert time.process_time() - start < 1.5


def realistic_lengths(count: int = 3000) -> np.ndarray:
    """Tokens at the real size: receipts (small scans), articles and letters (A4 at 150 dpi), a third each.

    Text as the real tokenizer has it: about 100 to 400 tokens, 800 to 2,400, 250 to 900.
    """
    draw = np.random.default_rng(7)
    images = ImageSettings(global_side=1024, tile_side=768, patch=16, downsample=4, min_patches=2, max_patches=6)
    lengths = []
    for size, low, high in (((576, 1400), 100, 400), ((1240, 1754), 800, 2400), ((1240, 1754), 250, 900)):
        visual = images.tokens(images.tiles(*size))
        lengths.append(visual + 12 + np.exp(draw.uniform(np.log(low), np.log(high), count // 3)).astype(int))
    return np.concatenate(lengths)


def padding_share(batches: list[list[int]], lengths: np.ndarray) -> float:
    """Which share of the tokens of padded batches is padding."""
    padded = sum(len(batch) * int(lengths[list(batch)].max()) for batch in batches)
    return 1 - sum(int(lengths[list(batch)].sum()) for batch in batches) / padded


def test_padding_is_under_five_percent_where_random_batches_have_a_quarter():
    lengths = realistic_lengths()
    pages = Lengths(lengths, lengths)
    batches = TokenBatches(pages, 16384, 64, processes=2)
    random = np.random.default_rng(0).permutation(len(lengths)).reshape(-1, 8)
    assert padding_share(random, lengths) > 0.2
    for pages.epoch in range(3):
        assert padding_share(list(batches), lengths) < 0.05


def test_the_processes_of_a_micro_step_have_about_equally_much_to_do():
    lengths = realistic_lengths()
    pages = Lengths(lengths, lengths)
    padded = [len(batch) * lengths[batch].max() for batch in TokenBatches(pages, 16384, 64, processes=4)]
    steps = np.array(padded).reshape(-1, 4)
    # The slowest of four sets the pace: what the others wait is a few percent.
    assert steps.max(axis=1).sum() / steps.mean(axis=1).sum() < 1.05
    assert np.mean(padded) > 0.85 * 16384


def test_pages_meet_others_in_every_epoch_and_steps_mix_lengths():
    lengths = realistic_lengths()
    pages = Lengths(lengths, lengths)
    batches = TokenBatches(pages, 16384, 64)
    first = {tuple(sorted(batch)) for batch in batches}
    pages.epoch = 1
    second = list(batches)
    assert len(first & {tuple(sorted(batch)) for batch in second}) < 0.2 * len(first)
    means = np.array([lengths[batch].mean() for batch in second])
    assert abs(np.corrcoef(means[:-1], means[1:])[0, 1]) < 0.2


# --- the pages' lengths

MIX = {"markdown": 1.0, "ocr": 1.0, "locate": 1.0}


def test_drawn_lengths_are_the_collators_and_never_above_the_longest():
    from ocr2_hf.data.collator import TrainingCollator

    pages, collate = (
        PageTasks(page_dataset(), processor(), {"markdown": 1.0, "ocr": 1.0}),
        TrainingCollator(processor()),
    )
    located = PageTasks(page_dataset(), processor(), MIX)
    seen = set()
    for epoch in range(6):
        pages.set_epoch(epoch)
        located.set_epoch(epoch)
        lengths = [collate([pages[index]])["input_ids"].shape[1] for index in range(len(pages))]
        assert pages.drawn_lengths().tolist() == lengths
        assert (pages.drawn_lengths() <= pages.longest_lengths()).all()
        for index in range(len(located)):
            assert collate([located[index]])["input_ids"].shape[1] <= located.drawn_lengths()[index]
        seen.add(tuple(lengths))
    assert len(seen) > 1


def test_parts_of_long_pages_have_their_own_lengths():
    from ocr2_hf.data.collator import TrainingCollator

    rows = [page_row("long", (220, 200), [f"Line {i} of the page" for i in range(9)], 9)]
    rows.append(page_row("short", (150, 90), ["Tea"], 1))
    dataset, collate = Dataset.from_list(rows, features=FEATURES), TrainingCollator(processor())
    pages = PageTasks(dataset, processor(), {"markdown": 1.0}, max_length=950, overlong="split")
    lengths = [collate([pages[index]])["input_ids"].shape[1] for index in range(len(pages))]
    assert len(lengths) > 2 and pages.drawn_lengths().tolist() == pages.longest_lengths().tolist() == lengths


# --- in training


def many_pages(count: int = 8) -> Dataset:
    sizes = [(90 + 7 * i, 80) if i % 3 else (200 + i, 210) for i in range(count)]
    rows = [page_row(f"p{i}", size, [f"Line {i} {k}" for k in range(2 + i % 4)], i % 3) for i, size in enumerate(sizes)]
    return Dataset.from_list(rows, features=FEATURES)


class Watched(OCR2Trainer):
    """Notes the pages and the padded size of each micro-batch."""

    def get_train_dataloader(self):
        self.shapes = []
        return super().get_train_dataloader()

    def compute_loss(self, model, inputs, **options):
        self.shapes.append(tuple(inputs["input_ids"].shape))
        return super().compute_loss(model, inputs, **options)


@pytest.fixture(scope="module")
def features(tmp_path_factory):
    """One folder of vision features for all trainers here, which then only run the text model."""
    return tmp_path_factory.mktemp("features")


def trainer_for(folder, features, **values) -> Watched:
    set_seed(3)
    quick = {
        "augment": "none",
        "cache_vision_features": True,
        "vision_cache_dir": str(features),
        "tasks": MIX,
        "tokens_per_batch": 1500,
        "max_length": 1400,
        "per_device_train_batch_size": 3,
        "num_train_epochs": 2,
        "logging_steps": 1,
        "save_strategy": "no",
        "learning_rate": 1e-3,
        "disable_tqdm": True,
    }
    args = OCR2TrainingArguments(output_dir=str(folder), **(quick | values))
    model = apply_policy(build_tiny_model(), ModelArguments(train_projector=True))
    return Watched(model, args, processor=processor(), train_dataset=many_pages())


def losses_of(trainer: Watched) -> list[float]:
    return [row["loss"] for row in trainer.state.log_history if "loss" in row]


def test_epochs_have_the_steps_that_were_counted_and_a_resumed_run_sees_the_same_batches(tmp_path, features):
    trainer = trainer_for(tmp_path / "a", features, save_strategy="steps", save_steps=1)
    micro_batches = len(trainer.get_train_dataloader())
    trainer.train()
    assert 3 < micro_batches < 8
    assert trainer.state.max_steps == trainer.state.global_step == len(trainer.shapes) == 2 * micro_batches
    assert trainer.state.epoch == 2
    for shapes in (trainer.shapes[:micro_batches], trainer.shapes[micro_batches:]):
        assert sum(rows for rows, _ in shapes) == 8
        assert all(rows == 1 or rows * length <= 1500 for rows, length in shapes) and max(shapes)[0] > 1

    # Within the second epoch, and at the end of the first; with other workers.
    for step, workers in ((micro_batches + 2, 2), (micro_batches, 0)):
        checkpoint = complete_checkpoints(tmp_path / "a")[step - 1]
        assert checkpoint.name == f"checkpoint-{step}"
        again = trainer_for(tmp_path / "b", features, dataloader_num_workers=workers)
        again.train(resume_from_checkpoint=str(checkpoint))
        assert again.shapes == trainer.shapes[step:]
        assert losses_of(again) == losses_of(trainer)


def test_accumulated_batches_and_steps_that_are_asked_for(tmp_path, features):
    trainer = trainer_for(tmp_path, features, gradient_accumulation_steps=2, max_steps=4)
    micro_batches = len(trainer.get_train_dataloader())
    steps = -(-micro_batches // 2)
    trainer.train()
    assert trainer.state.global_step == 4 and trainer.state.num_train_epochs == -(-4 // steps)
    whole, rest = divmod(4, steps)
    assert len(trainer.shapes) == whole * micro_batches + 2 * rest


def test_jitter_is_what_it_costs():
    """Pages of one length: the budget loses what the jitter adds, and nothing is padding."""
    lengths = np.full(1000, 1000)
    batches = list(TokenBatches(Lengths(lengths, lengths), 16_640, 64))
    assert padding_share(batches, lengths) == 0
    assert len(batches) == -(-1000 // int(16_640 / (1000 * (1 + JITTER))))
