"""Pages too long for `max_length`, cut between regions: every region once, on its own ink, and nothing cut in two."""

import numpy as np
import pytest
from datasets import Dataset
from torch.utils.data import DataLoader

from helpers.tiny_pages import page_row, processor
from ocr2_hf.data.collator import IGNORED, TrainingCollator
from ocr2_hf.data.columns import FEATURES
from ocr2_hf.data.page_splitting import PageSection, find_sections, section_row
from ocr2_hf.data.page_tasks import PageTasks
from ocr2_hf.document.grounding import encode_box, parse_regions
from ocr2_hf.document.page_files import to_rgb
from ocr2_hf.recipe import load_recipe
from ocr2_hf.training.job import build_trainer

MARKDOWN = {"markdown": 1.0}
LINES = [f"Item {i} costs {i}.50 EUR" for i in range(9)]


def lines(count: int, height: float = 20, pitch: float = 30) -> np.ndarray:
    return np.array([[10, 10 + pitch * i, 190, 10 + pitch * i + height] for i in range(count)], dtype=float)


def spans(parts: list[PageSection]) -> list[tuple[int, int]]:
    return [(part.first, part.last) for part in parts]


def test_the_fewest_parts_are_cut_halfway_between_regions():
    parts = find_sections(lines(5), [10] * 5, (200, 160), lambda width, height: 20)
    assert spans(parts) in ([(0, 2), (2, 4), (4, 5)], [(0, 1), (1, 3), (3, 5)], [(0, 2), (2, 3), (3, 5)])
    assert [part.crop for part in parts] == [(0, 0, 200, 65), (0, 65, 200, 125), (0, 125, 200, 160)]


def test_room_is_that_beside_the_crops_own_image():
    """A crop of little height has fewer tiles, so more of the sequence is left for text."""
    parts = find_sections(lines(4), [10] * 4, (200, 130), lambda width, height: 40 if height < 50 else 15)
    assert spans(parts) == [(0, 1), (1, 2), (2, 3), (3, 4)]


def test_columns_are_cut_where_reading_passes_from_one_to_the_next():
    left, right = lines(3) * [0.5, 1, 0.5, 1], lines(3) * [0.5, 1, 0.5, 1] + [100, 0, 100, 0]
    parts = find_sections(np.concatenate([left, right]), [10] * 6, (200, 100), lambda width, height: 40)
    assert spans(parts) == [(0, 3), (3, 6)]
    assert [part.crop for part in parts] == [(0, 0, 100, 100), (100, 0, 200, 100)]


def test_no_cut_shows_a_region_of_another_part():
    boxes = np.concatenate([lines(2), [[10, 70, 190, 150], [20, 80, 100, 100], [10, 160, 190, 180]]])  # one in another
    for room in (20, 30, 40):
        assert (2, 3) not in spans(find_sections(boxes, [10] * 5, (200, 200), lambda *_, room=room: room))
    assert find_sections(boxes, [10] * 5, (200, 200), lambda *_: 15) == []  # the two would have to part
    interleaved = lines(4)[[0, 2, 1, 3]]  # the first two show the third between them
    assert spans(find_sections(interleaved, [10] * 4, (200, 130), lambda *_: 20)) == [(0, 1), (1, 3), (3, 4)]


def test_boxes_that_touch_are_parted_and_stay_whole():
    touching = lines(2, height=102, pitch=100)  # by 2 of 210 pixels
    assert [part.crop for part in find_sections(touching, [10] * 2, (200, 215), lambda *_: 10)] == [
        (0, 0, 200, 112),
        (0, 110, 200, 215),
    ]
    assert find_sections(lines(2, height=106, pitch=100), [10] * 2, (200, 215), lambda *_: 10) == []


def test_a_region_too_long_alone_leaves_no_parts():
    assert find_sections(lines(3), [10, 50, 10], (200, 160), lambda *_: 40) == []


def test_a_parts_record_is_a_page_of_its_own():
    row = page_row("p", (200, 100), ["Tea", "Bun", "Jam"], 3)
    piece = section_row(row, PageSection(1, 3, (0, 28, 200, 100)))
    assert (piece["id"], piece["width"], piece["height"], piece["text"]) == ("p[1:3]", 200, 72, "Bun\nJam")
    assert piece["bboxes"] == [[10, 2, 190, 18], [10, 22, 190, 38]] and piece["texts"] == ["Bun", "Jam"]


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    """A long page with tiles, a short one, one of which a single region is too long, and one without regions."""
    long = page_row("long", (220, 200), LINES, 9)
    endless = page_row("endless", (220, 200), ["A", "so on " * 60, "B"], 3)
    rows = [long, page_row("short", (120, 90), ["Tea"], 1), endless, page_row("bare", (220, 200), ["so on " * 60], 0)]
    return Dataset.from_list(rows, features=FEATURES)


def split_pages(dataset: Dataset, tasks=None) -> PageTasks:
    return PageTasks(dataset, processor(), tasks or MARKDOWN, max_length=950, overlong="split")


def test_every_region_is_in_exactly_one_part_and_pages_are_counted(dataset):
    pages = split_pages(dataset)
    examples = [pages[i] for i in range(len(pages))]
    assert pages.dropped == {"longer than max_length": 2} and list(pages.split) == [0]
    assert 2 <= len(pages.split[0]) == len(pages) - 1
    assert [example.id.partition("[")[0] for example in examples] == ["long"] * (len(pages) - 1) + ["short"]
    texts = [region.text for e in examples[:-1] for region in parse_regions(e.target, *e.image.size)]
    assert [text.removeprefix("# ") for text in texts] == LINES
    assert all(example.prompt == examples[-1].prompt for example in examples)


def test_boxes_stand_on_the_same_ink(dataset):
    """The pixels in a part's boxes are those of the page's boxes, and no other line is to be seen."""
    pages = split_pages(dataset)
    whole, boxes = np.asarray(to_rgb(dataset[0]["image"])), dataset[0]["bboxes"]
    for index, part in enumerate(pages.split[0]):
        example = pages[index]
        image, outside = np.asarray(example.image), np.full(example.image.size[::-1], True)
        piece = section_row(dataset[0], part)
        regions = parse_regions(example.target, *example.image.size)
        for region, moved, box in zip(regions, piece["bboxes"], boxes[part.first : part.last], strict=True):
            assert np.array_equal(ink(image, moved), ink(whole, box)) and (ink(image, moved) < 128).any()
            assert encode_box(region.box, *example.image.size) == encode_box(moved, *example.image.size)
            outside[slices(moved)] = False
        assert (image[outside] == 255).all()


def slices(box) -> tuple[slice, slice]:
    x0, y0, x1, y1 = map(round, box)
    return slice(y0, y1), slice(x0, x1)


def ink(image: np.ndarray, box) -> np.ndarray:
    return image[slices(box)]


def test_every_part_fits_whole_with_its_image_and_its_end(dataset):
    pages = split_pages(dataset)
    collate, tokenizer = TrainingCollator(processor()), processor().tokenizer
    for index in range(len(pages)):
        example = pages[index]
        batch = collate([example])
        tiles = collate.prompts.settings.tiles(*example.image.size)
        supervised = batch["labels"][0][batch["labels"][0] != IGNORED].tolist()
        assert batch["input_ids"].shape[1] <= 950
        assert (batch["input_ids"] == processor().image_token_id).sum() == collate.prompts.settings.tokens(tiles)
        assert supervised[-1] == tokenizer.eos_token_id and tokenizer.decode(supervised[:-1]) == example.target


def test_workers_make_the_same_parts_and_other_tasks_keep_the_page_whole(dataset):
    pages = split_pages(dataset)
    loader = DataLoader(pages, batch_size=None, num_workers=2, collate_fn=lambda e: (e.id, e.target, e.image.tobytes()))
    once = [(e.id, e.target, e.image.tobytes()) for e in (pages[i] for i in range(len(pages)))]
    assert list(loader) == once
    mixed = split_pages(dataset, {"markdown": 1.0, "locate": 1.0})
    whole = [mixed[i] for i in range(len(mixed)) if mixed.rows[i] == 0 and i not in mixed.sections]
    assert [example.id for example in whole] == ["long"] and "Locate" in whole[0].prompt
    assert mixed.split == pages.split


def test_dropping_is_what_happens_unless_asked(dataset):
    pages = PageTasks(dataset, processor(), MARKDOWN, max_length=950)
    assert len(pages) == 1 and pages.split == {} and pages.dropped == {"longer than max_length": 3}


def test_real_letters_are_cut_between_their_lines(real_pages, datasets_cache):
    """Handwritten lines whose boxes touch: each page in parts, or left out where a cut would go through a line."""
    from helpers.commands import build
    from ocr2_hf.data.load import load_dataset

    build("letters", real_pages / "annotation_folder", "--val", "0", "--test", "0")
    letters = load_dataset("letters", split="train")
    pages = PageTasks(letters, processor(), MARKDOWN, max_length=1900, overlong="split")
    assert len(pages.split) + pages.dropped["longer than max_length"] >= 6 and len(pages.split) >= 4
    for row, parts in pages.split.items():
        examples = [pages[i] for i in range(len(pages)) if pages.rows[i] == row]
        texts = [region.text for e in examples for region in parse_regions(e.target, *e.image.size)]
        assert texts == [text.strip() for text in letters[row]["texts"]] and len(parts) == len(examples) > 1


def test_training_says_how_many_pages_came_in_parts(dataset, tmp_path, monkeypatch, caplog):
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(f"model: tiny\ndataset: pages\nmax_length: 950\noverlong: split\noutput_dir: {tmp_path}\n")
    monkeypatch.setattr("ocr2_hf.training.job.load_dataset", lambda *_, **__: dataset)
    loaded = load_recipe(recipe)
    trainer = build_trainer(loaded, loaded.training_arguments())
    assert "1 training pages longer than max_length split into 2 parts" in caplog.text
    assert "2 training pages left out: longer than max_length" in caplog.text
    assert len(trainer.train_dataset) == 3
