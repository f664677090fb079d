"""The model as ONNX graphs, in the real ONNX Runtime: the same logits, boxes and texts as in torch."""

import re
from pathlib import Path

import matplotlib
import numpy as np
import onnx
import onnx_ir
import onnxruntime
import pytest
import torch
import yaml
from datasets import Dataset
from peft import PeftModel
from PIL import Image
from torch.export import Dim
from transformers import AutoProcessor
from transformers.modeling_outputs import BaseModelOutput

from data_scripts.synthesize import main as synthesize
from helpers.cache_name import CACHE
from helpers.tiny_pages import page_dataset, page_row
from ocr2_hf.commands import evaluate, export, read
from ocr2_hf.data.collator import GenerationCollator, TrainingCollator, coordinate_token_ids
from ocr2_hf.data.columns import FEATURES
from ocr2_hf.data.page_tasks import PageTasks
from ocr2_hf.errors import WorkError, run_command
from ocr2_hf.modeling.adapters import apply_policy, write_portable_adapter
from ocr2_hf.modeling.box_head import save_box_head, split_box_head
from ocr2_hf.modeling.load import load_model, load_processor
from ocr2_hf.modeling.losses import LossSettings
from ocr2_hf.modeling.model import OCR2Model
from ocr2_hf.modeling.tiny import TINY_SIZES, build_tiny_processor, tiny_config
from ocr2_hf.publishing.onnx import place_features
from ocr2_hf.publishing.onnx_graph_split import name_sizes
from ocr2_hf.reading.reader import DocumentReader
from ocr2_hf.recipe import ModelArguments

ROOT = Path(__file__).resolve().parent.parent
BASE = ROOT / "recipes/tiny/base"
GUARD = {"no_repeat_ngram": 2, "no_repeat_window": 30}
# Sides of pages: without tiles, with two, with three, with six.
SIZES = {0: (150, 120), 2: (400, 200), 3: (570, 190), 6: (560, 380)}


@pytest.fixture(scope="module")
def adapted(tmp_path_factory) -> Path:
    """Random weights in the real model's shape (256 and 144 queries, SAM layers with windows that need padding and with
    global attention, dense and sparse text layers), with LoRA adapters, a box head and a recipe, as `train` writes."""
    folder = tmp_path_factory.mktemp("adapted")
    processor = build_tiny_processor()
    config = tiny_config(len(processor.tokenizer), processor.image_token_id, TINY_SIZES["tiny"])
    vision, text = config.vision_config, config.text_config
    vision.sam_config.window_size, vision.sam_config.global_attn_indexes = 14, [1]
    vision.sam_config.hidden_size, vision.sam_config.num_attention_heads = 32, 1  # 4,096 patches see each other
    vision.encoder_config.num_hidden_layers, vision.encoder_config.layer_types = 1, ["full_attention"]
    text.num_hidden_layers, text.mlp_layer_types = 2, ["dense", "sparse"]
    text.n_routed_experts, text.num_experts_per_tok, text.routed_scaling_factor = 6, 3, 1.5
    torch.manual_seed(0)
    model = OCR2Model(config)
    with torch.no_grad():
        for parameter in model.parameters():  # the library starts positions at zero, and norms at one
            parameter += 0.05 * torch.randn(parameter.shape)
    model.generation_config.update(bos_token_id=0, eos_token_id=1, pad_token_id=2)
    model.save_pretrained(folder / "base")
    model = OCR2Model.from_pretrained(folder / "base")
    model.add_box_head()
    model = apply_policy(model, ModelArguments(lora_targets="attention+shared+routed", train_projector=True))
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter += 0.1 * torch.randn(parameter.shape)
    model.save_pretrained(folder)
    write_portable_adapter(folder)
    save_box_head(split_box_head(model.state_dict())[1], folder)
    processor.save_pretrained(folder)
    (folder / "recipe.yaml").write_text(yaml.safe_dump({"prompts": {"ocr": "<image>\nRead."}, **GUARD}))
    return folder


def exported(source: Path, folder: Path) -> Path:
    assert run_command(export.main, [str(source), "--to", "onnx", "--output_dir", str(folder)]) == 0
    return folder


@pytest.fixture(scope="module")
def adapted_graphs(adapted, tmp_path_factory) -> Path:
    return exported(adapted, tmp_path_factory.mktemp("graphs") / "adapted")


@pytest.fixture(scope="module")
def base_graphs(tmp_path_factory) -> Path:
    return exported(BASE, tmp_path_factory.mktemp("graphs") / "base")


@pytest.fixture(scope="module", params=["adapted", pytest.param("base", marks=pytest.mark.slow)])
def pair(request) -> tuple[Path, Path]:
    """A directory and its graphs: boxes from the head, and from the coordinate tokens."""
    source = request.getfixturevalue("adapted") if request.param == "adapted" else BASE
    return source, request.getfixturevalue(f"{request.param}_graphs")


# Tiles of each page of a batch, and its boxes.
BATCHES = {
    "one page": ([0], [2]),
    "one page with tiles": ([2], [1]),
    "two pages, no tiles, no boxes": ([0, 0], [0, 0]),
    "two pages, one with tiles": ([2, 0], [1, 4]),
    "five pages": ([0, 3, 0, 2, 2], [3, 0, 2, 1, 9]),
}


def batch_of(tiles: list[int], boxes: list[int], processor) -> dict[str, torch.Tensor]:
    lines = [[f"line {number} of page {row}" for number in range(12)] for row in range(len(tiles))]
    rows = [page_row(str(row), SIZES[tiles[row]], lines[row], boxes[row]) for row in range(len(tiles))]
    pages = Dataset.from_list(rows, features=FEATURES)
    examples = PageTasks(pages, processor, {"markdown": 1.0}, max_length=4000)
    batch = TrainingCollator(processor)([examples[row] for row in range(len(tiles))])
    assert batch["num_local_patches"].tolist() == tiles and len(batch["box_rows"]) == sum(boxes)
    return batch


@torch.no_grad()
def in_torch(source: Path, batch: dict[str, torch.Tensor]) -> tuple[np.ndarray, np.ndarray]:
    """Logits of the stock forward, and the boxes that training predicts."""
    model, processor = load_model(source).eval(), load_processor(source)
    ours = model.base_model.model if isinstance(model, PeftModel) else model
    box_source = "expectation" if ours.box_head is None else "head"
    inputs = {key: value for key, value in batch.items() if not key.startswith(("box_", "labels", "token_weights"))}
    logits = model(**inputs).logits
    ours.loss_settings = LossSettings(coordinate_token_ids(processor.tokenizer), box_source=box_source)
    return logits.numpy(), ours(**batch).bbox_preds.numpy()


@pytest.mark.parametrize("name", BATCHES)
def test_logits_and_boxes_are_those_of_torch(pair, name):
    source, graphs = pair
    processor = load_processor(source)
    batch = batch_of(*BATCHES[name], processor)
    tile = processor.image_processor.tile_size
    no_tiles = torch.zeros(0, 3, tile, tile)
    session = onnxruntime.InferenceSession(graphs / "model.onnx")
    feed = {
        "pixel_values": batch["pixel_values"],
        "pixel_values_local": batch.get("pixel_values_local", no_tiles),
        "num_local_patches": batch["num_local_patches"],
        "input_ids": batch["input_ids"],
        "attention_mask": batch["attention_mask"],
        "box_positions": torch.cat([batch["box_rows"][:, None], batch["box_tokens"]], dim=1),
    }
    logits, boxes = session.run(["text_logits", "bbox_preds"], {key: value.numpy() for key, value in feed.items()})
    wanted_logits, wanted_boxes = in_torch(source, batch)
    assert logits.shape == wanted_logits.shape and np.abs(logits - wanted_logits).max() < 1e-4
    assert boxes.shape == wanted_boxes.shape and np.abs(boxes - wanted_boxes).max(initial=0) < 1e-4
    if len(boxes) > 1:
        assert np.ptp(boxes, axis=0).max() > 1e-3  # boxes that tell pages apart
    assert session.get_modelmeta().custom_metadata_map["box_source"] == ("expectation" if source == BASE else "head")


@torch.no_grad()
def test_reading_steps_have_the_logits_of_torch(adapted, adapted_graphs):
    """Left-padded pages with and without tiles: the prompt, then three tokens, each with the cache of those before."""
    processor = load_processor(adapted)
    images = [row["image"] for row in page_dataset([SIZES[count] for count in (0, 2, 3)], (0, 0, 0))]
    prompts = ["<image>\nFree OCR.", "<image>\nRead all that can be read on this page.", "<image>\nRead."]
    batch = GenerationCollator(processor)(images, prompts)
    step = batch | {"position_ids": (batch["attention_mask"].cumsum(1) - 1).clamp(min=0)}
    models = load_model(adapted).eval(), DocumentReader.from_pretrained(adapted_graphs).model
    caches = [None, None]
    for _ in range(4):
        (wanted, found) = [
            model(**step, use_cache=True, **{CACHE: cache}) for model, cache in zip(models, caches, strict=True)
        ]
        assert (found.logits - wanted.logits[:, -1:]).abs().max() < 1e-4
        caches = [wanted[CACHE], found[CACHE]]
        step = {
            "input_ids": wanted.logits[:, -1].argmax(-1)[:, None],
            "attention_mask": torch.nn.functional.pad(step["attention_mask"], (0, 1), value=1),
            "position_ids": step["position_ids"][:, -1:] + 1,
        }


@pytest.fixture(scope="module")
def slips(tmp_path_factory) -> list[Path]:
    """Fifty slips of a seed that was not trained on."""
    folder = tmp_path_factory.mktemp("slips")
    fonts = Path(matplotlib.get_data_path()) / "fonts/ttf"
    names = ("DejaVuSans.ttf", "DejaVuSansMono.ttf", "DejaVuSerif.ttf")
    options = ["--kind", "typed", "--pages", "50", "--seed", "11", "--size", "192x192", "--damage", "0.2"]
    assert run_command(synthesize, [str(folder), *options, "--font", *(str(fonts / name) for name in names)]) == 0
    return sorted(folder.glob("images/*.png"))


@pytest.mark.slow
def test_fifty_pages_have_the_text_that_torch_reads(base_graphs, slips):
    wanted, found = (
        [page.raw for page in DocumentReader.from_pretrained(model).read(slips, task="ocr", batch_size=10)]
        for model in (BASE, base_graphs)
    )
    assert len(wanted) == 50 and found == wanted
    assert len(set(wanted)) == 50 and sum(map(len, wanted)) > 50 * 30  # real texts


def test_the_loop_guard_and_the_prompts_are_the_recipes(adapted, adapted_graphs):
    """Random weights repeat themselves where they may: the guard changes the answer, in both models alike."""
    image = page_dataset([SIZES[0]], (0,))[0]["image"]
    readers = [DocumentReader.from_pretrained(source) for source in (adapted, adapted_graphs)]
    assert readers[1].prompts == readers[0].prompts and readers[1].prompts["ocr"] == "<image>\nRead."
    assert (readers[1].no_repeat_ngram, readers[1].no_repeat_window) == (2, 30)
    guarded = [reader.read(image, task="ocr", max_new_tokens=40).raw for reader in readers]
    free = DocumentReader.from_pretrained(adapted_graphs, no_repeat_ngram=0).read(image, task="ocr", max_new_tokens=40)
    assert guarded[0] == guarded[1] != free.raw


def test_the_commands_read_and_evaluate_it(pair, slips, tmp_path, monkeypatch):
    source, graphs = pair
    words = [str(slips[0]), "--model", str(graphs), "--output_dir", str(tmp_path / "pages"), "--max_new_tokens", "40"]
    assert run_command(read.main, words) == 0
    page = DocumentReader.from_pretrained(source).read(slips[0], max_new_tokens=40)
    assert (tmp_path / "pages" / f"{slips[0].stem}.md").read_text(encoding="utf-8") == page.markdown + "\n"
    rows = page_dataset(((190, 190), (150, 190)), (1, 1))
    monkeypatch.setattr(evaluate, "load_pages", lambda *_, **__: rows)
    words = ["--model", str(graphs), "--dataset", "pages", "--output_dir", str(tmp_path / "scores")]
    assert run_command(evaluate.main, [*words, "--max_new_tokens", "8"]) == 0
    assert (tmp_path / "scores" / "metrics.json").is_file()


def test_the_graphs_are_float32_of_a_known_opset_and_share_their_weights(pair):
    source, graphs = pair
    written = sum(path.stat().st_size for path in graphs.glob("*.onnx*"))
    model = load_model(source)
    model = model.merge_and_unload() if isinstance(model, PeftModel) else model
    weights = 4 * sum(parameter.numel() for parameter in model.parameters())
    # Four graphs, one copy of the weights; global attention adds tables of the places that patches have to each other.
    assert weights < written < (1.25 if source == BASE else 1.75) * weights
    for path in graphs.glob("*.onnx"):
        onnx.checker.check_model(str(path), full_check=True)
        graph = onnx.load(path, load_external_data=False)
        assert [(opset.domain, opset.version) for opset in graph.opset_import] == [("", 18)]
        assert onnx.TensorProto.DOUBLE not in {tensor.data_type for tensor in graph.graph.initializer}
        names = [tensor.name for tensor in graph.graph.initializer]
        assert names == sorted(names)  # so that two exports give the same bytes
        places = [entry for tensor in graph.graph.initializer for entry in tensor.external_data]
        assert {place.value for place in places if place.key == "location"} <= {"weights.onnx_data"}


def documented_example() -> str:
    section = (ROOT / "ocr2_hf/publishing/README.md").read_text(encoding="utf-8").split("\n## ONNX\n")[1]
    (code,) = re.findall(r"^```python\n(.*?)^```$", section.split("\n## ")[0], re.MULTILINE | re.DOTALL)
    return code


def run_example(code: str, graphs: Path, page: Path, folder: Path, monkeypatch) -> dict:
    """What the names of the example stand for when it has read the page."""
    (folder / "letters-onnx").symlink_to(graphs)
    Image.open(page).save(folder / "scan.png")
    monkeypatch.chdir(folder)
    names: dict = {}
    exec(compile(code, "example", "exec"), names)
    return names


@pytest.mark.slow
def test_the_documented_example_runs(base_graphs, slips, tmp_path, monkeypatch, capsys):
    run_example(documented_example(), base_graphs, slips[0], tmp_path, monkeypatch)
    assert DocumentReader.from_pretrained(BASE).read(slips[0], task="ocr").text in capsys.readouterr().out


@pytest.mark.slow
def test_the_documented_example_with_a_base_that_adds_no_bos(real_checkpoint, slips, tmp_path, monkeypatch):
    """It asks with the collator's tokens, answers as torch does, and prints the cells of a table apart."""
    graphs = exported(real_checkpoint, tmp_path / "graphs")
    code = documented_example()
    assert "< 1000:" in code
    names = run_example(code.replace("< 1000:", "< 3:"), graphs, slips[0], tmp_path, monkeypatch)
    batch = GenerationCollator(AutoProcessor.from_pretrained(real_checkpoint))(
        [Image.open(slips[0]).convert("RGB")], ["<image>\nFree OCR."]
    )
    assert names["ids"].tolist() == batch["input_ids"].tolist()
    model = load_model(real_checkpoint, dtype="float32")
    answer = model.generate(**batch, do_sample=False, max_new_tokens=3)[0, batch["input_ids"].shape[1] :]
    assert names["answer"] == answer.tolist()
    cells = "<td>1,234</td><td>5</td>"
    printed = code.strip().splitlines()[-1].removeprefix("print(").removesuffix(")")
    ids = names["processor"].tokenizer(cells, add_special_tokens=False).input_ids
    assert eval(printed, names | {"answer": ids}) == cells


class Tower(torch.nn.Module):
    """Stands in for the vision tower: 144 features of each picture, whatever the batch."""

    dtype = torch.float32

    def forward(self, pixel_values, **_):
        means = pixel_values.flatten(2).mean(dim=2).repeat(1, 43)[:, :128]
        return BaseModelOutput(last_hidden_state=means[:, None].expand(-1, 144, -1))


class StockFeatures(torch.nn.Module):
    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, pixel_values):
        return torch.cat(self.model.get_image_features(pixel_values).pooler_output)


class PlacedFeatures(StockFeatures):
    def forward(self, pixel_values):
        pages = self.model.multi_modal_projector(self.model.vision_tower(pixel_values).last_hidden_state)
        tokens = pages.new_zeros(pages.shape[0], 145, 128)
        everywhere = tokens[..., 0] == 0
        counts = torch.zeros(pages.shape[0], dtype=torch.long)
        return place_features(tokens, everywhere, pages, pages[:0], counts, self.model.view_separator).flatten(0, 1)


def test_what_bakes_the_batch_into_a_trace_is_the_stock_loop_over_pages():
    """With a tower that any batch may pass, `get_image_features` alone still fixes the batch; `place_features` does
    not. Should the first half fail one day, the library has mended it and the way round can go."""
    model = load_model("tiny").model.eval()
    model.vision_tower = Tower()
    pictures, more = torch.randn(2, 3, 8, 8), torch.randn(5, 3, 8, 8)
    traces = {}
    for kind in (StockFeatures, PlacedFeatures):
        traced = torch.export.export(kind(model), (pictures,), dynamic_shapes=({0: Dim.AUTO},))
        traces[kind] = traced.module()
        assert torch.allclose(traces[kind](pictures), StockFeatures(model)(pictures), atol=1e-6)
    with pytest.raises((AssertionError, RuntimeError), match=r"pixel_values"):
        traces[StockFeatures](more)
    assert torch.allclose(traces[PlacedFeatures](more), StockFeatures(model)(more), atol=1e-6)


@pytest.mark.parametrize("size", [4, onnx_ir.SymbolicDim("4")])
def test_a_size_that_a_trace_has_fixed_is_no_open_size(size):
    value = onnx_ir.Value(name="pixel_values_local", shape=onnx_ir.Shape([size, 3, 8, 8]))
    with pytest.raises(WorkError, match="pixel_values_local came out of the trace with 4 for tiles"):
        name_sizes(value, cached=False)
    value.shape[0] = onnx_ir.SymbolicDim("s24")
    name_sizes(value, cached=False)
    assert str(value.shape) == "[tiles,3,8,8]"


def test_what_cannot_be_exported_is_one_message(tmp_path, monkeypatch, capsys):
    words = [str(BASE), "--to", "onnx", "--output_dir"]
    assert run_command(export.main, [*words, str(tmp_path / "half"), "--dtype", "bfloat16"]) == 2
    assert "written in float32 only" in capsys.readouterr().err
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "file").touch()
    assert run_command(export.main, [*words, str(tmp_path / "there")]) == 2
    assert "is there already" in capsys.readouterr().err
    monkeypatch.setattr("ocr2_hf.publishing.exports.find_spec", lambda name: None if name == "onnxscript" else name)
    assert run_command(export.main, [*words, str(tmp_path / "new")]) == 2
    assert "ONNX needs onnxscript: pip install 'ocr2_hf[onnx]'" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["there"]


def test_a_work_that_fails_leaves_nothing(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("ocr2_hf.publishing.onnx.trace", full)
    words = [str(BASE), "--to", "onnx", "--output_dir", str(tmp_path / "new")]
    assert run_command(export.main, words) == 1
    assert not list(tmp_path.iterdir())
