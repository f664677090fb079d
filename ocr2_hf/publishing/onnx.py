"""A trained directory as ONNX graphs in float32: the whole model as the tutorial draws it, and what reading needs.

    model.onnx          pages, prompt and target tokens, box positions -> text_logits, bbox_preds
    embed_pages.onnx    pages and prompt tokens -> embeddings
    embed_tokens.onnx   tokens -> embeddings
    decoder.onnx        embeddings and the cache -> logits of the last token, the cache
    weights.onnx_data   the weights of all four, each once

Beside them lie the processor, the configs and the recipe, so that `DocumentReader` and `ocr2 read` take the folder.
"""

import logging
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from importlib.util import find_spec
from pathlib import Path

import torch

from ocr2_hf.data.collator import coordinate_token_ids
from ocr2_hf.data.images import ImageSettings
from ocr2_hf.document.atomic_files import whole_folder
from ocr2_hf.errors import UsageError
from ocr2_hf.modeling.load import load_processor
from ocr2_hf.modeling.model import OCR2Model
from ocr2_hf.publishing.merge import copy_recipe, merged_model

OPSET = 18


def export_onnx(source: str | Path, output_dir: str | Path, dtype: str = "auto") -> Path:
    """Write the model of `source` (a directory with or without adapters) to `output_dir` as ONNX graphs.

    On the CPU, in float32. `bbox_preds` come from the box head where the model has one, else from the coordinate
    tokens (`expectation`). Raises `UsageError` where the `onnx` extra is missing, `dtype` is another, `source` is no
    model or `output_dir` is there already.
    """
    _check_extra()
    if dtype not in ("auto", "float32"):
        raise UsageError(f"--dtype {dtype}: ONNX graphs are written in float32 only; leave it out")
    from ocr2_hf.publishing.onnx_graph_split import write_graphs

    model = merged_model(source, "float32", attn_implementation="eager")
    processor = load_processor(source)
    with whole_folder(output_dir) as folder:
        box_source = "expectation" if model.box_head is None else "head"
        write_graphs(trace(model, processor), folder, {"box_source": box_source})
        model.config.save_pretrained(folder)
        model.generation_config.save_pretrained(folder)
        processor.save_pretrained(folder)
        copy_recipe(source, folder)
    return Path(output_dir)


def trace(model: OCR2Model, processor):
    """The whole model as one ONNX graph (an `onnx_ir.Model`) with every input and output of `TraceableModel`."""
    from transformers.exporters.exporter_onnx import OnnxConfig, OnnxExporter

    from ocr2_hf.publishing.onnx_graphs import TraceableModel, example_inputs, open_sizes, sizes_worked_out

    images = ImageSettings.of(processor)
    inputs = example_inputs(model.config, images.global_side, images.tile_side)
    module = TraceableModel(model, coordinate_token_ids(processor.tokenizer)).eval()
    config = OnnxConfig(dynamic=True, dynamic_shapes=open_sizes(inputs), opset_version=OPSET)
    # Every expert computes its own tokens and no others; the library's other exact form runs a loop over what it finds.
    model.choose_experts("grouped_mm")
    with sizes_worked_out(), _quiet(), torch.no_grad():
        exported = OnnxExporter().export(module, inputs, config)
    # transformers 5.17 hands out torch's own program, 5.23 wraps the graph in a class of its own.
    return exported.model if isinstance(exported, torch.onnx.ONNXProgram) else exported.program


@contextmanager
def _quiet() -> Iterator[None]:
    """Progress to stderr; without what the exporters say about operators that this model has not."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "transformers")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with redirect_stdout(sys.stderr), warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _check_extra() -> None:
    missing = [name for name in ("onnx", "onnxscript", "onnxruntime") if find_spec(name) is None]
    if missing:
        raise UsageError(f"ONNX needs {', '.join(missing)}: pip install 'ocr2_hf[onnx]'")
