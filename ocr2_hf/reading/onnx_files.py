"""ONNX files of somebody else: looked at before a runtime opens them."""

from collections.abc import Iterator
from pathlib import Path

import onnx
import onnxruntime
import torch
from google.protobuf.message import DecodeError, Message
from onnx.external_data_helper import uses_external_data

from ocr2_hf.errors import UsageError
from ocr2_hf.modeling.model_files import first_line

MAX_GRAPH_BYTES = 500_000_000  # the weights lie outside; a graph of the real size has some megabytes
STANDARD_DOMAINS = {"", "ai.onnx"}


def open_session(path: Path) -> onnxruntime.InferenceSession:
    """A session of a graph on the CPU, with as many threads as torch has.

    Raises `UsageError` for a file that is missing or no graph, that needs other operators than ONNX's own, or that
    wants to read its weights anywhere but in its own folder.
    """
    check_graph(path)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3  # errors
    try:
        return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except MemoryError:
        raise
    except Exception as error:  # the runtime has a class for every way in which a file can be broken, and no common one
        raise UsageError(f"ONNX Runtime cannot open {path}: {first_line(error)}") from error


def check_graph(path: Path) -> None:
    """Raise `UsageError` for what `open_session` would not open."""
    try:
        size = path.stat().st_size
        if size > MAX_GRAPH_BYTES:
            raise UsageError(f"{path} has {size} bytes: a graph has at most {MAX_GRAPH_BYTES}, its weights lie outside")
        model = onnx.load_model_from_string(path.read_bytes())
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror or error}") from error
    except DecodeError as error:
        raise UsageError(f"{path} is no ONNX graph: {error}") from error
    domains = {opset.domain for opset in model.opset_import} - STANDARD_DOMAINS
    if domains:
        raise UsageError(f"{path} needs operators of {', '.join(sorted(domains))}; only ONNX's own are run")
    for tensor in _tensors(model):
        if uses_external_data(tensor):
            _check_place(path, tensor)


def _check_place(path: Path, tensor: onnx.TensorProto) -> None:
    place = {entry.key: entry.value for entry in tensor.external_data}
    folder = path.parent.resolve()
    file = (folder / place.get("location", "")).resolve()
    if file.parent != folder or not file.is_file():
        raise UsageError(
            f"{path}: the weights of {tensor.name[:80]!r} are said to be in {place.get('location', '')!r}, which is no "
            f"file of {path.parent}"
        )
    offset, length = place.get("offset", "0"), place.get("length", "0")
    if not (offset.isdecimal() and length.isdecimal()) or int(offset) + int(length) > file.stat().st_size:
        raise UsageError(f"{path}: {file.name} ends before the weights of {tensor.name[:80]!r}: copy it again")


def _tensors(message: Message) -> Iterator[onnx.TensorProto]:
    """Every tensor in a message: weights, constants of nodes, those in the graphs inside nodes and in functions."""
    if isinstance(message, onnx.TensorProto):
        yield message
        return
    for field, value in message.ListFields():
        if field.message_type is not None:
            for part in value if field.is_repeated else [value]:
                yield from _tensors(part)
