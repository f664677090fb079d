"""The report: one file, worst pages first, everything on it data; and the comparison of two evaluations."""

import base64
import io

import pytest
from lxml import html
from PIL import Image

from ocr2_hf.errors import WorkError
from ocr2_hf.evaluation.comparison import compare, shared_pages
from ocr2_hf.evaluation.report import difference, write_report
from ocr2_hf.evaluation.report_comparison import write_comparison
from ocr2_hf.evaluation.summary import summarize

HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(1)>\"'>&lt;\0\ud800"


def region(*box, label="text", text=""):
    return {"label": label, "box": list(box), "text": text}


def line(id, prediction, reference, **more):
    return {
        "id": id,
        "prompt": "<image>\nFree OCR.",
        "prediction": prediction,
        "reference": reference,
        **more,
    }


def report(path, lines, **more):
    write_report(lines, summarize(lines), path, **more)
    return html.fromstring(path.read_text(encoding="utf-8"))


def test_pages_come_worst_first_with_their_figures(tmp_path):
    lines = [
        line("good", "abcd", "abcd"),
        line("bad", "xxxx", "abcd"),
        line("loop", "ab " * 60, "abcd", finished=False),
    ]
    tree = report(tmp_path / "report.html", lines, title="runs/a")
    assert tree.xpath("//summary/b/text()") == ["loop", "bad", "good"]
    assert tree.xpath("//h1/text()") == ["runs/a"]
    assert tree.xpath("//details[@class='page'][1]//span[@class='chip']/text()") == ["loop", "no end"]
    figures = dict(zip(tree.xpath("//dt/text()"), tree.xpath("//dd/text()"), strict=True))
    assert (
        figures["Never end"] == "100.0%" and figures["Box IoU"] == "\N{EN DASH}" and figures["Text accuracy"] == "0.0%"
    )


def test_boxes_lie_over_the_downscaled_page(tmp_path):
    boxed = line("a", "a", "a", width=3000, height=1000, regions=[region(0, 0, 1500, 1000, label="title", text="Hi")])
    boxed["reference_regions"] = [region(0, 0, 3000, 1000), region(5, 5, 1, 1)]
    tree = report(tmp_path / "r.html", [boxed], images=lambda line: Image.new("RGB", (3000, 1000), "red"))
    data = tree.xpath("//img/@src")[0]
    assert data.startswith("data:image/jpeg;base64,")
    assert Image.open(io.BytesIO(base64.b64decode(data.split(",")[1]))).size == (1000, 333)
    assert tree.xpath("//svg/@viewbox") == ["0 0 3000 1000"]
    assert tree.xpath("//rect/@class") == ["reference", "reference", "predicted"]
    assert tree.xpath("//rect[3]/@width") == ["1500.0"]
    assert tree.xpath("//rect[3]/title/text()") == ["predicted title · IoU 0.50\nHi"]


def test_what_was_read_is_data(tmp_path):
    hostile = line(HOSTILE, HOSTILE, HOSTILE + "!", prompt=HOSTILE, width=10, height=10, image=HOSTILE)
    hostile["regions"] = [region(0, 0, 5, 5, label=HOSTILE, text=HOSTILE)]
    text = (tmp_path / "r.html").with_suffix(".html")
    tree = report(text, [hostile], title=HOSTILE)
    assert not tree.xpath("//script | //img | //*[@onerror] | //*[@*[starts-with(name(), 'on')]]")
    assert "<script" not in text.read_text(encoding="utf-8")
    policy = tree.xpath("//meta[@http-equiv='Content-Security-Policy']/@content")[0]
    assert policy.startswith("default-src 'none'") and "script" not in policy
    assert "http" not in text.read_text(encoding="utf-8").replace("http-equiv", "")


@pytest.mark.parametrize("content", [None, b"", b"\x89PNG\r\n\x1a\n broken"])
def test_a_page_without_a_readable_image_still_has_its_boxes(tmp_path, content):
    path = tmp_path / "page.png"
    if content is not None:
        path.write_bytes(content)
    boxed = line("a", "a", "a", width=10, height=20, image=str(path), regions=[region(0, 0, 5, 5)])
    tree = report(tmp_path / "r.html", [boxed, line("b", "b", "b")])
    assert len(tree.xpath("//svg")) == len(tree.xpath("//rect")) == 1 and not tree.xpath("//img")


def test_a_turned_photo_is_shown_upright(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (40, 20)).save(tmp_path / "page.jpg", exif=exif)
    tree = report(tmp_path / "r.html", [line("a", "a", "a", image=str(tmp_path / "page.jpg"))])
    assert tree.xpath("//svg/@viewbox") == ["0 0 20 40"]


@pytest.mark.parametrize(
    ("prediction", "reference", "marked"),
    [
        ("one two", "one\n two", "one two"),
        ("one tvo three", "one two three", "one <del>tvo</del><ins>two</ins> three"),
        ("one", "one!", "one<ins>!</ins>"),
        ("cafe\u0301 <b>", "caf\u00e9 <b>", "caf\u00e9 &lt;b&gt;"),
        ("资产总计", "资产合计", "资产<del>总</del><ins>合</ins>计"),
        ("x 资产", "x资产", "x<del> </del>资产"),
        ("<|ref|>text<|/ref|><|det|>[[1, 2, 3, 4]]<|/det|>\nsame", "same", "same"),
    ],
)
def test_text_difference(prediction, reference, marked):
    assert difference(line("a", prediction, reference)) == marked


def test_no_pages(tmp_path):
    assert report(tmp_path / "r.html", []).xpath("//p/text()")[0] == "0 pages"


def test_comparison_of_the_shared_pages(tmp_path):
    before = [line("a", "abcd", "abcd"), line("b", "xxcd", "abcd"), line("only here", "x", "x")]
    after = [line("b", "abcd", "abcd"), line("a", "xbcd", "abcd")]
    pages = shared_pages(before, after)
    assert [[page["id"] for page in side] for side in pages] == [["a", "b"], ["a", "b"]]
    metrics = compare(*pages)
    assert metrics["before"]["cer"] == 0.25 and metrics["after"]["cer"] == 0.125
    assert metrics["change"]["cer"] == -0.125 and metrics["change"]["bbox_iou"] is None
    write_comparison(*pages, metrics, tmp_path / "r.html", ("<old>", "new"))
    tree = html.fromstring((tmp_path / "r.html").read_text(encoding="utf-8"))
    assert tree.xpath("//summary/b/text()") == ["a", "b"]  # a worsened
    assert tree.xpath("//th/text()") == ["<old>", "new", "change"]
    assert tree.xpath("//tr[td='Character errors']/td/text()") == [
        "Character errors",
        "25.0%",
        "12.5%",
        "-12.5%",
    ]
    assert tree.xpath("//details[1]//h3/text()")[0] == "<old>, CER 0.0%"


def test_evaluations_of_different_things_are_not_compared():
    with pytest.raises(WorkError, match="no page in common"):
        shared_pages([line("a", "", "")], [line("b", "", "")])
    with pytest.raises(WorkError, match="'a' has two references"):
        shared_pages([line("a", "", "x")], [line("a", "", "y")])
