"""The report as it is written: one file, the figures and pages in it, everything that was read as data."""

import base64
import hashlib
import io
import json
import re

import numpy as np
import pytest
from lxml import html
from PIL import Image

from helpers.tiny_pages import noise
from ocr2_hf.document.predictions import Prediction
from ocr2_hf.errors import WorkError
from ocr2_hf.evaluation.registry import listed_metrics, metrics_table, shown_metrics
from ocr2_hf.evaluation.report import images as report_images
from ocr2_hf.evaluation.report import write_comparison, write_report
from ocr2_hf.evaluation.report.items import difference, report_item
from ocr2_hf.evaluation.report.pages import ReportPages
from ocr2_hf.evaluation.report.selection import WORST, select_pages
from ocr2_hf.evaluation.summary import compare, shared_pages, summarize, summarize_with_intervals

HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(1)>\"'>&lt;</script><!--\u2028\0\ud800"


def region(*box, label="text", text=""):
    return {"label": label, "box": list(box), "text": text}


def line(id, prediction, reference, **more):
    page = {"id": id, "prompt": "<image>\nFree OCR.", "prediction": prediction, "reference": reference}
    return Prediction.from_dict(page | more)


def written(path):
    """The report's document and the data in it."""
    tree = html.fromstring(path.read_text(encoding="utf-8"))
    return tree, json.loads(tree.xpath("//script[@type='application/json']/text()")[0])


def shown(page):
    (side,) = report_item(ReportPages([[page]])[0], None, None)["sides"]
    return side


def report(path, lines, **more):
    write_report(lines, summarize_with_intervals(lines, samples=50), path, **more)
    return written(path)


def test_the_figures_with_their_intervals(tmp_path):
    lines = [
        line("good", "abcd", "abcd"),
        line("bad", "xxxx", "abcd"),
        line("loop", "ab " * 60, "abcd", finished=False),
    ]
    tree, data = report(tmp_path / "report.html", lines, title="runs/a")
    assert tree.xpath("//h1/text()") == ["runs/a"] and data["names"] == ["runs/a"]
    figures = {figure["name"]: figure for figure in data["figures"]}
    assert figures["missing_eos_rate"]["values"] == ["100.0%"] and "bbox_iou" not in figures
    low, high = figures["text_accuracy"]["interval"]["numbers"]
    assert 0 <= low <= figures["text_accuracy"]["numbers"][0] <= high <= 1
    assert data["items"][2]["sides"][0]["marks"] == ["loop", "no end"]
    assert [measure["name"] for measure in data["measures"]][:2] == ["cer", "wer"]


def test_every_metric_has_a_place():
    """A metric without a name would not be shown, one that is not measured any more would stay for ever."""
    known = summarize([line("a", "a", "a")]).keys() - {
        "pages",
        "exact_match_strict",
        "box_precision_75",
        "box_recall_75",
    }
    shown = {metric.name for metric in shown_metrics()}
    assert known == shown and {metric.name for metric in listed_metrics()} <= shown


def test_printed_figures():
    table = metrics_table({"before": {"cer": 0.25}, "change": {"cer": -0.125}})
    rows = [row.split("  ") for row in table.splitlines()]
    assert ["Character errors ↓", "25.0%", "-12.5%"] in [[cell.strip() for cell in row if cell] for row in rows]
    assert len(rows) == 2  # nothing of what was not measured


def test_boxes_are_paired_and_the_page_is_downscaled(tmp_path):
    sides = {
        "regions": [region(0, 0, 1500, 1000, label="title", text="Hi")],
        "reference_regions": [region(5, 5, 1, 1), region(0, 0, 3000, 1000)],
    }
    boxed = line("a", "a", "a", width=3000, height=1000, **sides)
    _, data = report(tmp_path / "r.html", [boxed], images=lambda line: Image.new("RGB", (3000, 1000), "red"))
    (item,) = data["items"]
    assert item["image"].startswith("data:image/jpeg;base64,")
    assert Image.open(io.BytesIO(base64.b64decode(item["image"].split(",")[1]))).size == (1400, 467)
    assert item["size"] == [3000, 1000] and len(item["regions"]) == 2
    (found,) = item["sides"][0]["regions"]
    assert found == {"label": "title", "box": [0, 0, 1500, 1000], "text": "Hi", "partner": 1, "iou": 0.5}


def test_what_was_read_is_data(tmp_path):
    more = {"image": HOSTILE, "regions": [region(0, 0, 5, 5, label=HOSTILE, text=HOSTILE)]}
    hostile = line(HOSTILE, HOSTILE, HOSTILE + "!", prompt=HOSTILE, width=10, height=10, **more)
    path = tmp_path / "r.html"
    tree, data = report(path, [hostile], title=HOSTILE)
    assert len(tree.xpath("//script")) == 2
    assert not tree.xpath("//img | //*[@*[starts-with(name(), 'on')]]")
    assert data["items"][0]["id"] == HOSTILE.replace("\ud800", "?")
    text = path.read_text(encoding="utf-8")
    assert "alert(1)</script>" not in text and "<img" not in text and "<!--" not in text


def test_only_its_own_style_and_script_run_and_nothing_is_fetched(tmp_path):
    tree, _ = report(tmp_path / "r.html", [line("a", "a", "a")])
    policy = tree.xpath("//meta[@http-equiv='Content-Security-Policy']/@content")[0]
    assert policy.startswith("default-src 'none'; img-src data:;") and "unsafe" not in policy
    assert "require-trusted-types-for 'script'" in policy
    text = (tmp_path / "r.html").read_text(encoding="utf-8")
    for kind, pattern in (("style", r"<style>(.*?)</style>"), ("script", r"<script>(.*?)</script>")):
        (content,) = re.findall(pattern, text, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}'" in policy
    assert not re.search(
        r"innerHTML|outerHTML|insertAdjacent|document\.write|eval\(|fetch\(|https?://(?!www\.w3\.org)", text
    )


@pytest.mark.parametrize("content", [None, b"", b"\x89PNG\r\n\x1a\n broken"])
def test_a_page_without_a_readable_image_still_has_its_boxes(tmp_path, content):
    path = tmp_path / "page.png"
    if content is not None:
        path.write_bytes(content)
    boxed = line("a", "a", "a", width=10, height=20, image=str(path), regions=[region(0, 0, 5, 5)])
    _, data = report(tmp_path / "r.html", [boxed, line("b", "b", "b")])
    assert [(item["image"], item["size"]) for item in data["items"]] == [(None, [10, 20]), (None, None)]
    assert len(data["items"][0]["sides"][0]["regions"]) == 1


def test_a_turned_photo_is_shown_upright(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (40, 20)).save(tmp_path / "page.jpg", exif=exif)
    _, data = report(tmp_path / "r.html", [line("a", "a", "a", image=str(tmp_path / "page.jpg"))])
    assert data["items"][0]["size"] == [20, 40]


def test_images_over_the_limit_lie_beside_the_report(tmp_path, monkeypatch):
    pages = [line(f"../{n}", "a", "a") for n in range(3)]
    images = {page.id: noise((200, 100), 90) for page in pages[1:]}

    def write(limit):
        monkeypatch.setattr(report_images, "MAX_BYTES", limit)
        _, data = report(tmp_path / "r.html", pages, images=lambda page: images.get(page.id))
        return [item["image"] for item in data["items"]]

    assert write(20_000) == [None, "r_images/00002.jpg", "r_images/00003.jpg"]
    beside = sorted(file.name for file in tmp_path.rglob("*.jpg"))
    assert beside == ["00002.jpg", "00003.jpg"]
    assert Image.open(tmp_path / "r_images" / "00003.jpg").size == (200, 100)
    assert all(source.startswith("data:") for source in write(500_000)[1:])
    assert not (tmp_path / "r_images").exists()  # of the report that was replaced


@pytest.mark.parametrize(
    ("prediction", "reference", "pieces"),
    [
        ("one two", "one\n two", "one two"),
        ("one tvo three", "one two three", "one [-tvo][+two] three"),
        ("one", "one!", "one[+!]"),
        ("cafe\u0301 <b>", "caf\u00e9 <b>", "caf\u00e9 <b>"),
        ("资产总计", "资产合计", "资产[-总][+合]计"),
        ("x 资产", "x资产", "x[- ]资产"),
        ("<|ref|>text<|/ref|><|det|>[[1, 2, 3, 4]]<|/det|>\nsame", "same", "same"),
        (
            "<table><tr><td>a</td><td>b</td></tr></table>",
            "<table><tr><th>a</th><td>c</td></tr></table>",
            "a | [-b][+c]\n",
        ),
    ],
)
def test_text_difference(prediction, reference, pieces):
    forms = {"same": "{}", "extra": "[-{}]", "lost": "[+{}]"}
    assert "".join(forms[kind].format(text) for kind, text in difference(prediction, reference)) == pieces


def test_tables_are_rebuilt_from_their_cells():
    predicted = '<table onclick="x()"><tr><td colspan="9999">1<script>alert(1)</script></td><td>2</td></tr>'
    reference = "text\n\n<table><tr><td colspan=2>1</td><td>3</td></tr></table>\n\n| a | b |\n|---|---|\n| c | d |"
    tables = shown(line("a", predicted, reference))["tables"]
    assert len(tables) == 2 and tables[1]["predicted"] is None
    assert [cell[:3] for cell in tables[0]["predicted"][0]][1] == ("2", 1, 1)
    assert tables[0]["predicted"][0][0][1] == 100  # no browser has to draw 9,999 columns
    assert tables[0]["reference"] == [[("1", 2, 1, False), ("3", 1, 1, False)]]
    assert tables[1]["reference"][1] == [("c", 1, 1, False), ("d", 1, 1, False)]


def test_what_went_wrong_with_a_page_as_a_whole():
    pages = {
        "missing": line("a", "", "x", missing=True),
        "empty": line("b", " \n", "x"),
        "no end": line("c", "x", "x", finished=False),
        "loop": line("d", "again and " * 30, "x"),
    }
    assert {name: shown(page)["marks"] for name, page in pages.items()} == {name: [name] for name in pages}
    assert shown(line("e", "", ""))["marks"] == []


def test_no_pages(tmp_path):
    _, data = report(tmp_path / "r.html", [])
    assert data["items"] == [] and data["measures"] == []


def many(count):
    """Pages of which the k-th has k of its hundred letters wrong; every third has boxes, better ones from page to
    page."""
    boxes = [
        {"regions": [region(0, 0, 50 + k, 10)], "reference_regions": [region(0, 0, 100, 10)]} for k in range(count)
    ]
    return [line(f"p{k}", "x" * k + "a" * (100 - k), "a" * 100, **boxes[k] if k % 3 == 0 else {}) for k in range(count)]


def test_of_many_pages_the_worst_the_middle_the_best_and_a_sample_are_shown(tmp_path):
    _, data = report(tmp_path / "r.html", many(50), most=20)
    ids = [item["id"] for item in data["items"]]
    assert len(ids) == len(set(ids)) == 20 and data["pages"] == 50
    assert ids == sorted(ids, key=lambda id: int(id[1:]))  # in the order of the pages
    assert {"p49", "p25", "p0", "p48"} < set(ids)  # of the letters: the worst, middle, best, next worst
    assert {"p24", "p0"} < set(ids)  # of the boxes, which are worst on p0
    assert ids[data["middles"]["cer"]] == "p25" and ids[data["middles"]["bbox_iou"]] == "p24"
    # What is told of all pages is of all of them.
    assert data["distributions"]["cer"] == [[k / 100 for k in range(50)]]
    assert len(data["distributions"]["bbox_iou"][0]) == 17
    (cer,) = [figure for figure in data["figures"] if figure["name"] == "cer"]
    assert cer["numbers"] == [pytest.approx(0.245)]
    _, whole = report(tmp_path / "whole.html", many(50), most=0)
    assert len(whole["items"]) == whole["pages"] == 50
    assert [item for item in whole["items"] if item["id"] in ids] == data["items"]


def test_the_sample_is_drawn_from_all_pages_by_its_seed():
    badness = {"cer": np.arange(1000.0), "teds": np.full(1000, np.nan)}
    pages = select_pages(badness, 1000, 100)
    assert len(pages) == 100 and pages == select_pages(badness, 1000, 100) != select_pages(badness, 1000, 100, seed=1)
    extremes = {*range(1000 - WORST, 1000), 500, 0}
    drawn = sorted(set(pages) - extremes)
    assert extremes < set(pages) and len(drawn) == 88
    assert 400 < sum(drawn) / len(drawn) < 600 and drawn[0] < 100 and drawn[-1] > 880
    assert select_pages(badness, 1000, 2) != select_pages(badness, 1000, 2, seed=1)
    assert 999 in select_pages(badness, 1000, 2)


def test_of_two_evaluations_the_pages_that_changed_most_are_shown(tmp_path):
    before = [line(f"p{k}", "b" * 10, "a" * 10) for k in range(20)]
    after = [line(f"p{k}", "a" * (k == 7) * 10 or "b" * 10 + "c" * (k == 3), "a" * 10) for k in range(20)]
    write_comparison(before, after, compare(before, after), tmp_path / "r.html", ("old", "new"), most=8)
    _, data = written(tmp_path / "r.html")
    assert data["pages"] == 20 and {"p7", "p3"} < {item["id"] for item in data["items"]}
    assert [len(side) for side in data["distributions"]["cer"]] == [20, 20]


def test_breakdowns(tmp_path):
    pages = [line("a", "a", "a", language="fr"), line("b", "x", "b", language="de")]
    _, data = report(tmp_path / "r.html", pages)
    (table,) = [table for table in data["breakdowns"] if table["kind"] == "language"]
    assert table["heads"][:3] == ["Language", "pages", "Character errors ↓"]
    assert sorted(row[:3] for row in table["rows"]) == [["de", "1", "100.0%"], ["fr", "1", "0.0%"]]


def test_comparison_of_the_shared_pages(tmp_path):
    before = [line("a", "abcd", "abcd"), line("b", "xxcd", "abcd"), line("only here", "x", "x")]
    after = [line("b", "abcd", "abcd"), line("a", "xbcd", "abcd")]
    pages = shared_pages(before, after)
    assert [[page.id for page in side] for side in pages] == [["a", "b"], ["a", "b"]]
    metrics = compare(*pages)
    assert metrics["before"]["cer"] == 0.25 and metrics["after"]["cer"] == 0.125
    assert metrics["change"]["cer"] == -0.125 and metrics["change"]["bbox_iou"] is None
    write_comparison(*pages, metrics, tmp_path / "r.html", ("<old>", "new"))
    tree, data = written(tmp_path / "r.html")
    assert data["names"] == ["<old>", "new"] and tree.xpath("//h1/text()") == ["<old> and new"]
    assert [len(item["sides"]) for item in data["items"]] == [2, 2]
    (cer,) = [figure for figure in data["figures"] if figure["name"] == "cer"]
    assert cer["values"] == ["25.0%", "12.5%"] and cer["change"] == "-12.5%"
    assert cer["better"] is True and cer["certain"] is False  # one page became better, one worse


def test_evaluations_of_different_things_are_not_compared():
    with pytest.raises(WorkError, match="no page in common"):
        shared_pages([line("a", "", "")], [line("b", "", "")])
    with pytest.raises(WorkError, match="'a' has two references"):
        shared_pages([line("a", "", "x")], [line("a", "", "y")])
