"""A trained directory exported for other programs.

What can be checked without torch is checked before torch is imported.
"""

import shutil
from importlib.util import find_spec
from pathlib import Path

from ocr2_hf.document.atomic_files import whole_folder
from ocr2_hf.errors import UsageError
from ocr2_hf.modeling.model_files import ADAPTER_FILE, check_model
from ocr2_hf.recipe_file import RECIPE_FILE

TARGETS = ("merged", "original", "onnx")
DTYPES = ("auto", "float32", "bfloat16", "float16")


def export(source: str | Path, to: str, output_dir: str | Path, dtype: str = "auto") -> Path:
    """Write the model of `source` (a directory with or without adapters) to `output_dir`; returns that.

    Processor and recipe go along. `to`: one of `TARGETS`. `dtype` is what is written: one of `DTYPES`, auto for that of
    the base, or of `source` where it has no adapters; graphs are float32. Raises `UsageError` for what is no model,
    where `output_dir` is there already, and where graphs are asked for in another dtype or without the `onnx` extra;
    `WorkError` where the disk fails.
    """
    source, output_dir = Path(source), Path(output_dir)
    if not source.is_dir():
        raise UsageError(f"no directory {source}; export a run's output_dir, or a downloaded model")
    if to == "onnx":
        _check_onnx(dtype)
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
    return output_dir


def _check_onnx(dtype: str) -> None:
    missing = [name for name in ("onnx", "onnxscript", "onnxruntime") if find_spec(name) is None]
    if missing:
        raise UsageError(f"ONNX needs {', '.join(missing)}: pip install 'ocr2_hf[onnx]'")
    if dtype not in ("auto", "float32"):
        raise UsageError(f"--dtype {dtype}: ONNX graphs are written in float32 only; leave it out")
