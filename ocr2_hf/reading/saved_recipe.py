"""What a trained directory says about how it was trained: its recipe."""

from dataclasses import dataclass, field, fields
from pathlib import Path

from datasets import Dataset

from ocr2_hf.errors import UsageError
from ocr2_hf.modeling.model_files import files_beside
from ocr2_hf.recipe_checks import checked, loop_guard_problems
from ocr2_hf.recipe_fields import NO_REPEAT_NGRAM, NO_REPEAT_WINDOW
from ocr2_hf.recipe_file import RECIPE_FILE, read_saved


@dataclass(frozen=True)
class SavedRecipe:
    """What reading needs: task -> weight, task -> prompt, and the guard against loops."""

    tasks: dict[str, float] = field(default_factory=dict)
    prompts: dict[str, str] = field(default_factory=dict)
    no_repeat_ngram: int = NO_REPEAT_NGRAM
    no_repeat_window: int = NO_REPEAT_WINDOW


def read_saved_recipe(model: str | Path) -> SavedRecipe:
    """The recipe beside a model, a directory or a Hub id; an empty one where there is none.

    Its other keys may be those of another version. Raises `UsageError` when it is broken.
    """
    folder = files_beside(model)
    saved = read_saved(folder)
    names = [item.name for item in fields(SavedRecipe)]
    values, problems = checked({name: saved[name] for name in names if saved.get(name) not in (None, {})})
    recipe = SavedRecipe(**values)
    problems = problems or loop_guard_problems(recipe.no_repeat_ngram, recipe.no_repeat_window)
    if problems:
        raise UsageError(f"{folder / RECIPE_FILE}: {'; '.join(problems)}")
    return recipe


def default_task(model: str | Path, dataset: Dataset) -> str:
    """The recipe's heaviest task; without a recipe `markdown` where pages have boxes, else `ocr`."""
    tasks = read_saved_recipe(model).tasks
    if tasks:
        return max(tasks, key=tasks.get)
    return "markdown" if any(dataset.select_columns("bboxes")[:100]["bboxes"]) else "ocr"
