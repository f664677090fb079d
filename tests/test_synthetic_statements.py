"""Synthetic statements: sums that add up in every period, tables as HTML, a box for every cell."""

import json
import re
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
from lxml import html
from PIL import Image

from data_scripts import build_dataset
from data_scripts.synthesize import main
from helpers.page_folders import run_script
from ocr2_hf.data.load import load_dataset
from ocr2_hf.document.tables import read_tables
from ocr2_hf.errors import run_command

PAGES = 8
FIGURE = r"\d{1,3}(,\d{3})*"


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Pages of all kinds: balance sheets, income statements, both; undamaged."""
    folder = tmp_path_factory.mktemp("statements") / "raw"
    assert run_command(main, [str(folder), "--kind", "statements", "--pages", str(PAGES), "--seed", "5"]) == 0
    return folder


@lru_cache
def annotations(folder: Path) -> list[dict]:
    return [json.loads(path.read_text()) for path in sorted(folder.glob("annotations/*.json"))]


def tables(folder: Path) -> list[str]:
    return [
        text
        for page in annotations(folder)
        for label, text in zip(page["labels"], page["texts"], strict=True)
        if label == "table"
    ]


def figures(table: str) -> list[tuple[str, list[int]]]:
    """The rows with figures: their name and the value of every period, as a reader of the HTML finds them."""
    rows = read_tables(table)[0].values.tolist()
    years = [i for i, text in enumerate(rows[0]) if any(re.fullmatch(r"\d{4}\*?", row[i]) for row in rows[:2])]
    return [
        (row[0], [amount(row[i]) for i in years])
        for row in rows
        if all(re.fullmatch(rf"-|{FIGURE}|\({FIGURE}\)", row[i]) for i in years)
    ]


def amount(text: str) -> int:
    digits = int(re.sub(r"\D", "", text) or 0)
    return -digits if text.startswith("(") else digits


def add(rows: list[list[int]]) -> list[int]:
    return [sum(column) for column in zip(*rows, strict=True)]


def test_both_statements_come_alone_and_together(folder):
    counts = [page["labels"].count("table") for page in annotations(folder)]
    assert set(counts) == {1, 2}
    assert sum("Total assets" in table for table in tables(folder)) >= 2
    assert sum("Cost of sales" in table for table in tables(folder)) >= 2


def test_balance_sheets_add_up_in_every_period(folder):
    balances = [figures(table) for table in tables(folder) if "Total assets" in table]
    for rows in balances:
        totals = {name: values for name, values in rows if name.startswith("Total")}
        assert totals["Total assets"] == totals["Total equity and liabilities"]
        assert totals["Total assets"] == add([totals["Total liabilities"], totals["Total equity"]])
        for name in ("assets", "liabilities"):
            parts = [totals[f"Total non-current {name}"], totals[f"Total current {name}"]]
            assert totals[f"Total {name}"] == add(parts)
        section: list[list[int]] = []
        for name, values in rows:
            if name in totals:
                assert name in ("Total assets", "Total liabilities", "Total equity and liabilities") or (
                    values == add(section)
                )
                section = []
            else:
                section.append(values)


def test_income_statements_add_up_in_every_period(folder):
    for table in tables(folder):
        rows = figures(table)
        if rows[0][0] != "Revenue":
            continue
        running = [0] * len(rows[0][1])
        for name, values in rows:
            if name in ("Gross profit", "Operating profit", "Profit before tax", "Profit for the year"):
                assert values == running
            elif name not in ("Owners of the parent", "Non-controlling interests"):
                running = add([running, values])
        owners = [values for name, values in rows if name in ("Owners of the parent", "Non-controlling interests")]
        assert not owners or add(owners) == running


def test_what_both_say_of_the_profit_is_the_same(folder):
    both = [page for page in annotations(folder) if page["labels"].count("table") == 2]
    assert both
    for page in both:
        profits = [
            values
            for label, text in zip(page["labels"], page["texts"], strict=True)
            if label == "table"
            for name, values in figures(text)
            if name == "Profit for the year"
        ]
        assert len(profits) == 2 and profits[0] == profits[1]


def test_figures_are_written_as_statements_write_them(folder):
    text = "".join(tables(folder))
    assert re.search(r"<td>\([\d,]+\)</td>", text) and "<td>-</td>" in text
    assert re.search(r"<td>\d{1,3}(,\d{3})+</td>", text)
    assert "&amp;" in text and not re.search("&(?!amp;)", text)
    for page in annotations(folder):
        assert re.search("EUR|USD|GBP|CHF", page["text"])
        assert page["labels"][0] == "header" and page["labels"][-1] == "footer"
        assert {"title", "sub_title", "text", "table", "table_footnote"} <= set(page["labels"])


def test_cells_are_those_of_the_html_and_cover_the_grid_once(folder):
    spans = set()
    for page in annotations(folder):
        for region, text in enumerate(page["texts"]):
            if page["labels"][region] != "table":
                continue
            cells = [cell for cell in page["cells"] if cell["region"] == region]
            written = html.fragment_fromstring(text).xpath(".//td")
            found = [(td.text or "", int(td.get("rowspan", 1)), int(td.get("colspan", 1))) for td in written]
            assert found == [(cell["text"], cell["rowspan"], cell["colspan"]) for cell in cells]
            covered = np.zeros((max(c["row"] for c in cells) + 1, max(c["column"] + c["colspan"] for c in cells)))
            for cell in cells:
                rows = slice(cell["row"], cell["row"] + cell["rowspan"])
                covered[rows, cell["column"] : cell["column"] + cell["colspan"]] += 1
            assert (covered == 1).all()
            spans |= {(cell["rowspan"], cell["colspan"] > 1) for cell in cells}
    assert {(1, False), (2, False), (1, True)} <= spans


def test_boxes_of_regions_and_cells_are_exactly_around_their_ink(folder):
    for path in sorted(folder.glob("images/*.png")):
        ink = 255 - np.asarray(Image.open(path).convert("L")).astype(int) >= 32
        page = json.loads((folder / f"annotations/{path.stem}.json").read_text())
        for cell in page["cells"]:
            assert (cell["box"] is None) == (cell["text"] == "")
            if cell["box"]:
                assert_touching(ink, cell["box"])
                assert_inside(cell["box"], page["bboxes"][cell["region"]])
        for box in page["bboxes"]:
            assert_touching(ink, box)
        for x0, y0, x1, y1 in page["bboxes"]:
            ink[y0:y1, x0:x1] = False
        assert not ink.any()


def assert_touching(ink: np.ndarray, box: list[int]) -> None:
    """Ink reaches every edge of the box, and what is of text does not go on past it."""
    x0, y0, x1, y1 = box
    inside = ink[y0:y1, x0:x1]
    assert all(edge.any() for edge in (inside[0], inside[-1], inside[:, 0], inside[:, -1]))


def assert_inside(box: list[int], outer: list[int]) -> None:
    assert box[0] >= outer[0] and box[1] >= outer[1] and box[2] <= outer[2] and box[3] <= outer[3]


def test_cells_do_not_overlap_and_stand_in_rows_and_columns(folder):
    for page in annotations(folder):
        for region in {cell["region"] for cell in page["cells"]}:
            cells = [cell for cell in page["cells"] if cell["region"] == region and cell["box"]]
            for one in cells:
                for other in cells:
                    if other["row"] >= one["row"] + one["rowspan"]:
                        assert other["box"][1] >= one["box"][3] - 1
                    if other["column"] >= one["column"] + one["colspan"] and one["row"] == other["row"]:
                        assert other["box"][0] >= one["box"][2]


def test_boxes_of_cells_move_with_damage(tmp_path):
    assert run_command(main, [str(tmp_path / "a"), "--kind", "statements", "--pages", "4", "--damage", "1"]) == 0
    stamps = 0
    for path in sorted(tmp_path.glob("a/images/*.png")):
        red, green, _ = np.asarray(Image.open(path).convert("RGB")).astype(float).transpose(2, 0, 1)
        page = json.loads((tmp_path / f"a/annotations/{path.stem}.json").read_text())
        paper = np.median(red)
        for x0, y0, x1, y1 in (cell["box"] for cell in page["cells"] if cell["box"]):
            assert red[y0:y1, x0:x1].min() < paper - 50  # a stamp takes little of the red away
        for x0, y0, x1, y1 in page.get("stamps", []):
            stamps += 1
            assert (red - green)[y0:y1, x0:x1].max() > 80
            assert [x0, y0, x1, y1] not in page["bboxes"]
    assert stamps


def test_a_page_too_small_is_refused(tmp_path, capsys):
    options = ["--kind", "statements", "--pages", "1", "--size", "300x400"]
    assert run_command(main, [str(tmp_path / "a"), *options]) == 2
    assert "300x400 is too small for a financial statement" in capsys.readouterr().err
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize("seed", range(3))
def test_the_smallest_pages_still_hold_everything(tmp_path, seed):
    options = ["--kind", "statements", "--pages", "3", "--size", "640x900", "--seed", str(seed)]
    assert run_command(main, [str(tmp_path / "a"), *options]) == 0
    for page in annotations(tmp_path / "a"):
        boxes = np.array(page["bboxes"])
        assert boxes.min() >= 20 and (boxes[:, 2] <= 620).all() and (boxes[:, 3] <= 880).all()
        assert (boxes[1:, 1] >= boxes[:-1, 3] - 1).all()


def test_they_build_without_a_reject(tmp_path, datasets_cache):
    run_script("synthesize", tmp_path / "a", "--kind", "statements", "--pages", 3, "--size", "620x877", "--damage", 0.5)
    assert run_command(build_dataset.main, ["books", "--annotations", str(tmp_path / "a"), "--max_bad", "0"]) == 0
    assert "<table>" in load_dataset("books", "train")[0]["text"]
