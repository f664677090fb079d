"""Augmentation: boxes stay on their ink, the same page comes out whoever asks for it, evaluation sees none of it."""

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from ocr2_hf.data.augment import OPERATIONS, PRESETS, RANGES, Augmentation
from ocr2_hf.errors import UsageError
from ocr2_hf.recipe import load_recipe

PAPER = (250, 246, 235)
COLOURS = ((200, 0, 0), (0, 170, 0), (0, 0, 220))
STRONG = {
    "rotation": {"rotation": 15},
    "perspective": {"perspective": 0.2},
    "scale": {"scale": 0.5},
    "all that moves": {"rotation": 15, "perspective": 0.1, "scale": 0.5},
    "blur": {"blur": 5},
    "noise": {"noise": 20},
    "jpeg": {"jpeg": 30},
    "color_jitter": {"color_jitter": {"brightness": 0.3, "contrast": 0.3}},
    **{name: name for name in PRESETS},
}
MOVING = ("rotation", "perspective", "scale", "all that moves", "scan", "photo")


@st.composite
def pages(draw) -> tuple[Image.Image, list[list[float]]]:
    """A page with one to three boxes of a colour each, up to its very edges; most of it is paper."""
    width, height = draw(st.integers(120, 420)), draw(st.integers(120, 420))
    count = draw(st.integers(1, 3))
    boxes = []
    for i in range(count):
        top, bottom = i * height // count, (i + 1) * height // count
        x0, y0 = draw(st.integers(0, width - 32)), draw(st.integers(top, bottom - 24))
        boxes.append(
            [x0, y0, draw(st.integers(x0 + 24, min(x0 + 32 + width // 4, width))), draw(st.integers(y0 + 24, bottom))]
        )
    return page_of(width, height, boxes), boxes


def page_of(width: int, height: int, boxes: list[list[float]]) -> Image.Image:
    image = Image.new("RGB", (width, height), PAPER)
    draw = ImageDraw.Draw(image)
    for (x0, y0, x1, y1), colour in zip(boxes, COLOURS, strict=False):
        draw.rectangle((x0, y0, x1 - 1, y1 - 1), fill=colour)
    return image


def ink_box(image: Image.Image, channel: int) -> list[int]:
    """Around the pixels in which one of the colours is far stronger than the others."""
    pixels = np.asarray(image).astype(int)
    found = pixels[..., channel] - np.delete(pixels, channel, axis=2).max(axis=2) > 70
    ys, xs = np.nonzero(found)
    return [xs.min(), ys.min(), xs.max() + 1, ys.max() + 1]


@pytest.mark.parametrize("name", STRONG)
@settings(max_examples=25, deadline=None)
@given(page=pages(), seed=st.text(max_size=5))
def test_a_box_is_on_the_same_ink_as_before(name, page, seed):
    image, boxes = page
    augmented, moved = Augmentation.of(STRONG[name])(image, boxes, seed)
    assert augmented.size == image.size and augmented.mode == "RGB" and len(moved) == len(boxes)
    # Pixels at an edge are half paper; blur takes that much further, and JPEG spreads colours over blocks of 16.
    soft = 2 if name in ("rotation", "perspective", "scale", "all that moves") else 4.5
    for channel, (x0, y0, x1, y1) in enumerate(moved):
        assert 0 <= x0 < x1 <= image.width and 0 <= y0 < y1 <= image.height
        # All of the ink is still on the page, and in its box.
        assert ink_box(augmented, channel) == pytest.approx([x0, y0, x1, y1], abs=soft)
    if name not in MOVING:
        assert moved == boxes


def test_the_background_has_the_colour_of_the_paper():
    image = page_of(300, 400, [[100, 150, 200, 250]])
    for seed in range(10):
        augmented, _ = Augmentation.of({"rotation": 15, "scale": 0.5})(image, [[100, 150, 200, 250]], str(seed))
        assert {augmented.getpixel(place) for place in ((0, 0), (299, 0), (0, 399), (299, 399))} == {PAPER}


def test_without_boxes_the_whole_page_stays_in_view():
    for seed in range(20):
        image = page_of(200, 300, [[0, 0, 200, 300]])
        augmented, moved = Augmentation.of({"rotation": 10, "perspective": 0.1})(image, [], str(seed))
        assert moved == []
        # A corner of the sheet at most is cut by the half pixel at the edge.
        x0, y0, x1, y1 = ink_box(augmented, 0)
        full = np.asarray(augmented)[..., 0].astype(int) - np.asarray(augmented)[..., 1] > 70
        assert x1 - x0 > 120 and y1 - y0 > 200 and full.mean() > 0.5


def test_what_is_asked_for_is_what_happens():
    image, boxes = page_of(200, 200, [[50, 50, 150, 150]]), [[50, 50, 150, 150]]
    for name in OPERATIONS:
        strength = {"brightness": 0.5, "contrast": 0.5} if name == "color_jitter" else RANGES[name][1]
        augmentation = Augmentation.of({name: 5 if name == "jpeg" else strength})
        augmented, _ = augmentation(image, boxes, "a")
        assert augmentation and augmented.tobytes() != image.tobytes(), name
    for name in ("none", {}, {"rotation": 0, "jpeg": 100, "color_jitter": {}}):
        augmented, moved = Augmentation.of(name)(image, boxes, "a")
        assert not Augmentation.of(name) and augmented.tobytes() == image.tobytes() and moved == boxes


def test_strengths_are_limits_and_all_up_to_them_occurs():
    image, boxes = page_of(200, 200, [[50, 98, 150, 102]]), [[50, 98, 150, 102]]
    angles = []
    for seed in range(200):
        _, [(x0, y0, x1, y1)] = Augmentation.of({"rotation": 8})(image, boxes, str(seed))
        angles.append(np.degrees(np.arctan2(y1 - y0 - 4, x1 - x0)))
    assert 7 < max(angles) < 8.2 and np.mean(angles) == pytest.approx(4, abs=0.6)
    moved = [Augmentation.of({"scale": 0.4})(image, boxes, str(seed))[1][0] for seed in range(200)]
    factors = [(x1 - x0) / 100 for x0, _, x1, _ in moved]
    assert 0.6 <= min(factors) < 0.63 and 0.97 < max(factors) <= 1
    # A page of 60 % of its place may lie anywhere in it: its left edge from 0 to 80.
    lefts = [x0 - 50 * factor for (x0, *_), factor in zip(moved, factors, strict=True)]
    assert min(lefts) > -1e-6 and max(lefts) > 50 and np.std(lefts) > 10
    brightness = {
        Augmentation.of("light")(Image.new("RGB", (4, 4), (100, 100, 100)), [], str(seed))[0].getpixel((0, 0))[0]
        for seed in range(200)
    }
    assert 80 <= min(brightness) <= 83 and 117 <= max(brightness) <= 120


def test_the_same_seed_gives_the_same_page_and_another_another():
    image, boxes = page_of(200, 200, [[50, 50, 150, 150]]), [[50, 50, 150, 150]]
    photo = Augmentation.of("photo")
    results = [photo(image, boxes, seed) for seed in ("a", "a", "b")]
    assert results[0][0].tobytes() == results[1][0].tobytes() and results[0][1] == results[1][1]
    assert results[0][0].tobytes() != results[2][0].tobytes() and results[0][1] != results[2][1]


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("scans", "augment: 'scans': is none of none, light, scan, photo"),
        ({"zoom": 1}, "}: 'zoom' is none of color_jitter, rotation, perspective, scale, blur, noise, jpeg"),
        ({"rotation": 90}, "}: rotation: 90 is not a number from 0 to 15"),
        ({"rotation": True}, "}: rotation: True is not a number from 0 to 15"),
        ({"blur": "much"}, "}: blur: 'much' is not a number from 0 to 5"),
        ({"noise": float("nan")}, "}: noise: nan is not a number from 0 to 60"),
        ({"jpeg": 0}, "}: jpeg: 0 is not a number from 5 to 100"),
        ({"color_jitter": 0.2}, "}: color_jitter: 0.2 is not a mapping of brightness and contrast"),
        ({"color_jitter": {"hue": 0.1}}, "}: color_jitter: 'hue' is none of brightness, contrast"),
        ({"color_jitter": {"contrast": 2}}, "}: color_jitter: contrast: 2 is not a number from 0 to 0.9"),
        (7, "augment: 7: input should be"),
    ],
)
def test_a_recipe_that_asks_for_what_is_not_there_is_told(tmp_path, value, told):
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump({"model": "tiny", "dataset": "x", "augment": value}))
    with pytest.raises(UsageError) as caught:
        load_recipe(tmp_path / "recipe.yaml")
    assert told in str(caught.value) and "1 problem in the recipe" in str(caught.value)


def test_a_recipe_takes_presets_and_mappings_also_on_the_command_line(tmp_path):
    (tmp_path / "recipe.yaml").write_text("model: tiny\ndataset: x\n")
    for words, jitter, rotation in (
        ([], 0.2, 0),
        (["--augment", "none"], 0, 0),
        (["--augment", "scan"], 0.2, 1.5),
        (["--augment", "{rotation: 3}"], 0, 3),
    ):
        recipe = load_recipe(tmp_path / "recipe.yaml", [*words, "--output_dir", str(tmp_path)])
        augmentation = Augmentation.of(recipe.training_arguments().augment)
        assert (augmentation.brightness, augmentation.contrast, augmentation.rotation) == (jitter, jitter, rotation)
