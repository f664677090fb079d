"""SIGTERM: a run that is told to stop saves a checkpoint that counts and ends; the same command goes on from there.

The library's `enable_jit_checkpoint` does not serve: each process saves at the step where it hears the signal itself,
so that several wait for each other for ever, and the training then ends as if it were finished.
"""

import logging
import signal
import threading
from pathlib import Path

import torch
from accelerate import Accelerator
from transformers import TrainerCallback

from ocr2_hf.errors import Preempted

logger = logging.getLogger(__name__)


class Preemption(TrainerCallback):
    """Raises `Preempted` on all processes, after the same step, once one of them has heard SIGTERM and all have saved.

    Must be the last callback, so that the others have done their part of the save.
    """

    def __init__(self, accelerator: Accelerator):
        self.accelerator = accelerator
        self._training = self._heard = self._stopping = False
        self._handler_before = None

    def on_train_begin(self, args, state, control, **kwargs) -> None:
        self._training = True
        if threading.current_thread() is threading.main_thread():  # only there may a handler be set
            self._handler_before = signal.signal(signal.SIGTERM, self._hear)

    def on_step_end(self, args, state, control, **kwargs) -> None:
        # After an epoch's last step comes first what is due at its end: a resumed run would leave that out.
        if not state.epoch.is_integer() and state.global_step < state.max_steps:
            self._agree(control)

    def on_epoch_end(self, args, state, control, **kwargs) -> None:
        self._agree(control)

    def on_evaluate(self, args, state, control, **kwargs) -> None:
        if self._training:
            self._agree(control)

    def on_save(self, args, state, control, **kwargs) -> None:
        if self._stopping:
            # The process ends by itself now. A launcher that sees another process end first sends SIGTERM once more.
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            checkpoint = Path(args.output_dir) / f"checkpoint-{state.global_step}"
            raise Preempted(
                f"stopped by SIGTERM after step {state.global_step}; {checkpoint} is saved, and the same command goes "
                "on from there"
            )

    def on_train_end(self, args, state, control, **kwargs) -> None:
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
