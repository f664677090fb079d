"""The tiny model that is trained from nothing: where it looks before it has learned anything, and its tokens."""

import runpy

import pytest
import torch
from PIL import Image
from transformers import AutoModelForImageTextToText, AutoProcessor

from helpers.commands import ROOT
from ocr2_hf.data.collator import Example, PromptEncoder, TrainingCollator, coordinate_token_ids
from ocr2_hf.data.tasks import PROMPTS
from ocr2_hf.errors import run_command
from ocr2_hf.modeling.load import load_model, load_processor

START = runpy.run_path(str(ROOT / "recipes/tiny/guided_start.py"))


@pytest.fixture(scope="module")
def reader():
    model = START["guided_model"]()
    model.set_attn_implementation("eager")  # which hands the attention out
    return model.eval()


@pytest.fixture(scope="module")
def processor():
    return load_processor("tiny_reader")


@pytest.fixture(scope="module")
def noise():
    return torch.randn(2, 3, 192, 192, generator=torch.Generator().manual_seed(0))


@torch.no_grad()
def test_queries_look_at_the_patch_of_their_place(reader, noise):
    tower = reader.model.vision_tower
    patches = tower.sam_encoder(noise).last_hidden_state.flatten(2).transpose(1, 2)
    queries = tower.query_768_resolution.weight.expand(2, -1, -1)
    encoded = tower.vision_encoder(torch.cat([patches, queries], dim=1), num_patches=144, output_attentions=True)
    for attention in encoded.attentions:
        at_their_place = attention[:, :2, 144:, :144].diagonal(dim1=2, dim2=3)
        assert at_their_place.mean() > 0.8
        assert attention[:, 2:, 144:, :144].diagonal(dim1=2, dim2=3).mean() < 0.1


@torch.no_grad()
def test_the_nth_letter_of_the_text_looks_at_the_nth_visual_token(reader, processor, noise):
    prompt = PromptEncoder(processor).prompt(PROMPTS["ocr"], tiles=0)
    text = processor.tokenizer("abcdefgh" * 6, add_special_tokens=False).input_ids
    ids = torch.tensor([prompt + text])
    output = reader.model(
        input_ids=ids,
        pixel_values=noise[:1],
        num_local_patches=[0],
        attention_mask=torch.ones_like(ids),
        output_attentions=True,
    )
    first_head = output.attentions[0][0, 0]
    # The last token of the prompt is what the first letter is predicted from; BOS stands before the visual tokens.
    looks = [first_head[len(prompt) - 1 + n, 1 + n] for n in range(len(text))]
    assert torch.stack(looks).mean() > 0.7


def test_a_page_has_145_visual_tokens_and_short_targets(processor):
    target = "<|ref|>text<|/ref|><|det|>[[12, 345, 678, 999]]<|/det|>\nMilk 1.20\n\n<|ref|>title<|/ref|>"
    page = Example("page", Image.new("RGB", (192, 192)), PROMPTS["markdown"], target)
    batch = TrainingCollator(processor)([page])
    prompt = [processor.tokenizer.bos_token_id] + [processor.image_token_id] * 145
    assert batch["input_ids"][0, :146].tolist() == prompt
    pieces = processor.tokenizer.convert_ids_to_tokens(batch["input_ids"][0, 146:].tolist())
    assert pieces[:3] == ["Ċ", "<|grounding|>", "ConvertĠtheĠdocumentĠtoĠmarkdown."]
    # A label and each bracket of a box are one token; the same letters in a text are not.
    assert pieces[3:15] == ["<|ref|>", "text", "<|/ref|>", "<|det|>", "[[", "12", ",Ġ", "345", ",Ġ", "678", ",Ġ", "999"]
    assert pieces[15:18] == ["]]", "<|/det|>", "Ċ"]
    assert batch["box_values"].tolist() == [[12, 345, 678, 999]]


@pytest.mark.parametrize("text", ["text", "total: title", "[[1]] a, b\n\n", "Zoë 你好 12 1.50", *PROMPTS.values()])
def test_every_text_comes_back(processor, text):
    ids = processor.tokenizer(text, add_special_tokens=False).input_ids
    assert processor.tokenizer.decode(ids) == text


def test_near_coordinates_start_alike_and_each_is_one_token(reader, processor):
    ids = torch.tensor(coordinate_token_ids(processor.tokenizer))
    for weight in (reader.get_input_embeddings().weight, reader.lm_head.weight):
        rows = torch.nn.functional.normalize((weight - weight.mean(dim=0))[ids[10:]], dim=1)
        assert (rows[0] @ rows[1]) > 0.9 > 0.5 > (rows[0] @ rows[400]).abs()


def test_stock_classes_load_what_is_saved(tmp_path, reader):
    assert run_command(START["main"], [str(tmp_path)]) == 0
    model = AutoModelForImageTextToText.from_pretrained(tmp_path)
    saved = dict(reader.named_parameters())
    assert all(torch.equal(parameter, saved[name]) for name, parameter in model.named_parameters())
    assert AutoProcessor.from_pretrained(tmp_path, backend="pil").image_processor.size["height"] == 192


def test_the_size_itself_differs_only_in_what_the_script_starts(reader):
    plain = dict(load_model("tiny_reader").named_parameters())
    started = {name for name, parameter in reader.named_parameters() if not torch.equal(parameter, plain[name])}
    parts = [f"self_attn.{part}_proj.{kind}" for part in "qk" for kind in ("weight", "bias")]
    encoder = {f"model.vision_tower.vision_encoder.layers.{layer}.{part}" for layer in (0, 1) for part in parts}
    assert started == encoder | {
        *("model.vision_tower.sam_encoder.pos_embed", "model.multi_modal_projector.bias", "lm_head.weight"),
        *("model.language_model.embed_tokens.weight", "model.language_model.layers.0.self_attn.q_proj.weight"),
        "model.language_model.layers.0.self_attn.k_proj.weight",
    }
