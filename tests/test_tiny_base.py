"""The checkpoint in recipes/tiny/base: small, loaded by stock classes, and it reads pages it has never seen."""

import json
from pathlib import Path

import matplotlib
import pytest
import torch
from transformers import AutoModelForImageTextToText, AutoProcessor, DeepseekOcr2ForConditionalGeneration

from data_scripts.synthesize import main as synthesize
from ocr2_hf.document.grounding import Region
from ocr2_hf.document.predictions import Prediction
from ocr2_hf.errors import run_command
from ocr2_hf.evaluation.summary import summarize
from ocr2_hf.evaluation.text import character_error_rate
from ocr2_hf.modeling.load import load_model
from ocr2_hf.reading.reader import DocumentReader

BASE = Path(__file__).resolve().parent.parent / "recipes/tiny/base"


@pytest.fixture(scope="module")
def slips(tmp_path_factory) -> list[tuple[Path, dict]]:
    """Six slips of a seed that was not trained on: image and annotation."""
    folder = tmp_path_factory.mktemp("slips")
    fonts = Path(matplotlib.get_data_path()) / "fonts/ttf"
    names = ("DejaVuSans.ttf", "DejaVuSansMono.ttf", "DejaVuSerif.ttf")
    options = ["--kind", "typed", "--pages", "6", "--seed", "7", "--size", "192x192", "--damage", "0.2"]
    assert run_command(synthesize, [str(folder), *options, "--font", *(str(fonts / name) for name in names)]) == 0
    images = sorted(folder.glob("images/*.png"))
    return [(image, json.loads((folder / f"annotations/{image.stem}.json").read_text())) for image in images]


def test_it_is_small_and_stock_classes_load_it():
    assert sum(path.stat().st_size for path in BASE.glob("*.safetensors")) < 16_000_000
    model = AutoModelForImageTextToText.from_pretrained(BASE)
    assert type(model) is DeepseekOcr2ForConditionalGeneration
    ours = dict(load_model(BASE).named_parameters())
    assert all(torch.equal(parameter, ours[name]) for name, parameter in model.named_parameters())
    assert AutoProcessor.from_pretrained(BASE, backend="pil").image_processor.size["height"] == 192


@pytest.mark.parametrize("task", ["ocr", "markdown"])
def test_it_reads(slips, task):
    """As its card claims: 5 % and 8 % of errors at most, boxes at 0.75."""
    reader = DocumentReader.from_pretrained(BASE)
    pages = [reader.read(image, task=task) for image, _ in slips]
    texts = [annotation["text"] for _, annotation in slips]
    assert character_error_rate([page.text for page in pages], texts) < {"ocr": 0.05, "markdown": 0.08}[task]
    if task == "markdown":
        references = [[Region("", tuple(box)) for box in annotation["bboxes"]] for _, annotation in slips]
        sides = zip(pages, references, strict=True)
        lines = [Prediction("", "", regions=page.regions, reference_regions=wanted) for page, wanted in sides]
        assert summarize(lines)["bbox_iou"] > 0.75
