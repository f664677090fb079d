"""Early stopping that a killed run does not forget."""

from typing import Any

from transformers import EarlyStoppingCallback


class EarlyStopping(EarlyStoppingCallback):
    """The library's, but a resumed run counts on from its checkpoint, with the patience of today's recipe.

    The library forgets the count, or, with `restore_callback_states_from_checkpoint`, takes back the old patience too.
    Evaluations after training do not count.
    """

    counting = False

    def on_train_begin(self, args, state, control, **kwargs) -> None:
        super().on_train_begin(args, state, control, **kwargs)
        self.early_stopping_patience_counter = evaluations_waited({"stateful_callbacks": state.stateful_callbacks})
        self._note(state)
        self.counting = True

    def on_evaluate(self, args, state, control, metrics, **kwargs) -> None:
        if self.counting:
            super().on_evaluate(args, state, control, metrics, **kwargs)
            self._note(state)

    def on_train_end(self, args, state, control, **kwargs) -> None:
        self.counting = False

    def _note(self, state) -> None:
        state.stateful_callbacks[EarlyStopping.__name__] = self.state()


def stopped_early(trainer_state: dict[str, Any], patience: int | None) -> bool:
    """Whether a saved trainer state is one of a run that had waited long enough."""
    return patience is not None and evaluations_waited(trainer_state) >= patience


def evaluations_waited(trainer_state: dict[str, Any]) -> int:
    """How many evaluations in a row had brought nothing better."""
    saved = trainer_state.get("stateful_callbacks", {}).get(EarlyStopping.__name__)
    return saved["attributes"]["early_stopping_patience_counter"] if saved else 0
