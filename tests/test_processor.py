"""What is saved asks as training asks: stock classes, with a tokenizer that adds no BOS, give the collator's tokens."""

import json
import re
import shutil
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, get_peft_model
from PIL import Image
from tokenizers import processors
from transformers import AutoModelForImageTextToText, AutoProcessor, AutoTokenizer, ProcessorMixin

from helpers.tiny_pages import noise
from ocr2_hf.data.collator import Example, GenerationCollator, TrainingCollator
from ocr2_hf.errors import UsageError
from ocr2_hf.modeling.load import load_processor
from ocr2_hf.modeling.processor import ANSWER_TOKENS, complete_processor
from ocr2_hf.modeling.tiny import build_tiny_model, build_tiny_processor, build_tiny_tokenizer
from ocr2_hf.publishing.contents import Contents, read_json, reading_config
from ocr2_hf.publishing.model_card import CardFacts, model_card
from ocr2_hf.publishing.original_layout import write_processor
from ocr2_hf.recipe import OCR2TrainingArguments
from ocr2_hf.training.trainer import OCR2Trainer

PROMPT = "<image>\nFree OCR."
GROUNDING = "<image>\n<|grounding|>Convert the document to markdown."
TABLE = "<table><tr><td> Tea </td><td>1,234</td><td>5</td></tr></table>"
BOXES = f"<|ref|>table<|/ref|><|det|>[[12, 0, 999, 40]]<|/det|>\n{TABLE}  \n\n# Tür 你好 <td>x"
TEXTS = (PROMPT, GROUNDING, BOXES, " <td> a</td>\n <|User|> b<|Assistant|>", "", "12, 345 ")


@pytest.fixture(scope="module")
def raw(real_checkpoint):
    """The stock processor of a base as it was published."""
    return AutoProcessor.from_pretrained(real_checkpoint)


@pytest.fixture(scope="module")
def completed(real_checkpoint):
    return load_processor(real_checkpoint)


@pytest.fixture(scope="module")
def saved(completed, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("processor") / "saved"
    completed.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def stock(saved):
    """The stock processor of what was saved."""
    return AutoProcessor.from_pretrained(saved)


def page(width: int = 60, height: int = 50) -> Image.Image:
    return noise((width, height), 60).convert("RGB")


def same(left, right) -> bool:
    return left.keys() == right.keys() and all(
        torch.equal(torch.as_tensor(left[name]), torch.as_tensor(right[name])) for name in left
    )


def test_the_base_begins_without_bos_and_what_is_saved_with_the_collators_tokens(raw, stock):
    small, tiled = page(), page(900, 800)
    assert raw(images=small, text=PROMPT).input_ids[0][0] == raw.image_token_id
    for picture, prompt in ((small, PROMPT), (tiled, GROUNDING)):
        ours = GenerationCollator(raw)([picture], [prompt])
        assert same(stock(images=picture, text=prompt, return_tensors="pt"), ours)
        assert ours["input_ids"][0, :2].tolist() == [raw.tokenizer.bos_token_id, raw.image_token_id]


@pytest.mark.parametrize("name", ["real", "tiny"])
def test_what_is_trained_stays_bit_for_bit(name, request):
    """The base's own processor, the completed one, and what is loaded again: one batch."""
    if name == "real":
        kinds = [request.getfixturevalue(each) for each in ("raw", "completed", "stock")]
    else:
        base = build_tiny_processor()
        base.tokenizer = build_tiny_tokenizer()
        assert base.tokenizer("").input_ids == []
        kinds = [base, build_tiny_processor()]
    examples = [Example("a", page(), GROUNDING, BOXES), Example("b", page(), PROMPT, "# Tea\n\n1,234")]
    weights = {"text": 1.0, "coordinate": 5.0, "tag": 0.5, "eos": 3.0}
    first, *others = [TrainingCollator(each, weights)(examples) for each in kinds]
    assert all(first[key].equal(other[key]) for other in others for key in first if "pixel" not in key)


def test_ids_offsets_and_vocabulary_are_the_bases(raw, completed, stock):
    for each in (completed.tokenizer, stock.tokenizer):
        for text in TEXTS:
            before, after = (
                tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
                for tokenizer in (raw.tokenizer, each)
            )
            assert dict(before) == dict(after)
            assert raw.tokenizer.decode(before.input_ids) == each.decode(before.input_ids)
        assert each.get_vocab() == raw.tokenizer.get_vocab()


def test_tags_and_cells_outlive_the_dropping_of_special_tokens(raw, completed, stock):
    ids = raw.tokenizer(BOXES, add_special_tokens=False).input_ids
    assert "1,2345" in raw.tokenizer.decode(ids, skip_special_tokens=True)
    for tokenizer in (completed.tokenizer, stock.tokenizer):
        framed = [tokenizer.bos_token_id, tokenizer.convert_tokens_to_ids("<image>"), *ids, tokenizer.eos_token_id]
        assert tokenizer.decode(framed, skip_special_tokens=True) == BOXES
        roles = tokenizer("<|User|> a<|Assistant|>", add_special_tokens=False).input_ids
        assert tokenizer.decode(roles, skip_special_tokens=True) == " a"


def test_tags_that_the_base_lists_as_special_are_not_when_loaded_again(tmp_path):
    processor = build_tiny_processor()
    tokenizer = processor.tokenizer
    tokenizer.add_special_tokens({"extra_special_tokens": ["<|det|>", "<image>"]})
    processor.save_pretrained(tmp_path / "base")
    load_processor(tmp_path / "base").save_pretrained(tmp_path / "saved")
    again = AutoTokenizer.from_pretrained(tmp_path / "saved")
    assert again.extra_special_tokens == ["<image>"]
    ids = again("a<|det|><image>", add_special_tokens=False).input_ids
    assert again.decode(ids, skip_special_tokens=True) == "a<|det|>"


BOS = "<｜begin▁of▁sentence｜>"
EOS = "<｜end▁of▁sentence｜>"
BYTES = processors.ByteLevel(trim_offsets=False)
ADDS_BOS = processors.TemplateProcessing(single=f"{BOS} $A", pair=f"{BOS} $A $B", special_tokens=[(BOS, 0)])
ADDS_EOS = processors.TemplateProcessing(single=f"{BOS} $A {EOS}", special_tokens=[(BOS, 0), (EOS, 1)])
ADDS_NOTHING = processors.TemplateProcessing(single="$A", pair="$A $B", special_tokens=[])


@pytest.mark.parametrize(
    ("step", "kept"),
    [
        (BYTES, False), (ADDS_NOTHING, False), (ADDS_EOS, False), (processors.Sequence([BYTES, ADDS_NOTHING]), False),
        (ADDS_BOS, True), (processors.Sequence([BYTES, ADDS_BOS]), True),
    ],
)  # fmt: skip
def test_one_bos_whatever_the_bases_tokenizer_adds(step, kept):
    processor = build_tiny_processor()
    backend = processor.tokenizer.backend_tokenizer
    backend.post_processor = step
    before = str(backend.post_processor)
    for _ in range(2):  # a second time changes nothing
        complete_processor(processor)
        tokenizer = processor.tokenizer
        assert tokenizer("a").input_ids == [0, *tokenizer("a", add_special_tokens=False).input_ids]
        assert tokenizer("a", "b").input_ids == [0, *tokenizer("ab", add_special_tokens=False).input_ids]
    assert (str(tokenizer.backend_tokenizer.post_processor) == before) is kept


def test_a_tokenizer_without_bos_is_refused():
    processor = build_tiny_processor()
    processor.tokenizer.bos_token = None
    with pytest.raises(UsageError, match="has no BOS"):
        complete_processor(processor)


def said(role: str, *parts) -> dict:
    """A message: strings are text parts, None is an image."""
    image = {"type": "image", "image": page()}
    return {"role": role, "content": [image if part is None else {"type": "text", "text": part} for part in parts]}


READ = said("user", None, "Free OCR.")
# What is said -> what the model is asked.
CONVERSATIONS = {
    "an image and a prompt": ([READ], PROMPT),
    "the prompt first": ([said("user", "Free OCR.", None)], PROMPT),
    "a prompt with its line break": ([said("user", None, "\nFree OCR.")], PROMPT),
    "a prompt with its image": ([said("user", None, PROMPT)], PROMPT),
    "a plain string": ([{"role": "user", "content": PROMPT}], PROMPT),
    "a prompt in two parts": ([said("user", None, "Free ", "OCR.")], PROMPT),
    "a system message": ([{"role": "system", "content": "Be exact."}, READ], f"Be exact.\n{PROMPT}"),
    "an empty system message": ([said("system", ""), READ], PROMPT),
    "an answer": ([READ, said("assistant", TABLE)], f"{PROMPT}{TABLE}{EOS}"),
    "a second question": ([READ, said("assistant", "a"), said("user", "b")], f"{PROMPT}a{EOS}b"),
    "two images": ([said("user", None, "x", None)], "<image>\n<image>\nx"),
    "no words": ([said("user", None)], "<image>\n"),
}


@pytest.mark.parametrize("name", CONVERSATIONS)
def test_the_chat_template(name, stock):
    messages, wanted = CONVERSATIONS[name]
    for generate in (False, True):
        assert stock.apply_chat_template(messages, add_generation_prompt=generate) == BOS + wanted
    assert stock.tokenizer.apply_chat_template(messages, tokenize=False) == BOS + wanted


def test_a_chat_gives_the_collators_tokens_with_one_bos_however_it_is_encoded(raw, stock):
    ours = GenerationCollator(raw)([READ["content"][0]["image"]], [PROMPT])
    options = {"tokenize": True, "return_dict": True, "return_tensors": "pt"}
    assert same(stock.apply_chat_template([READ], add_generation_prompt=True, **options), ours)
    # As TRL encodes, and who renders first.
    as_trl = stock.apply_chat_template([[READ]], processor_kwargs={"add_special_tokens": False}, **options)
    assert same(as_trl, ours)
    text = stock.apply_chat_template([READ])
    assert same(stock(images=page(), text=text, add_special_tokens=False, return_tensors="pt"), ours)


def test_the_documented_chat_is_the_collators(raw, saved, repo, tmp_path, monkeypatch):
    section = (repo / "ocr2_hf/publishing/README.md").read_text(encoding="utf-8").split("\n## The processor\n")[1]
    code = re.search(r"^```python\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)[1]
    (tmp_path / "letters-merged").symlink_to(saved)
    page().save(tmp_path / "scan.png")
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    exec(compile(code, "chat", "exec"), names)
    assert same(names["inputs"], GenerationCollator(raw)([page()], [PROMPT]))


@pytest.mark.skipif(
    not hasattr(ProcessorMixin, "_adjust_assistant_masks_indices"),
    reason="this transformers marks an answer where it stood before the page's tokens were put in",
)
def test_an_answers_tokens_are_told_from_the_prompts(stock):
    """What `assistant_only_loss` of TRL asks for. An answer that begins with a tag cannot merge with the prompt."""
    options = {"tokenize": True, "return_dict": True, "return_tensors": "pt", "return_assistant_tokens_mask": True}
    batch = stock.apply_chat_template([READ, said("assistant", BOXES)], **options)
    answer = batch["input_ids"][0, torch.as_tensor(batch["assistant_masks"][0]).bool()]
    assert stock.decode(answer) == BOXES + EOS


def test_the_original_layout_has_all_of_it(completed, tmp_path):
    write_processor(tmp_path, completed)
    (tmp_path / "config.json").write_text('{"model_type": "deepseek_vl_v2"}')
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    for text in TEXTS:
        ids = completed.tokenizer(text).input_ids
        assert tokenizer(text).input_ids == ids and ids[0] == 0
        assert tokenizer.decode(ids, skip_special_tokens=True) == completed.tokenizer.decode(
            ids, skip_special_tokens=True
        )
    rendered = tokenizer.apply_chat_template([READ], tokenize=False)
    assert rendered == BOS + PROMPT  # vLLM encodes a chat without special tokens, other prompts with them
    assert tokenizer(rendered, add_special_tokens=False).input_ids == tokenizer(PROMPT).input_ids


def test_a_tokenizer_saved_by_an_earlier_release_is_a_fast_one_again(tmp_path):
    """It was saved with the word for the image processor, and then gives no offsets with a chat."""
    build_tiny_processor().save_pretrained(tmp_path / "old")
    config = tmp_path / "old/tokenizer_config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"backend": "pil"}))
    load_processor(tmp_path / "old").save_pretrained(tmp_path / "new")
    assert AutoTokenizer.from_pretrained(tmp_path / "new").backend == "tokenizers"


def test_a_trainer_completes_the_processor_it_saves(tmp_path):
    processor = build_tiny_processor()
    processor.tokenizer, processor.chat_template = build_tiny_tokenizer(), None
    args = OCR2TrainingArguments(str(tmp_path), use_cpu=True, report_to=[])
    trainer = OCR2Trainer(build_tiny_model(), args, processor=processor)
    trainer.save_model(str(tmp_path / "saved"))
    stock = AutoProcessor.from_pretrained(tmp_path / "saved")
    assert stock.tokenizer("").input_ids == [0] and stock.apply_chat_template([READ]) == BOS + PROMPT


def test_every_answer_token_is_one_token(completed):
    known = completed.tokenizer.get_vocab()
    assert set(ANSWER_TOKENS) - known.keys() == {"<table>", "</table>"}  # text for the released tokenizer


def test_the_cards_code_reads_as_the_collator_asks(real_checkpoint, saved, raw, tmp_path, monkeypatch, capsys):
    """A card's code, with a model whose base adds no BOS: its answer is that to the collator's batch."""
    folder = tmp_path / "letters"
    shutil.copytree(saved, folder)
    for name in ("config.json", "model.safetensors"):
        (folder / name).symlink_to(real_checkpoint / name)
    reading = reading_config(read_json(folder / "config.json"), {})
    (folder / "generation_config.json").write_text(json.dumps(reading | {"max_new_tokens": 3}))
    text = model_card(CardFacts("me/letters", Contents({}, False, None, None), None, {"tasks": {"ocr": 1.0}}))
    code = re.search(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)[1].replace("me/letters", str(folder))
    page().save(tmp_path / "page.png")
    monkeypatch.chdir(tmp_path)
    spaces: dict = {}
    exec(compile(code, "card", "exec"), spaces)
    model, batch = spaces["model"], GenerationCollator(raw)([page()], [PROMPT])
    assert spaces["inputs"]["input_ids"].tolist() == batch["input_ids"].tolist()
    wanted = model.generate(
        **batch | {"pixel_values": batch["pixel_values"].to(model.dtype)}, generation_config=spaces["reading"]
    )
    answer = wanted[0, batch["input_ids"].shape[1] :]
    assert spaces["answer"].equal(answer) and capsys.readouterr().out == raw.tokenizer.decode(answer) + "\n"


def test_the_readme_loads_a_full_model_and_adapters_elsewhere(real_checkpoint, saved, raw, repo, tmp_path, monkeypatch):
    """Its code as it stands, on folders of these names; only the base's Hub id is a folder here."""
    section = (repo / "README.md").read_text(encoding="utf-8").split("**7. Use it elsewhere.**")[1]
    code = re.search(r"^```python\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)[1]
    for name in ("letters-full", "letters"):
        shutil.copytree(saved, tmp_path / "runs" / name)
    for name in ("config.json", "model.safetensors"):
        (tmp_path / "runs/letters-full" / name).symlink_to(real_checkpoint / name)
    base = AutoModelForImageTextToText.from_pretrained(real_checkpoint)
    get_peft_model(base, LoraConfig(r=2, target_modules=["q_proj"])).save_pretrained(tmp_path / "runs/letters")
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    exec(compile(code.replace("deepseek-community/DeepSeek-OCR-2", str(real_checkpoint)), "readme", "exec"), names)
    asked = names["processor"](images=[page()], text=[PROMPT], return_tensors="pt")["input_ids"]
    assert asked.tolist() == GenerationCollator(raw)([page()], [PROMPT])["input_ids"].tolist()
    assert any("lora" in name for name, _ in names["adapted"].named_parameters()) and len(names["model"].state_dict())
