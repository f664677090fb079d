"""Load a dataset of page records by its name: built by `ocr2 build`, or on the Hub."""

import re
import shlex
from pathlib import Path
from typing import Any

import datasets
from datasets import Dataset, DatasetDict, Features, Image, IterableDataset, IterableDatasetDict, List, Value
from datasets.packaged_modules.cache.cache import Cache

from ocr2_hf.document.hub_names import HUB_ID
from ocr2_hf.errors import UsageError

# Built datasets lie in the datasets cache as if they came from a Hub user of this name.
NAMESPACE = "local"

# The columns of a page record (`ocr2_hf.document.records`) as a built dataset has them: one row a page.
FEATURES = Features(
    {
        "id": Value("string"),
        "image": Image(),
        "width": Value("int32"),
        "height": Value("int32"),
        "text": Value("string"),
        "bboxes": List(List(Value("float32"), length=4)),
        "labels": List(Value("string")),
        "texts": List(Value("string")),
        "prompt": Value("string"),
        "target": Value("string"),
    }
)
REQUIRED = ("image", "text", "bboxes", "labels")

Loaded = Dataset | DatasetDict | IterableDataset | IterableDatasetDict


def load_dataset(name: str, split: str | None = None, streaming: bool = False) -> Loaded:
    """Load the page records of a built dataset ("letters") or of a Hub dataset ("org/letters").

    A built dataset is memory-mapped and needs no network. Without `split` the result maps the names of the
    splits to datasets; `split` may be a slice such as "train[:10]". With `streaming` the datasets are
    iterable. The rows have the columns of `FEATURES`; optional columns that a Hub dataset lacks
    are filled in.

    Raises `UsageError` for an unknown name or split, a raw annotation folder, or rows that are no page
    records.
    """
    folder = built_datasets().get(name)
    if folder is not None:
        loaded = _load_built(name, folder, split, streaming)
    elif Path(name).is_dir():
        suggested = re.sub(r"[^a-z0-9_-]+", "_", Path(name).resolve().name.lower()).strip("_-") or "pages"
        raise UsageError(
            f"{name} is a folder of files, not a built dataset: run build_dataset first, with\n"
            f"  ocr2 build {suggested} --annotations {shlex.quote(name)}\n"
            f"and then load it by its name, {suggested!r}"
        )
    elif HUB_ID.fullmatch(name):
        loaded = _load_from_hub(name, split, streaming)
    else:
        raise UsageError(f"no dataset is built under the name {name!r}; {_known_names()}")
    if isinstance(loaded, dict):
        return type(loaded)({key: _as_page_records(part, f"{name} ({key})") for key, part in loaded.items()})
    return _as_page_records(loaded, name)


def built_datasets() -> dict[str, Path]:
    """The built datasets: name -> folder of its Arrow shards."""
    cache = Path(datasets.config.HF_DATASETS_CACHE)
    infos = cache.glob(f"{NAMESPACE}___*/default/*/*/{datasets.config.DATASET_INFO_FILENAME}")
    # The newest comes last and stays: a build killed at its very end leaves the one before it beside it.
    oldest_first = sorted(infos, key=lambda path: path.stat().st_mtime_ns)
    found = {info.parents[3].name.removeprefix(f"{NAMESPACE}___"): info.parent for info in oldest_first}
    return dict(sorted(found.items()))


def _load_built(name: str, folder: Path, split: str | None, streaming: bool) -> Loaded:
    builder = Cache(
        dataset_name=name,
        repo_id=f"{NAMESPACE}/{name}",
        config_name="default",
        version=folder.parent.name,
        hash=folder.name,
    )
    read = builder.as_streaming_dataset if streaming else builder.as_dataset
    try:
        return read(split=split)
    except ValueError as error:  # datasets' own message may not name the splits
        known = ", ".join(builder.info.splits)
        raise UsageError(f"dataset {name!r} has no split {split!r}; it has: {known} ({error})") from None


def _load_from_hub(name: str, split: str | None, streaming: bool) -> Loaded:
    try:
        return datasets.load_dataset(name, split=split, streaming=streaming)
    except (FileNotFoundError, ConnectionError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        raise UsageError(f"cannot load {name!r} from the Hub: {reason}; {_known_names()}") from error


def _known_names() -> str:
    if names := ", ".join(built_datasets()):
        return f"built datasets: {names}"
    return "no dataset is built yet: run ocr2 build"


def _as_page_records(dataset: Dataset | IterableDataset, name: str) -> Dataset | IterableDataset:
    """The dataset with every column of FEATURES in its type; further columns stay."""
    features = dataset.features
    if features is None:
        raise UsageError(f"dataset {name} does not tell its columns when streamed: load it without streaming")
    if absent := [key for key in REQUIRED if key not in features]:
        raise UsageError(f"dataset {name} has no column {', '.join(absent)}; its columns are: {', '.join(features)}")
    for key, wanted in FEATURES.items():
        if key in features and not _fits(features[key], wanted):
            raise UsageError(f"dataset {name}: column {key} is {features[key]}, not {wanted}")
    missing = Features({key: feature for key, feature in FEATURES.items() if key not in features})
    if missing:
        dataset = _fill_columns(dataset, missing)
    for key, feature in FEATURES.items():
        if dataset.features[key] != feature:
            dataset = dataset.cast_column(key, feature)
    return dataset


def _fits(found: Any, wanted: Any) -> bool:
    """Can a column of feature `found` be cast to `wanted`? Numbers to numbers, strings to strings."""
    if type(found) is not type(wanted):
        return False
    if isinstance(wanted, List):
        return _fits(found.feature, wanted.feature)
    if isinstance(wanted, Value):
        return found.dtype == "null" or ("string" in found.dtype) == ("string" in wanted.dtype)
    return True


def _fill_columns(dataset: Dataset | IterableDataset, missing: Features) -> Dataset | IterableDataset:
    def fill(row: dict, index: int) -> dict:
        return {key: _default(key, row, index) for key in missing}

    if isinstance(dataset, IterableDataset):
        return dataset.map(fill, with_indices=True, features=Features({**dataset.features, **missing}))
    # Mapped apart and set beside: mapping the whole rows would write every image to disk again.
    filled = dataset.map(fill, with_indices=True, features=missing, remove_columns=dataset.column_names)
    return datasets.concatenate_datasets([dataset, filled], axis=1)


# Its code is part of the fingerprint by which caches and evaluations know a dataset again.
def _default(column: str, row: dict, index: int) -> object:
    match column:
        case "id":
            return f"{index:08d}"
        case "width":
            return row["image"].width
        case "height":
            return row["image"].height
        case "texts":
            return [""] * len(row["bboxes"])
    return None
