"""What lies beside the weights in a repository on the Hub: adapters, their base and processor, a box head, the recipe.

The library loads a model and its processor by Hub id itself; these it does not know.
"""

from pathlib import Path

from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, HTTPError

from ocr2_hf.modeling.file_names import ADAPTER_FILE, ADAPTER_WEIGHTS, BASE_FOLDER, BOX_HEAD_FILE
from ocr2_hf.recipe_file import RECIPE_FILE

BESIDE_WEIGHTS = (
    *(ADAPTER_FILE, ADAPTER_WEIGHTS, f"{BASE_FOLDER}/*", BOX_HEAD_FILE, RECIPE_FILE),
    *("processor_config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"),
)


def files_beside(name: str | Path) -> Path:
    """The directory with those files of a model: `name` itself, or for a Hub id the one they were downloaded to.

    Where the Hub has no such repository or cannot be reached, `name` as a path that is not there.
    """
    if Path(name).exists() or str(name).count("/") != 1:
        return Path(name)
    try:
        return Path(snapshot_download(str(name), allow_patterns=list(BESIDE_WEIGHTS)))
    except (HfHubHTTPError, HFValidationError, HTTPError, FileNotFoundError, ConnectionError):
        return Path(name)  # the library, which is asked next, says what is wrong
