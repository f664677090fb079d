"""`hub_strategy: every_save`: each save goes to the Hub too, beside the training."""

import logging
import os
import shutil
import threading
from pathlib import Path

from transformers import TrainerCallback

from ocr2_hf.errors import UsageError, WorkError
from ocr2_hf.publishing.contents import EXAMPLE_ANSWER, RUN_FILES
from ocr2_hf.publishing.hub import PushOptions, push_model

logger = logging.getLogger(__name__)


class HubSaves(TrainerCallback):
    """Pushes every checkpoint to one repository, from a thread of the first process.

    A save is passed over while the one before is on its way. What fails there is logged and costs the run nothing: the
    finished model is pushed at the end.
    """

    def __init__(self, repo: str, private: bool, example: bool):
        self.repo, self.private, self.example = repo, private, example
        self._thread: threading.Thread | None = None

    def on_save(self, args, state, control, **kwargs) -> None:
        if not state.is_world_process_zero:
            return
        if self._thread is not None and self._thread.is_alive():
            logger.info("step %d is not pushed: the save before it is still on its way", state.global_step)
            return
        checkpoint = Path(args.output_dir) / f"checkpoint-{state.global_step}"
        self._thread = threading.Thread(target=self._push, args=(_linked(checkpoint),), daemon=True)
        self._thread.start()

    def on_train_end(self, args, state, control, **kwargs) -> None:
        """The last save arrives before the finished model does; a run that was told to stop waits for nothing."""
        finished = control.should_training_stop or state.global_step >= state.max_steps
        if self._thread is not None and finished:
            self._thread.join()

    def _push(self, folder: Path) -> None:
        message = f"Save {folder.name.removeprefix('.push-')}"
        options = PushOptions(self.private, example=self.example, evaluations=(), message=message)
        try:
            logger.info("pushed: %s", push_model(folder, self.repo, options))
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
    beside = [run / name for name in (*RUN_FILES, EXAMPLE_ANSWER) if (run / name).is_file()]
    for path in [*beside, *(path for path in checkpoint.iterdir() if path.is_file())]:
        (folder / path.name).unlink(missing_ok=True)
        try:
            os.link(path, folder / path.name)
        except OSError:  # a disk without hard links
            shutil.copyfile(path, folder / path.name)
    return folder
