"""Tables on pages: by the model's layout, and by a Table Transformer."""

import json

import pytest
import torch
from PIL import Image
from transformers import ResNetConfig, TableTransformerConfig, TableTransformerForObjectDetection
from transformers.models.detr.image_processing_pil_detr import DetrImageProcessorPil

from helpers.recorded_reader import RecordedReader, layout
from helpers.statement_tables import BALANCE, table_html
from ocr2_hf import FinancialStatementParser, TableDetector
from ocr2_hf.errors import UsageError, WorkError
from ocr2_hf.evaluation.boxes import box_iou
from ocr2_hf.statements.table_detector import TableBox, TableTransformer

SIZE = (1000, 800)


@pytest.fixture(scope="module")
def detector(tmp_path_factory):
    """A tiny Table Transformer with random weights, saved as the Hub has them."""
    folder = tmp_path_factory.mktemp("detector")
    torch.manual_seed(0)
    backbone = ResNetConfig(embedding_size=8, hidden_sizes=[8] * 4, depths=[1] * 4, out_features=["stage4"])
    narrow = {f"{part}_{name}": 2 for part in ("encoder", "decoder") for name in ("layers", "attention_heads")}
    config = TableTransformerConfig(
        use_timm_backbone=False,
        backbone_config=backbone,
        d_model=16,
        encoder_ffn_dim=16,
        decoder_ffn_dim=16,
        num_queries=6,
        id2label={0: "table", 1: "table rotated"},
        **narrow,
    )
    TableTransformerForObjectDetection(config).save_pretrained(folder)
    DetrImageProcessorPil(size={"shortest_edge": 64, "longest_edge": 96}).save_pretrained(folder)
    return folder


def test_the_layout_says_where_tables_are():
    first, second = (100.1, 80.08, 900.9, 320.3), (100.1, 400.4, 900.9, 720.7)
    page = layout(SIZE, ("table", first, "<table></table>"), ("text", (0, 0, 9, 9), "x"), ("table", second, ""))
    boxes = TableDetector(RecordedReader([page])).detect(Image.new("RGB", SIZE))
    assert [box.text for box in boxes] == ["<table></table>", ""] and boxes[0].score is None
    assert [box.box for box in boxes] == [pytest.approx(first, abs=1), pytest.approx(second, abs=1)]


def test_the_layout_of_real_pages_is_found_again(real_pages):
    """The boxes that people drew, written as the model writes them, come back within its grid of 1000."""
    coco = json.loads((real_pages / "publaynet_coco" / "samples.json").read_text(encoding="utf-8"))
    names = {category["id"]: category["name"] for category in coco["categories"]}
    found = 0
    for image in coco["images"]:
        size = image["width"], image["height"]
        regions = [
            (names[note["category_id"]], (x, y, x + w, y + h), "")
            for note in coco["annotations"]
            if note["image_id"] == image["id"]
            for x, y, w, h in [note["bbox"]]
        ]
        tables = [box for label, box, _ in regions if label == "table"]
        path = real_pages / "publaynet_coco" / image["file_name"]
        boxes = [box.box for box in TableDetector(RecordedReader([layout(size, *regions)])).detect(path)]
        assert len(boxes) == len(tables)
        found += len(boxes)
        assert all(iou > 0.97 for iou in box_iou(boxes, tables).diagonal()) if boxes else True
    assert found


def test_a_table_transformer_gives_boxes_on_the_page(detector):
    image = Image.linear_gradient("L").convert("RGB").resize((300, 200))
    boxes = TableDetector(detector, least_score=0.0).detect(image)
    assert boxes and boxes == sorted(boxes, key=lambda box: (box.box[1], box.box[0]))
    for found in boxes:
        x0, y0, x1, y1 = found.box
        assert 0 <= x0 < x1 <= 300 and 0 <= y0 < y1 <= 200 and 0 < found.score < 1
    assert len(boxes) < 6  # queries with one and the same box give one table
    assert TableDetector(detector, least_score=0.999).detect(image) == []


def test_its_tables_are_cut_out_and_read(detector):
    image = Image.linear_gradient("L").convert("RGB").resize(SIZE)
    finder = TableTransformer.from_pretrained(detector, least_score=0.0)
    count = len(finder.find(image))
    reader = RecordedReader([layout(SIZE, ("title", (9, 9, 99, 20), "Balance sheet"))], [table_html(BALANCE)] * count)
    document = FinancialStatementParser(reader, finder).parse_statement(image)
    assert document.pages[0].tables_found == count == len(document.statements)


def test_of_boxes_in_each_other_the_first_stays():
    from ocr2_hf.statements.table_detector import _apart

    outer, inner, other = TableBox((0, 0, 100, 100)), TableBox((5, 5, 95, 95)), TableBox((0, 90, 9, 300))
    assert _apart([inner, outer, other]) == [inner, other]


def test_what_is_no_detector_is_refused(tmp_path, detector):
    with pytest.raises(UsageError, match="cannot be loaded"):
        TableDetector(tmp_path)
    config = json.loads((detector / "config.json").read_text(encoding="utf-8"))
    config["id2label"] = {"0": "cat", "1": "dog"}
    for file in detector.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "config.json").write_text(json.dumps(config), encoding="utf-8")
    with pytest.raises(UsageError, match="finds cat, dog, and no tables"):
        TableDetector(tmp_path)
    with pytest.raises(WorkError, match="no such file"):
        TableDetector(RecordedReader([])).detect(tmp_path / "gone.png")
