"""Load a dataset of page records by its name: built by `ocr2 build`, or on the Hub."""

import errno
import re
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from json import JSONDecodeError
from pathlib import Path

import datasets
from datasets import Dataset, DatasetDict, DatasetInfo, IterableDataset, IterableDatasetDict
from datasets.arrow_reader import ArrowReader
from datasets.exceptions import DatasetGenerationError
from datasets.fingerprint import Hasher
from pyarrow import ArrowInvalid

from ocr2_hf.data.columns import as_page_records
from ocr2_hf.document.hub_names import hub_id, missing_path
from ocr2_hf.errors import UsageError, WorkError

# Built datasets lie in the datasets cache as if they came from a Hub user of this name.
NAMESPACE = "local"

# Files that `datasets` reads as rows, and the builder; a metadata file goes with the images beside it.
_METADATA = ("metadata.jsonl", "metadata.csv", "metadata.parquet")
_SAVED_FILES = ("dataset_dict.json", "state.json")  # of `save_to_disk`
_ROW_FILES = (*((name, "imagefolder") for name in _METADATA), ("*.parquet", "parquet"))
_SPLITS = re.compile(r"(?:Should be one of|Available splits:) \[(.*?)\]")
_LONGEST_REASON = 300

Loaded = Dataset | DatasetDict | IterableDataset | IterableDatasetDict


def load_dataset(
    name: str, split: str | None = None, streaming: bool = False, columns: Mapping[str, str] | None = None
) -> Loaded:
    """Load page records: of a built dataset ("letters"), of the Hub ("org/letters"), or of a folder of Parquet files or
    of images with a metadata file ("imagefolder").

    A built dataset is memory-mapped and needs no network. Without `split` the result maps the names of the
    splits to datasets; `split` may be a slice such as "train[:10]". With `streaming` the datasets are
    iterable. The rows have the columns of `FEATURES`; others than built datasets need image and text alone, what they
    lack is filled in, and `columns` tells what they call these: {"image": "scan", "text": "transcription"}.

    Raises `UsageError` for an unknown name or split, a raw annotation folder, or rows that are no page
    records.
    """
    folder = built_datasets().get(name)
    if folder is not None:
        return _load_built(name, folder, split, streaming)
    if Path(name).is_dir():
        loaded = _load_folder(name, split, streaming)
    elif hub_id(name):
        loaded = _load_rows(name, name, split, streaming)
    else:
        where = f", and {missing_path(Path(name))}" if "/" in name else ""
        raise UsageError(f"no dataset is built under the name {name!r}{where}; {known_names()}")
    if isinstance(loaded, dict):
        return type(loaded)({key: as_page_records(part, f"{name} ({key})", columns) for key, part in loaded.items()})
    return as_page_records(loaded, name, columns)


def built_datasets() -> dict[str, Path]:
    """The built datasets: name -> folder of its Arrow shards."""
    cache = Path(datasets.config.HF_DATASETS_CACHE)
    infos = cache.glob(f"{NAMESPACE}___*/default/*/*/{datasets.config.DATASET_INFO_FILENAME}")
    # The newest comes last and stays: a build killed at its very end leaves the one before it beside it.
    oldest_first = sorted(infos, key=lambda path: path.stat().st_mtime_ns)
    found = {info.parents[3].name.removeprefix(f"{NAMESPACE}___"): info.parent for info in oldest_first}
    return dict(sorted(found.items()))


def built_digests(names: Iterable[str]) -> dict[str, str]:
    """Name -> digest of those that are built datasets: another one after every build of other pages or options."""
    built = built_datasets()
    return {name: built[name].name for name in names if name in built}


def _load_built(name: str, folder: Path, split: str | None, streaming: bool) -> Loaded:
    """Read by the library's reader, not by its builder: that takes a lock, for which this user may have no right."""
    with _broken_told(name, folder):
        info = DatasetInfo.from_directory(str(folder))
    try:
        if split is not None:
            return _read_split(name, folder, info, split, streaming)
        parts = {part: _read_split(name, folder, info, part, streaming) for part in info.splits}
    except ValueError as error:
        raise UsageError(_split_problem(name, split, list(info.splits), error)) from None
    return IterableDatasetDict(parts) if streaming else DatasetDict(parts)


def _read_split(name: str, folder: Path, info: DatasetInfo, split: str, streaming: bool) -> Dataset | IterableDataset:
    wanted = "+".join(info.splits) if split == "all" else split
    with _broken_told(name, folder):
        read = ArrowReader(str(folder), info).read(name, wanted, info.splits.values())
        rows = Dataset(fingerprint=Hasher.hash([name, folder.name, split]), **read)
    return rows.to_iterable_dataset(len(rows.cache_files)) if streaming else rows


@contextmanager
def _broken_told(name: str, folder: Path) -> Iterator[None]:
    """`WorkError` where a built dataset's files are cut off, gone or something else."""
    try:
        yield
    except (OSError, ArrowInvalid, JSONDecodeError, AttributeError, TypeError, KeyError) as error:
        if isinstance(error, OSError) and error.errno not in (None, errno.ENOENT):
            raise
        reason = " ".join(str(error).split())[:_LONGEST_REASON]
        raise WorkError(
            f"the built dataset {name!r} is broken ({reason}): remove {folder}, and build it again"
        ) from error


def _load_folder(name: str, split: str | None, streaming: bool) -> Loaded:
    """Rows of a folder that `datasets` reads as they are."""
    if any((Path(name) / file).is_file() for file in _SAVED_FILES):
        return _load_saved(name, split, streaming)
    kind = next((kind for files, kind in _ROW_FILES if any(Path(name).rglob(files))), None)
    if kind is not None:
        return _load_rows(kind, name, split, streaming, data_dir=name)
    suggested = re.sub(r"[^a-z0-9_-]+", "_", Path(name).resolve().name.lower()).strip("_-") or "pages"
    raise UsageError(
        f"{name} is a folder of files, not a built dataset: run build_dataset first, with\n"
        f"  ocr2 build {suggested} --annotations {shlex.quote(name)}\n"
        f"and then load it by its name, {suggested!r}"
    )


def _load_saved(name: str, split: str | None, streaming: bool) -> Loaded:
    """A folder that `save_to_disk` wrote."""
    loaded = datasets.load_from_disk(name)
    if isinstance(loaded, DatasetDict) and split is not None:
        if split not in loaded:
            raise UsageError(_split_problem(name, split, list(loaded)))
        loaded = loaded[split]
    if not streaming:
        return loaded
    if isinstance(loaded, Dataset):
        return loaded.to_iterable_dataset()
    return IterableDatasetDict({key: part.to_iterable_dataset() for key, part in loaded.items()})


def _load_rows(path: str, name: str, split: str | None, streaming: bool, **where: str) -> Loaded:
    """What `datasets` makes of a dataset of the Hub, or by a builder of its own of the files in a folder."""
    try:
        return datasets.load_dataset(path, split=split, streaming=streaming, **where)
    except (OSError, ValueError, DatasetGenerationError) as error:
        if (found := _SPLITS.search(str(error))) and split is not None:
            raise UsageError(_split_problem(name, split, re.findall(r"[\w.-]+", found[1]), error)) from None
        cause = (isinstance(error, DatasetGenerationError) and error.__cause__) or error
        reason = " ".join(str(cause).split())[:_LONGEST_REASON] or type(cause).__name__
        others = "" if where else f"; {known_names()}"
        raise UsageError(f"cannot load {name!r}{'' if where else ' from the Hub'}: {reason}{others}") from error


def _split_problem(name: str, split: str | None, known: Sequence[str], error: Exception | None = None) -> str:
    """What is wrong with a split: there is none of that name, or what stands behind the name."""
    if re.split(r"[\[+]", split or "")[0] in known and error is not None:
        return f"split {split!r} of the dataset {name!r}: {error}"
    return f"dataset {name!r} has no split {split!r}; it has: {', '.join(known)}"


def known_names() -> str:
    """The names of the built datasets, as a message says them."""
    if names := ", ".join(built_datasets()):
        return f"built datasets: {names}"
    return "no dataset is built yet: run ocr2 build"
