"""`ocr2 evaluate --omnidocbench`: files, figures of several pages by hand, CDM, what is wrong with the call."""

import json
import subprocess
import sys
from importlib import metadata

import pytest

from ocr2_hf.commands import evaluate
from ocr2_hf.errors import run_command

TABLE = "<table><tr><td>abcd</td><td>x</td></tr></table>"


def entry(name, *dets, **attributes):
    dets = [{"anno_id": number, "order": number + 1, **det} for number, det in enumerate(dets)]
    info = {"image_path": f"images/{name}", "page_attribute": attributes, "width": 10, "height": 10}
    return {"layout_dets": dets, "page_info": info, "extra": {"relation": []}}


def text(content):
    return {"category_type": "text_block", "text": content}


def formula(latex):
    return {"category_type": "equation_isolated", "latex": latex}


PAGES = [
    entry(
        "one.jpg",
        text("abcdefghij"),
        text("0123456789"),
        formula("$$x+1$$"),
        {"category_type": "table", "html": TABLE, "latex": ""},
        data_source="book",
        special_issue=["watermark", "fuzzy_scan"],
    ),
    entry("two.pdf_3.png", text("klmnopqrst"), formula("$$y$$"), formula("$$zzzz$$"), data_source="note"),
    entry("three.jpg", text("uvwxyz"), data_source="note"),
]
PREDICTIONS = {
    # 1 + 2 edits of 20; TEDS 1 - 0.25 / 3
    "one.md": f"abcdefghiX\n\n01234567\n\n$$x+1$$\n\n{TABLE.replace('abcd', 'abcX')}",
    # 5 edits of 10; formulas 0 + 1 edits of 5
    "two_3.md": "klmnoXXXXX\n\n$$y$$\n\n$$zzz$$",
}


@pytest.fixture
def folders(tmp_path):
    (tmp_path / "gt.json").write_text(json.dumps(PAGES), encoding="utf-8")
    (tmp_path / "md").mkdir()
    for name, content in PREDICTIONS.items():
        (tmp_path / "md" / name).write_text(content, encoding="utf-8")
    return tmp_path


def run(folders, *more, ground_truth="gt.json", predictions="md"):
    call = ["--omnidocbench", folders / ground_truth, "--predictions", folders / predictions]
    return run_command(evaluate.main, list(map(str, [*call, "--output_dir", folders / "out", *more])))


def metrics_of(folders):
    return json.loads((folders / "out/metrics.json").read_text(encoding="utf-8"))


def test_figures_are_means_of_pages(folders, capsys):
    assert run(folders) == 0
    metrics = metrics_of(folders)
    assert metrics["text_edit"] == pytest.approx((3 / 20 + 5 / 10) / 2)
    assert metrics["formula_edit"] == pytest.approx((0 + 1 / 5) / 2)
    assert metrics["teds"] == pytest.approx(1 - 0.25 / 3)
    assert metrics["teds_s"] == 1.0
    assert metrics["table_edit"] == pytest.approx(1 / len(f'<html><body>{TABLE}border="1" </body></html> '))
    assert metrics["reading_order_edit"] == 0.0
    assert metrics["cdm"] is metrics["overall"] is None
    low, high = metrics["intervals"]["text_edit"]
    assert 3 / 20 <= low < metrics["text_edit"] < high <= 5 / 10
    assert "overall" not in metrics["intervals"]
    printed = capsys.readouterr().out
    assert "0.325" in printed
    assert "data_source: book" in printed


def test_attributes(folders):
    run(folders)
    by = metrics_of(folders)["by"]
    assert by["data_source"]["book"]["text_edit"] == pytest.approx(3 / 20)
    assert by["data_source"]["note"]["text_edit"] == pytest.approx(5 / 10)
    assert by["data_source"]["note"]["pages"] == 1
    assert by["data_source"]["note"]["teds"] is None
    assert set(by["special_issue"]) == {"watermark", "fuzzy_scan"}


def test_pages_without_prediction_count_apart(folders, capsys):
    run(folders)
    metrics = metrics_of(folders)
    assert (metrics["pages"], metrics["missing_pages"]) == (3, 1)
    assert metrics["with_missing_pages"]["text_edit"] == pytest.approx((3 / 20 + 5 / 10 + 1) / 3)
    assert "1 of 3 pages have no prediction" in capsys.readouterr().out
    lines = [json.loads(line) for line in (folders / "out/pages.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [(line["id"], line["prediction"], line["missing"]) for line in lines] == [
        ("one.jpg", "one.md", False),
        ("two.pdf_3.png", "two_3.md", False),
        ("three.jpg", None, True),
    ]
    assert [line["text_edit"] for line in lines] == [pytest.approx(0.15), pytest.approx(0.5), 1.0]


def test_perfect_predictions(folders):
    (folders / "md/one.md").write_text(f"abcdefghij\n\n0123456789\n\n$$x+1$$\n\n{TABLE}")
    (folders / "md/two_3.md").write_text("klmnopqrst\n\n$$y$$\n\n$$zzzz$$")
    (folders / "md/three.jpg.md").write_text("uvwxyz")
    (folders / "cdm.json").write_text('{"0": 1, "1": 1, "2": 1.0}')
    assert run(folders, "--cdm_scores", folders / "cdm.json") == 0
    metrics = metrics_of(folders)
    edits = ("text_edit", "formula_edit", "table_edit", "reading_order_edit", "cer_strict", "invented_text_rate")
    assert {name: metrics[name] for name in edits} == dict.fromkeys(edits, 0.0)
    assert metrics["teds"] == metrics["teds_s"] == metrics["cdm"] == 1.0
    assert metrics["overall"] == pytest.approx(100)
    assert metrics["missing_pages"] == 0
    assert "with_missing_pages" not in metrics


def test_cdm_of_a_file_of_the_cdm_tool(folders):
    """Mean of the formulas of a page, then of the pages: (1 + (0.5 + 0) / 2) / 2; overall of the three."""
    details = {"0": {"F1_score": 1.0, "recall": 1.0}, "1": {"F1_score": 0.5}, "2": {"F1_score": 0}}
    (folders / "cdm.json").write_text(json.dumps({"mean_score": 0.5, "details": details}))
    assert run(folders, "--cdm_scores", folders / "cdm.json") == 0
    metrics = metrics_of(folders)
    assert metrics["cdm"] == pytest.approx((1 + 0.25) / 2)
    text, teds = (0.15 + 0.5) / 2, 1 - 0.25 / 3
    assert metrics["overall"] == pytest.approx(((1 - text) * 100 + teds * 100 + 62.5) / 3)
    assert metrics["by"]["data_source"]["note"]["cdm"] == 0.25


def test_formulas_are_listed_for_cdm(folders):
    run(folders)
    formulas = json.loads((folders / "out/formulas.json").read_text(encoding="utf-8"))
    assert formulas[0] == {"img_id": "0", "img_name": "one.jpg", "gt": "x+1", "pred": "\\[x+1\\]"}
    assert [formula["img_id"] for formula in formulas] == ["0", "1", "2"]


def test_cdm_by_a_command(folders):
    program = "import sys\nfor line in sys.stdin: print(0.25)"
    assert run(folders, "--cdm_command", f"{sys.executable} -c '{program}'") == 0
    assert metrics_of(folders)["cdm"] == 0.25


def test_by_several_processes(folders):
    run(folders)
    alone = metrics_of(folders)
    assert run(folders, "--num_proc", "2") == 0
    assert metrics_of(folders) == alone


def test_ignored_blocks_alone_measure_nothing(tmp_path):
    page = entry("one.jpg", {"category_type": "header", "text": "head"})
    (tmp_path / "gt.json").write_text(json.dumps([page]))
    (tmp_path / "one.md").write_text("head\n\nsomething else")
    assert run(tmp_path, predictions=".") == 0
    metrics = metrics_of(tmp_path)
    figures = ("text_edit", "formula_edit", "table_edit", "teds", "teds_s", "reading_order_edit", "overall")
    assert {metrics[name] for name in figures} == {None}


@pytest.mark.parametrize(
    ("change", "status", "message"),
    [
        (lambda f: (f / "gt.json").unlink(), 2, "gt.json cannot be read"),
        (lambda f: (f / "gt.json").write_text('{"layout_dets": []}'), 1, "should be a list of pages"),
        (lambda f: [file.unlink() for file in (f / "md").iterdir()], 1, "no .md file and none is of a page"),
        (lambda f: [file.rename(f"{file}x.md") for file in (f / "md").iterdir()], 1, "that of one.jpg is one.md"),
        (lambda f: (f / "md/one.md").write_bytes(b"\xff\xfe\xff"), 1, "one.md cannot be read as UTF-8"),
    ],
)
def test_what_is_wrong(folders, change, status, message, capsys):
    change(folders)
    assert run(folders) == status
    assert message in capsys.readouterr().err
    assert not (folders / "out").exists()


def test_predictions_that_are_no_directory(folders, capsys):
    assert run(folders, predictions="none") == 2
    assert "does not exist" in capsys.readouterr().err
    assert run(folders, predictions="gt.json") == 2
    assert "is a file" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "cannot be read"),
        ("[1, 2]", "0 scores for the 3"),
        ('{"0": 1, "1": 1}', "none in [0, 1] for img_id 2"),
        ('{"0": 1, "1": 1, "2": 3}', "none in [0, 1] for img_id 2"),
        ('{"0": 1, "1": 1, "2": 1, "3": 1}', "4 scores for the 3"),
    ],
)
def test_cdm_scores_of_other_formulas(folders, content, message, capsys):
    (folders / "cdm.json").write_text(content)
    assert run(folders, "--cdm_scores", folders / "cdm.json") == 1
    assert message in capsys.readouterr().err
    assert not (folders / "out/metrics.json").exists()


def test_predictions_are_needed(capsys):
    with pytest.raises(SystemExit) as stopped:
        evaluate.main(["--omnidocbench", "gt.json", "--model", "m", "--dataset", "d", "--output_dir", "out"])
    assert stopped.value.code == 2
    assert "--omnidocbench needs --predictions" in capsys.readouterr().err


@pytest.mark.parametrize(("release", "message"), [(None, "none is installed"), ("2.10", "2.10 is installed")])
def test_the_reader_of_formulas_is_an_extra(folders, monkeypatch, capsys, release, message):
    """Another release, as other packages bring it, would give other scores."""

    def version(name):
        if release is None:
            raise metadata.PackageNotFoundError(name)
        return release

    monkeypatch.setattr(metadata, "version", version)
    assert run(folders) == 2
    error = capsys.readouterr().err
    assert message in error and "pip install 'ocr2_hf[omnidocbench]'" in error
    assert not (folders / "out").exists()


# Runs in a new interpreter that has no pylatexenc: what is no OmniDocBench goes without it.
WITHOUT = """
import sys
from importlib import import_module
from pathlib import Path

sys.modules["pylatexenc"] = None
from ocr2_hf.commands import evaluate

for path in Path("ocr2_hf/evaluation").rglob("*.py"):
    if "metrics" not in path.parts:
        import_module(".".join(path.with_suffix("").parts).removesuffix(".__init__"))
sys.exit(evaluate.main(sys.argv[1:]))
"""


def test_nothing_else_needs_it(repo, tmp_path):
    line = {"id": "a", "prediction": "see $x^2$ and \\[y\\]", "reference": "see $x^3$ and \\[y\\]"}
    (tmp_path / "lines.jsonl").write_text(json.dumps(line))
    call = ["--predictions", str(tmp_path / "lines.jsonl"), "--output_dir", str(tmp_path / "out")]
    done = subprocess.run([sys.executable, "-c", WITHOUT, *call], capture_output=True, text=True, cwd=repo)
    assert done.returncode == 0, done.stderr
    metrics = json.loads((tmp_path / "out/metrics.json").read_text())
    assert 0 < metrics["formula_edit"] < 1 and (tmp_path / "out/report.html").is_file()
