"""`build_dataset.py` as a user calls it: splits, summary, rebuilds, rejected pages, messages, kills."""

import json
import signal
import time
from pathlib import Path

import datasets
import numpy as np
import psutil
import pytest
from PIL import ExifTags, Image

from data_scripts import build_plan
from data_scripts.build_dataset import main
from data_scripts.file_tree import FileTree
from data_scripts.formats import FORMATS
from helpers.commands import python
from helpers.page_folders import deep_tiff, image_bytes, run_script, start_script, write_page, write_pages
from ocr2_hf.data.load import built_datasets, load_dataset
from ocr2_hf.errors import UsageError, run_command


@pytest.fixture
def pages(tmp_path, datasets_cache) -> Path:
    """A folder for annotations, and a datasets cache of its own."""
    return tmp_path / "pages"


def build(folder: Path, *options: object, name: str = "letters") -> int:
    return run_command(main, [name, "--annotations", str(folder), *map(str, options)])


def refusal(capsys: pytest.CaptureFixture, folder: Path, *options: object) -> tuple[int, str]:
    """(status, message) of a build that fails and leaves nothing to load."""
    status = build(folder, *options)
    with pytest.raises(UsageError, match="no dataset is built under the name 'letters'"):
        load_dataset("letters")
    error = capsys.readouterr().err
    assert "Traceback" not in error
    return status, error[error.index("error: ") :]


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_real_letters_split_by_their_names(real_pages, datasets_cache):
    folder = real_pages / "annotation_folder"
    done = run_script("build_dataset", "letters", "--annotations", folder, "--val", 0.25, "--test", 0.25)
    assert done.returncode == 0, done.stderr
    table = [line.split() for line in done.stdout.splitlines()[2:7]]
    assert table[:3] == [["train", "5", "87"], ["validation", "2", "36"], ["test", "1", "19"]]
    assert table[3:] == [["rejected", "0"], ["clamped", "0"]]
    splits = load_dataset("letters")
    assert {name: len(part) for name, part in splits.items()} == {"train": 5, "validation": 2, "test": 1}
    for part in splits.values():
        for row in part.cast_column("image", datasets.Image(decode=False)):
            image = (folder / "images" / f"{row['id']}.png").read_bytes()
            annotation = json.loads((folder / "annotations" / f"{row['id']}.json").read_text())
            assert row["image"] == {"bytes": image, "path": None}
            assert (row["width"], row["height"]) == (975, 1500)
            for key, value in annotation.items():
                assert row[key] == value


DECODE = """
from ocr2_hf import load_dataset
from ocr2_hf.document.page_files import to_rgb
for row in load_dataset("letters", "train"):
    print(row["id"], to_rgb(row["image"]).size)
"""


def test_an_odd_file_is_named_once_and_never_warned_of(pages):
    """Pillow warned of it each time that it was opened, in the build and in training, and named no file."""
    odd = deep_tiff(np.full(64, 255, np.uint8))[:-4]  # it ends before the address of the next frame
    for name in ("a", "b"):
        write_page(pages, name, odd, ".tif", bboxes=[[5, 0, 50, 1]])
    write_page(pages, "c", bboxes=[[5, 0, 50, 1]])
    built = run_script("build_dataset", "letters", "--annotations", pages, "--val", 0, "--test", 0)
    assert (built.returncode, built.stderr.count("Warn"), built.stderr.count(".tif")) == (0, 0, 0), built.stderr
    lines = built.stdout.splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith("odd files"))
    assert lines[start].split()[2] == "2"
    warning = "Corrupt EXIF data. Expecting to read 4 bytes but only got 0."
    assert lines[start + 1 : start + 3] == [f"  {pages}/{name}.tif: {warning}" for name in ("a", "b")]
    assert built.stdout.count("Corrupt") == 2
    read = python("-c", DECODE)
    assert (read.stdout, read.stderr) == ("a (64, 1)\nb (64, 1)\nc (60, 40)\n", "")


def test_an_unchanged_second_call_builds_nothing(pages, capsys):
    write_pages(pages, 20)
    assert build(pages) == 0
    folder = built_datasets()["letters"]
    before = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    first = capsys.readouterr().out
    assert build(pages) == 0
    assert build(pages, "--num_proc", 2) == 0
    second = capsys.readouterr().out
    assert {path: path.stat().st_mtime_ns for path in folder.iterdir()} == before
    assert "letters: built (" in first
    assert second.count("letters: unchanged, not built again (") == 2
    assert second.splitlines()[1:8] == first.splitlines()[1:8]


def test_a_change_of_a_file_or_an_option_builds_again_and_removes_the_old_build(pages):
    write_pages(pages, 20)
    folders = []

    def build_and_look(*options) -> dict[str, int]:
        assert build(pages, *options) == 0
        folders.append(built_datasets()["letters"])
        assert not any(folder.exists() for folder in set(folders) - {folders[-1]})
        return {name: len(part) for name, part in load_dataset("letters").items()}

    assert build_and_look() == {"train": 17, "validation": 1, "test": 2}
    assert build_and_look("--val", 0.5) == {"train": 10, "validation": 8, "test": 2}
    write_page(pages, "p000", text="another text")
    build_and_look("--val", 0.5)
    write_page(pages, "p100")
    assert build_and_look("--val", 0.5, "--test", 0) == {"train": 12, "validation": 9}
    (pages / "p100.png").write_bytes(image_bytes(80, 90))
    build_and_look("--val", 0.5, "--test", 0)
    build_and_look("--val", 0.5, "--test", 0, "--check", "full")
    assert len(set(folders)) == 6
    texts = [text for part in load_dataset("letters").values() for text in part["text"]]
    assert "another text" in texts


def test_two_processes_give_the_rows_of_one(pages):
    write_pages(pages, 30)
    write_page(pages, "p007", bboxes=[[1, 2, 3, None]])
    assert build(pages, "--max_bad", 0.1, name="one") == 0
    assert build(pages, "--max_bad", 0.1, "--num_proc", 2, name="two") == 0
    one, two = load_dataset("one"), load_dataset("two")
    assert list(one) == list(two) == ["train", "validation", "test"]
    for split, part in one.items():
        assert part.data.table.combine_chunks().equals(two[split].data.table.combine_chunks())
    rejects = [(built_datasets()[name] / "rejects.jsonl").read_text() for name in ("one", "two")]
    assert rejects[0] == rejects[1] != ""


def test_rejected_pages_are_listed_and_left_out(pages, capsys):
    write_pages(pages, 10)
    write_page(pages, "p004", image_bytes()[:-30])
    assert build(pages, "--max_bad", 0.1, "--val", 0, "--test", 0) == 0
    folder = built_datasets()["letters"]
    assert f"rejected pages and reasons: {folder / 'rejects.jsonl'}\n" in capsys.readouterr().out
    (reject,) = map(json.loads, (folder / "rejects.jsonl").read_text().splitlines())
    assert reject["id"] == "p004"
    assert reject["file"] == str(pages / "p004.json")
    assert reject["reason"].startswith("PNG is cut off")
    assert "p004" not in load_dataset("letters", "train")["id"]


def test_too_many_rejected_pages_build_nothing_and_say_so(pages, capsys):
    write_pages(pages, 8)
    write_page(pages, "p004", bboxes=[["5", 5, 50, 20]])
    status, error = refusal(capsys, pages)
    assert status == 1
    assert "letters is not built: 1 of 8 pages (12.5%) are rejected, more than --max_bad 0.01 allows" in error
    assert f"{pages}/p004.json: bboxes[0] holds '5', not a number" in error
    assert "allow more with --max_bad" in error
    listed = Path(error.split("listed in ")[1].split(";")[0])
    assert json.loads(listed.read_text())["id"] == "p004"
    assert build(pages, "--max_bad", 0.2) == 0
    assert not listed.exists()


def test_a_failed_build_leaves_the_one_before(pages, capsys):
    write_pages(pages, 8)
    assert build(pages) == 0
    before = files(built_datasets()["letters"])
    write_page(pages, "p004", text=5)
    assert build(pages) == 1
    assert files(built_datasets()["letters"]) == before


def test_on_error_fail_stops_at_a_rejected_page(pages, capsys):
    write_pages(pages, 8)
    write_page(pages, "p004", text=5)
    status, error = refusal(capsys, pages, "--on_error", "fail", "--max_bad", 1)
    assert status == 1
    assert "a page is rejected, and --on_error fail allows none" in error
    assert "p004.json: text is 5, not a string" in error


def test_when_every_page_is_rejected_nothing_is_built(pages, capsys):
    for number in range(7):
        write_page(pages, f"p{number}", None)
    status, error = refusal(capsys, pages, "--max_bad", 1)
    assert status == 1
    assert "all 7 pages are rejected" in error
    assert "p0.json: no image p0 (.png .jpg .jpeg .tif .tiff .webp .bmp .gif .jp2 .j2k .jpf .jpx .pdf) in" in error
    assert "and 2 more" in error


def test_the_only_page_is_rejected(pages, capsys):
    write_page(pages, "p", text=5)
    status, error = refusal(capsys, pages)
    assert status == 1
    assert "letters is not built: the only page is rejected\n" in error and error.endswith("mend or remove this page\n")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"file": None}, "no image bad"),
        ({"bboxes": [["5", 5, 50, 20]]}, "bboxes[0] holds '5', not a number"),
        ({"bboxes": [[float("nan"), 5, 50, 20]]}, "annotation holds NaN, which is not JSON"),
        ({"bboxes": [[5, 5, 70, 20]]}, "bboxes[0] [5, 5, 70, 20] leaves the page of 60x40 pixels"),
        ({"labels": ["a", "b"]}, "lists of unequal length: 1 bboxes, 2 labels, 1 texts"),
        ({"text": "a\u0007"}, "text has the control character U+0007 at offset 1"),
        (
            {"file": b"no image at all"},
            "image is not opened as one of PNG, JPEG, TIFF, WEBP, BMP, GIF, JPEG2000: not a readable image",
        ),
    ],
)
def test_every_kind_of_bad_page_is_named_with_its_reason(pages, capsys, changes, reason):
    write_pages(pages, 3)
    write_page(pages, "bad", **changes)
    status, error = refusal(capsys, pages)
    assert status == 1
    assert f"{pages}/bad.json: {reason}" in error


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ('{"text": ', "annotation is broken JSON: Expecting value"),
        (
            '{"image": "../../x.png", "text": "", "bboxes": [], "labels": []}',
            "image '../../x.png' leaves the image",
        ),
    ],
)
def test_broken_and_leaving_annotations_are_named_with_their_reason(pages, capsys, content, reason):
    write_pages(pages, 3)
    (pages / "bad.json").write_text(content)
    (pages.parent.parent / "x.png").write_bytes(image_bytes())
    status, error = refusal(capsys, pages)
    assert status == 1
    assert f"{pages}/bad.json: {reason}" in error


@pytest.mark.parametrize(
    ("names", "counted"),
    [(["a.png", "b.JPG", "c.pdf", "a.json"], 0), (["a.png", "b.GIF"], 1), (["a.bmp"], 1), (["a.json", "b.tif"], 1)],
)
def test_folders_that_give_the_rows_of_before_are_not_built_again(names, counted):
    tree = FileTree("/pages", dict.fromkeys(names, (1, 1)))
    assert build_plan.recipe_number([FileTree("/other", {}), tree]) == build_plan.RECIPE + counted


def test_boxes_of_a_turned_image_are_in_displayed_pixels(pages, capsys):
    tags = Image.Exif()
    tags[ExifTags.Base.Orientation] = 6
    turned = image_bytes(60, 40, "JPEG", exif=tags)
    write_page(pages, "turned", turned, suffix=".jpg", bboxes=[[0, 0, 40, 60]])
    assert build(pages) == 0
    (row,) = load_dataset("letters", "train")
    assert (row["width"], row["height"]) == row["image"].size == (40, 60)
    write_page(pages, "turned", turned, suffix=".jpg", bboxes=[[0, 0, 60, 40]])
    assert build(pages) == 1
    assert "leaves the page of 40x60 pixels" in capsys.readouterr().err


def test_clamped_boxes_are_counted(pages, capsys):
    write_pages(pages, 3)
    write_page(pages, "p001", bboxes=[[-0.5, 5, 60.5, 20], [1, 1, 2, 2]], labels=["a", "b"], texts=["", ""])
    assert build(pages) == 0
    assert ["clamped", "1"] in [line.split() for line in capsys.readouterr().out.splitlines()]


def test_pages_and_regions_without_text_are_counted(pages, capsys):
    write_pages(pages, 2)
    write_page(pages, "p002", text=" ", texts=None)
    write_page(pages, "p003", text="", texts=[""], prompt="Total?", target="7")
    write_page(pages, "p004", text="", bboxes=[], labels=[], texts=[])
    assert build(pages, "--num_proc", 2) == 0
    shown = capsys.readouterr()
    assert ["without", "text", "2", "2"] in [line.split() for line in shown.out.splitlines()]
    assert "no page has any text" not in shown.err


def test_a_dataset_without_any_text_is_told_whenever_it_is(pages, capsys):
    write_page(pages, "p0", text="", texts=None)
    for _ in range(2):
        assert build(pages, "--val", 0, "--test", 0) == 0
        assert "warning: no page has any text: it cannot be trained for a task that" in capsys.readouterr().err


@pytest.mark.parametrize("processes", [1, 2])
def test_bad_boxes_are_dropped_counted_and_listed_or_their_page_is_rejected(pages, capsys, processes):
    write_pages(pages, 3)
    boxes = {"bboxes": [[5, 5, 5, 9], [1, 1, 20, 9], [30, 9, 20, 12]], "labels": list("abc"), "texts": ["x", "y", "z"]}
    write_page(pages, "p001", **boxes)
    assert build(pages, "--num_proc", processes) == 0
    printed = capsys.readouterr().out
    assert ["dropped", "2"] in [line.split()[:2] for line in printed.splitlines()]
    listed = built_datasets()["letters"] / "dropped.jsonl"
    assert str(listed) in printed
    reasons = [json.loads(line) for line in listed.read_text().splitlines()]
    assert [row["id"] for row in reasons] == ["p001"] * 2
    assert {row["file"] for row in reasons} == {f"{pages}/p001.json"}
    told = "is empty or turned round: x0 < x1 and y0 < y1 is needed; its text is"
    assert [row["reason"] for row in reasons] == [
        f"bboxes[0] [5, 5, 5, 9] {told} 'x'",
        f"bboxes[2] [30, 9, 20, 12] {told} 'z'",
    ]
    (row,) = [row for part in load_dataset("letters").values() for row in part if row["id"] == "p001"]
    assert (row["text"], row["bboxes"], row["labels"], row["texts"]) == ("page p001", [[1, 1, 20, 9]], ["b"], ["y"])
    assert build(pages, "--bad_boxes", "reject", "--num_proc", processes) == 1
    assert "p001.json: bboxes[0] [5, 5, 5, 9] is empty or turned round" in capsys.readouterr().err


def test_split_folders(pages):
    write_pages(pages / "train", 3)
    write_pages(pages / "val", 2)
    assert build(pages, "--split", "folders") == 0
    splits = load_dataset("letters")
    assert {name: part["id"][:] for name, part in splits.items()} == {
        "train": ["p000", "p001", "p002"],
        "validation": ["p000", "p001"],
    }


def test_groups_stay_together(pages):
    for number in range(12):
        write_page(pages, f"doc{number // 3}-{number % 3}")
    assert build(pages, "--val", 0.25, "--test", 0.25, "--group_by", "doc[0-9]+") == 0
    documents = {name: {key[:4] for key in part["id"]} for name, part in load_dataset("letters").items()}
    assert documents == {"train": {"doc2"}, "validation": {"doc0", "doc1", "doc3"}}


def test_an_empty_split_is_left_out_with_a_warning(pages, capsys):
    write_pages(pages, 3)
    assert build(pages, "--val", 0.34, "--test", 0.0001) == 0
    assert "warning: the test split is empty and is left out" in capsys.readouterr().err
    assert list(load_dataset("letters")) == ["train", "validation"]


@pytest.mark.parametrize("processes", [1, 2])
def test_a_split_whose_pages_are_all_rejected_is_left_out_with_a_warning(pages, capsys, processes):
    write_pages(pages / "train", 4)
    for name in ("a", "b", "c"):
        write_page(pages / "test", name, None)
    assert build(pages, "--split", "folders", "--max_bad", 0.5, "--num_proc", processes) == 0
    assert "warning: every page of the test split is rejected" in capsys.readouterr().err
    assert list(load_dataset("letters")) == ["train"]
    assert len(load_dataset("letters", "train")) == 4


def test_split_folders_are_not_mixed(pages, capsys):
    write_pages(pages / "train", 3)
    write_pages(pages / "test", 3)
    assert build(pages) == 0
    assert {name: {key[:4] for key in part["id"]} for name, part in load_dataset("letters").items()} == {
        "train": {"trai"},
        "test": {"test"},
    }


def test_split_folders_with_images_apart_are_told(pages, capsys):
    write_page(pages / "train" / "annotations", "a")
    assert build(pages) == 0
    assert "has train in it: --split folders reads each with the images beside it" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "content", "format"),
    [
        ("a.jsonl", "", "jsonl"),
        ("a.json", '{"images": [], "annotations": [], "categories": [{"id": 1, "name": "a"}]}', "coco"),
        ("a.xml", "<annotations><version>1.1</version></annotations>", "cvat"),
    ],
)
def test_a_folder_without_any_page_is_refused_with_what_it_is(pages, capsys, name, content, format):
    pages.mkdir()
    (pages / name).write_text(content)
    status, error = refusal(capsys, pages)
    assert status == 1
    assert f"no page is in {pages}/{name}: the format {format} is {FORMATS[format].FILES}, and" in error
    assert "export the pages together with their annotations" in error


@pytest.mark.parametrize("format", FORMATS)
def test_in_every_format_a_folder_without_pages_is_refused(pages, capsys, monkeypatch, format):
    write_pages(pages, 2)
    monkeypatch.setattr(FORMATS[format], "recognise", lambda annotations: True)
    monkeypatch.setattr(FORMATS[format], "list_pages", lambda annotations, images: [])
    status, error = refusal(capsys, pages, "--format", format)
    assert status == 1 and error.count("\n") == 1
    shown = ", ".join(f"{pages}/{name}" for name in ("p000.json", "p000.png", "p001.json"))
    assert f"no page is in {shown} and 1 more: the format {format} is {FORMATS[format].FILES}" in error


def test_a_cvat_export_of_a_video_is_named_with_what_to_export(pages, capsys):
    pages.mkdir()
    box = '<box frame="0" outside="0" occluded="0" xtl="1" ytl="1" xbr="9" ybr="9"/>'
    (pages / "a.xml").write_text(f'<annotations><track id="0" label="text">{box}</track></annotations>')
    wanted = f"{pages}/a.xml: tracks of a video, which are no pages: export the task as CVAT for images 1.1"
    assert refusal(capsys, pages) == (1, f"error: {wanted}\n")


def test_a_cache_that_cannot_be_written_is_named(pages, datasets_cache, capsys):
    write_pages(pages, 1)
    datasets_cache.write_text("a file where the cache should be")
    assert build(pages) == 1
    assert f"error: {datasets_cache}/local___letters: Not a directory" in capsys.readouterr().err


def test_an_empty_folder_is_refused(pages, capsys):
    pages.mkdir()
    status, error = refusal(capsys, pages)
    assert status == 1
    assert error.startswith(f"error: no annotations in {pages}: the files that are read are\n  alto ")
    assert [line.split()[0] for line in error.splitlines()[1:]] == list(FORMATS)
    assert refusal(capsys, pages, "--format", "json")[1].endswith("are\n  json          *.json\n")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--images", "nowhere"], "error: --images: no folder nowhere"),
        (["--split", "folders"], "--split folders: {pages} has no folder train, validation (or val) or test"),
    ],
)
def test_wrong_calls_have_status_two(pages, capsys, options, message):
    write_pages(pages, 1)
    status, error = refusal(capsys, pages, *options)
    assert status == 2
    assert message.format(pages=pages) in error


def test_a_missing_folder_has_status_two(pages, capsys):
    assert refusal(capsys, pages) == (2, f"error: --annotations: no folder {pages}\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["Letters", "--annotations", "x"], "'Letters' is not a name of a-z, 0-9, _ and -"),
        (["org/letters", "--annotations", "x"], "'org/letters' is not a name"),
        (["letters"], "--annotations"),
        (["letters", "--annotations", "x", "--val", "5"], "--val: '5' is not a number from 0 to 1"),
        (["letters", "--annotations", "x", "--test", "nan"], "--test: 'nan' is not a number from 0 to 1"),
        (["letters", "--annotations", "x", "--val", "0.6", "--test", "0.6"], "are more than 1 together"),
        (["letters", "--annotations", "x", "--group_by", "("], "'(' is not a regular expression"),
        (["letters", "--annotations", "x", "--num_proc", "0"], "'0' is not a whole number above 0"),
        (["letters", "--annotations", "x", "--split", "folders", "--val", "0.1"], "go with --split hash"),
    ],
)
def test_bad_options_are_named(capsys, arguments, message):
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("trace", "processes"),
    [("work-*", 1), ("work-*/shards.incomplete/*.arrow", 1), ("work-*/shards.incomplete/*.arrow", 2)],
)
def test_a_killed_build_and_the_same_command_give_the_bytes_of_an_undisturbed_build(
    pages, tmp_path, monkeypatch, trace, processes
):
    write_pages(pages, 400)
    large = image_bytes(400, 300)
    for number in range(400):
        (pages / f"p{number:03d}.png").write_bytes(large)
    command = ("build_dataset", "letters", "--annotations", pages, "--num_proc", processes)
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "undisturbed"))
    assert run_script(*command).returncode == 0
    undisturbed = tmp_path / "undisturbed" / "local___letters"

    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "disturbed"))
    root = tmp_path / "disturbed" / "local___letters"
    started = start_script(*command)
    while not any(path.is_dir() or path.stat().st_size for path in root.glob(trace)):
        assert started.poll() is None, "the build ended before it could be killed"
        time.sleep(0.001)
    started.send_signal(signal.SIGSTOP)
    workers = psutil.Process(started.pid).children(recursive=True)
    started.kill()
    assert started.wait() == -signal.SIGKILL
    assert not list(root.glob("default/*/*/dataset_info.json"))
    assert list(root.glob("work-*"))

    again = run_script(*command)
    assert again.returncode == 0, again.stderr
    assert files(root / "default") == files(undisturbed / "default")
    assert not list(root.glob("work-*"))
    _, alive = psutil.wait_procs(workers, timeout=5)
    assert not alive
