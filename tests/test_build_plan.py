"""The folders that a build reads, as they are given."""

from pathlib import Path

import pytest

from data_scripts.build_plan import find_folders, find_split_folders
from ocr2_hf.errors import UsageError


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
