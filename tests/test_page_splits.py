"""Splits: pages that never move, groups that stay together, and the splits that files and folders are named after."""

import json
import re
from pathlib import Path

import pytest

from data_scripts.build_dataset import main
from data_scripts.formats.format import ListedPage
from data_scripts.page_splits import Splits, split_by_hash, split_by_names, split_by_rank
from helpers.page_folders import image_bytes, write_page, write_pages
from ocr2_hf.data.load import built_datasets, load_dataset
from ocr2_hf.errors import UsageError, run_command


def pages(count: int, name: str = "page{}") -> list[ListedPage]:
    return [ListedPage(name.format(number), "", "", ()) for number in range(count)]


def counts(splits: Splits) -> tuple[int, int, int]:
    return len(splits["train"]), len(splits["validation"]), len(splits["test"])


def places(splits: Splits) -> dict[str, str]:
    return {page.id: split for split, members in splits.items() for page in members}


def test_no_page_moves_as_others_are_added_or_removed():
    few, many = (places(split_by_hash(pages(count), 0.1, 0.1)) for count in (100, 1000))
    assert few.items() <= many.items()
    assert {split: list(many.values()).count(split) for split in ("train", "validation", "test")} == {
        "train": 807,
        "validation": 91,
        "test": 102,
    }


def test_another_share_of_one_split_leaves_the_other():
    few, more = (split_by_hash(pages(300), val, 0.1) for val in (0.1, 0.3))
    assert few["test"] == more["test"]
    assert places({"validation": few["validation"]}).items() <= places({"validation": more["validation"]}).items()
    fewer_tests = split_by_hash(pages(300), 0.1, 0.02)
    assert fewer_tests["validation"] == few["validation"]


@pytest.mark.parametrize(("val", "test", "expected"), [(0, 0, (9, 0, 0)), (1, 0, (0, 9, 0)), (0, 1, (0, 0, 9))])
def test_whole_shares_take_every_page(val, test, expected):
    assert counts(split_by_hash(pages(9), val, test)) == expected


@pytest.mark.parametrize(
    ("count", "val", "test", "expected"),
    [(8, 0.25, 0.25, (4, 2, 2)), (100, 0.05, 0.05, (90, 5, 5)), (9, 0.05, 0.05, (9, 0, 0)), (5, 0.5, 0.5, (0, 2, 3))],
)
def test_by_rank_shares_are_exact(count, val, test, expected):
    assert counts(split_by_rank(pages(count), val, test)) == expected


@pytest.mark.parametrize("split", [split_by_hash, split_by_rank])
def test_pages_of_a_group_stay_together(split):
    listed = [ListedPage(f"doc{document}_page{page}", "", "", ()) for document in range(20) for page in range(5)]
    documents = [
        {page.id.split("_")[0] for page in part} for part in split(listed, 0.2, 0.2, re.compile("doc[0-9]+")).values()
    ]
    assert all(documents) and sum(map(len, documents)) == 20


@pytest.mark.parametrize("split", [split_by_hash, split_by_rank])
def test_pages_of_one_file_stay_together(split):
    listed = [page for number in (1, 2, 3) for page in pages(20, f"book{{}}#page={number}")]
    books = [{page.id.partition("#")[0] for page in members} for members in split(listed, 0.2, 0.2).values()]
    assert all(books) and sum(map(len, books)) == 20


def test_a_group_that_no_page_has_is_refused():
    with pytest.raises(UsageError, match=r"--group_by 'doc' matches no page's id, e.g. 'page0'"):
        split_by_hash(pages(4), 0.5, 0, re.compile("doc"))


def named(*files: str, ids: tuple[str, ...] = ()) -> dict[str, list[str]] | None:
    """The ids by split of two pages in each file, of one where the id is the file's name."""
    listed = [
        ListedPage(name, f"/data/{file}", "/data", ()) for file in files for name in ids or (f"{file}-a", f"{file}-b")
    ]
    splits = split_by_names(listed, "/data")
    return splits and {
        split: sorted({page.annotation.removeprefix("/data/") for page in part}) for split, part in splits.items()
    }


@pytest.mark.parametrize(
    ("train", "validation"),
    [
        ("train.json", "val.json"),
        ("annotations/instances_train2017.json", "annotations/instances_val2017.json"),
        ("PubTrain.jsonl", "PubVal.jsonl"),
        ("zh.train.json", "zh.dev.json"),
        ("TRAIN/all.json", "VALID/all.json"),
        ("training_data/x/1.json", "validation_data/x/1.json"),
        ("trainval.json", "valid.json"),
        ("2014/test/train.json", "2014/test/val.json"),
    ],
)
def test_files_and_folders_that_are_named_after_splits(train, validation):
    assert named(train, validation) == {"train": [train], "validation": [validation]}


@pytest.mark.parametrize(
    "files",
    [
        ("a.json", "b.json"),
        ("train.json",),
        ("test.json",),
        ("train_val.json", "a.json"),
        ("latest.json", "trains.json"),
    ],
)
def test_files_that_are_of_no_two_splits_are_left_to_the_hash(files):
    assert named(*files) is None


@pytest.mark.parametrize(
    "files", [("train.json", "test.json", "more.json"), ("test.json", "all.json"), ("val/1.json", "2.json")]
)
def test_held_out_files_among_others_must_be_chosen(files):
    with pytest.raises(UsageError, match=rf"{files[-1]}, are not \(2 of {2 * len(files)} pages\).*--split hash"):
        named(*files)


def one_page_each(*names: str) -> list[ListedPage]:
    return [ListedPage(name, f"/data/{name}.json", "/data", ()) for name in names]


def test_pages_that_happen_to_be_called_so_are_of_no_split():
    assert split_by_names(one_page_each("train_ticket", "driving_test", "letter"), "/data") is None
    assert split_by_names(one_page_each("train_1", "train_2", "test_1"), "/data").keys() == {"train", "test"}
    in_folders = split_by_names(one_page_each("train/test_1", "test/train_1"), "/data")
    assert {split: [page.id for page in part] for split, part in in_folders.items()} == {
        "train": ["train/test_1"],
        "test": ["test/train_1"],
    }


def test_images_in_folders_of_splits_say_it_where_their_file_does_not():
    listed = [
        ListedPage(f"{folder}/{name}", "/data/all.json", "/data", ()) for folder in ("train", "val") for name in "ab"
    ]
    splits = split_by_names(listed, "/data")
    assert {split: [page.id for page in part] for split, part in splits.items()} == {
        "train": ["train/a", "train/b"],
        "validation": ["val/a", "val/b"],
    }


@pytest.fixture
def folder(tmp_path, datasets_cache) -> Path:
    return tmp_path / "pages"


def build(folder: Path, *options: object, name: str = "letters") -> int:
    return run_command(main, [name, "--annotations", str(folder), *map(str, options)])


def write_coco(folder: Path, name: str, *images: str) -> None:
    """A COCO file of these images, which lie beside those of all others."""
    (folder / "images").mkdir(parents=True, exist_ok=True)
    for number, image in enumerate(images):
        (folder / "images" / image).write_bytes(image_bytes(seed=number))
    content = {
        "images": [{"id": i, "file_name": image, "width": 60, "height": 40} for i, image in enumerate(images)],
        "annotations": [{"image_id": i, "category_id": 1, "bbox": [5, 5, 9, 9]} for i in range(len(images))],
        "categories": [{"id": 1, "name": "Text"}],
    }
    (folder / name).write_text(json.dumps(content))


def test_the_split_of_a_coco_file_is_that_of_its_pages(folder, capsys):
    write_coco(folder, "train.json", "1.png", "2.png", "3.png", "4.png")
    write_coco(folder, "val.json", "5.png")
    write_coco(folder, "test.json", "6.png", "7.png")
    assert build(folder) == 0
    built = load_dataset("letters")
    assert {split: part["id"][:] for split, part in built.items()} == {
        "train": ["1", "2", "3", "4"],
        "validation": ["5"],
        "test": ["6", "7"],
    }
    assert "split by the names of files and folders" in capsys.readouterr().out
    assert build(folder, "--val", 0.5) == 2
    error = capsys.readouterr().err
    assert "named after the splits train, validation, test: keep them by --split names, without --val" in error
    assert build(folder, "--split", "hash", "--val", 0, "--test", 0) == 0
    assert len(load_dataset("letters", "train")) == 7


def test_splits_by_names_that_are_not_there_are_refused(folder, capsys):
    write_pages(folder, 3)
    assert build(folder, "--split", "names") == 2
    assert f"error: --split names: no file or folder in {folder} is named after a split" in capsys.readouterr().err


def test_a_page_stays_in_its_split_as_the_folder_grows(folder, capsys):
    write_pages(folder, 40)
    assert build(folder, "--val", 0.2, "--test", 0.2) == 0
    before = {key: split for split, part in load_dataset("letters").items() for key in part["id"]}
    write_pages(folder, 80)
    assert build(folder, "--val", 0.2, "--test", 0.2) == 0
    after = {key: split for split, part in load_dataset("letters").items() for key in part["id"]}
    assert len(after) == 80 and before.items() <= after.items()
    assert capsys.readouterr().out.count("split by the hash of each page's id: no page moves as others are added") == 2


def test_a_dataset_that_was_split_by_rank_stays_so(folder, capsys):
    """Datasets built before have no `split_by` in their summary."""
    write_pages(folder, 8)
    assert build(folder, "--val", 0.25, "--test", 0.25) == 0
    assert {name: len(part) for name, part in load_dataset("letters").items()} != {
        "train": 4,
        "validation": 2,
        "test": 2,
    }
    path = built_datasets()["letters"] / "summary.json"
    summary = json.loads(path.read_text())
    assert summary.pop("split_by") == "hash" and summary.pop("annotations") == str(folder)
    path.write_text(json.dumps(summary))
    for count, expected in (
        (9, {"train": 5, "validation": 2, "test": 2}),
        (12, {"train": 6, "validation": 3, "test": 3}),
    ):
        write_pages(folder, count)
        assert build(folder, "--val", 0.25, "--test", 0.25) == 0
        assert {name: len(part) for name, part in load_dataset("letters").items()} == expected
        assert "split by the rank of the hashes of their ids" in capsys.readouterr().out
    moved = folder.rename(folder.parent / "moved")
    assert build(moved, "--val", 0.25, "--test", 0.25) == 0
    assert {name: len(part) for name, part in load_dataset("letters").items()} == expected
    moved.rename(folder)
    capsys.readouterr()
    for options, name in ((("--split", "hash"), "letters"), ((), "others")):
        assert build(folder, *options, "--val", 0.25, "--test", 0.25, name=name) == 0
        assert "split by the hash of each page's id" in capsys.readouterr().out
    assert build(folder, "--split", "rank", "--val", 0.25, "--test", 0.25, name="others") == 0
    assert {name: len(part) for name, part in load_dataset("others").items()} == expected


def test_a_name_given_to_another_folder_is_told(folder, capsys):
    write_pages(folder, 3)
    write_page(folder.parent / "others", "a")
    assert build(folder, "--val", 0, "--test", 0) == 0
    assert build(folder / ".", "--val", 0, "--test", 0) == 0
    assert "warning" not in capsys.readouterr().err
    assert build(folder.parent / "others", "--val", 0, "--test", 0) == 0
    error = capsys.readouterr().err
    assert (
        f"warning: the dataset of this name was built from {folder}; one of {folder.parent}/others is to replace it"
        in error
    )
    assert load_dataset("letters", "train")["id"] == ["a"]


def test_a_split_without_pages_is_told_whenever_the_dataset_is(folder, capsys):
    write_pages(folder, 7)
    for state in ("built (", "unchanged, not built again ("):
        assert build(folder, "--val", 0.001, "--test", 0) == 0
        shown = capsys.readouterr()
        assert state in shown.out
        assert "warning: the validation split is empty and is left out: raise its share, or" in shown.err
        assert shown.err.count("left out") == 1 and "validation" not in shown.out
    assert list(load_dataset("letters")) == ["train"]
