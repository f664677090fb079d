"""Batches, token by token."""

import random
import re
import time

import pytest
import torch
from PIL import Image
from transformers import AutoProcessor, AutoTokenizer

from helpers.tiny_pages import noise
from ocr2_hf.data.collator import (
    IGNORED,
    Example,
    GenerationCollator,
    TargetEncoder,
    TrainingCollator,
    coordinate_token_ids,
)
from ocr2_hf.data.images import ImageSettings
from ocr2_hf.document.grounding import find_boxes
from ocr2_hf.errors import UsageError
from ocr2_hf.modeling.tiny import EOS, build_tiny_processor

MARKDOWN = "<image>\n<|grounding|>Convert the document to markdown."
TARGET = "<|ref|>text<|/ref|><|det|>[[12, 0, 999, 40]]<|/det|>\nab <td>1.5</td>"


@pytest.fixture(scope="module")
def processor():
    return build_tiny_processor()


def page(width: int, height: int) -> Image.Image:
    return noise((width, height), 60).convert("RGB")


def words(processor, ids) -> list[str]:
    return [processor.tokenizer.decode([int(token)]) for token in ids]


def test_exactly_the_target_and_eos_are_supervised(processor):
    batch = TrainingCollator(processor)([Example("a", page(100, 90), MARKDOWN, TARGET)])
    ids, labels = batch["input_ids"][0], batch["labels"][0]
    first = int((labels != IGNORED).nonzero()[0])
    assert words(processor, ids[first:]) == [
        *(
            "<|ref|>",
            "t",
            "e",
            "x",
            "t",
            "<|/ref|>",
            "<|det|>",
            "[",
            "[",
            "12",
            ",",
            " ",
            "0",
            ",",
            " ",
            "999",
        ),
        *(",", " ", "40", "]", "]", "<|/det|>", "\n", "a", "b", " ", "<td>", "1", ".", "5", "</td>", EOS),
    ]
    assert labels[first:].tolist() == ids[first:].tolist()
    assert (labels[:first] == IGNORED).all()
    assert processor.tokenizer.decode(ids[first - 9 : first]) == "markdown."


def test_every_token_has_the_weight_of_its_role_times_its_label(processor):
    weights = {"text": 1.0, "coordinate": 5.0, "tag": 0.5, "eos": 3.0}
    collate = TrainingCollator(processor, weights, {"text": 2.0})
    target = "lead\n\n" + TARGET + "\n\n<|ref|>image<|/ref|><|det|>[[1, 2, 3, 4]]<|/det|>"
    batch = collate([Example("a", page(100, 90), MARKDOWN, target)])
    first = int((batch["labels"][0] != IGNORED).nonzero()[0])
    told = list(
        zip(
            words(processor, batch["input_ids"][0, first:]),
            batch["token_weights"][0, first:].tolist(),
            strict=True,
        )
    )
    tag, coordinate, text = ("<|ref|>", 1.0), 10.0, 2.0
    assert told[:6] == [("l", 1.0), ("e", 1.0), ("a", 1.0), ("d", 1.0), ("\n", 1.0), ("\n", 1.0)]
    assert told[6] == tag and told[15] == ("12", coordinate) and told[18] == ("0", coordinate)
    assert told[29:32] == [("a", text), ("b", text), (" ", text)]
    assert told[32:37] == [("<td>", 1.0), ("1", text), (".", text), ("5", text), ("</td>", 1.0)]
    assert told[39] == ("<|ref|>", 0.5) and ("4", 5.0) in told
    assert told[-1] == (EOS, 3.0)
    assert (batch["token_weights"][0, :first] == 0).all()


def test_every_token_of_the_real_tokenizer_has_its_role(real_checkpoint):
    tokenizer = AutoTokenizer.from_pretrained(real_checkpoint)
    box = "<|ref|>table<|/ref|><|det|>[[40, 10, 900, 50]]<|/det|>\n"
    table = (
        '<table><thead><tr><th rowspan="2"># a</th><th>(b)</th></tr></thead><tr><td>1,234</td><td></td></tr></table>'
    )
    encode = TargetEncoder(tokenizer, {"text": 1.0, "coordinate": 3.0, "tag": 2.0, "eos": 5.0}, {"table": 10.0})
    target = encode(f"{box}{table}\n\n<|ref|>image<|/ref|><|det|>[[1, 2, 3, 4]]<|/det|>\n\n\n{box}End")
    told = list(zip(map(tokenizer.decode, target.ids), target.weights, strict=True))
    by_role = {weight: [text for text, of in told if of == weight] for weight in (10.0, 20.0, 30.0, 1.0, 2.0, 3.0, 5.0)}
    # In `>(` and `)</` a tag and the text beside it are one token.
    assert by_role[10.0] == ["#", " a", ">(", "b", ")</", "1", ",", "234", "End"]
    assert by_role[30.0] == ["40", "10", "900", "50"] * 2 and by_role[3.0] == ["1", "2", "3", "4"]
    tags = ["<|ref|>", "table", "<|/ref|>", "<|det|>", "[[", *[",", " "] * 3, "]]", "<|/det|>", "\n"]
    assert by_role[20.0][: len(tags)] == by_role[20.0][-len(tags) :] == tags
    cells = [
        *("<table", "><", "thead", ">", "<tr>", "<th", " row", "span", '="', "2", '">', "</", "th", "><", "th"),
        *("th", ">", "</tr>", "</", "thead", ">", "<tr>", "<td>", "</td>", "<td>", "</td>", "</tr>"),
        *("</", "table", ">\n\n"),
    ]  # fmt: skip
    assert by_role[20.0][len(tags) : -len(tags)] == cells
    assert by_role[1.0] == ["\n\n\n"] and by_role[5.0] == [tokenizer.eos_token]
    assert by_role[2.0] == ["<|ref|>", "image", *tags[2:-1]]
    assert [[told[at][0] for at in tokens] for tokens in target.box_tokens] == [
        ["<|det|>", *map(str, values)] for values in target.box_values
    ]


def test_exactly_the_target_and_eos_are_supervised_with_the_real_tokenizer(real_checkpoint):
    processor = AutoProcessor.from_pretrained(real_checkpoint, backend="pil")
    batch = TrainingCollator(processor)([Example("a", page(300, 400), MARKDOWN, TARGET)])
    ids, labels, weights = (batch[name][0] for name in ("input_ids", "labels", "token_weights"))
    first = int((labels != IGNORED).nonzero()[0])
    assert processor.tokenizer.decode(ids[first:]) == TARGET + processor.tokenizer.eos_token
    assert labels[first:].tolist() == ids[first:].tolist() and (labels[:first] == IGNORED).all()
    assert (weights[first:] == 1).all() and (weights[:first] == 0).all()
    assert ids[0] == processor.tokenizer.bos_token_id and (ids == processor.image_token_id).sum() == 257
    (row,), (tokens,) = batch["box_rows"].tolist(), batch["box_tokens"]
    assert row == 0 and words(processor, ids[tokens]) == ["<|det|>", "12", "0", "999", "40"]


def test_boxes_point_at_their_tokens(processor):
    batch = TrainingCollator(processor)(
        [
            Example("none", page(100, 90), MARKDOWN, "just text"),
            Example("one", page(300, 400), MARKDOWN, TARGET),
            Example("two", page(100, 90), MARKDOWN, TARGET + "\n\n" + TARGET),
        ]
    )
    assert batch["box_rows"].tolist() == [1, 2, 2]
    assert batch["box_values"].tolist() == [[12, 0, 999, 40]] * 3
    for row, tokens in zip(batch["box_rows"], batch["box_tokens"], strict=True):
        assert words(processor, batch["input_ids"][row, tokens]) == ["<|det|>", "12", "0", "999", "40"]


def test_a_batch_without_boxes_has_empty_boxes_of_the_right_shape(processor):
    batch = TrainingCollator(processor)([Example("a", page(50, 50), MARKDOWN, "")])
    assert (
        batch["box_rows"].shape == (0,) and batch["box_tokens"].shape == (0, 5) and batch["box_values"].shape == (0, 4)
    )
    assert (batch["labels"] != IGNORED).sum() == 1  # EOS: an empty page ends at once


def test_training_pads_right_and_generation_left(processor):
    examples = [Example("a", page(100, 90), MARKDOWN, "x"), Example("b", page(300, 400), MARKDOWN, "longer")]
    train = TrainingCollator(processor)(examples)
    read = GenerationCollator(processor)([e.image for e in examples], [e.prompt for e in examples])
    pad = processor.tokenizer.pad_token_id
    assert (
        train["input_ids"][0, -1] == pad and train["attention_mask"][0, -1] == 0 and train["labels"][0, -1] == IGNORED
    )
    assert read["input_ids"][0, 0] == pad and read["attention_mask"][0, 0] == 0
    assert read["attention_mask"].sum(dim=1).tolist() == [(read["input_ids"][i] != pad).sum() for i in range(2)]


def test_a_padding_example_counts_for_nothing(processor):
    batch = TrainingCollator(processor)([Example("a", page(100, 90), MARKDOWN, TARGET, padding=True)])
    assert batch["token_weights"].sum() == 0 and len(batch["box_rows"]) == 0


@pytest.mark.parametrize("sizes", [[(100, 90)], [(300, 400), (100, 90)], [(975, 1500), (192, 192), (900, 200)]])
def test_prompts_and_pixels_are_what_the_stock_processor_makes(processor, sizes):
    images = [page(*size) for size in sizes]
    stock = processor(
        images=images, text=[MARKDOWN] * len(images), padding=True, padding_side="left", return_tensors="pt"
    )
    ours = GenerationCollator(processor)(images, [MARKDOWN] * len(images))
    assert set(ours) == set(stock)
    for name, value in stock.items():
        assert torch.equal(ours[name], torch.as_tensor(value)), name


def test_fewer_tiles_when_the_processor_says_so():
    processor = build_tiny_processor()
    processor.image_processor.max_patches = 2
    batch = GenerationCollator(processor)([page(300, 400)], [MARKDOWN])
    assert batch["num_local_patches"].tolist() == [2]
    assert (batch["input_ids"] == processor.image_token_id).sum() == 256 + 2 * 144 + 1


@pytest.mark.parametrize(("size", "tiles"), [((768, 768), 0), ((769, 700), 6), ((1240, 1754), 6), ((3000, 700), 4)])
def test_visual_tokens_of_a_page_at_the_real_size(size, tiles):
    settings = ImageSettings(1024, 768, 16, 4, 2, 6)
    if size != (769, 700):
        assert settings.tiles(*size) == tiles
    assert settings.tokens(tiles) == 256 + 144 * tiles + 1


def test_the_prompt_must_hold_the_image_once(processor):
    with pytest.raises(ValueError, match="exactly once"):
        TrainingCollator(processor)([Example("a", page(50, 50), "no image", "x")])


def test_every_coordinate_is_one_token(processor):
    ids = coordinate_token_ids(processor.tokenizer)
    assert [processor.tokenizer.decode([i]) for i in ids] == [str(n) for n in range(1000)]


def test_a_tokenizer_that_splits_coordinates_is_refused():
    from tokenizers import Regex, pre_tokenizers

    tokenizer = build_tiny_processor().tokenizer
    tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(r"[\s\S]"), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    with pytest.raises(UsageError, match=r"coordinate 10 .* one token"):
        coordinate_token_ids(tokenizer)


def weighed_one_by_one(tokenizer, target: str, token_weights: dict, label_weights: dict) -> tuple[list, list]:
    """What `TargetEncoder` should find, by a look at every token for every span."""
    offsets = tokenizer(target, add_special_tokens=False, return_offsets_mapping=True).offset_mapping
    weights, boxes = [token_weights["text"]] * len(offsets), find_boxes(target)

    def inside(span: tuple[int, int]) -> list[int]:
        return [n for n, (start, end) in enumerate(offsets) if span[0] <= start < end <= span[1]]

    for n in (n for tag in re.finditer(r"(?:</?(?:table|tr|td)\b[^>]*>\n*)+", target) for n in inside(tag.span())):
        weights[n] = token_weights["tag"]
    places = [[offsets.index(span) for span in (box.det, *box.coordinates)] for box in boxes]
    for box, (_, *coordinates) in zip(boxes, places, strict=True):
        for n in inside(box.tag):
            weights[n] = token_weights["coordinate" if n in coordinates else "tag"]
        for n in (n for span in box.spans for n in inside(span)):
            weights[n] *= label_weights[box.label]
    return [*weights, token_weights["eos"]], places


_PIECES = ["<table>", "</table>\n", "<tr><td>", "</td></tr>", "(b)", "  ", "\n\n", "é 漢字 🙂", "12", "Tea", "\t"]
_PIECES += [f"<|ref|>{label}<|/ref|><|det|>[[1, 20, 300, 999]]<|/det|>" for label in ("text", "table", "table_caption")]


@pytest.mark.parametrize("real", [False, True])
def test_weights_and_boxes_are_those_found_one_by_one(processor, real_checkpoint, real):
    tokenizer = AutoTokenizer.from_pretrained(real_checkpoint) if real else processor.tokenizer
    token_weights = {"text": 1.0, "coordinate": 3.0, "tag": 2.0, "eos": 5.0}
    label_weights = {"text": 0.5, "table": 10.0, "table_caption": 7.0}
    encode, draw = TargetEncoder(tokenizer, token_weights, label_weights), random.Random(0)
    targets = ["", *("".join(draw.choices(_PIECES, k=draw.randint(1, 12))) for _ in range(150))]
    for target in targets:
        found = encode(target)
        expected = weighed_one_by_one(tokenizer, target, token_weights, label_weights)
        assert (found.weights, found.box_tokens) == expected, target
    assert sum(len(find_boxes(target)) for target in targets) > 100


def test_the_cost_of_a_target_grows_with_its_boxes_and_no_faster(processor):
    """A look at every token for every box made 16 times as many cost 57 times as much."""
    encode = TargetEncoder(processor.tokenizer)
    block = "<|ref|>text<|/ref|><|det|>[[12, 0, 999, 40]]<|/det|>\nTea 1.50\n\n"

    def seconds(boxes: int) -> float:
        def once() -> float:
            start = time.process_time()
            encode(block * boxes)
            return time.process_time() - start

        return min(once() for _ in range(3))

    encode(block)
    assert seconds(1600) < 40 * seconds(100)
