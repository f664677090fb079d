"""A trained directory exported for other programs.

What can be checked without torch is checked before torch is imported.
"""

import shutil
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ocr2_hf.document.atomic_files import whole_folder, write_json
from ocr2_hf.errors import UsageError
from ocr2_hf.modeling.model_files import ADAPTER_FILE, check_model, local_base
from ocr2_hf.reading.resume_log import fingerprint, read_kept
from ocr2_hf.recipe_file import RECIPE_FILE

EXPORT_FILE = "export.json"  # in what was exported: from what, and that it is whole
TARGETS = ("merged", "original", "onnx")
DTYPES = ("auto", "float32", "bfloat16", "float16")


def export(source: str | Path, to: str, output_dir: str | Path, dtype: str = "auto") -> Path:
    """Write the model of `source` (a directory with or without adapters) to `output_dir`; returns that. What is there
    already from the same files is left as it is.

    Processor and recipe go along. `to`: one of `TARGETS`. `dtype` is what is written: one of `DTYPES`, auto for that of
    the base, or of `source` where it has no adapters; graphs are float32. Raises `UsageError` for what is no model,
    where `output_dir` holds something else, and where graphs are asked for in another dtype or without the `onnx`
    extra; `WorkError` where the disk fails.
    """
    source, output_dir = Path(source), Path(output_dir)
    if not source.is_dir():
        raise UsageError(f"no directory {source}; export a run's output_dir, or a downloaded model")
    if to == "onnx":
        _check_onnx(dtype)
    made_of = _made_of(source, to, dtype)
    if _is_whole(output_dir, made_of):
        return output_dir
    with whole_folder(output_dir) as folder:
        if not (source / ADAPTER_FILE).is_file():
            check_model(source)
        if to == "merged":
            from ocr2_hf.publishing.merge import write_merged as write
        elif to == "original":
            from ocr2_hf.publishing.original_layout import write_original as write
        else:
            from ocr2_hf.publishing.onnx import write_onnx as write
        write(source, folder, dtype)
        if (source / RECIPE_FILE).is_file():  # the reader takes tasks and prompts from it
            shutil.copyfile(source / RECIPE_FILE, folder / RECIPE_FILE)
        write_json(folder / EXPORT_FILE, {**made_of, "files": _sizes(folder)})
    return output_dir


def is_exported(source: str | Path, to: str, output_dir: str | Path, dtype: str = "auto") -> bool:
    """Whether `export` with the same arguments has finished, and `source` and what it wrote are as they were."""
    return Path(source).is_dir() and _is_whole(Path(output_dir), _made_of(Path(source), to, dtype))


def _made_of(source: Path, to: str, dtype: str) -> dict[str, Any]:
    base = local_base(source) if (source / ADAPTER_FILE).is_file() else None
    return {"to": to, "dtype": dtype, "source": fingerprint(source), "base": base and fingerprint(base)}


def _is_whole(folder: Path, made_of: dict[str, Any]) -> bool:
    written = read_kept(folder, EXPORT_FILE)
    files = written.pop("files", None)
    return written == made_of and isinstance(files, dict) and files.items() <= _sizes(folder).items()


def _sizes(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_size for path in folder.iterdir()}


def _check_onnx(dtype: str) -> None:
    missing = [name for name in ("onnx", "onnxscript", "onnxruntime") if find_spec(name) is None]
    if missing:
        raise UsageError(f"ONNX needs {', '.join(missing)}: pip install 'ocr2_hf[onnx]'")
    if dtype not in ("auto", "float32"):
        raise UsageError(f"--dtype {dtype}: ONNX graphs are written in float32 only; leave it out")
