"""The task `table`: one table of a page, shown alone, and its HTML."""

import numpy as np
import pytest
from datasets import Dataset
from PIL import Image

from helpers.tiny_pages import noise, processor
from ocr2_hf.data.augment import Augmentation
from ocr2_hf.data.collator import TargetEncoder, TrainingCollator
from ocr2_hf.data.columns import FEATURES
from ocr2_hf.data.images import ImageSettings, crop_box, crop_table, crop_tiles
from ocr2_hf.data.page_tasks import PageTasks
from ocr2_hf.data.tasks import PROMPTS, build_example, suits
from ocr2_hf.modeling.tiny import build_tiny_model
from ocr2_hf.reading.dataset_predictions import predict_dataset
from ocr2_hf.reading.reader import DocumentReader

REAL = ImageSettings(global_side=1024, tile_side=768, patch=16, downsample=4, min_patches=2, max_patches=6)
SHORT, LONG = "<table><tr><td>1</td></tr></table>", "<table><tr><td>1</td><td>2</td></tr></table>"
BOXES = [[20.0, 10.0, 380.0, 60.0], [30.0, 100.0, 350.0, 180.0], [50.0, 300.0, 150.0, 380.0]]
ROW = {"id": "p", "text": "", "prompt": None, "target": None, "width": 400, "height": 400, "bboxes": BOXES}
ROW |= {"labels": ["title", "table", "table"], "texts": ["Report", LONG, SHORT]}


def dataset(size=(400, 400)):
    """A page whose tables are of one colour each."""
    image = Image.new("RGB", size, "white")
    for box, colour in zip(BOXES, ("black", "red", "blue")):
        image.paste(colour, tuple(map(int, box)))
    row = ROW | {"image": image, "width": size[0], "height": size[1]}
    return Dataset.from_list([row], features=FEATURES)


def test_a_page_with_a_table_suits_and_another_does_not():
    assert suits("table", ROW)
    assert not suits("table", ROW | {"labels": ["title", "text", "text"]})
    assert not suits("table", ROW | {"texts": ["Report", "", "1 2 3"]})  # tables whose HTML nobody wrote
    with pytest.raises(ValueError, match="nothing for the task 'table'"):
        build_example("table", ROW | {"texts": ["", "", ""]})


def test_every_table_is_asked_for_in_turn_with_the_recipes_prompt():
    drawn = {build_example("table", ROW, seed=seed) for seed in range(20)}
    assert drawn == {(PROMPTS["table"], LONG), (PROMPTS["table"], SHORT)}
    assert build_example("table", ROW, seed=None)[1] == LONG
    english = {"table": "<image>\nExtract the table."}
    assert build_example("table", ROW, english)[0] == english["table"]


def test_the_crop_has_a_margin_and_stays_on_the_page():
    assert crop_box((100, 200, 300.5, 400), 1000, 800) == (80, 180, 321, 420)
    assert crop_box((0, 0, 1000, 800), 1000, 800) == (0, 0, 1000, 800)
    assert crop_box((990, 790, 990, 790), 1000, 800) == (970, 770, 1000, 800)
    assert crop_box((-50, 900, -40, 950), 1000, 800) == (0, 799, 1, 800)  # a box of nothing is still a crop


def test_a_page_of_several_tiles_is_cut_and_a_small_one_painted_over():
    image = noise((1000, 800), 90).convert("RGB")
    piece, place = crop_table(image, (100, 200, 300, 400), REAL)
    assert place == (80, 180, 320, 420) and np.array_equal(piece, image.crop(place))
    small = image.crop((0, 0, 700, 700))
    piece, place = crop_table(small, (100, 200, 300, 400), REAL)
    assert place == (0, 0, 700, 700) and piece.size == small.size
    inside = (slice(186, 414), slice(86, 314))
    assert np.array_equal(np.asarray(piece)[inside], np.asarray(small)[inside])
    outside = np.asarray(piece).copy()
    outside[inside] = 255
    assert (outside == 255).all()
    assert crop_tiles([(100, 200, 300, 400)], 700, 700, REAL) == 0
    assert crop_tiles([(0, 0, 1000, 200)], 1000, 800, REAL) == REAL.tiles(1000, 220) > 0


def test_training_shows_the_table_that_the_target_is_of():
    pages = PageTasks(dataset(), processor(), {"table": 1.0})
    seen = set()
    for epoch in range(12):
        pages.set_epoch(epoch)
        example = pages[0]
        colours = {colour for _, colour in example.image.getcolors(1000)}
        assert ((255, 0, 0) in colours, (0, 0, 255) in colours) == (example.target == LONG, example.target == SHORT)
        assert (0, 0, 0) not in colours and example.image.size != (400, 400)
        seen.add(example.target)
        length = TrainingCollator(processor())([example])["input_ids"].shape[1]
        assert length <= pages.lengths[0, 0]
    assert seen == {LONG, SHORT}


def test_a_moved_page_is_cut_where_its_table_went():
    pages = PageTasks(dataset(), processor(), {"table": 1.0}, augment=Augmentation(rotation=15))
    for epoch in range(8):
        pages.set_epoch(epoch)
        example = pages[0]
        wanted, other = (0, 2) if example.target == LONG else (2, 0)
        pixels = np.asarray(example.image).astype(int)
        assert ((pixels[..., wanted] - pixels[..., other]) > 200).mean() > 0.3


def test_evaluation_asks_about_the_same_crop(tmp_path):
    reader = DocumentReader(build_tiny_model(), processor())
    shown, prepare = [], reader.prepare
    reader.prepare = lambda image: shown.append(image) or prepare(image)
    (line,) = predict_dataset(reader, dataset(), "table", tmp_path / "predictions.jsonl", max_new_tokens=2)
    assert line.prompt == PROMPTS["table"]
    box = BOXES[1 if line.reference == LONG else 2]
    assert shown[0].size == tuple(np.diff(np.reshape(crop_box(box, 400, 400), (2, 2)), axis=0)[0])


def test_table_tags_have_the_weight_of_their_role():
    """What the recipes' `token_weights: {tag: 2.0}` is for; spans too, which are several tokens."""
    target = '<table><tr><td colspan="2">ab</td></tr></table>'
    encoded = TargetEncoder(processor().tokenizer, {"tag": 2.0, "text": 1.0, "eos": 0.5})(target)
    texts = processor().tokenizer.convert_ids_to_tokens(encoded.ids)
    plain = [text for text, weight in zip(texts, encoded.weights, strict=True) if weight == 1.0]
    assert plain == ["a", "b"] and encoded.weights[-1] == 0.5
    assert set(encoded.weights[:-1]) == {1.0, 2.0}
