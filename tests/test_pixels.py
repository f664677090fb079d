"""Pixel values are those of the stock image processor, bit for bit: whatever the page, its mode and the settings."""

from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import Tensor
from transformers import AutoProcessor
from transformers.models.deepseek_ocr2.image_processing_pil_deepseek_ocr2 import DeepseekOcr2ImageProcessorPil

from helpers.tiny_pages import noise, page_dataset
from ocr2_hf.data.collator import PromptEncoder, TrainingCollator
from ocr2_hf.data.pixels import look_up
from ocr2_hf.modeling.load import load_processor
from ocr2_hf.modeling.tiny import TINY_SIZES, build_tiny_model, build_tiny_processor
from ocr2_hf.publishing.original_layout import write_processor
from ocr2_hf.recipe import OCR2TrainingArguments
from ocr2_hf.training.trainer import OCR2Trainer

# A tiny tile has 192 pixels a side: one tile, a pixel more, exact tiles, thin, wide, more than six tiles.
SIZES = ((1, 1), (3, 3), (1, 190), (192, 192), (193, 20), (20, 193), (192, 193), (384, 384), (576, 384), (384, 576))
SIZES += ((1900, 20), (20, 1900), (1100, 900), (901, 1303), (150, 1250))


def colours(size: tuple[int, int], seed: int = 0) -> Image.Image:
    """A page whose channels have nothing in common."""
    return Image.merge("RGB", [noise(size, 90, 3 * seed + channel) for channel in range(3)])


def grey(size: tuple[int, int], seed: int = 0) -> Image.Image:
    """A page in RGB without colour."""
    return noise(size, 90, seed).convert("RGB")


def assert_as_stock(images: list[Image.Image], processor) -> dict[str, Tensor]:
    """Names, values, types, and how the values lie in memory, for convolutions add them up by that."""
    encoder = PromptEncoder(processor)
    ours = encoder.images(images)
    stock = processor.image_processor(images, return_tensors="pt", **encoder.settings.call_arguments())
    assert list(ours) == list(stock)
    for name, value in stock.items():
        assert ours[name].dtype == value.dtype and torch.equal(ours[name], value), name
        assert ours[name].stride() == value.stride(), name
    return ours


@pytest.mark.parametrize("name", TINY_SIZES)
@pytest.mark.parametrize("draw", [colours, grey])
def test_pages_of_all_sizes(name, draw):
    pages = [draw(size, seed) for seed, size in enumerate(SIZES)]
    assert_as_stock(pages, build_tiny_processor(name))
    assert "pixel_values_local" not in assert_as_stock(pages[:4], build_tiny_processor(name))


@pytest.fixture(scope="module", params=["native", "original"])
def real_processor(request, tmp_path_factory):
    """The released model's image settings, from files of either layout."""
    folder: Path = tmp_path_factory.mktemp(request.param)
    processor = build_tiny_processor()
    processor.image_processor = DeepseekOcr2ImageProcessorPil(image_mean=[0.5] * 3, image_std=[0.5] * 3)
    processor.save_pretrained(folder) if request.param == "native" else write_processor(folder, processor)
    return load_processor(folder)


def test_pages_at_the_released_size(real_processor):
    assert real_processor.image_processor.tile_size == 768
    assert_as_stock([colours((768, 700)), grey((800, 1100)), colours((1536, 769))], real_processor)


SETTINGS = {
    "channels": {"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]},
    "one mean": {"image_mean": 0.3, "image_std": 0.7},
    "not normalized": {"do_normalize": False},
    "not scaled": {"do_rescale": False},
    "levels": {"do_normalize": False, "do_rescale": False},
    "another scale": {"rescale_factor": 1 / 127.5},
    "fewer tiles": {"max_patches": 2},
    "more tiles": {"min_patches": 1, "max_patches": 9},
    "bilinear": {"resample": Image.Resampling.BILINEAR},
    "background": {"background_color": [9, 120, 250]},
}


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
def test_settings_of_other_checkpoints(settings):
    processor = build_tiny_processor()
    for name, value in settings.items():
        setattr(processor.image_processor, name, value)
    assert_as_stock([colours((500, 300)), grey((310, 700)), colours((90, 100))], processor)


def test_levels_are_a_quarter_and_become_the_values_where_the_model_runs():
    pages, encoder = [colours((500, 300)), grey((90, 100))], PromptEncoder(build_tiny_processor())
    values, levels = encoder.images(pages), encoder.images(pages, levels=True)
    views = ("pixel_values", "pixel_values_local")
    assert [levels[name].nbytes * 4 for name in views] == [values[name].nbytes for name in views]
    there = look_up(levels)
    assert list(there) == list(values) and all(torch.equal(there[name], values[name]) for name in values)
    assert look_up(there) is there


@pytest.mark.gpu
def test_a_gpu_looks_up_the_same_values():
    levels = PromptEncoder(build_tiny_processor()).images([colours((500, 300))], levels=True)
    there, here = look_up({name: tensor.cuda() for name, tensor in levels.items()}), look_up(levels)
    assert all(torch.equal(there[name].cpu(), here[name]) for name in here)


def test_training_moves_levels_and_its_losses_are_those_of_values(tmp_path):
    args = OCR2TrainingArguments(str(tmp_path), use_cpu=True, report_to=[], dataloader_num_workers=1)
    trainer = OCR2Trainer(build_tiny_model(), args, processor=build_tiny_processor(), train_dataset=page_dataset())
    moved = next(iter(trainer.get_train_dataloader()))
    assert moved["pixel_values"].dtype == moved["pixel_values_local"].dtype == torch.uint8
    examples = [trainer.train_dataset[index] for index in range(4)]
    batches = [TrainingCollator(trainer.processor, levels=levels)(examples) for levels in (True, False)]
    first, second = (trainer.model(**trainer._prepare_inputs(batch)).loss for batch in batches)
    assert torch.equal(first, second)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK", "YCbCr", "RGB"])
def test_modes(mode):
    page = colours((300, 250)).convert(mode)
    if mode in ("RGB", "P"):
        page.info["transparency"] = page.getpixel((5, 5))  # as a PNG says it
    assert_as_stock([grey((100, 80)), page], build_tiny_processor())


def test_the_stock_pillow_class_does_not_run(monkeypatch):
    monkeypatch.setattr(DeepseekOcr2ImageProcessorPil, "__call__", lambda *args, **more: pytest.fail("it was called"))
    assert PromptEncoder(build_tiny_processor()).images([colours((300, 400))])["num_local_patches"].tolist() == [6]


class AnotherProcessor(DeepseekOcr2ImageProcessorPil):
    """Stands for torchvision's, or somebody's own."""

    def __call__(self, images, **settings):
        return {"pixel_values": torch.full((len(images), 3), float(settings["max_patches"]))}


def test_another_class_is_called_itself():
    processor = build_tiny_processor()
    processor.image_processor = AnotherProcessor(max_patches=4)
    assert PromptEncoder(processor).images([colours((300, 400))])["pixel_values"].tolist() == [[4.0] * 3]


def test_what_is_saved_after_it_ran_is_the_stock_class(tmp_path):
    processor = build_tiny_processor()
    page = colours((300, 400))
    ours = PromptEncoder(processor).images([page])
    processor.save_pretrained(tmp_path)
    saved = AutoProcessor.from_pretrained(tmp_path, backend="pil").image_processor
    assert type(saved) is DeepseekOcr2ImageProcessorPil
    assert torch.equal(saved([page], return_tensors="pt")["pixel_values_local"], ours["pixel_values_local"])
