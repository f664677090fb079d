"""What happens beside the steps of a training: the epoch of the pages, early stopping, saves to the Hub, SIGTERM.

The guard and the curves, which are callbacks too, have files of their own.
"""

import logging
import os
import shutil
import signal
import threading
from pathlib import Path

import torch
from accelerate import Accelerator
from transformers import EarlyStoppingCallback, TrainerCallback

from ocr2_hf.data.mixture import PageMixture
from ocr2_hf.data.page_tasks import PageTasks
from ocr2_hf.errors import Preempted, UsageError, WorkError
from ocr2_hf.publishing.contents import EXAMPLE_ANSWER, RUN_FILES
from ocr2_hf.publishing.hub import PushOptions, push_model
from ocr2_hf.recipe import OCR2TrainingArguments
from ocr2_hf.training.run_folder import evaluations_waited

logger = logging.getLogger(__name__)


class EpochOfPages(TrainerCallback):
    """Tells the pages the epoch: tasks are drawn anew each epoch."""

    def __init__(self, pages: PageTasks | PageMixture):
        self.pages = pages

    def on_epoch_begin(self, args, state, control, **kwargs) -> None:
        """Set the epoch that begins."""
        self.pages.set_epoch(int(state.epoch or 0))


class EarlyStopping(EarlyStoppingCallback):
    """The library's, but a resumed run counts on from its checkpoint, with the patience of today's recipe.

    The library forgets the count, or, with `restore_callback_states_from_checkpoint`, takes back the old patience too.
    Evaluations after training do not count.
    """

    counting = False

    def on_train_begin(self, args, state, control, **kwargs) -> None:
        """Take the count from the state that training goes on from."""
        super().on_train_begin(args, state, control, **kwargs)
        self.early_stopping_patience_counter = evaluations_waited({"stateful_callbacks": state.stateful_callbacks})
        self._note(state)
        self.counting = True

    def on_evaluate(self, args, state, control, metrics, **kwargs) -> None:
        """Count, and stop, as the library does; note the count in the state."""
        if self.counting:
            super().on_evaluate(args, state, control, metrics, **kwargs)
            self._note(state)

    def on_train_end(self, args, state, control, **kwargs) -> None:
        """Count no more."""
        self.counting = False

    def _note(self, state) -> None:
        state.stateful_callbacks[EarlyStopping.__name__] = self.state()


class HubSaves(TrainerCallback):
    """`hub_strategy: every_save`: pushes every checkpoint to one repository, from a thread of the first process.

    A save is passed over while the one before is on its way. What fails there is logged and costs the run nothing: the
    finished model is pushed at the end.
    """

    _thread: threading.Thread | None = None

    def on_save(self, args, state, control, **kwargs) -> None:
        """Start to push the checkpoint, unless the one before is still on its way."""
        if not state.is_world_process_zero:
            return
        if self._thread is not None and self._thread.is_alive():
            logger.info("step %d is not pushed: the save before it is still on its way", state.global_step)
            return
        checkpoint = Path(args.output_dir) / f"checkpoint-{state.global_step}"
        self._thread = threading.Thread(target=_push, args=(_linked(checkpoint), args), daemon=True)
        self._thread.start()

    def on_train_end(self, args, state, control, **kwargs) -> None:
        """The last save arrives before the finished model does; a run that was told to stop waits for nothing."""
        finished = control.should_training_stop or state.global_step >= state.max_steps
        if self._thread is not None and finished:
            self._thread.join()


def _push(folder: Path, args: OCR2TrainingArguments) -> None:
    message = f"Save {folder.name.removeprefix('.push-')}"
    options = PushOptions(bool(args.hub_private_repo), example=args.hub_example, evaluations=(), message=message)
    try:
        logger.info("pushed: %s", push_model(folder, args.hub_model_id, options))
    except (UsageError, WorkError) as error:
        logger.warning("the save is not on the Hub, training goes on: %s", error)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _linked(checkpoint: Path) -> Path:
    """The files of a checkpoint and of its run under other names, so that they last when old checkpoints go."""
    run = checkpoint.parent
    folder = run / f".push-{checkpoint.name}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    # A checkpoint's own file counts more than one of the run with its name.
    beside = {name: run / name for name in (*RUN_FILES, EXAMPLE_ANSWER)} | {p.name: p for p in checkpoint.iterdir()}
    for name, path in beside.items():
        if path.is_file():
            try:
                os.link(path, folder / name)
            except OSError:  # a disk without hard links
                shutil.copyfile(path, folder / name)
    return folder


class Preemption(TrainerCallback):
    """SIGTERM: raises `Preempted` on all processes, after the same step, once one of them has heard the signal and all
    have saved; the same command goes on from there.

    Must be the last callback, so that the others have done their part of the save. The library's
    `enable_jit_checkpoint` does not serve: each process saves at the step where it hears the signal itself, so that
    several wait for each other for ever, and the training then ends as if it were finished.
    """

    def __init__(self, accelerator: Accelerator):
        self.accelerator = accelerator
        self._training = self._heard = self._stopping = False
        self._handler_before = None

    def on_train_begin(self, args, state, control, **kwargs) -> None:
        """Listen from now on."""
        self._training = True
        if threading.current_thread() is threading.main_thread():  # only there may a handler be set
            self._handler_before = signal.signal(signal.SIGTERM, self._hear)

    def on_step_end(self, args, state, control, **kwargs) -> None:
        """Ask all processes, but after an epoch's last step: first comes what is due at the epoch's end, which a
        resumed run would leave out."""
        if not state.epoch.is_integer() and state.global_step < state.max_steps:
            self._agree(control)

    def on_epoch_end(self, args, state, control, **kwargs) -> None:
        """Ask all processes."""
        self._agree(control)

    def on_evaluate(self, args, state, control, **kwargs) -> None:
        """Ask all processes, if this is an evaluation within training."""
        if self._training:
            self._agree(control)

    def on_save(self, args, state, control, **kwargs) -> None:
        """End the training, if it was told to stop. Raises `Preempted`."""
        if self._stopping:
            # The process ends by itself now. A launcher that sees another process end first sends SIGTERM once more.
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            checkpoint = Path(args.output_dir) / f"checkpoint-{state.global_step}"
            raise Preempted(
                f"stopped by SIGTERM after step {state.global_step}; {checkpoint} is saved, and the same command goes "
                "on from there"
            )

    def on_train_end(self, args, state, control, **kwargs) -> None:
        """Give the signal back to whom it belonged."""
        self._training = False
        if self._handler_before is not None and not self._stopping:
            signal.signal(signal.SIGTERM, self._handler_before)

    def _hear(self, *_) -> None:
        self._heard = True

    def _agree(self, control) -> None:
        """Save now if any process has heard the signal."""
        heard = torch.tensor(float(self._heard), device=self.accelerator.device)
        if self._stopping or self.accelerator.reduce(heard, reduction="sum") > 0:
            self._stopping = control.should_save = control.should_log = True
