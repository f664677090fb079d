"""One traced ONNX graph split into the graphs that are written, their weights in one file that all of them share."""

from pathlib import Path

import numpy as np
import onnx_ir
from onnx_ir.convenience import extract, replace_all_uses_with
from onnx_ir.external_data import convert_tensors_to_external
from onnx_ir.passes.common import ClearMetadataAndDocStringPass

from ocr2_hf.errors import WorkError

WEIGHTS_FILE = "weights.onnx_data"
_INLINE = 1024  # bytes: constants up to this size stay in the graph
PAST, PRESENT = "past_key_values", "present"  # followed by layer and kind: past_key_values.0.key
# What the dynamic sizes of inputs and outputs are called in the written graphs, by axis.
DYNAMIC_AXES = {
    "pixel_values": ("batch",),
    "pixel_values_local": ("tiles",),
    "num_local_patches": ("batch",),
    "input_ids": ("batch", "length"),
    "inputs_embeds": ("batch", "length"),
    "attention_mask": ("batch", "past + length"),
    "position_ids": ("batch", "length"),
    PAST: ("batch", None, "past"),
    PRESENT: ("batch", None, "past + length"),
    "box_positions": ("boxes",),
    "logits": ("batch",),
    "text_logits": ("batch", "length"),
    "bbox_preds": ("boxes",),
}
_PAGES = ("pixel_values", "pixel_values_local", "num_local_patches", "input_ids")
# File -> inputs and outputs by their names in the trace.
GRAPHS = {
    "model.onnx": ((*_PAGES, "attention_mask", "box_positions"), ("text_logits", "bbox_preds")),
    "embed_pages.onnx": (_PAGES, ("inputs_embeds",)),
    "embed_tokens.onnx": (("input_ids",), ("token_embeds",)),
    "decoder.onnx": (("inputs_embeds", "attention_mask", "position_ids", PAST), ("logits", PRESENT)),
}
_RENAMED = {"token_embeds": "inputs_embeds"}


def write_graphs(traced: onnx_ir.Model, folder: Path, metadata: dict[str, str]) -> None:
    """Split the traced graph into `GRAPHS` and write them, and the weights of all in one file, into `folder`.

    `metadata` is what a session can say about each graph. Raises `WorkError` where the trace has fixed a dynamic size.
    """
    graph = traced.graph
    _transpose_weights(graph)
    _unstack_experts(graph)
    graphs = {name: _extract(graph, *ends) for name, ends in GRAPHS.items() if name != "model.onnx"}
    _start_with_an_empty_cache(graph)  # changes the trace, so it comes last
    graphs["model.onnx"] = _extract(graph, *GRAPHS["model.onnx"])
    models = {name: onnx_ir.Model(part, ir_version=traced.ir_version) for name, part in graphs.items()}
    _share_weights(graphs, folder)
    for name, model in models.items():
        ClearMetadataAndDocStringPass()(model)
        model.metadata_props.update(metadata)
        onnx_ir.save(model, folder / name)


def _transpose_weights(graph: onnx_ir.Graph) -> None:
    """Write weights as they are multiplied: a session would transpose them when it starts, into memory of its own."""
    for node in list(graph):
        if node.op_type == "Transpose" and node.inputs[0].is_initializer():
            transposed = node.inputs[0].const_value.numpy().transpose(list(node.attributes["perm"].as_ints()))
            replace_all_uses_with(node.outputs[0], _constant(graph, f"{node.inputs[0].name}.turned", transposed))


def _unstack_experts(graph: onnx_ir.Graph) -> None:
    """Give every expert its weights as a constant of its own.

    The library's translation splits the stack of all experts' weights, so that a session would hold them twice.
    """
    for node in list(graph):
        if node.op_type == "Split" and node.inputs[0].is_initializer() and node.attributes.get_int("axis", 0) == 0:
            weights = node.inputs[0].const_value.numpy()
            for number, (part, weight) in enumerate(zip(node.outputs, weights, strict=True)):
                own = _constant(graph, f"{node.inputs[0].name}.{number}", weight)
                for squeeze in part.consumers():
                    replace_all_uses_with(squeeze.outputs[0], own)


def _constant(graph: onnx_ir.Graph, name: str, array: np.ndarray) -> onnx_ir.Value:
    value = onnx_ir.Value(name=name, const_value=onnx_ir.tensor(array, name=name))
    value.shape, value.dtype = value.const_value.shape, value.const_value.dtype
    graph.initializers.add(value)
    return value


def _start_with_an_empty_cache(graph: onnx_ir.Graph) -> None:
    """Put an empty cache, and positions counted from 0, in the place of those inputs: as a stock forward starts."""
    values = {value.name: value for value in graph.inputs}
    first, ids, positions = graph[0], values["input_ids"], values["position_ids"]
    batch, length, sizes = (
        onnx_ir.node("Shape", [ids], {"start": 0, "end": 1}),
        onnx_ir.node("Shape", [ids], {"start": 1, "end": 2}),
        onnx_ir.node("Shape", [ids]),
    )
    to = onnx_ir.node("Squeeze", length.outputs)
    zero, one = (_constant(graph, f"start.{number}", np.array(number)) for number in (0, 1))
    counted = onnx_ir.node("Range", [zero, *to.outputs, one])
    every_row = onnx_ir.node("Expand", [*counted.outputs, *sizes.outputs])
    nodes = [batch, length, sizes, to, counted, every_row]
    replace_all_uses_with(positions, every_row.outputs[0])
    for value in graph.inputs:
        if _kind(value) == PAST:
            rest = _constant(graph, f"{value.name}.empty", np.array([value.shape[1], 0, value.shape[3]]))
            shape = onnx_ir.node("Concat", [*batch.outputs, rest], {"axis": 0})
            empty = onnx_ir.node("ConstantOfShape", shape.outputs)
            nodes += [shape, empty]
            replace_all_uses_with(value, empty.outputs[0])
    graph.insert_before(first, nodes)


def _extract(graph: onnx_ir.Graph, inputs: tuple[str, ...], outputs: tuple[str, ...]) -> onnx_ir.Graph:
    """The part of the traced graph between these inputs and outputs."""
    values = [*graph.inputs, *graph.outputs]
    wanted, given = ([value for name in ends for value in values if _kind(value) == name] for ends in (inputs, outputs))
    others = [value for value in graph.inputs if value not in wanted]
    part = extract(graph, [*wanted, *others], given)
    kept, absent = list(part.inputs)[: len(wanted)], list(part.inputs)[len(wanted) :]
    for value in absent:
        _replace_sizes_of(value, part, kept)
        part.inputs.remove(value)
    _sort_constants(part)
    for value in part.outputs:
        value.name = _RENAMED.get(value.name, value.name)
    for value in [*part.inputs, *part.outputs]:
        name_sizes(value, cached=PAST in inputs)
    return part


def _sort_constants(graph: onnx_ir.Graph) -> None:
    """By name: the library takes them out of a set, in another order each time, and the files would differ."""
    for name in sorted(graph.initializers):
        graph.initializers.add(graph.initializers.pop(name))


def _kind(value: onnx_ir.Value) -> str:
    """Its name, for the parts of the cache without layer and kind."""
    return value.name.partition(".")[0]


def _replace_sizes_of(absent: onnx_ir.Value, graph: onnx_ir.Graph, inputs: list[onnx_ir.Value]) -> None:
    """Take the sizes that a graph reads off an input it does not have from one of its own that has the same size."""
    for node in list(absent.consumers()):
        if node.op_type != "Shape":
            raise ValueError(f"the graph needs {absent.name} for {node.op_type}")
        size = absent.shape[node.attributes.get_int("start", 0)]
        found = [(value, axis) for value in inputs for axis, other in enumerate(value.shape) if other == size]
        if not found:
            raise ValueError(f"no input of the graph has the size {size} of {absent.name}")
        value, axis = found[0]
        same = onnx_ir.node("Shape", [value], {"start": axis, "end": axis + 1})
        same.outputs[0].shape, same.outputs[0].type = node.outputs[0].shape, node.outputs[0].type
        graph.insert_before(node, same)
        replace_all_uses_with(node.outputs[0], same.outputs[0])
        graph.remove(node, safe=True)


def name_sizes(value: onnx_ir.Value, cached: bool) -> None:
    """Name the dynamic sizes of an input or output. Raises `WorkError` where the trace has fixed one of them."""
    for axis, size in enumerate(DYNAMIC_AXES[_kind(value)]):
        if size is not None:
            traced = str(value.shape[axis])
            if traced.isdecimal():
                raise WorkError(
                    f"{value.name} came out of the trace with {traced} for {size}, which should have stayed open: this "
                    "torch or transformers traces the model in another way than the releases in setup.cfg"
                )
            value.shape[axis] = onnx_ir.SymbolicDim(size if cached else size.removeprefix("past + "))


def _share_weights(graphs: dict[str, onnx_ir.Graph], folder: Path) -> None:
    """Write every constant above a kilobyte once; the graphs then refer to its place in the file."""
    values = [value for graph in graphs.values() for value in graph.initializers.values()]
    values = [value for value in values if value.const_value.nbytes > _INLINE]
    tensors = {id(value.const_value): value.const_value for value in values}
    written = convert_tensors_to_external(list(tensors.values()), folder, WEIGHTS_FILE, alignment=4096)
    external = dict(zip(tensors, written, strict=True))
    for value in values:
        value.const_value = external[id(value.const_value)]
