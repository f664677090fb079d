"""The files of a saved model, in a directory or in a repository on the Hub: their names, and what they are checked for.

Imports neither torch nor transformers, so that a command can ask before its work begins.
"""

from pathlib import Path

from ocr2_hf.document.hub_names import BASE_MODEL
from ocr2_hf.errors import UsageError
from ocr2_hf.recipe_file import RECIPE_FILE

MODEL_TYPE = "deepseek_ocr2"  # in config.json
# What the library does not write itself.
ADAPTER_FILE, ADAPTER_WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
BASE_FOLDER = "base"  # where a run keeps a base that lies nowhere else, beside the adapter
BOX_HEAD_FILE = "box_head.safetensors"
_BESIDE_WEIGHTS = (
    *(ADAPTER_FILE, ADAPTER_WEIGHTS, f"{BASE_FOLDER}/*", BOX_HEAD_FILE, RECIPE_FILE),
    *("processor_config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"),
)


def files_beside(name: str | Path) -> Path:
    """The directory with what lies beside a model's weights: adapters with base and processor, a box head, the recipe.

    That is `name` itself, or for a Hub id the directory they were downloaded to: the library loads a model and its
    processor by Hub id, but does not know these. Where the Hub has no such repository or cannot be reached, `name` as a
    path that is not there.
    """
    if Path(name).exists() or str(name).count("/") != 1:
        return Path(name)
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, HTTPError

    try:
        return Path(snapshot_download(str(name), allow_patterns=list(_BESIDE_WEIGHTS)))
    except (HfHubHTTPError, HFValidationError, HTTPError, FileNotFoundError, ConnectionError):
        return Path(name)  # the library, which is asked next, says what is wrong


def check_model(name: str | Path) -> None:
    """Raise `UsageError` when `name`, a directory or a Hub id, is not a DeepSeek-OCR-2 in the library's own layout."""
    if Path(name).exists() and not (Path(name) / "config.json").is_file():
        raise UsageError(f"{name} holds no model: config.json or {ADAPTER_FILE} is missing")
    from transformers import PreTrainedConfig

    try:
        # Not by AutoConfig: of the original repository's layout it asks, on the terminal, whether to run its code.
        model_type = PreTrainedConfig.get_config_dict(name)[0].get("model_type")
    except (OSError, ValueError) as error:
        raise UsageError(
            f"no model {str(name)!r}: {first_line(error)} (a directory, a Hub id such as {BASE_MODEL}, or `tiny`)"
        ) from error
    if model_type != MODEL_TYPE:
        raise UsageError(
            f"{str(name)!r} is a {model_type!r} model, not {MODEL_TYPE!r}; the original repository's layout "
            "(deepseek-ai/DeepSeek-OCR-2, or what `ocr2 export --to original` wrote) needs remote code: use "
            f"{BASE_MODEL}, or the directory that was exported"
        )


def first_line(error: Exception) -> str:
    """The first line of a library's message; the name of the error where it has none."""
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
