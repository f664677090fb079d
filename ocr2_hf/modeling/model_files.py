"""The files of a saved model, in a directory or in a repository on the Hub: their names, and what they are checked for.

Imports neither torch nor transformers, so that a command can ask before its work begins.
"""

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ocr2_hf.document.atomic_files import write_json, write_whole
from ocr2_hf.document.hub_names import BASE_MODEL, hub_id, missing_path
from ocr2_hf.errors import UsageError
from ocr2_hf.recipe_file import RECIPE_FILE

if TYPE_CHECKING:
    from transformers import DeepseekOcr2Config

# In config.json: of the library's own layout, and of the original repository's.
MODEL_TYPE, ORIGINAL_TYPE = "deepseek_ocr2", "deepseek_vl_v2"
ORIGINAL_PROCESSOR = "DeepseekVLV2Processor"  # in processor_config.json
# What the library does not write itself.
ADAPTER_FILE, ADAPTER_WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
BASE_FOLDER = "base"  # where a run keeps a base that lies nowhere else, beside the adapter
BASE_PATH_FILE = "base_path.txt"  # where an adapter's base lies, from the adapter on
TINY_NAMES = ("tiny", "tiny_reader")  # built, not loaded
BOX_HEAD_FILE = "box_head.safetensors"
_BESIDE_WEIGHTS = (
    *(ADAPTER_FILE, ADAPTER_WEIGHTS, f"{BASE_FOLDER}/*", BOX_HEAD_FILE, RECIPE_FILE),
    *("processor_config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"),
)
# What classes of the library raise where files of a model are broken: they check little of them.
BROKEN_MODEL = (OSError, ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RuntimeError)
_WEIGHTS = ("model.safetensors", "model.safetensors.index.json", "model-*.safetensors")


def files_beside(name: str | Path, weights: bool = False) -> Path:
    """The directory with what lies beside a model's weights: adapters with base and processor, a box head, the recipe;
    with `weights` these too.

    That is `name` itself, or for a Hub id the directory they were downloaded to: the library loads a model and its
    processor by Hub id, but does not know these. Where the Hub has no such repository or cannot be reached, `name` as a
    path that is not there. Raises `UsageError` as `check_model_name`.
    """
    check_model_name(name)
    if hub_id(str(name)) is None:
        return Path(name)
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, HTTPError

    try:
        wanted = [*_BESIDE_WEIGHTS, *(_WEIGHTS if weights else ())]
        return Path(snapshot_download(str(name), allow_patterns=wanted))
    except (HfHubHTTPError, HFValidationError, HTTPError, FileNotFoundError, ConnectionError):
        return Path(name)  # the library, which is asked next, says what is wrong


def check_model_name(name: str | Path) -> None:
    """Raise `UsageError` for what is neither here nor can be a Hub id. Asks nobody, and is quick."""
    if os.path.exists(name) or str(name) in TINY_NAMES or hub_id(str(name)):
        return
    raise UsageError(
        f"no model {str(name)!r}: {missing_path(Path(name))}; a model is a folder, a Hub id ORG/NAME (but where a "
        "folder ORG is, that is a path), or `tiny`"
    )


def local_base(adapter: Path) -> Path | None:
    """The folder of an adapter's base, where that is on this machine: as the adapter names it, from the adapter on, or
    the copy that lies beside or above it."""
    named = str(read_json(adapter / ADAPTER_FILE).get("base_model_name_or_path") or "")
    places = [Path(named)] if named else []
    if (adapter / BASE_PATH_FILE).is_file():
        places.append(adapter / (adapter / BASE_PATH_FILE).read_text(encoding="utf-8"))
    places += [adapter / BASE_FOLDER, adapter.parent / BASE_FOLDER]
    return next((place for place in places if (place / "config.json").is_file()), None)


def place_base(adapter: Path, base: Path) -> None:
    """Let an adapter name a base on this machine so that it is found: from any folder, and when both are moved."""
    config, place = read_json(adapter / ADAPTER_FILE), os.path.abspath(base)
    write_json(adapter / ADAPTER_FILE, config | {"base_model_name_or_path": place})
    write_whole(adapter / BASE_PATH_FILE, os.path.relpath(place, os.path.abspath(adapter)))


def check_model(name: str | Path) -> None:
    """Raise `UsageError` when `name`, a directory or a Hub id, is not a DeepSeek-OCR-2 in one of the two layouts."""
    load_config(name)


def load_config(name: str | Path) -> "DeepseekOcr2Config":
    """The config of a model in either layout, a directory or a Hub id. Raises `UsageError` for any other model."""
    check_model_name(name)
    if os.path.exists(name) and not (Path(name) / "config.json").is_file():
        raise UsageError(f"{name} holds no model: config.json or {ADAPTER_FILE} is missing")
    from huggingface_hub.errors import StrictDataclassError
    from transformers import DeepseekOcr2Config, PreTrainedConfig

    from ocr2_hf.modeling.tensors import original_tensors

    try:
        # Not by AutoConfig: of the original repository's layout it asks, on the terminal, whether to run its code.
        values = PreTrainedConfig.get_config_dict(name)[0]
    except (OSError, ValueError, AttributeError, TypeError) as error:  # the last two: JSON of another shape
        raise UsageError(
            f"no model {str(name)!r}: {first_line(error)} (a directory, a Hub id such as {BASE_MODEL}, or `tiny`)"
        ) from error
    try:
        config = DeepseekOcr2Config.from_dict(_native(values))
        original_tensors(config)  # raises where there can be no such model
        return config
    except UsageError as error:
        raise UsageError(f"{str(name)!r} {error}") from error
    except (*BROKEN_MODEL, StrictDataclassError) as error:
        raise UsageError(f"{str(name)!r} has a broken config.json: {first_line(error)}") from error


def _native(values: dict[str, Any]) -> dict[str, Any]:
    if values.get("model_type") == MODEL_TYPE:
        return values
    if values.get("model_type") != ORIGINAL_TYPE:
        raise UsageError(f"is a {values.get('model_type')!r} model, not {MODEL_TYPE!r} (for example {BASE_MODEL})")
    from ocr2_hf.modeling.original_layout import native_values

    return native_values(values)


def read_json(path: Path) -> dict[str, Any]:
    """A JSON mapping; {} where the file is missing. Raises `UsageError` when it is broken."""
    if not path.is_file():
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UsageError(f"{path} is no JSON: {error}") from None
    if not isinstance(content, dict):
        raise UsageError(f"{path} must hold a mapping, found {type(content).__name__}")
    return content


def has_original_processor(folder: Path) -> bool:
    """Whether the processor files in `folder` are those of the original repository's layout."""
    try:
        values = json.loads((folder / "processor_config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False  # the library, which is asked next, says what is wrong
    return isinstance(values, dict) and values.get("processor_class") == ORIGINAL_PROCESSOR


def first_line(error: Exception) -> str:
    """The first line of a library's message; the name of the error where it has none."""
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
