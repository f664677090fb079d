"""Recipes: a flat YAML whose keys `recipe_fields` declares, read, overridden, checked.

`--key value` on the command line overrides. All problems of a recipe are told in one message, before anything loads.
"""

import math
import re
from collections.abc import Sequence, Set
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import yaml

from ocr2_hf.document.atomic_files import write_whole
from ocr2_hf.document.plain_yaml import parse_yaml
from ocr2_hf.errors import UsageError
from ocr2_hf.recipe_checks import checked, contradictions
from ocr2_hf.recipe_fields import (
    BLOCKS,
    IDENTITY,
    KEYS,
    LIBRARY,
    OURS,
    DataArguments,
    ModelArguments,
    OCR2TrainingArguments,
)
from ocr2_hf.recipe_file import RECIPE_FILE, read_yaml
from ocr2_hf.recipe_library import LIBRARY_ROWS, without_effect

__all__ = [
    "RECIPE_FILE",
    "DataArguments",
    "ModelArguments",
    "OCR2TrainingArguments",
    "Recipe",
    "Stage",
    "load_recipe",
    "read_yaml",
]


@dataclass(frozen=True)
class Stage:
    """One stage of progressive training: its share of the steps, and the keys it sets over the recipe's."""

    name: str
    share: float
    values: dict[str, Any]


@dataclass
class Recipe:
    """A checked recipe. `values` has every key that was given, in its type; the blocks have all fields."""

    model: ModelArguments
    data: DataArguments
    values: dict[str, Any]
    stages: list[Stage] = field(default_factory=list)

    @classmethod
    def of(cls, values: dict[str, Any], stages: Sequence[Stage] = ()) -> "Recipe":
        """From checked values."""
        return cls(*(block(**_of(block, values)) for block in BLOCKS[:2]), values, list(stages))

    def training_arguments(self) -> OCR2TrainingArguments:
        """The training block; building it looks at devices and starts the process group.

        Raises `UsageError` with the library's own words for what the library refuses.
        """
        # What pushes is `ocr2_hf.publishing`: the library would upload the whole folder, pickles and evaluations too.
        values = _renamed(_of(OCR2TrainingArguments, self.values)) | {"push_to_hub": False}
        try:
            return OCR2TrainingArguments(**values)
        # The last three: what accelerator_config names, or holds.
        except (ValueError, ImportError, TypeError, OSError, RecursionError) as error:
            raise UsageError(f"the recipe's training block is refused: {error}") from error

    def library_arguments(self) -> dict[str, Any]:
        """The fields of the library's own `TrainingArguments` as this recipe sets them, for a stock `Trainer`."""
        defaults = {name: KEYS[name].default for name in OCR2TrainingArguments.__annotations__ if name in LIBRARY}
        return _renamed(defaults | {name: value for name, value in self.values.items() if name in LIBRARY})

    def training(self, name: str) -> Any:
        """A field of the training block, given or default, without building the block."""
        return self.values.get(name, KEYS[name].default)

    def without_effect(self) -> list[str]:
        """A line for each value, the recipe's or a stage's, that the library has a field for and nobody hears."""
        all_values = [self.values, *(self.values | stage.values for stage in self.stages)]
        told = [
            line
            for values in all_values
            for name in values.keys() & LIBRARY_ROWS.keys()
            for line in without_effect(name, KEYS[name].default, lambda key, v=values: v.get(key, KEYS[key].default))
        ]
        return sorted(set(told))

    def resolved(self) -> dict[str, Any]:
        """Every field of ours and every other key that was given, as plain values for a YAML file."""
        names = [name for name in KEYS if name in OURS or name in IDENTITY or name in self.values]
        resolved = {name: self.training(name) for name in names}
        stages = [{"name": stage.name, "share": stage.share, **stage.values} for stage in self.stages]
        return resolved | ({"stages": stages} if stages else {})

    def save(self, path: str | Path) -> None:
        """Write the resolved recipe; the file is whole or not there."""
        write_whole(path, yaml.safe_dump(self.resolved(), sort_keys=False, allow_unicode=True))


def _of(block: type, values: dict[str, Any]) -> dict[str, Any]:
    return {item.name: values[item.name] for item in fields(block) if item.name in values}


def _renamed(values: dict[str, Any]) -> dict[str, Any]:
    """`gradient_checkpointing` is the name in transformers 5.17; later ones call it otherwise and warn about it."""
    if "activation_checkpointing" not in LIBRARY:
        return values
    return {name.replace("gradient_checkpointing", "activation_checkpointing"): v for name, v in values.items()}


def load_recipe(path: str | Path, overrides: Sequence[str] = ()) -> Recipe:
    """Read a recipe and the command line's `--key value` over it.

    Raises `UsageError` with every problem found: unknown keys, wrong types and values, contradictions.
    """
    return check_recipe(path, read_yaml(path), overrides)


def check_recipe(path: str | Path, given: dict[str, Any], overrides: Sequence[str] = ()) -> Recipe:
    """The recipe that was read from `path`, checked as `load_recipe` says."""
    given = given | parse_overrides(overrides)
    listed = given.pop("stages", None)
    values, problems = checked(given)
    broken = given.keys() - values.keys()
    stages, found = _stages([] if listed is None else listed, values, broken)
    problems += found
    if not listed:  # with stages, what counts is what each of them makes of the recipe
        problems += contradictions(values, broken)
    if problems:
        told = "\n".join(f"  - {problem}" for problem in problems)
        raise UsageError(f"{path}: {len(problems)} problem{'s' if len(problems) > 1 else ''} in the recipe\n{told}")
    return Recipe.of(values, stages)


def _stages(listed: Any, values: dict[str, Any], broken: Set[str]) -> tuple[list[Stage], list[str]]:
    """The stages of a recipe with these values, and what is wrong with them."""
    if not isinstance(listed, list) or not all(isinstance(stage, dict) and "name" in stage for stage in listed):
        return [], ["stages: must be a list of mappings, each with a name"]
    stages, problems = [], []
    for each in listed:
        stage, found = _stage({"share": 1 / len(listed)} | each, values, broken)
        stages.append(stage)
        problems += [f"stage {stage.name}: {problem}" for problem in found]
    if stages and values.get("resume_from_checkpoint") not in (None, "", "true"):
        problems.append("resume_from_checkpoint: each stage goes on from its own last checkpoint; leave it out")
    if len({stage.name for stage in stages}) < len(stages):
        problems.append("stages: two have one name")
    total = sum(stage.share for stage in stages)
    if stages and abs(total - 1) > 1e-6:  # nan, where a share is no share, is not told twice
        problems.append(f"stages: the shares add up to {total:g}, not to 1")
    return stages, problems


def _stage(given: dict[str, Any], values: dict[str, Any], broken: Set[str]) -> tuple[Stage, list[str]]:
    name, share = str(given.pop("name")), given.pop("share")
    own, problems = checked(given)
    not_its = {key for key in own if KEYS[key].whole_run}
    problems += [f"{key}: is the same in all stages; set it above" for key in own if key in not_its]
    if not re.fullmatch(r"[\w-]+", name):
        problems.append("its name becomes a folder's: letters, digits, _ and - only")
    if isinstance(share, bool) or not isinstance(share, int | float) or not 0 < share <= 1:
        problems.append(f"share: {share!r} is not a number above 0 and up to 1")
        share = math.nan
    unknown = (broken - own.keys()) | (given.keys() - own.keys()) | not_its
    return Stage(name, float(share), own), problems + contradictions(values | own, unknown)


def parse_overrides(words: Sequence[str]) -> dict[str, Any]:
    """`--key value`, `--key=value` or `--flag` (true) -> keys and values; later ones win.

    `--local_rank`, which launchers add, is the library's business and passes.
    """
    values: dict[str, Any] = {}
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if not word.startswith("--") or word == "--":
            raise UsageError(f"{word!r}: overrides are written --key value")
        name, equals, value = word[2:].partition("=")
        if not equals:
            value = rest.pop(0) if rest and not rest[0].startswith("--") else "true"
        values[name.replace("-", "_")] = value
    values.pop("local_rank", None)
    return {name: _plain(name, value) for name, value in values.items()}


def _plain(name: str, text: str) -> Any:
    """Dicts, lists and null are read as YAML. Everything else stays text, which the types coerce."""
    if not text.startswith(("{", "[")) and text != "null":
        return text
    try:
        return parse_yaml(text)
    except yaml.YAMLError as error:
        raise UsageError(f"--{name} {text[:60]}: not valid YAML ({str(error).splitlines()[0]})") from error
