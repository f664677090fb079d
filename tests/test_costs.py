"""What log rows and the progress bar tell of a training's costs, by a clock that the tests set."""

import json
from types import SimpleNamespace

import pytest
import torch
from transformers import TrainerCallback

from helpers.trainings import rows, trainer_for
from ocr2_hf import OCR2Trainer
from ocr2_hf.training.costs import COSTS, Costs, count_batches
from ocr2_hf.training.progress_bar import costs_line

STEP, EVALUATION, SAVE, GUARD = 2.0, 100.0, 1000.0, 5000.0  # seconds


class Clock(TrainerCallback):
    """Seconds that pass in a training where the test says so and nowhere else."""

    def __init__(self):
        self.now = 70.0

    def __call__(self) -> float:
        return self.now

    def on_train_begin(self, args, state, control, **kwargs):
        self.now += GUARD  # the guard reads the base before the first step

    def on_step_begin(self, args, state, control, **kwargs):
        self.now += STEP

    def on_evaluate(self, args, state, control, **kwargs):
        self.now += EVALUATION

    def on_save(self, args, state, control, **kwargs):
        self.now += SAVE


class Processes:
    """Stands for an accelerator: this process, and others that hold `others`."""

    device = torch.device("cpu")

    def __init__(self, *others: list[int]):
        self.others, self.gathered = torch.tensor(others, dtype=torch.long).view(-1, 4), 0

    def gather(self, own: torch.Tensor) -> torch.Tensor:
        self.gathered += 1
        return torch.cat([own, self.others])


def batch(*lengths: int) -> dict[str, torch.Tensor]:
    """A batch of rows of so many tokens."""
    return {"attention_mask": (torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]).long()}


def step(costs: Costs, clock: Clock, seconds: float, *batches) -> None:
    costs.begin_step()
    costs.count(batches)
    clock.now += seconds
    control = SimpleNamespace(should_log=True, should_evaluate=False, should_save=False)
    costs.on_step_end(None, None, control)


def test_batches_are_counted():
    assert count_batches([batch(3, 2, 4), batch(1)]) == (4, 10, 13)


def test_a_row_has_the_steps_since_the_last_one_and_nothing_between_them():
    clock, processes = Clock(), Processes()
    costs = Costs(processes, clock)
    state = SimpleNamespace(global_step=0, max_steps=10)
    costs.on_train_begin(None, state, None)
    assert costs.row(state) == {}, "no step, no rate"
    for seconds in (1.0, 3.0):
        step(costs, clock, seconds, batch(3, 1), batch(2, 2))
        clock.now += 6.0
    row = costs.row(SimpleNamespace(global_step=2, max_steps=10))
    assert tuple(row) == COSTS
    assert (row["pages_per_second"], row["tokens_per_second"]) == (8 / 4.0, 16 / 4.0)
    assert row["padding"] == pytest.approx(1 - 16 / 20)
    assert row["seconds_to_end"] == (1.0 + 3.0 + 2 * 6.0) / 2 * 8
    assert 0.05 < row["memory_gb"] < 100
    assert costs.row(state) == {}, "nothing is told twice"
    step(costs, clock, 2.0, batch(4))
    row = costs.row(SimpleNamespace(global_step=3, max_steps=10))
    assert (row["pages_per_second"], row["tokens_per_second"], row["padding"]) == (0.5, 2.0, 0.0)
    assert processes.gathered == 2, "one for each row"


def test_processes_are_summed_and_the_one_that_needs_most_memory_counts():
    clock = Clock()
    costs = Costs(Processes([3, 20, 32, 900 * 10**9]), clock)
    step(costs, clock, 2.0, batch(3, 1))
    row = costs.row(SimpleNamespace(global_step=1, max_steps=1))
    assert (row["pages_per_second"], row["tokens_per_second"]) == (5 / 2.0, 24 / 2.0)
    assert row["padding"] == pytest.approx(1 - 24 / 38)
    assert row["memory_gb"] == 900.0


def test_the_line_of_the_bar():
    row = {"pages_per_second": 2.149, "tokens_per_second": 1349.6, "padding": 0.1234, "memory_gb": 1.44}
    assert costs_line(row) == "2.1 pages/s, 1,350 tokens/s, 12% padding, 1.4 GB"
    for rate, shown in ((0.0512, "0.051"), (1.0, "1.0"), (9.94, "9.9"), (9.96, "10"), (12.3, "12")):
        assert costs_line(row | {"pages_per_second": rate}).startswith(f"{shown} pages/s, ")


# --- real trainings


def clocked_trainer(folder) -> OCR2Trainer:
    """Three steps; evaluates and saves after each. `masks`: of every step's batches."""
    every_step = {"eval_strategy": "steps", "eval_steps": 1, "save_strategy": "steps", "save_steps": 1}
    trainer = trainer_for(folder, max_steps=3, disable_tqdm=False, **every_step)
    clock = Clock()
    trainer.remove_callback(Costs)
    trainer.costs = Costs(trainer.accelerator, clock)
    trainer.add_callback(trainer.costs)
    trainer.add_callback(clock)
    trainer.masks, batches_of = [], trainer.get_batch_samples

    def noted(*arguments):
        batches, normalisers = batches_of(*arguments)
        trainer.masks.append([batch["attention_mask"] for batch in batches])
        return batches, normalisers

    trainer.get_batch_samples = noted
    return trainer


def check_rates(trainer, masks) -> None:
    assert len(rows(trainer)) == len(masks) == 3
    for row, (mask,) in zip(rows(trainer), masks, strict=True):
        assert row["pages_per_second"] == 2 / STEP
        assert row["tokens_per_second"] == mask.sum().item() / STEP
        assert row["padding"] == pytest.approx((mask == 0).double().mean().item())


def test_a_training_tells_its_costs_and_a_resumed_one_its_own(tmp_path, capsys):
    whole = clocked_trainer(tmp_path)
    whole.train()
    told = capsys.readouterr()
    check_rates(whole, whole.masks)
    assert any((mask == 0).any() for (mask,) in whole.masks), "some of it is padding"
    between = EVALUATION + SAVE
    to_end = [2 * STEP, (2 * STEP + between) / 2, 0.0]
    assert [row["seconds_to_end"] for row in rows(whole)] == to_end
    state = json.loads((tmp_path / "checkpoint-3/trainer_state.json").read_text())
    assert [row for row in state["log_history"] if "loss" in row] == rows(whole)
    for row in rows(whole):
        assert f", {costs_line(row)}]" in told.err
    assert told.out.count("'loss_text'") == 3 and "pages_per_second" not in told.out, "the bar tells it"

    resumed = clocked_trainer(tmp_path)
    resumed.train(resume_from_checkpoint=str(tmp_path / "checkpoint-1"))
    check_rates(resumed, whole.masks[:1] + resumed.masks)
    assert [row["seconds_to_end"] for row in rows(resumed)] == [2 * STEP, STEP, 0.0]
    bar = capsys.readouterr().err
    assert "| 1/3 [00:00<?" in bar and "| 0/3 [" not in bar, "the bar begins where the run does"
