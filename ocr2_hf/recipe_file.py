"""The file a recipe lies in: how it is read, and its name beside a model that was trained by it."""

from pathlib import Path
from typing import Any

import yaml

from ocr2_hf.document.plain_yaml import read_plain_yaml
from ocr2_hf.errors import UsageError

# In a run's output_dir, and wherever its model goes from there.
RECIPE_FILE = "recipe.yaml"


def read_yaml(path: str | Path) -> dict[str, Any]:
    """A YAML mapping; `UsageError` for a missing file, broken YAML, or anything that is not a mapping."""
    try:
        content = read_plain_yaml(path)
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read the recipe {path}: {error}") from error
    except yaml.YAMLError as error:
        raise UsageError(f"{path} is not valid YAML: {error}") from error
    if not isinstance(content, dict) or not all(isinstance(key, str) for key in content):
        raise UsageError(f"{path} must be a YAML mapping of recipe keys to values")
    return content


def read_saved(folder: str | Path) -> dict[str, Any]:
    """The recipe beside a trained model, as it was written, perhaps by another version; {} where there is none."""
    path = Path(folder) / RECIPE_FILE
    return read_yaml(path) if path.is_file() else {}
