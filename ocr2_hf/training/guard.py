"""The guard: a fixed general set that a run must not unlearn to read."""

import json
import logging
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

from accelerate.utils import broadcast_object_list
from transformers import TrainerCallback, TrainerState

from ocr2_hf.data.page_tasks import PageTasks
from ocr2_hf.document.atomic_files import write_json
from ocr2_hf.errors import UsageError, WorkError
from ocr2_hf.training.run_folder import complete_checkpoints, step_of

logger = logging.getLogger(__name__)

BASE_FILE = "guard_base.json"
# What else the CER depends on; dataset, split and pages cannot change within a run.
_SETTINGS = ("eval_max_new_tokens", "no_repeat_ngram", "no_repeat_window")


class Guard(TrainerCallback):
    """Ends a run whose CER on the guard pages is more than `guard_tolerance` above the base's.

    The base's is measured once, before the first step, and kept in `guard_base.json` in the run's folder: a resumed run
    takes it from there. Every process sees the same values, so all stop or none.
    """

    def __init__(self, pages: PageTasks, read: Callable[[PageTasks], dict[str, float]]):
        """`read`: what reading pages gives now, by metric; the same on every process."""
        self.pages, self.read = pages, read
        self.base: float | None = None

    def cer(self) -> float:
        """The model's CER on the guard pages now, by generation; the same on every process. Raises `WorkError` where
        the pages have no text."""
        cer = self.read(self.pages).get("cer")
        if cer is None:
            raise WorkError("the pages of guard_dataset have no text to read")
        return cer

    def on_train_begin(self, args, state, control, **kwargs) -> None:
        """Find or measure the base's CER. Raises `UsageError` where a resumed run cannot compare with it."""
        path = Path(args.output_dir) / BASE_FILE
        settings = {name: getattr(args, name) for name in _SETTINGS}
        self.base = self._saved(path, settings)
        if self.base is None:
            self.base = self._measure(path, settings, state)
        logger.info(
            "guard: the base's CER is %.4f; above %.4f the run ends", self.base, self.base + args.guard_tolerance
        )

    def on_evaluate(self, args, state, control, metrics: dict[str, float], **kwargs) -> None:
        """Compare. Raises `WorkError` where the CER is above what is tolerated."""
        now = metrics.get("eval_guard_cer")
        if self.base is None or now is None or now <= self.base + args.guard_tolerance:
            return
        good = self._last_good(args, state)
        raise WorkError(
            f"guard: at step {state.global_step} the CER on guard_dataset is {now:.4f}; the base's is {self.base:.4f}, "
            f"and guard_tolerance allows {args.guard_tolerance:g} more. "
            + (f"The last good checkpoint is {good}" if good else "No checkpoint was saved while it was good")
            + "; a smaller learning_rate, fewer steps, or a share of general pages beside these "
            "(dataset: {NAME: 0.8, GENERAL: 0.2}) forget less"
        )

    def _measure(self, path: Path, settings: dict[str, Any], state: TrainerState) -> float:
        if state.global_step:
            raise UsageError(
                f"{path} is missing, and the base's CER cannot be measured from a model after {state.global_step} "
                "steps; put the file back, or begin anew in another --output_dir"
            )
        cer = self.cer()
        if state.is_world_process_zero:
            write_json(path, {"cer": cer} | settings)
        return cer

    def _saved(self, path: Path, settings: dict[str, Any]) -> float | None:
        """The base's CER as the first process finds it in the file; None where there is no file."""
        found = [json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None]
        saved = broadcast_object_list(found)[0]
        if saved is None:
            return None
        changed = [
            f"{name}: {saved[name]} then, {value} now" for name, value in settings.items() if saved[name] != value
        ]
        if changed:
            raise UsageError(
                f"the base's CER in {path} was measured with other settings ({'; '.join(changed)}); set them back, or "
                "begin anew in another --output_dir"
            )
        return saved["cer"]

    def _last_good(self, args, state) -> Path | None:
        """The last checkpoint from before the last evaluation that the guard let pass."""
        limit = self.base + args.guard_tolerance
        passed = [row["step"] for row in state.log_history if row.get("eval_guard_cer", math.inf) <= limit]
        good = [path for path in complete_checkpoints(args.output_dir) if step_of(path) <= max(passed, default=-1)]
        return good[-1] if good else None
