"""The figures of metrics.json, and the check of the lines they come from."""

import json
import pickle
import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ocr2_hf.benchmark.predictions import make_predictions
from ocr2_hf.document import predictions
from ocr2_hf.document.predictions import Prediction, open_predictions, read_predictions, write_predictions
from ocr2_hf.errors import UsageError, WorkError
from ocr2_hf.evaluation.boxes import Detections, box_scores, match_boxes
from ocr2_hf.evaluation.registry import measure_pages
from ocr2_hf.evaluation.robustness import invented_characters
from ocr2_hf.evaluation.summary import summarize, summarize_with_intervals
from ocr2_hf.evaluation.text import character_error_rate, exact_match, normalized_edit_distance, word_error_rate


def written(prediction, reference, **more):
    return {"id": prediction, "prompt": "", "prediction": prediction, "reference": reference, **more}


def line(prediction, reference, **more):
    return Prediction.from_dict(written(prediction, reference, **more))


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


def test_figures_are_those_of_the_functions():
    draw = random.Random(0)
    lines = []
    for _ in range(30):
        reference = "".join(draw.choices("abc d\n", k=draw.randint(0, 60)))
        prediction = "".join(character for character in reference if draw.random() > 0.2)
        shapes = [
            [draw.randint(0, 20), draw.randint(0, 20), 30, 30 + draw.randint(0, 9)]
            for _box in range(draw.randint(0, 4))
        ]
        moved = [[value + draw.randint(-3, 3) for value in box] for box in shapes if draw.random() > 0.1]
        sides = {"regions": [region(*box) for box in moved], "reference_regions": [region(*box) for box in shapes]}
        lines.append(line(prediction, reference, **sides))
    metrics = summarize(lines)
    texts = [page.prediction for page in lines], [page.reference for page in lines]
    assert metrics["cer"] == pytest.approx(character_error_rate(*texts))
    assert metrics["wer"] == pytest.approx(word_error_rate(*texts))
    assert metrics["cer_strict"] == pytest.approx(character_error_rate(*texts, strict=True))
    assert metrics["normalized_edit_distance"] == pytest.approx(normalized_edit_distance(*texts))
    assert metrics["exact_match"] == exact_match(*texts)
    invented, predicted = map(sum, zip(*map(invented_characters, *texts), strict=True))
    assert metrics["invented_text_rate"] == invented / predicted
    sides = list(zip(*(page.boxes() for page in lines), strict=True))
    overlaps = [iou for pair in zip(*sides, strict=True) for *_, iou in match_boxes(*pair)]
    assert metrics["bbox_iou"] == pytest.approx(sum(overlaps) / sum(map(len, sides[1])))
    for least, scores in ((50, box_scores(*sides, 0.5)), (75, box_scores(*sides, 0.75))):
        assert [metrics[f"box_{name}_{least}"] for name in scores._fields] == pytest.approx(list(scores))
        assert len({*scores}) == 3
    pages = ([[region(*box) for box in side] for side in page] for page in zip(*sides, strict=True))
    again = [line("", "", regions=found, reference_regions=wanted) for found, wanted in pages]
    assert metrics["map"] == pytest.approx(Detections.of(again).mean())


def test_missing_and_empty_pages():
    lines = [
        line("abcd", "abcd"),
        line("", "abcd", missing=True, regions=[], reference_regions=[region(0, 0, 9, 9)]),
        line(" ", "abcd", finished=True),
        line("", ""),
    ]
    metrics = summarize(lines)
    assert metrics["missing_pages"] == 1
    # Of the two pages that were read and have text one came out empty; what was not read counts as errors all the same.
    assert metrics["empty_rate"] == 0.5
    assert metrics["cer"] == pytest.approx(8 / 12) and metrics["exact_match"] == 0.5
    assert metrics["bbox_iou"] == metrics["box_recall_50"] == 0 and metrics["box_precision_50"] is None


def test_cost():
    metrics = summarize([line("a", "a", seconds=1.0), line("b", "b", seconds=4.0), line("c", "c")])
    assert metrics["inference_time"] == 2.5 and metrics["pages_per_second"] == pytest.approx(0.4)
    assert summarize([line("a", "a", seconds=0)])["pages_per_second"] is None


def test_strict_figures_see_line_breaks_and_forms():
    metrics = summarize([line("caf\u0065\u0301\nx", "caf\u00e9 x")])
    assert metrics["cer"] == 0 and metrics["exact_match"] == 1
    assert metrics["cer_strict"] == pytest.approx(3 / 6) and metrics["exact_match_strict"] == 0
    assert summarize([line("a\n\nb\n", "a\nb")])["cer_strict"] == pytest.approx(2 / 3)
    tag = "<|ref|>{}<|/ref|><|det|>[[1, 2, 3, 4]]<|/det|>\n{}"
    assert summarize([line(tag.format("title", "ab\n\n"), tag.format("text", "ab"))])["cer_strict"] == 0


def test_breakdowns_are_the_figures_of_a_part():
    lines = [
        line("abcd", "abcx", language="en", task="ocr"),
        line("资产合计", "资产总计", language="zh", task="ocr"),
        line("efgh", "efgh", language="en", task="markdown"),
        line("12", "12"),
    ]
    by = summarize_with_intervals(lines)["by"]
    assert set(by) == {"script", "language", "task"}
    assert list(by["script"]) == ["Latin", "Han"] and by["script"]["Latin"]["pages"] == 2
    assert by["script"]["Latin"]["cer"] == 1 / 8 and by["script"]["Han"]["cer"] == 1 / 4
    assert by["language"]["en"] == by["script"]["Latin"] and by["task"]["ocr"]["cer"] == 2 / 8
    assert "bbox_iou" not in by["language"]["en"]
    json.dumps(by, allow_nan=False)


def test_breakdown_by_label():
    def part(label, text, *box):
        return {"label": label, "box": list(box), "text": text}

    lines = [
        line(
            "page",
            "page",
            regions=[
                part("title", "One", 0, 0, 10, 10),
                part("text", "twx", 0, 20, 10, 30),
                part("figure", "", 50, 50, 60, 60),
            ],
            reference_regions=[
                part("title", "One", 0, 0, 10, 10),
                part("text", "two", 0, 20, 10, 30),
                part("text", "lost", 0, 40, 10, 45),
            ],
        )
    ]
    labels = summarize_with_intervals(lines)["by"]["label"]
    assert list(labels) == ["text", "title"]
    assert labels["title"]["box_f1_50"] == labels["title"]["average_precision"] == 1 and labels["title"]["cer"] == 0
    text = labels["text"]
    assert (text["boxes"], text["bbox_iou"], text["box_precision_50"], text["box_recall_50"]) == (2, 0.5, 1, 0.5)
    assert text["cer"] == pytest.approx((1 + 4) / 7) and text["average_precision"] == pytest.approx(51 / 101)


def test_names_are_no_breakdown():
    """Where each page has a label of its own (the task locate), a row per label would say nothing."""
    lines = [
        line(
            f"a{n}",
            "a",
            language=f"l{n}",
            reference_regions=[{"label": f"word {n}", "box": [0, 0, 1, 1]}],
        )
        for n in range(60)
    ]
    assert set(summarize_with_intervals(lines)["by"]) == {"script"}


def test_measures_that_are_known_are_not_computed_again():
    lines = [line("abcd", "abce"), line("x", "x")]
    measures = measure_pages(lines)
    assert summarize(lines, measures) == summarize(lines)
    assert summarize(lines[:1], measures[:1])["cer"] == 0.25


PIECES = [
    "<table><tr><td colspan=2>",
    "</td>",
    "</table>",
    "<th>x",
    "|a|b|\n|-|-|\n",
    "\\[x^2",
    "\\]",
    "$a_1$",
    "\n\n",
    "word ",
]
TAGS = [
    "<|ref|>text<|/ref|><|det|>[[1, 2, 3, 4]]<|/det|>\n",
    "<|det|>",
    "\0",
    "\u0301",
    "\ud800",
    "发票",
    "<!--",
    "&#0;",
]
WRITTEN = st.lists(st.one_of(st.sampled_from(PIECES + TAGS), st.text(max_size=8)), max_size=12).map("".join)
NUMBERS = st.floats(-1e4, 1e4, allow_nan=False)
REGIONS = st.lists(
    st.fixed_dictionaries(
        {"box": st.lists(NUMBERS, min_size=4, max_size=4)},
        optional={"label": st.sampled_from(["text", "title", None]), "text": st.one_of(st.none(), WRITTEN)},
    ),
    max_size=4,
)
LINES = st.lists(
    st.builds(
        lambda p, r, a, b, done: line(p, r, regions=a, reference_regions=b, finished=done),
        *(WRITTEN, WRITTEN, st.one_of(st.none(), REGIONS), REGIONS, st.one_of(st.none(), st.booleans())),
    ),
    max_size=4,
)


@settings(max_examples=150, deadline=None)
@given(LINES)
def test_whatever_was_predicted_is_scored(lines):
    metrics = summarize_with_intervals(lines, samples=5)
    json.dumps(metrics, allow_nan=False)
    free = ("cer", "wer", "cer_strict", "pages", "missing_pages", "definitions")
    for name, value in metrics.items():
        if name not in (*free, "intervals", "by") and value is not None:
            assert -1e-9 <= value <= 1 + 1e-9, name
    right = summarize([replace(page, prediction=page.reference, regions=page.reference_regions) for page in lines])
    for name in ("cer", "wer", "cer_strict", "normalized_edit_distance", "formula_edit", "reading_order_edit"):
        assert right[name] in (0, None), name
    for name in ("teds", "teds_s", "cell_precision", "cell_recall", "exact_match", "exact_match_strict"):
        assert right[name] in (1, None), name


def write(path, *lines):
    path.write_text("\n".join(text if isinstance(text, str) else json.dumps(text) for text in lines), encoding="utf-8")
    return path


def test_lines_are_read_back(tmp_path):
    lines = [written("a", "b", regions=[region(0, 0, 1, 1)], extra=1), written("c\u2028d\u0085e", "d")]
    path = tmp_path / "p.jsonl"
    path.write_text("\n".join(json.dumps(text, ensure_ascii=False) for text in lines) + "\n\n", encoding="utf-8")
    assert [page.to_dict() for page in read_predictions(path)] == lines


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ("{", "line 2"),
        ("[1]", "JSON object"),
        ({"id": "b", "prediction": "x"}, "'reference' must be text"),
        (written("b", None), "'reference' must be text, found None"),
        (written("b", "x", seconds="fast"), "'seconds' must be a number"),
        (written("b", "x", tokens=float("nan")), "'tokens' must be a number"),
        (written("b", "x", finished="yes"), "'finished' must be"),
        (written("b", "x", regions=[{"label": "text"}]), r"regions\[0\] needs a 'box'"),
        (written("b", "x", reference_regions=[{"box": [0, 0, "1", 2]}]), r"reference_regions\[0\]"),
        (written("b", "x", regions="none"), "'regions' must be a list"),
        (written("a", "x"), "'a' comes twice"),
        (written("b", "x", width=10**400), "'width' must be a number"),
        ('{"id": "b", "prediction": "x", "reference": "y", "z": ' + "[" * 60 + "]" * 60 + "}", "nested more than 50"),
        ('{"id": ' + "[" * 900 + "]" * 900 + "}", "nested more than 50"),
        ("[" * 200_000, "nested thousands of times"),
    ],
)
def test_a_bad_line_is_named(tmp_path, bad, message):
    path = write(tmp_path / "p.jsonl", written("a", "b"), bad)
    with pytest.raises(WorkError, match=message) as caught:
        read_predictions(path)
    assert str(path) in str(caught.value) and "line 2" in str(caught.value)


def test_lines_are_read_when_they_are_asked_for(tmp_path):
    lines = list(make_predictions(5))
    written = write_predictions(tmp_path / "p.jsonl", iter(lines))
    rows = (tmp_path / "p.jsonl").read_bytes().splitlines(keepends=True)
    (tmp_path / "with_gaps.jsonl").write_bytes(b"\xef\xbb\xbf" + b"\n \n".join(rows))
    for file in (written, open_predictions(tmp_path / "with_gaps.jsonl")):
        assert len(file) == 5 and list(file) == lines
        assert file[1] == lines[1] and file[-1] == lines[-1] and list(file[1:3]) == lines[1:3]
        assert list(pickle.loads(pickle.dumps(file[3:]))) == lines[3:]
        assert len(pickle.dumps(file)) < 1000 < len(pickle.dumps(lines))


def test_no_file_and_no_text(tmp_path):
    with pytest.raises(UsageError, match="no such"):
        read_predictions(tmp_path / "missing.jsonl")
    (tmp_path / "binary.jsonl").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(WorkError, match="UTF-8"):
        read_predictions(tmp_path / "binary.jsonl")


def test_a_line_without_end(tmp_path, monkeypatch):
    monkeypatch.setattr(predictions, "MAX_LINE_BYTES", 100)
    path = write(tmp_path / "p.jsonl", written("a", "b" * 100))
    with pytest.raises(WorkError, match=f"{path} has a line of over 100 bytes"):
        read_predictions(path)
