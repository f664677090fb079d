"""Recipes: a flat YAML whose keys are the fields of `recipe_fields`, read, overridden, checked.

`--key value` on the command line overrides. All problems of a recipe are told in one message, before anything loads.
"""

import difflib
import re
import typing
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import yaml
from pydantic import ConfigDict, TypeAdapter, ValidationError

from ocr2_hf.errors import UsageError
from ocr2_hf.recipe_checks import contradictions, machine_problems
from ocr2_hf.recipe_fields import (
    BLOCKS,
    IDENTITY,
    LIBRARY,
    OURS,
    DataArguments,
    ModelArguments,
    OCR2TrainingArguments,
    default_of,
    known_fields,
)

__all__ = ["DataArguments", "ModelArguments", "OCR2TrainingArguments", "Recipe", "Stage", "load_recipe"]

# What a stage cannot set for itself.
WHOLE_RUN = (
    *("model", "dtype", "output_dir", "num_train_epochs", "max_steps", "seed"),
    *("deepspeed", "fsdp", "bf16", "fp16", "guard_dataset", "guard_split", "guard_pages"),
    *("push_to_hub", "hub_model_id", "hub_private_repo", "hub_strategy", "hub_example"),
)


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
        blocks = [block(**{f.name: values[f.name] for f in fields(block) if f.name in values}) for block in BLOCKS[:2]]
        return cls(*blocks, values, list(stages))

    def training_arguments(self) -> OCR2TrainingArguments:
        """The training block; building it looks at devices and starts the process group.

        Raises `UsageError` with the library's own words for what the library refuses.
        """
        # What pushes is `ocr2_hf.publishing`: the library would upload the whole folder, pickles and evaluations too.
        values = _renamed(self._of(OCR2TrainingArguments)) | {"push_to_hub": False}
        try:
            args = OCR2TrainingArguments(**values)
        except (ValueError, ImportError) as error:
            raise UsageError(f"the recipe's training block is refused: {error}") from error
        problems = machine_problems(args)
        if problems:
            raise UsageError("; ".join(problems))
        return args

    def library_arguments(self) -> dict[str, Any]:
        """The fields of the library's own `TrainingArguments` as this recipe sets them, for a stock `Trainer`."""
        redefined = [name for name in OCR2TrainingArguments.__annotations__ if name in LIBRARY]
        defaults = {name: default_of(OCR2TrainingArguments, name) for name in redefined}
        return _renamed(defaults | {name: value for name, value in self.values.items() if name in LIBRARY})

    def training(self, name: str) -> Any:
        """A field of the training block, given or default, without building the block."""
        return self.values.get(name, default_of(OCR2TrainingArguments, name))

    def resolved(self) -> dict[str, Any]:
        """Every field of ours and every other key that was given, as plain values for a YAML file."""
        known = known_fields()
        names = [name for name in known if name in OURS or name in IDENTITY or name in self.values]
        resolved = {name: self.values.get(name, default_of(known[name], name)) for name in names}
        stages = [{"name": stage.name, "share": stage.share, **stage.values} for stage in self.stages]
        return resolved | ({"stages": stages} if stages else {})

    def save(self, path: str | Path) -> None:
        """Write the resolved recipe; written beside and moved into place."""
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = path.with_suffix(".yaml.tmp")
        beside.write_text(yaml.safe_dump(self.resolved(), sort_keys=False, allow_unicode=True), encoding="utf-8")
        beside.replace(path)

    def _of(self, block: type) -> dict[str, Any]:
        names = {item.name for item in fields(block)}
        return {name: value for name, value in self.values.items() if name in names}


def _renamed(values: dict[str, Any]) -> dict[str, Any]:
    """`gradient_checkpointing` is the name in transformers 5.17; later ones call it otherwise and warn about it."""
    if "activation_checkpointing" not in LIBRARY:
        return values
    return {name.replace("gradient_checkpointing", "activation_checkpointing"): v for name, v in values.items()}


def load_recipe(path: str | Path, overrides: Sequence[str] = ()) -> Recipe:
    """Read a recipe and the command line's `--key value` over it.

    Raises `UsageError` with every problem found: unknown keys, wrong types, contradictions.
    """
    given = read_yaml(path) | parse_overrides(overrides)
    problems: list[str] = []
    stages = _stages(given.pop("stages", None), problems)
    values = dict(_typed(given, problems))
    if not problems:
        # With stages, what counts is what each of them makes of the recipe.
        problems += [] if stages else contradictions(values)
        problems += [
            f"stage {stage.name}: {problem}" for stage in stages for problem in contradictions(values | stage.values)
        ]
    if problems:
        listed = "\n".join(f"  - {problem}" for problem in problems)
        raise UsageError(f"{path}: {len(problems)} problem{'s' if len(problems) > 1 else ''} in the recipe\n{listed}")
    return Recipe.of(values, stages)


def _stages(given: Any, problems: list[str]) -> list[Stage]:
    """The `stages` of a recipe; what is wrong with them is added to `problems`."""
    if given is None:
        return []
    if not isinstance(given, list) or not all(isinstance(stage, dict) and "name" in stage for stage in given):
        problems.append("stages: must be a list of mappings, each with a name")
        return []
    stages = []
    for stage in given:
        found: list[str] = []
        values = dict(_typed({k: v for k, v in stage.items() if k not in ("name", "share")}, found))
        share = stage.get("share", 1 / len(given))
        if not re.fullmatch(r"[\w-]+", str(stage["name"])):
            found.append("its name becomes a folder's: letters, digits, _ and - only")
        if isinstance(share, bool) or not isinstance(share, int | float) or not 0 < share <= 1:
            found.append(f"share: {share!r} is not a number above 0 and up to 1")
            share = 0.0
        found += [f"{name}: is the same in all stages; set it above" for name in values if name in WHOLE_RUN]
        problems += [f"stage {stage['name']}: {problem}" for problem in found]
        stages.append(Stage(str(stage["name"]), float(share), values))
    if len({stage.name for stage in stages}) < len(stages):
        problems.append("stages: two have one name")
    if not problems and abs(sum(stage.share for stage in stages) - 1) > 1e-6:
        problems.append(f"stages: the shares add up to {sum(stage.share for stage in stages):g}, not to 1")
    return stages


class _NoDuplicates(yaml.SafeLoader):
    """YAML takes the last of two equal keys without a word; in a recipe that is a mistake."""

    def construct_mapping(self, node, deep=False):
        names = [self.construct_object(key, deep=deep) for key, _ in node.value]
        for name in names:
            if names.count(name) > 1:
                raise yaml.constructor.ConstructorError(None, None, f"the key {name!r} stands twice", node.start_mark)
        return super().construct_mapping(node, deep)


def read_yaml(path: str | Path) -> dict[str, Any]:
    """A YAML mapping; `UsageError` for a missing file, broken YAML, or anything that is not a mapping."""
    try:
        text = Path(path).read_text(encoding="utf-8")
        # The safe loader plus the check above: plain values only.
        content = yaml.load(text, Loader=_NoDuplicates)  # noqa: S506
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read the recipe {path}: {error}") from error
    except yaml.YAMLError as error:
        raise UsageError(f"{path} is not valid YAML: {error}") from error
    if not isinstance(content, dict) or not all(isinstance(key, str) for key in content):
        raise UsageError(f"{path} must be a YAML mapping of recipe keys to values")
    return content


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
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise UsageError(f"--{name} {text}: not valid YAML ({str(error).splitlines()[0]})") from error


def _typed(given: dict[str, Any], problems: list[str]) -> typing.Iterator[tuple[str, Any]]:
    known = known_fields()
    hints = {block: typing.get_type_hints(block) for block in BLOCKS}
    for name, value in given.items():
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            problems.append(f"{name}: unknown key" + (f"; did you mean {close[0]}?" if close else ""))
            continue
        try:
            adapter = TypeAdapter(hints[known[name]][name], config=ConfigDict(arbitrary_types_allowed=True))
            yield name, adapter.validate_python(value)
        except ValidationError as error:
            reasons = {detail["msg"][0].lower() + detail["msg"][1:] for detail in error.errors()}
            problems.append(f"{name}: {value!r}: {'; or '.join(sorted(reasons))}")
