"""The figures of metrics.json, and the check of the lines they come from."""

import json

import pytest

from ocr2_hf.errors import UsageError, WorkError
from ocr2_hf.evaluation.predictions import read_predictions
from ocr2_hf.evaluation.summary import summarize


def line(prediction, reference, **more):
    return {"id": prediction, "prompt": "", "prediction": prediction, "reference": reference, **more}


def region(*box):
    return {"label": "text", "box": list(box), "text": ""}


def test_figures_by_hand():
    lines = [
        line("abcd", "abce", seconds=1.0, tokens=10, finished=True),
        line("no " * 50, "xy z", seconds=3.0, tokens=30, finished=False),
    ]
    metrics = summarize(lines)
    assert metrics["pages"] == 2
    assert metrics["inference_time"] == 2
    assert metrics["tokens_per_page"] == 20
    assert metrics["missing_eos_rate"] == metrics["repetition_rate"] == 0.5
    assert metrics["cer"] > 1 and metrics["text_accuracy"] == 0
    assert metrics["bbox_iou"] is None


def test_grounding_tags_are_not_text():
    tag = "<|ref|>{}<|/ref|><|det|>[[1, 2, 3, 4]]<|/det|>\n{}"
    metrics = summarize([line(tag.format("title", "abcd"), tag.format("text", "abce"))])
    assert metrics["cer"] == 0.25 and metrics["text_accuracy"] == 0.75


def test_box_iou_over_all_reference_boxes():
    boxed = line(
        "a",
        "a",
        regions=[region(0, 0, 10, 10)],
        reference_regions=[region(2, 2, 8, 8), region(90, 90, 99, 99)],
    )
    assert summarize([boxed, line("b", "b", regions=[region(0, 0, 1, 1)])])["bbox_iou"] == pytest.approx(0.18)


def test_what_cannot_be_measured_is_none():
    metrics = summarize([line("invented", "")])
    for name in ("text_accuracy", "cer", "wer", "normalized_edit_distance", "bbox_iou", "inference_time"):
        assert metrics[name] is None
    assert metrics["missing_eos_rate"] is None and metrics["repetition_rate"] == 0
    empty = summarize([])
    assert empty.pop("pages") == empty.pop("missing_pages") == 0 and set(empty.values()) == {None}


def write(path, *lines):
    path.write_text("\n".join(text if isinstance(text, str) else json.dumps(text) for text in lines), encoding="utf-8")
    return path


def test_lines_are_read_back(tmp_path):
    lines = [line("a", "b", regions=[region(0, 0, 1, 1)], extra=1), line("c\u2028d\u0085e", "d")]
    path = tmp_path / "p.jsonl"
    path.write_text("\n".join(json.dumps(text, ensure_ascii=False) for text in lines) + "\n\n", encoding="utf-8")
    assert read_predictions(path) == lines


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ("{", "line 2"),
        ("[1]", "JSON object"),
        ({"id": "b", "prediction": "x"}, "'reference' must be text"),
        (line("b", None), "'reference' must be text, found None"),
        (line("b", "x", seconds="fast"), "'seconds' must be a number"),
        (line("b", "x", tokens=float("nan")), "'tokens' must be a number"),
        (line("b", "x", finished="yes"), "'finished' must be"),
        (line("b", "x", regions=[{"label": "text"}]), r"regions\[0\] needs a 'box'"),
        (line("b", "x", reference_regions=[{"box": [0, 0, "1", 2]}]), r"reference_regions\[0\]"),
        (line("b", "x", regions="none"), "'regions' must be a list"),
        (line("a", "x"), "'a' comes twice"),
    ],
)
def test_a_bad_line_is_named(tmp_path, bad, message):
    path = write(tmp_path / "p.jsonl", line("a", "b"), bad)
    with pytest.raises(WorkError, match=message) as caught:
        read_predictions(path)
    assert str(path) in str(caught.value) and "line 2" in str(caught.value)


def test_no_file_and_no_text(tmp_path):
    with pytest.raises(UsageError, match="no such"):
        read_predictions(tmp_path / "missing.jsonl")
    (tmp_path / "binary.jsonl").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(WorkError, match="UTF-8"):
        read_predictions(tmp_path / "binary.jsonl")
