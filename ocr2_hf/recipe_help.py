"""`--help` of a recipe's keys: each with its type, range, help and default, block by block, from the declarations."""

import argparse
import json
from typing import Any

from transformers import TrainingArguments

from ocr2_hf.recipe_fields import (
    KEYS,
    DataArguments,
    Key,
    LossArguments,
    ModelArguments,
    OCR2TrainingArguments,
    PageArguments,
)
from ocr2_hf.recipe_library import LIBRARY_ROWS

# The blocks of a recipe YAML -> the classes that declare their keys.
_BLOCKS = {
    "Model": (ModelArguments,),
    "Data": (DataArguments, PageArguments),
    "Loss": (LossArguments,),
    "Training": (OCR2TrainingArguments,),
    "Training, the keys of transformers.TrainingArguments with their defaults": (TrainingArguments,),
}
_BOUNDS = {"minimum": ">=", "exclusiveMinimum": ">", "maximum": "<=", "exclusiveMaximum": "<"}


def add_keys(parser: argparse.ArgumentParser) -> None:
    """Add every key to a parser that only prints help."""
    groups = {title: parser.add_argument_group(title) for title in _BLOCKS}
    for name, key in KEYS.items():
        kind, text = _told(key)
        groups[block_of(key)].add_argument(f"--{name}", metavar=kind, help=text.replace("%", "%%"))


def block_of(key: Key) -> str:
    """The title of the key's block."""
    return next(title for title, classes in _BLOCKS.items() if key.declared_in in classes)


def _told(key: Key) -> tuple[str, str]:
    """What stands behind a key's name, and what below it. The library's own documentation tells more of its keys."""
    default = default_text(key.default)
    if key.declared_in is TrainingArguments:
        row = LIBRARY_ROWS.get(key.field.name)
        becomes = f"; {row.kind}: {row.reason}" if row and row.reason else ""
        return default, key.help.split(". ")[0].rstrip(".") + becomes
    return type_text(key.adapter.json_schema()), f"{key.help.rstrip('.')} (default: {default})"


def default_text(value: Any) -> str:
    """A default as one would write it on the command line."""
    return value if isinstance(value, str) and value else json.dumps(value, default=str)


def type_text(schema: dict[str, Any]) -> str:
    """A JSON schema in a word: `integer>=1`, `none|lora|full`, `{ocr|markdown: number>=0}`."""
    if "anyOf" in schema:
        return "|".join(map(type_text, schema["anyOf"]))
    if "enum" in schema:
        return "|".join(schema["enum"])
    if schema["type"] == "array":
        return f"[{type_text(schema['items'])}]"
    if schema["type"] == "object":
        names = schema.get("propertyNames", {"enum": ["name"]})
        values = schema["additionalProperties"]
        return f"{{{type_text(names)}: {'value' if values is True else type_text(values)}}}"
    return schema["type"] + ",".join(f"{sign}{schema[bound]}" for bound, sign in _BOUNDS.items() if bound in schema)
