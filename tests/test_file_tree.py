"""The files of a folder, also behind links: each once where it must be, none passed over."""

import os
from pathlib import Path

import pytest

from data_scripts.build_dataset import main
from data_scripts.file_tree import FileTree, file_name, list_files
from data_scripts.formats.images import find_image
from helpers.page_folders import write_page
from ocr2_hf.data.load import load_dataset
from ocr2_hf.document.records import RecordError
from ocr2_hf.errors import run_command


def build(folder: Path, *options: object) -> int:
    words = ["linked", "--annotations", str(folder), "--val", "0", "--test", "0", *map(str, options)]
    return run_command(main, words)


def names(tree: FileTree) -> list[str]:
    return list(tree.files)


def test_a_linked_folder_is_listed_like_any_other(tmp_path):
    write_page(tmp_path / "elsewhere" / "deep", "b")
    write_page(tmp_path / "pages", "a")
    (tmp_path / "pages" / "more").symlink_to(tmp_path / "elsewhere")
    tree = list_files(tmp_path / "pages")
    assert names(tree) == ["a.json", "a.png", "more/deep/b.json", "more/deep/b.png"]
    assert tree.again == () and tree.once() is tree
    assert tree.files["more/deep/b.png"][0] == (tmp_path / "elsewhere/deep/b.png").stat().st_size


def test_links_to_a_folder_around_them_end(tmp_path):
    write_page(tmp_path / "pages" / "x", "a")
    (tmp_path / "pages" / "x" / "round").symlink_to(tmp_path / "pages")
    (tmp_path / "pages" / "itself").symlink_to("itself")
    assert names(list_files(tmp_path / "pages")) == ["itself", "x/a.json", "x/a.png"]


def test_a_folder_that_is_here_twice_counts_once_for_annotations(tmp_path, datasets_cache, capsys):
    write_page(tmp_path / "2024", "a")
    (tmp_path / "2023").symlink_to("2024")
    tree = list_files(tmp_path)
    assert names(tree) == ["2023/a.json", "2023/a.png", "2024/a.json", "2024/a.png"]
    assert tree.again == ("2023/",) and names(tree.once()) == ["2024/a.json", "2024/a.png"]
    assert build(tmp_path) == 0
    assert load_dataset("linked", "train")["id"] == ["2024/a"]
    assert f"{tmp_path}/2023/ is a folder that is here under another name too" in capsys.readouterr().err


def test_a_linked_folder_is_told_once_for_all_that_is_in_it(tmp_path, datasets_cache, capsys):
    write_page(tmp_path / "2024" / "may" / "first", "a")
    (tmp_path / "2023").symlink_to("2024")
    assert list_files(tmp_path).again == ("2023/",)
    assert build(tmp_path) == 0
    assert capsys.readouterr().err.count("under another name too") == 1


@pytest.mark.parametrize(
    ("named", "image"),
    [
        ("C:\\scans\\a.png", "real/deep/a.png"),
        ("deep/a.png", "real/deep/a.png"),
        ("real/deep/a.png", "real/deep/a.png"),
        ("link/deep/a.png", "link/deep/a.png"),
        ("/elsewhere/link/deep/a.png", "link/deep/a.png"),
    ],
)
def test_an_image_that_is_here_under_two_names_is_one(tmp_path, named, image):
    write_page(tmp_path / "images" / "real" / "deep", "a")
    (tmp_path / "images" / "link").symlink_to("real")
    tree = list_files(tmp_path / "images")
    assert find_image(tree, named, f"{tmp_path}/annotations/all.jsonl") == image


def test_another_image_of_the_name_is_still_another(tmp_path):
    for folder in ("real", "other/link"):
        write_page(tmp_path / "images" / folder, "a")
    (tmp_path / "images" / "link").symlink_to("real")
    tree = list_files(tmp_path / "images")
    for named in ("a.png", "/elsewhere/a.png"):
        with pytest.raises(RecordError, match=r"could be any of 2: other/link/a\.png, real/a\.png"):
            find_image(tree, named, f"{tmp_path}/annotations/all.jsonl")


def test_images_may_be_one_folder_under_two_names(tmp_path, datasets_cache):
    for name in ("first/a", "second/b"):
        write_page(tmp_path / "annotations", name, None)
    write_page(tmp_path / "scans", "a")
    write_page(tmp_path / "scans", "b")
    (tmp_path / "images").mkdir()
    for name in ("first", "second"):
        (tmp_path / "images" / name).symlink_to(tmp_path / "scans")
    assert build(tmp_path, "--max_bad", 0) == 0
    assert load_dataset("linked", "train")["id"] == ["first/a", "second/b"]


def test_a_link_that_leads_nowhere_is_a_page_that_is_rejected(tmp_path, datasets_cache, capsys):
    write_page(tmp_path, "a")
    os.symlink("gone.json", tmp_path / "b.json")
    os.symlink("gone.png", tmp_path / "a2.png")
    write_page(tmp_path, "a2", None)
    assert build(tmp_path) == 1
    error = capsys.readouterr().err
    assert "b.json: annotation cannot be read: No such file or directory" in error
    assert "a2.json: image cannot be read: No such file or directory" in error


def test_a_long_id_is_a_file_name_with_room_for_suffixes():
    names = [file_name(letter * 300 + end) for letter in "a名" for end in "xy"]
    assert len(set(names)) == 4 and all(150 < len(name.encode()) <= 200 for name in names)
    assert file_name("a/b c") == "a_b_c"
