"""`inspect_dataset.py` as a user calls it: counts, lengths, overlays; and near-duplicate pages across splits."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
from datasets import Dataset
from PIL import Image, ImageDraw, ImageFilter

from data_scripts.build_dataset import main as build
from data_scripts.duplicates import ALIKE, COPY, FORM, near_duplicates
from data_scripts.inspect_dataset import main
from data_scripts.token_lengths import TokenLengths
from helpers.page_folders import image_bytes, run_script, write_page
from ocr2_hf.data.columns import FEATURES
from ocr2_hf.data.load import load_dataset
from ocr2_hf.errors import run_command

WORDS = [
    "the",
    "ledger",
    "of",
    "a",
    "shop",
    "lists",
    "flour",
    "salt",
    "lamp",
    "oil",
    "rope",
    "what",
    "was",
    "paid",
    "spring",
]


def page_image(seed: int) -> Image.Image:
    """A page of lines of ink."""
    rng = np.random.default_rng(seed)
    image = Image.new("RGB", (310, 440), "white")
    draw = ImageDraw.Draw(image)
    for y in range(30, 410, 20):
        left, right = int(rng.integers(20, 150)), int(rng.integers(170, 300))
        draw.rectangle((left, y, right, y + int(rng.integers(4, 14))), fill="black")
    return image


def text_of(seed: int) -> str:
    return " ".join(np.random.default_rng(seed).choice(WORDS, 40))


def png(image: Image.Image, kind: str = "PNG", **options) -> bytes:
    file = io.BytesIO()
    image.convert("RGB").save(file, kind, **options)
    return file.getvalue()


def pages(*rows: tuple[str, Image.Image, str]) -> Dataset:
    """Page records of (id, image, text)."""
    empty = {"bboxes": [], "labels": [], "texts": [], "prompt": None, "target": None}
    return Dataset.from_list(
        [
            {"id": name, "image": {"bytes": png(image), "path": None}, "text": text, **empty}
            | dict(zip(("width", "height"), image.size, strict=True))
            for name, image, text in rows
        ],
        features=FEATURES,
    )


def found(train: Dataset, test: Dataset) -> list[tuple[str, str]]:
    return [(pair.first_id, pair.second_id) for pair in near_duplicates({"train": train, "test": test})]


@pytest.mark.parametrize(
    "change",
    [
        lambda image: Image.open(io.BytesIO(png(image, "JPEG", quality=30))),
        lambda image: image.resize((155, 220)),
        lambda image: image.filter(ImageFilter.GaussianBlur(2)),
        lambda image: image.point(lambda value: value * 4 // 5 + 20),
    ],
    ids=["jpeg", "half", "blur", "faded"],
)
def test_a_copy_of_a_page_is_found_by_its_look_alone(change):
    train = pages(*((f"a{seed}", page_image(seed), "") for seed in range(6)))
    test = pages(("b", page_image(20), ""), ("copy", change(page_image(3)), ""))
    assert found(train, test) == [("a3", "copy")]


def test_the_same_text_on_another_scan_is_found_and_another_text_is_not():
    train = pages(*((f"a{seed}", page_image(seed), text_of(seed)) for seed in range(6)))
    misread = text_of(2)[:-3] + "1l0"
    test = pages(("b", page_image(20), text_of(20)), ("again", page_image(21), misread))
    assert found(train, test) == [("a2", "again")]
    (pair,) = near_duplicates({"train": train, "test": test})
    assert 0.9 <= pair.text < 1 and pair.look < 0.9


def test_a_form_filled_in_twice_is_no_duplicate():
    train = pages(("a", page_image(1), "x" * 80))
    assert found(train, pages(("b", page_image(1), "y" * 80))) == []
    (pair,) = near_duplicates({"train": train, "test": pages(("c", page_image(1), ""))})
    assert (pair.first_id, pair.second_id, pair.kind) == ("a", "c", ALIKE)


def receipt(seed: int) -> str:
    """A receipt of one shop: what is printed on each, and what this customer bought."""
    rng = np.random.default_rng(seed)
    prices, count = rng.integers(100, 900, 3) / 100, rng.integers(1, 4, 3)
    items = [f"{WORDS[item]} {price:.2f} {n} {price * n:.2f}" for item, price, n in zip((5, 6, 8), prices, count)]
    total = float(prices @ count)
    return "\n".join(
        [
            "GROCER WAN SHENG 002043319-W\nNO. 2, JALAN TEMENGGUNG 19/9, 43200 CHERAS\nGST REG NO: 001335787520",
            f"TAX INVOICE {rng.integers(10**6, 10**7)}\nDATE: {rng.integers(1, 29)}-03-2018",
            *items,
            f"TOTAL (EXCLUDING GST): {total / 1.06:.2f}\nGST PAYABLE: {total - total / 1.06:.2f}\nTOTAL: {total:.2f}",
            "GOODS SOLD ARE NOT RETURNABLE OR EXCHANGEABLE\nTHANK YOU, PLEASE COME AGAIN",
        ]
    )


def claim(name: str, town: str) -> str:
    return f"Claim for travel expenses. I, {name}, of {town}, ask that what I paid be paid back to me within the month."


def kinds(train: list[str], test: list[str]) -> dict[tuple[str, str], str]:
    """The kind of each pair of pages that look the same and have these texts."""
    rows = [
        pages(*((f"{number}", page_image(1), text) for number, text in enumerate(texts))) for texts in (train, test)
    ]
    return {(pair.first_id, pair.second_id): pair.kind for pair in near_duplicates(dict(zip(("train", "test"), rows)))}


@pytest.mark.parametrize("count", [1, 20])
def test_receipts_of_one_shop_are_a_form_and_no_copies(count):
    found = kinds([receipt(seed) for seed in range(count)], [receipt(100 + seed) for seed in range(count)])
    assert len(found) == count * count and set(found.values()) == {FORM}


def test_forms_without_numbers_are_told_by_their_names():
    names = ["Ada Lovelace", "Karl Gauss", "Emmy Noether", "Leonhard Euler", "Sofia Kowalewski", "Pierre Fermat"]
    towns = ["London", "Brunswick", "Erlangen", "Basel", "Moscow", "Toulouse"]
    texts = [claim(*person) for person in zip(names, towns)]
    assert set(kinds(texts[:3], texts[3:]).values()) == {FORM}


def test_a_copy_among_forms_is_found_though_it_is_misread():
    train = [receipt(seed) for seed in range(20)]
    misread = receipt(3).replace("SHENG", "SHEMG").replace("GST PAYABLE", "G5T PAYABLE").replace("9", "g", 1)
    found = kinds(train, [receipt(100), misread])
    assert [pair for pair, kind in found.items() if kind == COPY] == [("3", "1")]


def test_pages_of_one_split_are_not_compared():
    twice = pages(("a", page_image(1), text_of(1)), ("b", page_image(1), text_of(1)))
    assert near_duplicates({"train": twice}) == []


@pytest.fixture
def letters(tmp_path, datasets_cache) -> Path:
    """A built dataset of six pages, two of them the same, in train and test."""
    for split, seeds in (("train", (0, 1, 2, 3)), ("test", (10, 2))):
        for seed in seeds:
            regions = {"bboxes": [[20, 20, 300, 60], [20, 80, 300, 400]], "labels": ["title", "text"]}
            texts = ["Ledger", text_of(seed)]
            name = f"{split}/p{seed}"
            write_page(tmp_path / "pages", name, png(page_image(seed)), text=text_of(seed), **regions, texts=texts)
    write_page(tmp_path / "pages", "train/blank", image_bytes(800, 900), text="", bboxes=[], labels=[], texts=[])
    assert build(["letters", "--annotations", str(tmp_path / "pages"), "--split", "folders"]) == 0
    return tmp_path / "inspected"


def test_counts_lengths_and_duplicates_of_a_dataset(letters, capsys):
    assert run_command(main, ["letters", "--tokenizer", "tiny", "--output_dir", str(letters)]) == 0
    summary = json.loads((letters / "summary.json").read_text())
    train = summary["splits"]["train"]
    assert (train["pages"], train["regions"], train["labels"]) == (5, 8, {"title": 4, "text": 4})
    assert (train["pages_without_text"], train["pages_without_regions"], train["pages_upward"]) == (1, 1, 0)
    assert (summary["tokenizer"], summary["context"], summary["near_duplicates"]) == ("tiny", 4096, 1)
    lengths = [TokenLengths("tiny").measure(row) for row in load_dataset("letters", "train")]
    assert train["tokens"]["max"] == max(length for _, length in lengths)
    assert train["visual_tokens"]["max"] == max(visual for visual, _ in lengths) == 256 + 6 * 144 + 1
    assert train["tokens"]["median"] == sorted(length for _, length in lengths)[2]
    assert train["pages_over_context"] == 0
    (pair,) = [json.loads(line) for line in (letters / "duplicates.jsonl").read_text().splitlines()]
    assert (pair["first_id"], pair["second_id"], pair["text"], pair["kind"]) == ("p2", "p2", 1.0, "copy")
    output = capsys.readouterr().out
    assert "near-duplicate pages across splits: 1" in output and "train p2 | test p2: text 100%, look 1.00" in output
    assert "text: the share of the characters" in output and "look: how alike" in output
    assert [line.split() for line in output.splitlines() if line.startswith("  title")] == [["title", "4", "2"]]
    assert Image.open(letters / "lengths.png").size[0] > 1000


def test_pages_whose_regions_go_up_are_counted(tmp_path, datasets_cache, capsys):
    rows = [[20, 20, 300, 60], [20, 80, 300, 120], [20, 130, 300, 400]]
    for name, order in (("down", (0, 1, 2)), ("up", (1, 0, 2)), ("twice", (2, 1, 0))):
        lists = {"bboxes": [rows[i] for i in order], "labels": ["text"] * 3, "texts": ["a", "b", "c"]}
        write_page(tmp_path / "pages", name, png(page_image(1)), **lists)
    assert build(["drawn", "--annotations", str(tmp_path / "pages"), "--val", "0", "--test", "0"]) == 0
    out = tmp_path / "inspected"
    assert run_command(main, ["drawn", "--tokenizer", "tiny", "--output_dir", str(out)]) == 0
    assert json.loads((out / "summary.json").read_text())["splits"]["train"]["pages_upward"] == 2
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["whose", "regions", "go", "up", "2"] in lines


def test_overlays_show_the_regions(letters):
    assert run_command(main, ["letters", "--tokenizer", "tiny", "--limit", "2", "--output_dir", str(letters)]) == 0
    drawn = sorted(path.name for path in (letters / "overlays").iterdir())
    assert drawn == ["test-p10.png", "test-p2.png", "train-blank.png", "train-p3.png"]
    page, overlay = page_image(10), Image.open(letters / "overlays" / "test-p10.png").convert("RGB")
    assert overlay.size == page.size
    assert (
        overlay.getpixel((20, 200)) == overlay.getpixel((300, 300)) != overlay.getpixel((20, 40))
    )  # one colour a label
    changed = np.any(np.asarray(overlay) != np.asarray(page), axis=2)
    assert changed[100:390, 25:295].mean() > 0.5 and not changed[405:].any()
    blank = Image.open(letters / "overlays" / "train-blank.png")
    assert blank.tobytes() == Image.open(io.BytesIO(image_bytes(800, 900))).tobytes()


def test_without_the_real_tokenizer_it_says_whose_tokens_it_counts(letters, capsys):
    assert run_command(main, ["letters", "--limit", "1", "--output_dir", str(letters)]) == 0
    assert "counted with the tiny model's tokenizer" in capsys.readouterr().err
    assert json.loads((letters / "summary.json").read_text())["tokenizer"] == "tiny"


def test_wrong_calls_have_status_two(letters, tmp_path, capsys):
    assert run_command(main, ["unknown", "--output_dir", str(letters)]) == 2
    assert "no dataset is built under the name 'unknown'" in capsys.readouterr().err
    assert run_command(main, ["letters", "--tokenizer", str(tmp_path), "--output_dir", str(letters)]) == 2
    assert "tokenizer" in capsys.readouterr().err
    assert not letters.exists()


def test_real_letters_have_no_near_duplicates(real_pages, datasets_cache, tmp_path):
    folder = real_pages / "annotation_folder"
    assert build(["letters", "--annotations", str(folder), "--val", "0.25", "--test", "0.25"]) == 0
    out = tmp_path / "out"
    done = run_script("inspect_dataset", "letters", "--tokenizer", "tiny", "--output_dir", out, "--limit", 1)
    assert done.returncode == 0, done.stderr
    assert "near-duplicate pages across splits: 0" in done.stdout
    labels = [line.split() for line in done.stdout.splitlines() if line.startswith("  text")]
    assert labels == [["text", "87", "36", "19"]]
