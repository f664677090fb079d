"""Adapters merged into their base: the same logits, loaded and read with the stock classes."""

import pytest
import torch
import yaml
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoModelForImageTextToText, AutoProcessor, GenerationConfig

from helpers.tiny_pages import page_dataset, processor
from helpers.trained_folders import trained
from ocr2_hf.commands.export import main
from ocr2_hf.data.collator import TrainingCollator
from ocr2_hf.data.page_tasks import PageTasks
from ocr2_hf.errors import run_command
from ocr2_hf.modeling.load import load_model
from ocr2_hf.modeling.model import OCR2Model
from ocr2_hf.modeling.tiny import save_tiny
from ocr2_hf.publishing.contents import NO_REPEAT_NGRAM
from ocr2_hf.reading.reader import DocumentReader
from ocr2_hf.recipe import ModelArguments

ROUTED = "attention+shared+routed"
POLICIES = {
    "attention": ModelArguments(lora_targets="attention"),
    "shared": ModelArguments(lora_targets="attention+shared"),
    "routed": ModelArguments(lora_targets=ROUTED),
    "vision": ModelArguments(train_language="none", train_vision="lora"),
    "both": ModelArguments(lora_targets=ROUTED, train_vision="lora"),
    "projector in full": ModelArguments(train_projector=True),
    "encoder in full": ModelArguments(train_vision="encoder"),
}


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return save_tiny(tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="module")
def batch():
    """A page without tiles, and one with."""
    pages = PageTasks(page_dataset(), processor(), {"markdown": 1.0})
    return TrainingCollator(processor())([pages[0], pages[1]])


def logits(model, batch) -> torch.Tensor:
    inputs = {k: v for k, v in batch.items() if not k.startswith(("box_", "token_weights", "labels"))}
    with torch.no_grad():
        return model.eval()(**inputs).logits


@pytest.mark.parametrize("name", POLICIES)
def test_the_merged_model_has_the_adapter_models_logits(name, base, batch, tmp_path):
    folder = trained(base, POLICIES[name], tmp_path / "run")
    assert run_command(main, [str(folder), "--to", "merged", "--output_dir", str(tmp_path / "merged")]) == 0
    wanted = logits(load_model(folder), batch)
    merged = logits(AutoModelForImageTextToText.from_pretrained(tmp_path / "merged"), batch)
    assert (merged - wanted).abs().max() < 1e-4
    assert (logits(OCR2Model.from_pretrained(base), batch) - wanted).abs().max() > 1e-2  # the adapters matter
    assert not list((tmp_path / "merged").glob("adapter*"))
    assert set(load_file(tmp_path / "merged" / "model.safetensors")) == set(load_file(base / "model.safetensors"))


def test_processor_recipe_box_head_and_generation_go_along(base, batch, tmp_path):
    policy = ModelArguments(train_projector=True)
    folder = trained(base, policy, tmp_path / "run", box_head=True)
    (folder / "recipe.yaml").write_text(yaml.safe_dump({"tasks": {"ocr": 1.0}, "prompts": {"ocr": "<image>\nRead."}}))
    assert run_command(main, [str(folder), "--to", "merged", "--output_dir", str(tmp_path / "merged")]) == 0
    model = AutoModelForImageTextToText.from_pretrained(tmp_path / "merged")
    config = model.generation_config
    assert (config.no_repeat_ngram_size, config.do_sample, config.max_new_tokens) == (NO_REPEAT_NGRAM, False, 4096)
    assert (config.bos_token_id, config.eos_token_id, config.pad_token_id) == (0, 1, 2)
    assert AutoProcessor.from_pretrained(tmp_path / "merged", backend="pil").tokenizer.eos_token_id == 1
    head, before = (load_file(path / "box_head.safetensors") for path in (tmp_path / "merged", folder))
    assert all(torch.equal(head[key], before[key]) for key in before)
    reader = DocumentReader.from_pretrained(tmp_path / "merged")
    assert reader.prompts["ocr"] == "<image>\nRead."
    row = page_dataset()[0]
    read = [
        DocumentReader.from_pretrained(path).read(row["image"], task="ocr", max_new_tokens=4)
        for path in (tmp_path / "merged", folder)
    ]
    assert read[0].raw == read[1].raw and read[0].tokens == 4


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["float32", "bfloat16"])
def test_a_reader_of_adapters_reads_as_the_exported_model(dtype, tmp_path):
    """To the last bit, from a base that is saved in 16 bits too."""
    base = save_tiny(tmp_path / "base")
    OCR2Model.from_pretrained(base).to(dtype).save_pretrained(base)
    folder = trained(base, POLICIES["both"], tmp_path / "run", box_head=True)
    assert run_command(main, [str(folder), "--to", "merged", "--output_dir", str(tmp_path / "merged")]) == 0
    ours, exported = (DocumentReader.from_pretrained(path) for path in (folder, tmp_path / "merged"))
    assert not isinstance(ours.model, PeftModel) and ours.model.dtype == torch.float32
    assert not any(parameter.requires_grad for parameter in [*ours.model.parameters(), *exported.model.parameters()])
    weights = exported.model.state_dict()
    assert weights.keys() == ours.model.state_dict().keys()
    assert all(torch.equal(weights[name], tensor) for name, tensor in ours.model.state_dict().items())
    read, wanted = (reader.read(page_dataset()[0]["image"], max_new_tokens=8) for reader in (ours, exported))
    assert (read.raw, read.probabilities) == (wanted.raw, wanted.probabilities)


def test_stock_generate_with_the_generation_config_leaves_loops(base, tmp_path):
    """The untrained model writes one token for ever; what is exported says nothing of 35 tokens twice."""
    assert run_command(main, [str(base), "--to", "merged", "--output_dir", str(tmp_path / "merged")]) == 0
    model = AutoModelForImageTextToText.from_pretrained(tmp_path / "merged")
    processor = AutoProcessor.from_pretrained(tmp_path / "merged")
    inputs = processor(images=page_dataset()[1]["image"], text="<image>\nFree OCR.", return_tensors="pt")
    asked = inputs["input_ids"].shape[1]

    def repeats(**options) -> int:
        answer = model.generate(**inputs, **options)[0, asked:].tolist()
        grams = [tuple(answer[start : start + NO_REPEAT_NGRAM]) for start in range(len(answer) - NO_REPEAT_NGRAM + 1)]
        return len(grams) - len(set(grams))

    assert (
        repeats(
            generation_config=GenerationConfig(
                eos_token_id=1, pad_token_id=2, max_new_tokens=160, no_repeat_ngram_size=0
            )
        )
        > 40
    )
    assert repeats(max_new_tokens=160) == 0


def test_a_model_without_adapters_is_cast(base, batch, tmp_path):
    words = [str(base), "--to", "merged", "--dtype", "bfloat16", "--output_dir", str(tmp_path / "cast")]
    assert run_command(main, words) == 0
    assert {tensor.dtype for tensor in load_file(tmp_path / "cast" / "model.safetensors").values()} == {torch.bfloat16}
    model = AutoModelForImageTextToText.from_pretrained(tmp_path / "cast", dtype=torch.float32)
    assert (logits(model, batch) - logits(OCR2Model.from_pretrained(base), batch)).abs().max() < 1.0


def test_what_cannot_be_exported_is_one_message(base, tmp_path, capsys):
    there = tmp_path / "there"
    there.mkdir()
    (there / "file").touch()
    cases = {
        (str(base), str(there)): "is there already: name a new folder",
        (str(there), str(tmp_path / "new")): "holds no model",
        (str(tmp_path / "gone"), str(tmp_path / "new")): "no directory",
    }
    for (source, target), message in cases.items():
        assert run_command(main, [source, "--to", "merged", "--output_dir", target]) == 2
        error = capsys.readouterr().err
        assert message in error and "Traceback" not in error
    assert sorted(path.name for path in tmp_path.iterdir()) == ["there"]


def test_what_a_killed_export_left_is_removed(base, tmp_path):
    (tmp_path / ".merged.partial").mkdir()
    (tmp_path / ".merged.partial" / "model.safetensors").write_bytes(b"half")
    assert run_command(main, [str(base), "--to", "merged", "--output_dir", str(tmp_path / "merged")]) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["merged"]
