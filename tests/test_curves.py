"""The picture of a run's curves: what it shows, from which rows, and that it is there beside the weights."""

import math

import numpy as np
import pytest
from PIL import Image

from helpers.trainings import trainer_for
from ocr2_hf.training.curves import CURVES_FILE, all_panels, draw_curves, running_means, series


def rows(steps: int, **more) -> list[dict]:
    return [
        {"step": step, "loss": 5 / step, "loss_text": 4.8 / step, "loss_box": 0.4 / step, "learning_rate": 1e-4 / step}
        | more
        for step in range(1, steps + 1)
    ]


def evaluations(steps: int) -> list[dict]:
    return [
        {"step": step, "eval_loss": 6 / step, "eval_cer": 1 / step, "eval_bbox_iou": 1 - 1 / step}
        for step in range(2, steps, 4)
    ]


def picture(path) -> np.ndarray:
    return np.asarray(Image.open(path).convert("RGB")).astype(int)


def has_colour(image: np.ndarray, colour: str) -> bool:
    wanted = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
    return bool((np.abs(image - wanted).max(axis=-1) < 8).sum() > 50)


def test_a_column_is_its_steps_and_values():
    log = [
        {"step": 1, "loss": 3.0},
        {"step": 1, "eval_cer": 0.5},
        {"step": 2, "loss": math.nan},
        {"step": 3, "loss": 1.0},
    ]
    steps, values = series(log, "loss")
    assert steps.tolist() == [1, 3] and values.tolist() == [3.0, 1.0]
    assert series(log, "eval_wer")[0].size == 0


def test_the_evaluation_after_training_does_not_hide_the_one_in_it():
    """With load_best_model_at_end it is another model's, at the same step."""
    log = [{"step": 8, "eval_cer": 0.9}, {"step": 8, "eval_cer": 0.2}]
    assert series(log, "eval_cer")[1].tolist() == [0.9]


def test_panels_appear_with_what_there_is(tmp_path):
    draw_curves(rows(20), tmp_path / "train.png")
    draw_curves(rows(20) + evaluations(20), tmp_path / "both.png")
    train, both = picture(tmp_path / "train.png"), picture(tmp_path / "both.png")
    assert train.shape[1] == both.shape[1] == 1800
    assert both.shape[0] > train.shape[0], "two more panels"
    assert has_colour(train, "#0072B2") and not has_colour(train, "#D55E00"), "training alone is blue"
    assert has_colour(both, "#D55E00"), "evaluation is red"
    assert not list(tmp_path.glob("*.partial"))


def test_sources_of_a_mixture_have_a_panel_with_a_colour_each():
    of_sources = {f"{name}_{loss}": 1.0 for name in ("letters", "general") for loss in ("loss", "loss_text")}
    log = [*rows(3, **of_sources), {"step": 3, "eval_letters_loss": 1.0, "eval_letters_loss_text": 1.0}]
    (panel,) = [panel for panel in all_panels(log) if panel.title == "Loss by source"]
    labels = [label for label, _ in panel.columns.values()]
    assert labels == ["general", "letters", "general, evaluation", "letters, evaluation"]
    assert panel.columns["letters_loss"][1] == panel.columns["eval_letters_loss"][1] != panel.columns["general_loss"][1]
    assert not next(panel for panel in all_panels(rows(3)) if panel.title == "Loss by source").columns


@pytest.mark.parametrize(
    "log",
    [
        rows(1),
        rows(3000),
        rows(40, stage="text") + rows(80, stage="joint")[40:],
        [{"step": 5, "grad_norm": 0.0, "loss": 0.0}],
        [{"step": 4, "loss": math.inf}, {"step": 5, "loss": 2.0, "grad_norm": math.nan}],
    ],
    ids=["one point", "long", "stages", "zeros", "not finite"],
)
def test_every_history_can_be_drawn(tmp_path, log):
    draw_curves(log, tmp_path / "curves.png")
    assert (picture(tmp_path / "curves.png") < 200).any()


def test_a_running_mean_knows_nothing_of_the_next_stage():
    steps, values = np.arange(1, 201), np.repeat([1.0, 9.0], 100)
    assert running_means(steps, values, [1, 101]).tolist() == values.tolist()
    one = running_means(steps, values, [])
    assert len(one) == 200 and 1.0 < one[99] < 9.0


def test_nothing_to_draw_is_no_picture(tmp_path):
    draw_curves([], tmp_path / "curves.png")
    draw_curves([{"step": 3, "train_runtime": 4.0}], tmp_path / "curves.png")
    assert not list(tmp_path.iterdir())


def test_training_draws_them_at_every_save_and_at_the_end(tmp_path):
    trainer = trainer_for(tmp_path, save_strategy="steps", save_steps=1, max_steps=1)
    trainer.train()
    first = (tmp_path / CURVES_FILE).read_bytes()
    longer = trainer_for(tmp_path, max_steps=4)
    longer.train(resume_from_checkpoint=str(tmp_path / "checkpoint-1"))
    assert (tmp_path / CURVES_FILE).read_bytes() != first
