"""ONNX files of somebody else: what is refused before a runtime opens them."""

import shutil

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from ocr2_hf.errors import UsageError
from ocr2_hf.modeling.tiny import save_tiny
from ocr2_hf.reading import onnx_model
from ocr2_hf.reading.onnx_files import check_graph, open_session
from ocr2_hf.reading.reader import DocumentReader

DATA = np.arange(4, dtype=np.float32)


def outside(location: str, **place: int) -> TensorProto:
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[4], data_location=TensorProto.EXTERNAL)
    for key, value in {"location": location, "offset": 0, "length": 16, **place}.items():
        tensor.external_data.add(key=key, value=str(value))
    return tensor


def model_with(tensor: TensorProto, where: str = "weights", domain: str = "") -> onnx.ModelProto:
    """x + w, the weights `w` where they usually are, or hidden in a node, in a graph within a node, in a function."""
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [4]) for name in "xy")
    constant = helper.make_node("Constant", [], ["w"], value=tensor)
    add = helper.make_node("Add", ["x", "w"], ["y"], domain=domain)
    opsets = [helper.make_opsetid("", 18)] + ([helper.make_opsetid(domain, 1)] if domain else [])
    if where == "weights":
        graph = helper.make_graph([add], "g", [x], [y], initializer=[tensor])
    elif where == "node":
        graph = helper.make_graph([constant, add], "g", [x], [y])
    elif where == "branch":
        branch = helper.make_graph([constant], "b", [], [helper.make_tensor_value_info("w", TensorProto.FLOAT, [4])])
        choose = helper.make_node("If", ["c"], ["v"], then_branch=branch, else_branch=branch)
        true = helper.make_node("Constant", [], ["c"], value=helper.make_tensor("c", TensorProto.BOOL, [], [True]))
        graph = helper.make_graph([true, choose, helper.make_node("Add", ["x", "v"], ["y"])], "g", [x], [y])
    else:
        opsets.append(helper.make_opsetid("ai.onnx", 18))
        function = helper.make_function("ai.onnx", "Own", ["x"], ["y"], [constant, add], opsets[:1])
        call = helper.make_node("Own", ["x"], ["y"], domain="ai.onnx")
        graph = helper.make_graph([call], "g", [x], [y])
        return helper.make_model(graph, opset_imports=opsets, functions=[function], ir_version=10)
    return helper.make_model(graph, opset_imports=opsets, ir_version=10)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "w.data").write_bytes(DATA.tobytes())
    (tmp_path / "secret").write_bytes(DATA.tobytes())
    (tmp_path / "model" / "deep").mkdir()
    (tmp_path / "model" / "deep" / "w.data").write_bytes(DATA.tobytes())
    (tmp_path / "model" / "link").symlink_to(tmp_path / "secret")
    return tmp_path / "model"


def saved(folder, model: onnx.ModelProto):
    (folder / "g.onnx").write_bytes(model.SerializeToString())
    return folder / "g.onnx"


def test_weights_in_the_folder_are_read(folder):
    for tensor in (outside("w.data"), numpy_helper.from_array(DATA, "w")):
        (y,) = open_session(saved(folder, model_with(tensor))).run(None, {"x": DATA})
        assert y.tolist() == (2 * DATA).tolist()


@pytest.mark.parametrize("where", ["weights", "node", "branch", "function"])
@pytest.mark.parametrize("location", ["../secret", "/etc/passwd", "link", "deep/w.data", "gone", "", "."])
def test_weights_anywhere_else_are_refused(folder, where, location):
    path = saved(folder, model_with(outside(location), where))
    with pytest.raises(UsageError, match=f"'w' are said to be in {location!r}, which is no file of"):
        check_graph(path)


@pytest.mark.parametrize("place", [{"offset": 1}, {"length": 17}, {"offset": 10**30}, {"offset": -1}, {"length": -16}])
def test_weights_beyond_the_end_of_the_file_are_refused(folder, place):
    with pytest.raises(UsageError, match=r"w\.data ends before the weights of 'w'"):
        check_graph(saved(folder, model_with(outside("w.data", **place))))


def test_operators_of_others_are_refused(folder):
    path = saved(folder, model_with(numpy_helper.from_array(DATA, "w"), domain="com.microsoft"))
    with pytest.raises(UsageError, match=r"needs operators of com\.microsoft"):
        check_graph(path)


@pytest.mark.parametrize("content", [b"no graph", b"", bytes(100)])
def test_what_is_no_graph_is_one_message(folder, content):
    (folder / "g.onnx").write_bytes(content)
    with pytest.raises(UsageError, match=r"g\.onnx"):
        open_session(folder / "g.onnx")
    with pytest.raises(UsageError, match="cannot read"):
        open_session(folder / "gone.onnx")


def test_a_graph_that_does_not_fit_together_is_one_message(folder):
    model = model_with(numpy_helper.from_array(DATA[:3], "w"))
    model.graph.node[0].op_type = "NoSuchOperator"
    with pytest.raises(UsageError, match="ONNX Runtime cannot open"):
        open_session(saved(folder, model))


@pytest.fixture(scope="module")
def broken(tmp_path_factory):
    """A folder that looks like an exported one and whose decoder reads outside it."""
    folder = save_tiny(tmp_path_factory.mktemp("broken"))
    (folder / "model.safetensors").unlink()
    for name in (onnx_model.PAGES, onnx_model.TOKENS):
        (folder / name).write_bytes(model_with(numpy_helper.from_array(DATA, "w")).SerializeToString())
    (folder / onnx_model.DECODER).write_bytes(model_with(outside("../../secret")).SerializeToString())
    return folder


def test_the_reader_refuses_such_a_folder(broken, tmp_path):
    with pytest.raises(UsageError, match=r"decoder\.onnx: the weights of 'w' are said to be in '\.\./\.\./secret'"):
        DocumentReader.from_pretrained(broken)
    half = shutil.copytree(broken, tmp_path / "half")
    (half / onnx_model.PAGES).unlink()
    with pytest.raises(UsageError, match=r"cannot read .*embed_pages\.onnx: No such file"):
        DocumentReader.from_pretrained(half)


def test_a_missing_runtime_is_one_message(broken, monkeypatch):
    monkeypatch.setattr(onnx_model, "find_spec", lambda name: None if name == "onnxruntime" else name)
    with pytest.raises(UsageError, match=r"ONNX graphs, which need onnxruntime: pip install 'ocr2_hf\[onnx\]'"):
        DocumentReader.from_pretrained(broken)
