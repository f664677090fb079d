"""What a trained directory says about how it was trained: its `recipe.yaml`."""

from dataclasses import dataclass, field
from pathlib import Path

import yaml
from datasets import Dataset

from ocr2_hf.data.tasks import PROMPTS
from ocr2_hf.errors import UsageError
from ocr2_hf.modeling.hub_files import files_beside
from ocr2_hf.recipe_checks import loop_guard_problems
from ocr2_hf.recipe_fields import NO_REPEAT_NGRAM, NO_REPEAT_WINDOW


@dataclass(frozen=True)
class SavedRecipe:
    """What reading needs: task -> weight, task -> prompt, and the guard against loops."""

    tasks: dict[str, float] = field(default_factory=dict)
    prompts: dict[str, str] = field(default_factory=dict)
    no_repeat_ngram: int = NO_REPEAT_NGRAM
    no_repeat_window: int = NO_REPEAT_WINDOW


def read_saved_recipe(model: str | Path) -> SavedRecipe:
    """The recipe beside a model, a directory or a Hub id; an empty one where there is none. Raises `UsageError` when it
    is broken."""
    path = files_beside(model) / "recipe.yaml"
    if not path.is_file():
        return SavedRecipe()
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is no YAML: {error}") from None
    if not isinstance(values, dict):
        raise UsageError(f"{path} is no recipe: expected keys and values, found {type(values).__name__}")
    tasks, prompts = values.get("tasks") or {}, values.get("prompts") or {}
    for key, value in (("tasks", tasks), ("prompts", prompts)):
        if not isinstance(value, dict) or not value.keys() <= PROMPTS.keys():
            raise UsageError(f"{path}: {key} must map tasks ({', '.join(PROMPTS)}), found {value!r}")
    guard = {name: values[name] for name in ("no_repeat_ngram", "no_repeat_window") if name in values}
    if not all(type(value) is int for value in guard.values()):
        raise UsageError(f"{path}: no_repeat_ngram and no_repeat_window must be whole numbers, found {guard}")
    recipe = SavedRecipe(tasks, prompts, **guard)
    for problem in loop_guard_problems(recipe.no_repeat_ngram, recipe.no_repeat_window):
        raise UsageError(f"{path}: {problem}")
    return recipe


def default_task(model: str | Path, dataset: Dataset) -> str:
    """The recipe's heaviest task; without a recipe `markdown` where pages have boxes, else `ocr`."""
    tasks = read_saved_recipe(model).tasks
    if tasks:
        return max(tasks, key=tasks.get)
    return "markdown" if any(dataset.select_columns("bboxes")[:100]["bboxes"]) else "ocr"
