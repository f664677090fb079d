"""Splits by hash are exact, stable and respect groups."""

import re
from pathlib import Path

import pytest

from data_scripts.build_plan import find_folders, find_split_folders, split_by_hash
from data_scripts.formats.format import ListedPage
from ocr2_hf.errors import UsageError


def pages(count: int, name: str = "page{}") -> list[ListedPage]:
    return [ListedPage(name.format(number), "", "", ()) for number in range(count)]


def counts(splits: dict[str, list[ListedPage]]) -> tuple[int, int, int]:
    return len(splits["train"]), len(splits["validation"]), len(splits["test"])


@pytest.mark.parametrize(
    ("count", "val", "test", "expected"),
    [
        (8, 0.25, 0.25, (4, 2, 2)),
        (100, 0.05, 0.05, (90, 5, 5)),
        (10, 0.05, 0.05, (8, 1, 1)),
        (9, 0.05, 0.05, (9, 0, 0)),
        (5, 0.5, 0.5, (0, 2, 3)),
        (4, 0.0, 1.0, (0, 0, 4)),
    ],
)
def test_shares_are_exact_on_small_sets(count, val, test, expected):
    splits = split_by_hash(pages(count), val, test)
    assert counts(splits) == expected
    assert sorted(page.id for part in splits.values() for page in part) == sorted(page.id for page in pages(count))


def test_an_added_page_moves_few_others():
    before = split_by_hash(pages(200), 0.1, 0.1)
    after = split_by_hash(pages(201), 0.1, 0.1)
    place = {page.id: split for split, part in before.items() for page in part}
    moved = [page.id for split, part in after.items() for page in part if place.get(page.id, split) != split]
    assert len(moved) <= 2


def test_pages_of_a_group_stay_together():
    listed = [ListedPage(f"doc{document}_page{page}", "", "", ()) for document in range(20) for page in range(5)]
    splits = split_by_hash(listed, 0.2, 0.2, re.compile(r"^(doc\d+)_"))
    assert counts(splits) == (60, 20, 20)
    documents = [{page.id.split("_")[0] for page in part} for part in splits.values()]
    assert sum(map(len, documents)) == 20


def make(root: Path, *folders: str) -> Path:
    for folder in folders:
        (root / folder).mkdir(parents=True)
    return root


def test_layouts_of_annotations_and_images(tmp_path):
    both = make(tmp_path / "both", "annotations", "images")
    expected = (both / "annotations", both / "images")
    assert find_folders(both, None) == find_folders(both / "annotations", None) == expected
    child = make(tmp_path / "child", "images")
    assert find_folders(child, None) == (child, child / "images")
    flat = make(tmp_path / "flat")
    assert find_folders(flat, None) == (flat, flat)
    assert find_folders(flat, both / "images") == (flat, both / "images")


def test_pages_with_their_images_do_not_take_those_of_a_neighbour(tmp_path):
    make(tmp_path, "images", "letters")
    (tmp_path / "letters" / "a.png").touch()
    assert find_folders(tmp_path / "letters", None) == (tmp_path / "letters", tmp_path / "letters")


def test_split_folders_in_all_their_layouts(tmp_path):
    inner = make(tmp_path / "inner", "train/annotations", "train/images", "val/annotations", "val/images")
    assert find_split_folders(inner, None) == {
        "train": (inner / "train/annotations", inner / "train/images"),
        "validation": (inner / "val/annotations", inner / "val/images"),
    }
    outer = make(tmp_path / "outer", "annotations/train", "annotations/test", "images/train", "images/test")
    assert find_split_folders(outer, None) == {
        "train": (outer / "annotations/train", outer / "images/train"),
        "test": (outer / "annotations/test", outer / "images/test"),
    }
    flat = make(tmp_path / "flat", "train", "validation")
    assert find_split_folders(flat, None) == {name: (flat / name, flat / name) for name in ("train", "validation")}


def test_split_folders_that_are_missing_or_twice_are_refused(tmp_path):
    with pytest.raises(UsageError, match="has no folder train, validation"):
        find_split_folders(make(tmp_path / "none"), None)
    with pytest.raises(UsageError, match="has both validation/ and val/"):
        find_split_folders(make(tmp_path / "twice", "val", "validation"), None)


def test_pages_of_one_file_stay_together():
    listed = [page for number in (1, 2, 3) for page in pages(20, f"book{{}}#page={number}")]
    splits = split_by_hash(listed, 0.2, 0.2)
    books = {split: {page.id.partition("#")[0] for page in members} for split, members in splits.items()}
    assert not books["train"] & (books["test"] | books["validation"]) and not books["test"] & books["validation"]
    assert counts(splits) == (36, 12, 12)


def test_a_group_that_no_page_has_is_refused():
    with pytest.raises(UsageError, match=r"--group_by 'doc' matches no page's id, e.g. 'page0'"):
        split_by_hash(pages(4), 0.5, 0, re.compile("doc"))
