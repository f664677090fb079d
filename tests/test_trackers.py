"""report_to: what a tracker is told, and what is said where it is not installed."""

import pytest
import yaml
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from helpers.trainings import rows, trainer_for
from ocr2_hf.errors import UsageError
from ocr2_hf.recipe import load_recipe
from ocr2_hf.training import launch_checks
from ocr2_hf.training.costs import COSTS


def test_tensorboard_has_the_loss_terms_and_costs_of_every_step(tmp_path):
    trainer = trainer_for(tmp_path, report_to="tensorboard", max_steps=3, eval_strategy="steps", eval_steps=3)
    trainer.train()
    (file,) = tmp_path.rglob("events.out.tfevents.*")
    events = EventAccumulator(str(file.parent))
    events.Reload()
    for name in ("loss", "loss_text", "loss_box", "grad_norm", *COSTS):
        told = events.Scalars(f"train/{name}")
        assert [event.step for event in told] == [1, 2, 3]
        assert [event.value for event in told] == pytest.approx([row[name] for row in rows(trainer)], rel=1e-6)
    assert [event.step for event in events.Scalars("eval/loss_text")] == [3]


def arguments(tmp_path, tracker: str):
    path = tmp_path / "recipe.yaml"
    path.write_text(
        yaml.safe_dump({"model": "tiny", "dataset": "x", "report_to": tracker, "output_dir": str(tmp_path)})
    )
    recipe = load_recipe(path)
    args = recipe.training_arguments()
    launch_checks.check_machine(recipe, args)
    return args


def test_a_tracker_that_is_not_installed_is_told_before_anything_loads(tmp_path, monkeypatch):
    assert arguments(tmp_path, "tensorboard").report_to == ["tensorboard"]
    monkeypatch.setattr(launch_checks, "get_available_reporting_integrations", lambda: ["mlflow"])
    with pytest.raises(UsageError, match="report_to: tensorboard is not installed here; install it, or set none"):
        arguments(tmp_path, "tensorboard")


def test_an_unknown_tracker_is_told_with_the_known_ones(tmp_path):
    with pytest.raises(
        UsageError, match=r"report_to: 'tensorbord': input should be a valid list; or is none of .*tensorboard"
    ):
        arguments(tmp_path, "tensorbord")
