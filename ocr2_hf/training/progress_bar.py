"""The progress bar of a training, with what it costs."""

from tqdm.auto import tqdm
from transformers import ProgressCallback

from ocr2_hf.training.costs import COSTS


class ProgressBar(ProgressCallback):
    """The library's, with the costs of the last log row behind the time to the end.

    The library's own begins at step 0 after a resume and takes the steps of the run before for its own. It also
    extrapolates from the last steps alone, so that the time to the end jumps at every evaluation.
    """

    def on_train_begin(self, args, state, control, **kwargs) -> None:
        """Show the bar, on the first process."""
        if state.is_world_process_zero:
            begun = {"total": state.max_steps, "initial": state.global_step}
            self.training_bar = tqdm(**begun, unit="step", smoothing=0, dynamic_ncols=True)
        self.current_step = state.global_step

    def on_log(self, args, state, control, logs=None, **kwargs) -> None:
        """Print a row above the bar, and its costs in the bar."""
        if self.training_bar is not None and COSTS[0] in logs:
            self.training_bar.set_postfix_str(costs_line(logs), refresh=False)
        super().on_log(args, state, control, {name: logs[name] for name in logs if name not in COSTS}, **kwargs)


def costs_line(row: dict[str, float]) -> str:
    """The costs of a log row, short: `2.1 pages/s, 1,350 tokens/s, 12% padding, 1.4 GB`."""
    pages, tokens = (_rounded(row[f"{name}_per_second"]) for name in ("pages", "tokens"))
    return f"{pages} pages/s, {tokens} tokens/s, {row['padding']:.0%} padding, {row['memory_gb']:.1f} GB"


def _rounded(rate: float) -> str:
    """To two digits, or to a whole number."""
    return f"{rate:,.0f}" if rate >= 9.95 else f"{rate:#.2g}"
