"""What of a trained directory goes to the Hub: the model, and how it came about; no pickles, no checkpoints.

Predictions and reports stay at home: they hold the pages' texts and images. Imports neither torch nor transformers.
"""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ocr2_hf.document.hub_names import BASE_MODEL, ORIGINAL_MODEL, hub_id
from ocr2_hf.errors import UsageError
from ocr2_hf.modeling.model_files import (
    ADAPTER_FILE,
    ADAPTER_WEIGHTS,
    BASE_FOLDER,
    BOX_HEAD_FILE,
    MODEL_TYPE,
    ORIGINAL_TYPE,
    load_config,
    local_base,
    read_json,
)
from ocr2_hf.recipe_file import RECIPE_FILE

# What a run leaves beside the model: the trainer state, what trains, the curves.
STATE_FILE, POLICY_FILE, CURVES_FILE = "trainer_state.json", "trainable.json", "curves.png"
CARD, EVALUATIONS, METRICS_FILE = "README.md", "evaluation", "metrics.json"
TAG = "ocr2_hf"  # in the card: by it a later push knows a repository as its own
# A page as the model reads it, and what it wrote for it: kept by training.
EXAMPLE, EXAMPLE_ANSWER = "example.png", "example.txt"
MODEL_FILES = (
    *("model.safetensors", "model.safetensors.index.json", "config.json", "generation_config.json"),
    *(ADAPTER_WEIGHTS, ADAPTER_FILE, BOX_HEAD_FILE),
    *("processor_config.json", "preprocessor_config.json", "chat_template.jinja"),
    *("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"),
)
RUN_FILES = (RECIPE_FILE, POLICY_FILE, STATE_FILE, CURVES_FILE, EXAMPLE)
_SHARD = re.compile(r"model-\d{5}-of-\d{5,}\.safetensors")
# As the authors' own code decodes whole pages (`infer` of the original repository). Stock `generate` knows no window:
# a shorter n-gram would forbid the rows of empty cells that real tables have.
NO_REPEAT_NGRAM = 35
# What the authors let a page take at most.
MAX_NEW_TOKENS = 8192


@dataclass(frozen=True)
class Contents:
    """`files`: path in the repository -> file or bytes. `base`: Hub id of the model it was trained from, where it has
    one, and `base_folder` where that lies on this machine. An adapter's base without a Hub id goes along, in `base/`.
    """

    files: dict[str, Path | bytes]
    is_adapter: bool
    base: str | None
    base_folder: Path | None

    @property
    def base_goes_along(self) -> bool:
        """Whether the base is among the files."""
        return any(name.startswith(f"{BASE_FOLDER}/") for name in self.files)


def is_published_name(name: str) -> bool:
    """Whether a file in a repository is one that a push wrote, to be deleted when the next push has none like it."""
    folder, _, file = name.rpartition("/")
    if folder.split("/")[0] == EVALUATIONS:
        return file == METRICS_FILE
    return folder in ("", BASE_FOLDER) and (file in (*MODEL_FILES, *RUN_FILES) or bool(_SHARD.fullmatch(file)))


def read_contents(source: Path, repo: str, recipe: dict[str, Any], base: str | None = None) -> Contents:
    """What of the directory `source` goes to `repo`. `base`: the Hub id of its base, where it was loaded from a copy.

    Raises `UsageError` for what is no model or adapter, and for an adapter whose base is nowhere.
    """
    model = _model_files(source)
    files: dict[str, Path | bytes] = {name: source / name for name in RUN_FILES if (source / name).is_file()} | model
    if ADAPTER_FILE not in model:
        trained_from = str(recipe.get("model") or "")
        folder = Path(trained_from) if trained_from and Path(trained_from).is_dir() else None
        files["generation_config.json"] = _generation(source)
        return Contents(files, False, base or hub_id(trained_from), folder)
    config = read_json(source / ADAPTER_FILE)
    named = config.get("base_model_name_or_path") or ""
    folder = local_base(source)
    if base or (folder is None and hub_id(named)):
        # Stock classes load the base by this name, and not the original's layout.
        base = loaded_from = BASE_MODEL if (base or named) == ORIGINAL_MODEL else base or named
    elif folder is None:
        raise UsageError(
            f"{source / ADAPTER_FILE}: its base {named!r} is neither a folder here nor a Hub id; say --base ORG/NAME"
        )
    else:
        files |= {f"{BASE_FOLDER}/{name}": path for name, path in _model_files(folder).items()}
        # No path of this machine: what loads the adapter finds the base beside it.
        base, loaded_from = None, f"{repo}/{BASE_FOLDER}"
    files[ADAPTER_FILE] = _json(config | {"base_model_name_or_path": loaded_from})
    files["generation_config.json"] = _generation(folder)
    return Contents(files, True, base, folder)


def reading_config(config: dict[str, Any], known: dict[str, Any]) -> dict[str, Any]:
    """The fields of a `GenerationConfig` with which stock `generate` reads: greedily, to the end of a page, no loops.

    `config`: the model's own, as its config.json has it; `known`: its generation config, for the special tokens.
    """
    text = config["text_config"]
    names = ("bos_token_id", "eos_token_id", "pad_token_id")
    tokens = {name: text.get(name) if known.get(name) is None else known[name] for name in names}
    if tokens["pad_token_id"] is None:
        tokens["pad_token_id"] = tokens["eos_token_id"]
    return {
        **tokens,
        "do_sample": False,
        "no_repeat_ngram_size": NO_REPEAT_NGRAM,
        "max_new_tokens": min(MAX_NEW_TOKENS, text["max_position_embeddings"]),
    }


def _model_files(source: Path) -> dict[str, Path]:
    found = {path.name: path for path in source.iterdir() if path.name in MODEL_FILES or _SHARD.fullmatch(path.name)}
    weights = [name for name in found if name.endswith(".safetensors") and name != BOX_HEAD_FILE]
    if not weights or not found.keys() & {"config.json", ADAPTER_FILE}:
        raise UsageError(f"{source} holds no model: no config.json or {ADAPTER_FILE} with .safetensors weights")
    if "model_type" in (config := read_json(source / "config.json")) and config["model_type"] != MODEL_TYPE:
        raise UsageError(
            f"{source} holds a {config['model_type']!r} model, which stock classes do not load: push one exported with "
            "--to merged; of an adapter on such a base, the merged model, or say --base ORG/NAME"
        )
    return found


def _generation(model: Path | None) -> bytes:
    """The generation config that goes along; of an adapter whose base is not here, that of the released model."""
    if model is None:
        released = {"bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 2, "max_position_embeddings": 8192}
        return _json(reading_config({"text_config": released}, {}))
    config = read_json(model / "config.json")
    if config.get("model_type") == ORIGINAL_TYPE:
        config = load_config(model).to_dict()
    return _json(reading_config(config, read_json(model / "generation_config.json")))


def _json(value: dict[str, Any]) -> bytes:
    return (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode()
