"""Synthetic receipts: exact boxes, sums that add up, the same bytes for the same seed."""

import json
import re
import signal
import time
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from data_scripts import build_dataset
from data_scripts.synthesize import main
from data_scripts.synthetic.damage import rotate
from data_scripts.synthetic.page import Mark
from helpers.page_folders import run_script, start_script
from ocr2_hf.data.load import load_dataset
from ocr2_hf.document.atomic_files import PARTIAL
from ocr2_hf.errors import run_command

LABELS = {"title", "text", "footer"}


def draw(folder: Path, *options: object) -> int:
    return run_command(main, [str(folder), "--kind", "receipts", *map(str, options)])


def contents(folder: Path) -> dict[str, bytes]:
    """What is in the files of a folder, but for what a kill left beside one."""
    files = [path for path in folder.rglob("*") if path.is_file() and path.suffix != PARTIAL]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def annotations(folder: Path) -> list[dict]:
    return [json.loads(path.read_text()) for path in sorted(folder.glob("annotations/*.json"))]


def test_the_same_seed_gives_the_same_bytes_whatever_the_number_of_pages(tmp_path):
    for name, pages, seed in (("a", 6, 1), ("b", 3, 1), ("c", 3, 2)):
        assert draw(tmp_path / name, "--pages", pages, "--seed", seed, "--damage", 0.5) == 0
    a, b, c = (contents(tmp_path / name) for name in "abc")
    assert len(a) == 13
    assert b == {name: content for name, content in a.items() if name in b}
    assert not set(b.values()) & set(c.values())


def test_boxes_are_exactly_around_the_ink(tmp_path):
    assert draw(tmp_path / "a", "--pages", 8) == 0
    for path in sorted(tmp_path.glob("a/images/*.png")):
        ink = 255 - np.asarray(Image.open(path).convert("L")) >= 32
        annotation = json.loads((tmp_path / "a/annotations" / f"{path.stem}.json").read_text())
        for x0, y0, x1, y1 in annotation["bboxes"]:
            inside = ink[y0:y1, x0:x1]
            assert all(edge.any() for edge in (inside[0], inside[-1], inside[:, 0], inside[:, -1]))
            ink[y0:y1, x0:x1] = False
        assert not ink.any()


def test_boxes_of_damaged_pages_hold_the_ink_too(tmp_path):
    assert draw(tmp_path / "a", "--pages", 8, "--damage", 1) == 0
    for path in sorted(tmp_path.glob("a/images/*.png")):
        page = np.asarray(Image.open(path).convert("L")).astype(float)
        covered = np.zeros(page.shape, bool)
        annotation = json.loads((tmp_path / f"a/annotations/{path.stem}.json").read_text())
        for x0, y0, x1, y1 in annotation.get("stamps", []):
            covered[max(0, y0 - 2) : y1 + 2, max(0, x0 - 2) : x1 + 2] = True
        for x0, y0, x1, y1 in annotation["bboxes"]:
            covered[y0 - 2 : y1 + 2, x0 - 2 : x1 + 2] = True
            assert page[y0:y1, x0:x1].min() < page[~covered].mean() - 60
        # No letter is left outside: what remains is paper with its noise.
        blocks = page[: page.shape[0] // 4 * 4, : page.shape[1] // 4 * 4].reshape(-1, 4, page.shape[1] // 4, 4)
        free = ~covered[: page.shape[0] // 4 * 4, : page.shape[1] // 4 * 4].reshape(blocks.shape).any((1, 3))
        assert np.ptp(blocks.mean((1, 3))[free]) < 40


@pytest.mark.parametrize("angle", [-2.0, 0.7, 20])
def test_marks_turn_as_the_page_would(angle):
    page = Image.new("L", (200, 300), 0)
    ImageDraw.Draw(page).text((120, 40), "Tea", fill=255, font=ImageFont.load_default(20))
    mark = Mark(page.crop((110, 30, 170, 70)), 110, 30)
    rotate(mark, angle, (100, 150))
    turned = Image.new("L", page.size, 0)
    turned.paste(mark.mask, (mark.left, mark.top))
    whole = page.rotate(angle, resample=Image.Resampling.BICUBIC, center=(100, 150))
    assert np.abs(np.asarray(turned).astype(int) - np.asarray(whole)).max() <= 2
    assert mark.box() == Mark(whole, 0, 0).box()


def test_a_receipt_has_its_parts_and_adds_up(tmp_path):
    assert draw(tmp_path / "a", "--pages", 20) == 0
    for page in annotations(tmp_path / "a"):
        texts, labels = page["texts"], page["labels"]
        assert page["text"] == texts[0] + "\n\n" + "\n".join(texts[1:])  # a blank line behind the heading
        assert (labels[0], labels[-1]) == ("title", "footer")
        assert set(labels) == LABELS
        assert any(re.fullmatch(r"[\d./-]{10} \d\d:\d\d", text) for text in texts[1:3])
        assert page["bboxes"] == sorted(page["bboxes"], key=lambda box: box[1])

        lines = [re.fullmatch(r"[A-Z][a-z ]+ (\d) x (\S+) (\S+)", text) for text in texts]
        items = [line.groups() for line in lines if line]
        cents = [[int(re.sub(r"\D", "", part)) for part in item] for item in items]
        assert items and all(count * price == amount for count, price, amount in cents)
        rest = {text.split()[0]: int(re.sub(r"\D", "", text)) for text in texts if re.match("Total|Cash|Change", text)}
        assert rest["Total"] == sum(amount for _, _, amount in cents)
        assert rest.get("Cash", 0) - rest["Total"] == rest.get("Change", -rest["Total"])


def test_the_vocabulary_is_sober(tmp_path):
    assert draw(tmp_path / "a", "--pages", 20) == 0
    for page in annotations(tmp_path / "a"):
        assert re.fullmatch(r"[A-Za-z0-9.,:/ \n-]+", page["text"])
        assert not re.search(r"(?<![\d.,:/-])\d\d+(?![\d.,:/-])", page["text"])


def test_a_begun_folder_is_completed_to_the_same_bytes(tmp_path):
    assert run_script("synthesize", tmp_path / "a", "--kind", "receipts", "--pages", 40).returncode == 0
    command = ("synthesize", tmp_path / "b", "--kind", "receipts", "--pages", 40)
    started = start_script(*command)
    while not list(tmp_path.glob("b/annotations/0*.json")):
        assert started.poll() is None
        time.sleep(0.001)
    started.kill()
    assert started.wait() == -signal.SIGKILL
    assert len(list(tmp_path.glob("b/annotations/0*.json"))) < 40
    assert run_script(*command).returncode == 0
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


def test_pages_of_another_size_and_font(tmp_path):
    font = Path(Image.__file__).parent  # no font
    assert draw(tmp_path / "a", "--pages", 2, "--size", "192x192") == 0
    assert {Image.open(path).size for path in tmp_path.glob("a/images/*")} == {(192, 192)}
    assert draw(tmp_path / "b", "--pages", 2, "--font", font / "Image.py") == 2


def test_a_font_from_a_file(tmp_path, capsys):
    matplotlib = pytest.importorskip("matplotlib")
    fonts = Path(matplotlib.get_data_path()) / "fonts/ttf"
    assert draw(tmp_path / "a", "--pages", 2, "--font", fonts / "DejaVuSerif.ttf") == 0
    assert draw(tmp_path / "b", "--pages", 2) == 0
    assert contents(tmp_path / "a")["images/000000.png"] != contents(tmp_path / "b")["images/000000.png"]
    assert draw(tmp_path / "c", "--pages", 2, "--font", fonts / "STIXSizFourSymBol.ttf") == 2
    assert re.search(r"--font: .*STIXSizFourSymBol.ttf has no .", capsys.readouterr().err)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--seed", 2], "was made with other settings (seed 0, not 2): name another folder"),
        (["--damage", 0.1], "(damage 0.0, not 0.1)"),
        (["--pages", 1], "already has 2 pages, more than --pages 1"),
    ],
)
def test_a_folder_of_other_settings_is_not_touched(tmp_path, capsys, options, message):
    assert draw(tmp_path / "a", "--pages", 2) == 0
    before = contents(tmp_path / "a")
    assert draw(tmp_path / "a", "--pages", 3, *options) == 2
    assert message in capsys.readouterr().err
    assert contents(tmp_path / "a") == before


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--size", "96x512"], "is 82x498, too narrow for a receipt"),
        (["--size", "384x96"], "is 370x82, too low for a receipt"),
        (["--font", "nowhere.ttf"], "--font: nowhere.ttf cannot be read as a font"),
    ],
)
def test_what_cannot_be_drawn_is_refused_and_leaves_no_folder(tmp_path, capsys, options, message):
    assert draw(tmp_path / "a", "--pages", 2, *options) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "a").exists()


def test_a_foreign_folder_is_not_written_into(tmp_path, capsys):
    (tmp_path / "thesis.txt").write_text("mine")
    assert draw(tmp_path, "--pages", 2) == 2
    assert "holds files that no synthesis wrote, e.g. thesis.txt; name a new or empty folder" in capsys.readouterr().err
    assert contents(tmp_path) == {"thesis.txt": b"mine"}


def test_synthetic_pages_build_without_a_reject(tmp_path, datasets_cache):
    assert draw(tmp_path / "a", "--pages", 10, "--damage", 0.5) == 0
    assert run_command(build_dataset.main, ["receipts", "--annotations", str(tmp_path / "a"), "--max_bad", "0"]) == 0
    row = load_dataset("receipts", "train")[0]
    assert (row["width"], row["height"]) == row["image"].size == (384, 512)


KINDS_ON_A_GRID = ("primer", "ragged", "typed")


def test_tickets_are_laid_out_as_typed_slips_are_not(tmp_path):
    options = [str(tmp_path), "--kind", "tickets", "--pages", "8", "--size", "192x192"]
    assert run_command(main, options) == 0
    for page in annotations(tmp_path):
        assert page["labels"] == ["title"] + ["text"] * (len(page["texts"]) - 1)
        assert all(re.fullmatch(r"[A-Z]+ [A-Z0-9:.-]+", text) for text in page["texts"][1:])
        for row, (x0, y0, _, y1) in enumerate(page["bboxes"]):
            assert 32 * row - 4 <= y0 < y1 <= 32 * row + 20
            assert (x0 >= 16) == (row > 0)


@pytest.mark.parametrize("kind", KINDS_ON_A_GRID)
def test_pages_on_a_grid_have_one_character_in_each_cell(tmp_path, kind):
    options = [str(tmp_path / "a"), "--kind", kind, "--pages", "6", "--size", "192x192"]
    assert run_command(main, options) == 0
    for path in sorted(tmp_path.glob("a/images/*.png")):
        ink = 255 - np.asarray(Image.open(path).convert("L")) >= 128
        annotation = json.loads((tmp_path / "a/annotations" / f"{path.stem}.json").read_text())
        text = "".join(annotation["texts"])
        rows = [text[at : at + 12] for at in range(0, len(text), 12)] if kind == "primer" else annotation["texts"]
        first = min(y0 for _, y0, _, _ in annotation["bboxes"]) // 16
        for row, line in enumerate(rows, first):
            middle = ink[16 * row + 3 : 16 * row + 14].any(axis=0)
            seen = [middle[16 * column + 4 : 16 * column + 12].any() for column in range(len(line))]
            assert seen == [character != " " for character in line]
            assert not ink[16 * row + 4 : 16 * row + 12, 16 * len(line) + 4 :].any()


def test_a_typed_receipt_adds_up(tmp_path):
    assert run_command(main, [str(tmp_path), "--kind", "typed", "--pages", "12", "--size", "192x192"]) == 0
    receipts = [page["texts"] for page in annotations(tmp_path) if page["labels"][0] == "title"]
    assert receipts
    for texts in receipts:
        *amounts, total = [int(re.sub("[.,]", "", text.split()[-1])) for text in texts[1:-1]]
        assert (sum(amounts), texts[-2][:6]) == (total, "Total ")


def test_each_page_takes_one_of_several_fonts(tmp_path):
    folder = Path(matplotlib.get_data_path()) / "fonts/ttf"
    fonts = [str(folder / name) for name in ("DejaVuSans.ttf", "DejaVuSerif.ttf")]
    options = ["--kind", "receipts", "--pages", "8", "--font"]
    for name, chosen in (("both", fonts), ("again", fonts), ("sans", fonts[:1]), ("serif", fonts[1:])):
        assert run_command(main, [str(tmp_path / name), *options, *chosen]) == 0
    both, again, sans, serif = (contents(tmp_path / name) for name in ("both", "again", "sans", "serif"))
    assert both == again
    settings = [json.loads(folder["synthesize.json"])["font"] for folder in (both, sans, serif)]
    assert settings[0] == " ".join(settings[1:])
