"""Prompts and targets of the four tasks."""

import pytest

from ocr2_hf.data.tasks import PROMPTS, build_example, suits

ROW = {
    "id": "p1",
    "text": "Bill\nTea 1.50",
    "width": 999,
    "height": 999,
    "bboxes": [[0, 0, 100, 50], [0, 60, 200, 90], [0, 100, 10, 110]],
    "labels": ["title", "text", "image"],
    "texts": ["Bill", "Tea 1.50", ""],
    "prompt": None,
    "target": None,
}


def test_prompts_are_the_models_own_and_end_without_a_space():
    assert PROMPTS["ocr"] == "<image>\nFree OCR."
    assert PROMPTS["markdown"] == "<image>\n<|grounding|>Convert the document to markdown."
    assert all(prompt == prompt.rstrip(" ") for prompt in PROMPTS.values())


def test_ocr_asks_for_the_text():
    assert build_example("ocr", ROW) == (PROMPTS["ocr"], "# Bill\nTea 1.50")


def test_markdown_asks_for_regions_in_order():
    _, target = build_example("markdown", ROW)
    assert target == (
        "<|ref|>title<|/ref|><|det|>[[0, 0, 100, 50]]<|/det|>\n# Bill\n\n"
        "<|ref|>text<|/ref|><|det|>[[0, 60, 200, 90]]<|/det|>\nTea 1.50\n\n"
        "<|ref|>image<|/ref|><|det|>[[0, 100, 10, 110]]<|/det|>"
    )


def test_a_page_without_boxes_is_answered_with_its_text():
    row = ROW | {"bboxes": [], "labels": [], "texts": []}
    assert build_example("markdown", row)[1] == row["text"]
    assert not suits("locate", row)


def test_locate_asks_for_one_text_that_stands_there_once():
    asked = {build_example("locate", ROW, seed=seed) for seed in range(20)}
    assert asked == {
        (
            "<image>\nLocate <|ref|>Bill<|/ref|> in the image.",
            "<|ref|>Bill<|/ref|><|det|>[[0, 0, 100, 50]]<|/det|>",
        ),
        (
            "<image>\nLocate <|ref|>Tea 1.50<|/ref|> in the image.",
            "<|ref|>Tea 1.50<|/ref|><|det|>[[0, 60, 200, 90]]<|/det|>",
        ),
    }
    twice = ROW | {"texts": ["Bill", "Bill", ""]}
    assert not suits("locate", twice)


def test_locate_draws_the_same_text_for_the_same_seed_and_the_longest_without_one():
    assert build_example("locate", ROW, seed=3) == build_example("locate", ROW, seed=3)
    assert "Tea 1.50" in build_example("locate", ROW, seed=None)[0]


@pytest.mark.parametrize("prompt", ["Fields as JSON.", "<image>\nFields as JSON.", "<image>Fields as JSON."])
def test_custom_puts_the_image_before_the_rows_prompt_once(prompt):
    row = ROW | {"prompt": prompt, "target": '{"total": 1.5}'}
    assert build_example("custom", row) == ("<image>\nFields as JSON.", '{"total": 1.5}')


def test_custom_without_a_target_is_refused():
    with pytest.raises(ValueError, match="'p1' has nothing for the task 'custom'"):
        build_example("custom", ROW | {"prompt": "x"})


def test_a_recipe_can_set_its_own_prompts():
    assert build_example("ocr", ROW, {"ocr": "<image>\nText?"})[0] == "<image>\nText?"


@pytest.mark.parametrize(
    ("changes", "suited"),
    [
        ({}, {"ocr", "markdown"}),
        ({"text": "", "bboxes": [], "labels": [], "texts": []}, {"ocr", "markdown"}),  # a blank page
        ({"text": " ", "texts": [""]}, {"markdown"}),  # boxes alone
        ({"text": "", "bboxes": [], "labels": [], "texts": [], "prompt": "Total?", "target": "7"}, {"custom"}),
        ({"prompt": "Total?", "target": "7"}, {"ocr", "markdown", "custom"}),
    ],
)
def test_a_page_whose_text_is_unknown_is_not_asked_for_it(changes, suited):
    row = {"id": "p", "text": "One line\nTwo", "bboxes": [[0, 0, 9, 9]], "labels": ["text"], "texts": ["One\nTwo"]}
    row |= {"width": 10, "height": 10} | changes
    assert {task for task in ("ocr", "markdown", "custom") if suits(task, row)} == suited
