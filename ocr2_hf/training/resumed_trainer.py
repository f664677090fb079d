"""The library's `Trainer` whose runs go on from a checkpoint as if nothing had been: steps, log rows, evaluations."""

from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import Trainer
from transformers.trainer_utils import IntervalStrategy, SaveStrategy

from ocr2_hf.training.run_folder import mark_complete, mark_incomplete, rotate


class ResumedTrainer(Trainer):
    """Checkpoints that count only when whole, and runs that go on from one as if nothing had been.

    `summed` names what a log row to come is made of, which checkpoints keep; the first three are the library's.
    `took_step` is to be set at every step.
    """

    summed = ("_tr_loss", "_total_loss_scalar", "_globalstep_last_logged", "_unsummed_steps")

    took_step = False  # since `train` was called
    _goes_on_from: str | None = None  # a checkpoint whose sums are still to be taken up
    _unsummed_steps = 0  # before a checkpoint that has none

    def _inner_training_loop(self, *args, **kwargs):
        self.took_step = False
        self._goes_on_from, self._unsummed_steps = kwargs.get("resume_from_checkpoint"), 0
        return super()._inner_training_loop(*args, **kwargs)

    def _run_epoch(self, **kwargs) -> None:
        """As the library, which would take one more step where a run goes on from a checkpoint at its goal."""
        self._take_up_sums()
        if self._lacks_evaluation():
            self._load_rng_state(kwargs["resume_from_checkpoint"])  # SIGTERM may save it again
            self._evaluate_epoch(kwargs["trial"], kwargs["start_time"])
        if self.state.global_step < self.state.max_steps and not self.control.should_training_stop:
            super()._run_epoch(**kwargs)

    def _finalize_training(self, trial: Any, num_train_samples: float, start_time: float):
        self._take_up_sums()
        if self._lacks_evaluation():
            self._evaluate_epoch(trial, start_time)
        return super()._finalize_training(trial, num_train_samples, start_time)

    def _lacks_evaluation(self) -> bool:
        """Whether a run goes on from the checkpoint of an epoch's last step that was saved before the epoch's
        evaluation. The library would leave that out."""
        args, state = self.args, self.state
        by_epoch = args.eval_strategy == IntervalStrategy.EPOCH and args.save_strategy != SaveStrategy.EPOCH
        if not by_epoch or self.took_step or not state.global_step:
            return False
        at_end = state.epoch.is_integer() or state.global_step >= state.max_steps
        return at_end and not any("eval_loss" in row for row in state.log_history if row["step"] == state.global_step)

    def _evaluate_epoch(self, trial: Any, start_time: float) -> None:
        self.control = self.callback_handler.on_epoch_end(self.args, self.state, self.control)
        epoch = self.state.epoch
        self._maybe_log_save_evaluate(self._tr_loss, None, self.model_wrapped, trial, epoch, None, start_time)

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """As the library; its `train_loss` would be a mean over the steps since the run went on."""
        if "train_loss" in logs:
            logs["train_loss"] = self._total_loss_scalar / max(self.state.global_step - self._unsummed_steps, 1)
        super().log(logs, start_time)

    def _save_checkpoint(self, model: nn.Module, trial: Any) -> None:
        """As the library, but a checkpoint counts only when every process has saved its part, and the old ones go only
        then."""
        run = self._get_output_dir(trial=trial)
        checkpoint = Path(run) / f"checkpoint-{self.state.global_step}"
        if self.args.should_save:
            mark_incomplete(checkpoint)
        self.accelerator.wait_for_everyone()
        limit, self.args.save_total_limit = self.args.save_total_limit, None
        try:
            super()._save_checkpoint(model, trial)
        finally:
            self.args.save_total_limit = limit
        self.accelerator.wait_for_everyone()
        if self.args.should_save:
            mark_complete(checkpoint)
            rotate(run, limit, self.state.best_model_checkpoint)

    def _save_rng_state(self, output_dir: str) -> None:
        """As the library, with what this process summed for log rows to come."""
        super()._save_rng_state(output_dir)
        sums = {name: getattr(self, name) for name in self.summed}
        torch.save(sums, self._sums_file(output_dir))

    def _take_up_sums(self) -> None:
        """Once a run goes on from a checkpoint: its log rows are then those of an undisturbed run."""
        folder, self._goes_on_from = self._goes_on_from, None
        if folder is None:
            return
        file = self._sums_file(folder)
        if not file.is_file():  # saved by an earlier version or by fewer processes, or `save_only_model`
            self._unsummed_steps = self.state.global_step
            return
        sums = torch.load(file, map_location=self.args.device, weights_only=True)
        for name in self.summed:
            setattr(self, name, sums[name])

    def _sums_file(self, folder: str) -> Path:
        return Path(folder) / f"loss_sums_{self.args.process_index}.pth"
