"""Datasets by name: built ones, those of the Hub, and everything that is neither."""

import io
import json
from pathlib import Path

import datasets
import pytest
from PIL import ExifTags, Image

from data_scripts.build_dataset import main
from helpers.page_folders import image_bytes, write_pages
from helpers.rights import plain_rights
from ocr2_hf.data.columns import FEATURES, has_boxes
from ocr2_hf.data.load import built_datasets, load_dataset
from ocr2_hf.errors import UsageError, WorkError

BOXES = [[[1.0, 2.0, 3.0, 4.0]], []]


@pytest.fixture
def letters(tmp_path, datasets_cache):
    """A built dataset of ten pages."""
    assert main(["letters", "--annotations", str(write_pages(tmp_path / "pages", 10)), "--test", "0.2"]) == 0


@pytest.fixture
def on_hub(monkeypatch):
    """A function that makes a dataset the answer of the Hub."""

    def answer(dataset):
        monkeypatch.setattr(datasets, "load_dataset", lambda name, split, streaming: dataset)

    return answer


def hub_rows(**changes) -> datasets.Dataset:
    """Two rows as a stranger may have them: the required columns alone, boxes in float64."""
    rows = {
        "image": [{"bytes": image_bytes(60, 40), "path": None}, {"bytes": image_bytes(30, 20), "path": None}],
        "text": ["a", "b"],
        "bboxes": BOXES,
        "labels": [["title"], []],
    }
    features = {
        "image": datasets.Image(),
        "text": datasets.Value("string"),
        "bboxes": datasets.List(datasets.List(datasets.Value("float64"))),
        "labels": datasets.List(datasets.Value("string")),
    }
    for key, (feature, values) in changes.items():
        features[key], rows[key] = feature, values
    return datasets.Dataset.from_dict(rows, features=datasets.Features(features))


def test_a_built_dataset_by_name_split_and_slice(letters):
    splits = load_dataset("letters")
    assert {name: len(part) for name, part in splits.items()} == {"train": 8, "validation": 1, "test": 1}
    assert all(part.features == FEATURES for part in splits.values())
    assert load_dataset("letters", "test")["id"][:] == splits["test"]["id"][:]
    assert len(load_dataset("letters", "train[:3]")) == 3


def test_a_built_dataset_is_memory_mapped_from_its_folder(letters):
    dataset = load_dataset("letters", "train")
    folder = built_datasets()["letters"]
    assert [file["filename"] for file in dataset.cache_files] == [str(folder / "letters-train.arrow")]


def test_a_built_dataset_streams_the_same_rows(letters):
    dataset, stream = load_dataset("letters", "train"), load_dataset("letters", "train", streaming=True)
    assert isinstance(stream, datasets.IterableDataset)
    for row, streamed in zip(dataset, stream, strict=True):
        assert row["image"].tobytes() == streamed.pop("image").tobytes()
        assert {key: row[key] for key in streamed} == streamed
    assert list(load_dataset("letters", streaming=True)) == ["train", "validation", "test"]


@pytest.mark.parametrize("streaming", [False, True])
def test_an_unknown_split_names_those_there_are(letters, streaming):
    with pytest.raises(UsageError, match="dataset 'letters' has no split 'dev'; it has: train, validation, test"):
        load_dataset("letters", "dev", streaming=streaming)


def test_an_unknown_name_lists_the_built_ones(letters):
    with pytest.raises(UsageError, match="no dataset is built under the name 'leters'; built datasets: letters"):
        load_dataset("leters")


def test_an_unknown_name_where_nothing_is_built(datasets_cache):
    with pytest.raises(UsageError, match=r"no dataset is built yet: run ocr2 build"):
        load_dataset("letters")


def test_a_raw_folder_stops_with_the_command_that_builds_it(tmp_path, datasets_cache, monkeypatch):
    write_pages(tmp_path / "My Letters", 2)
    with pytest.raises(UsageError, match="run build_dataset first") as stopped:
        load_dataset(str(tmp_path / "My Letters"))
    command = f"ocr2 build my_letters --annotations '{tmp_path}/My Letters'"
    assert command in str(stopped.value)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "org" / "letters").mkdir(parents=True)
    with pytest.raises(UsageError, match="ocr2 build letters --annotations org/letters"):
        load_dataset("org/letters")


def test_a_built_name_goes_before_a_folder_of_that_name(letters, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "letters").mkdir()
    assert len(load_dataset("letters", "train")) == 8


def test_a_hub_id_that_cannot_be_reached_says_so(letters):
    with pytest.raises(UsageError, match=r"cannot load 'org/x' from the Hub: .*; built datasets: letters"):
        load_dataset("org/x")


@pytest.mark.parametrize("streaming", [False, True])
def test_what_a_hub_dataset_lacks_is_filled_in(datasets_cache, on_hub, streaming):
    rows = hub_rows(source=(datasets.Value("string"), ["x", "y"]))
    on_hub(rows.to_iterable_dataset() if streaming else rows)
    loaded = load_dataset("org/pages", "train", streaming=streaming)
    first, second = loaded
    assert (first["id"], first["width"], first["height"], first["texts"]) == ("00000000", 60, 40, [""])
    assert (second["id"], second["width"], second["height"], second["texts"]) == ("00000001", 30, 20, [])
    assert first["prompt"] is first["target"] is None
    assert [first["bboxes"], second["bboxes"]] == BOXES
    assert first["source"] == "x"
    assert {key: loaded.features[key] for key in FEATURES} == FEATURES
    assert first["image"].tobytes() == Image.open(io.BytesIO(image_bytes(60, 40))).tobytes()


def test_the_splits_of_a_hub_dataset_are_filled_in_too(datasets_cache, on_hub):
    on_hub(datasets.DatasetDict({"train": hub_rows(), "test": hub_rows()}))
    loaded = load_dataset("org/pages")
    assert list(loaded) == ["train", "test"]
    assert loaded["test"][0]["texts"] == [""]


def test_columns_that_are_no_page_records_are_named(datasets_cache, on_hub):
    on_hub(hub_rows().remove_columns(["labels"]))
    with pytest.raises(UsageError, match="org/pages has no column labels; its columns are: image, text, bboxes"):
        load_dataset("org/pages", "train")
    on_hub(hub_rows().remove_columns(["text", "bboxes", "labels"]))
    with pytest.raises(UsageError, match="has no column text; its columns are: image; --columns image=NAME"):
        load_dataset("org/pages", "train")
    on_hub(hub_rows(labels=(datasets.List(datasets.ClassLabel(names=["a"])), [[0], []])))
    with pytest.raises(UsageError, match=r"column labels is List\(ClassLabel.*, not List\(Value"):
        load_dataset("org/pages", "train")
    on_hub(hub_rows(image=(datasets.Value("string"), ["a.png", "b.png"])))
    with pytest.raises(UsageError, match=r"column image is Value\('string'\), not Image\("):
        load_dataset("org/pages", "train")
    on_hub(hub_rows(bboxes=(datasets.Value("string"), ["1 2 3 4", ""])))
    with pytest.raises(UsageError, match=r"column bboxes is Value\('string'\), not "):
        load_dataset("org/pages", "train")


def text_rows(**columns) -> datasets.Dataset:
    """Two rows of image and text, and further columns."""
    return hub_rows(**columns).remove_columns(["bboxes", "labels"])


@pytest.mark.parametrize("streaming", [False, True])
def test_image_and_text_are_enough(datasets_cache, on_hub, streaming):
    rows = text_rows()
    on_hub(rows.to_iterable_dataset() if streaming else rows)
    loaded = load_dataset("org/pages", "train", streaming=streaming)
    assert {key: loaded.features[key] for key in FEATURES} == FEATURES
    first, _ = loaded
    assert (first["text"], first["bboxes"], first["labels"], first["texts"]) == ("a", [], [], [])
    assert (first["id"], first["width"], first["height"]) == ("00000000", 60, 40)
    assert first["image"].size == (60, 40)
    assert not has_boxes(load_dataset("org/pages", "train"))


def test_a_question_and_its_answer_are_enough(datasets_cache, on_hub):
    string = datasets.Value("string")
    on_hub(text_rows(prompt=(string, ["Total?", "Sum?"]), target=(string, ["1", "2"])).remove_columns("text"))
    assert [row["target"] for row in load_dataset("org/pages", "train")] == ["1", "2"]
    assert set(load_dataset("org/pages", "train")["text"]) == {""}


@pytest.mark.parametrize("streaming", [False, True])
def test_columns_of_other_names(datasets_cache, on_hub, streaming):
    rows = text_rows(scan=(datasets.Image(), [{"bytes": image_bytes(7, 9), "path": None}] * 2)).rename_column(
        "text", "tr"
    )
    on_hub(rows.to_iterable_dataset() if streaming else rows)
    names = {"image": "scan", "text": "tr"}
    row = next(iter(load_dataset("org/pages", "train", streaming, names)))
    assert (row["text"], row["width"], row["height"], row["image"].size) == ("a", 7, 9, (7, 9))
    with pytest.raises(UsageError, match="org/pages has no column scam; its columns are: image, tr, scan"):
        load_dataset("org/pages", "train", streaming, {"image": "scam", "text": "tr"})


def test_names_of_columns_may_change_places(datasets_cache, on_hub):
    on_hub(text_rows(prompt=(datasets.Value("string"), ["x", "y"])))
    row = load_dataset("org/pages", "train", columns={"text": "prompt", "prompt": "text"})[0]
    assert (row["text"], row["prompt"]) == ("x", "a")


def test_rows_without_a_text_are_refused_and_without_boxes_are_pages_of_text(datasets_cache, on_hub):
    string = datasets.Value("string")
    on_hub(text_rows(text=(string, ["a", None])))
    with pytest.raises(WorkError, match="org/pages: 1 of 2 rows cannot be used, the first is row 1: its text is null"):
        load_dataset("org/pages", "train")
    on_hub(text_rows(image=(datasets.Image(), [None, None])))
    with pytest.raises(WorkError, match="org/pages: 2 of 2 rows cannot be used, the first is row 0: its image is null"):
        load_dataset("org/pages", "train")
    boxes, labels = hub_rows().features["bboxes"], hub_rows().features["labels"]
    on_hub(hub_rows(bboxes=(boxes, [BOXES[0], None]), labels=(labels, [["title"], None])))
    first, second = load_dataset("org/pages", "train")
    assert (first["bboxes"], first["labels"], first["texts"]) == (BOXES[0], ["title"], [""])
    assert (second["bboxes"], second["labels"], second["texts"]) == ([], [], [])


def test_a_streamed_row_that_cannot_be_used_is_left_out_and_told(datasets_cache, on_hub, caplog):
    on_hub(text_rows(text=(datasets.Value("string"), [None, "b"])).to_iterable_dataset())
    (row,) = load_dataset("org/pages", "train", streaming=True)
    assert (row["text"], row["image"].size) == ("b", (30, 20)) and row.keys() == set(FEATURES)
    assert "dataset org/pages: row 0 is left out: its text is null" in caplog.text


BOX, LABEL = hub_rows().features["bboxes"], hub_rows().features["labels"]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"bboxes": (BOX, [[[0.1, 0.2, 0.9, 0.9]], []])}, "all bboxes are within 0 and 1"),
        (
            {"bboxes": (BOX, [[[1, 1, 500, 30]], []])},
            r"bboxes\[0\] \[1.0, 1.0, 500.0, 30.0\] leaves the page of 60x40 pixels",
        ),
        ({"labels": (LABEL, [["a", "b"], []])}, "lists of unequal length: 1 bboxes, 2 labels, 1 texts"),
        ({"text": (datasets.Value("string"), ["a<image>", "b"])}, "text holds <image>, a token of the model's own"),
        ({"text": (datasets.Value("string"), ["a\0", "b"])}, r"text has the control character U\+0000"),
        (
            {"image": (datasets.Image(), [{"bytes": b"no image", "path": "a.png"}] * 2)},
            "image a.png: not a readable image",
        ),
        (
            {"image": (datasets.Image(), [{"bytes": None, "path": "/nowhere/a.png"}] * 2)},
            "/nowhere/a.png: no such file",
        ),
        (
            {"image": (datasets.Image(), [{"bytes": b"%!PS-Adobe-3.0 EPSF-3.0\n", "path": "a.png"}] * 2)},
            "image a.png: not a readable image",
        ),
    ],
)
def test_rows_are_checked_as_a_build_checks_pages(datasets_cache, on_hub, changes, reason):
    on_hub(hub_rows(**changes))
    with pytest.raises(WorkError, match=rf"org/pages: . of 2 rows cannot be used, the first is row 0: {reason}"):
        load_dataset("org/pages", "train")


def test_a_few_rows_that_cannot_be_used_are_left_out_and_told(datasets_cache, on_hub, caplog):
    rows = datasets.concatenate_datasets(
        [hub_rows(text=(datasets.Value("string"), ["a\r\nb", None]))] + [hub_rows()] * 50
    )
    on_hub(rows)
    loaded = load_dataset("org/pages", "train")
    assert (len(loaded), loaded[0]["text"]) == (101, "a\nb")
    assert "1 of 102 rows cannot be used, the first is row 1: its text is null; they are left out" in caplog.text


@pytest.mark.parametrize("alone", [True, False])
def test_the_bytes_of_a_file_are_an_image(datasets_cache, on_hub, alone):
    """As other programs than `datasets` write them to Parquet."""
    binary, string = datasets.Value("binary"), datasets.Value("string")
    feature = binary if alone else {"bytes": binary, "path": string}
    image = image_bytes(60, 40) if alone else {"bytes": image_bytes(60, 40), "path": None}
    on_hub(text_rows(image=(feature, [image] * 2)))
    assert load_dataset("org/pages", "train")[0]["image"].size == (60, 40)


def test_ids_may_be_numbers(datasets_cache, on_hub):
    on_hub(text_rows(id=(datasets.Value("int64"), [7, 8])))
    assert load_dataset("org/pages", "train")["id"][:] == ["7", "8"]


def test_sizes_are_as_displayed(datasets_cache, on_hub):
    """Also where a PNG or JPEG is turned by its EXIF data."""
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    images = []
    for kind in ("PNG", "JPEG", "TIFF", "WEBP"):
        buffer = io.BytesIO()
        Image.new("RGB", (30, 20)).save(buffer, kind, exif=exif)
        images.append({"bytes": buffer.getvalue(), "path": None})
    rows = datasets.Dataset.from_dict({"image": images, "text": list("abcd")})
    on_hub(rows.cast_column("image", datasets.Image()))
    loaded = load_dataset("org/pages", "train")
    assert [(row["width"], row["height"]) for row in loaded] == [row["image"].size for row in loaded] == [(20, 30)] * 4


@pytest.fixture
def imagefolder(tmp_path, datasets_cache):
    """Three pages with their text in metadata.jsonl."""
    folder = tmp_path / "scans" / "train"
    folder.mkdir(parents=True)
    for number in range(3):
        (folder / f"{number}.png").write_bytes(image_bytes(60 + number, 40))
    lines = [json.dumps({"file_name": f"{number}.png", "text": f"page {number}"}) for number in range(3)]
    (folder / "metadata.jsonl").write_text("\n".join(lines))
    return tmp_path / "scans"


@pytest.mark.parametrize("streaming", [False, True])
def test_a_folder_of_images_with_metadata_is_taken_as_it_is(imagefolder, streaming):
    rows = list(load_dataset(str(imagefolder), "train", streaming))
    assert [(row["text"], row["width"], row["image"].size) for row in rows] == [
        (f"page {number}", 60 + number, (60 + number, 40)) for number in range(3)
    ]


@pytest.mark.parametrize("streaming", [False, True])
def test_a_folder_of_parquet_files_is_taken_as_it_is(imagefolder, tmp_path, streaming):
    (tmp_path / "shards").mkdir()
    rows = load_dataset(str(imagefolder), "train").select_columns(["image", "text"]).rename_column("text", "tr")
    rows.to_parquet(tmp_path / "shards" / "train-00000-of-00001.parquet")
    loaded = load_dataset(str(tmp_path / "shards"), "train", streaming, {"text": "tr"})
    assert [row["text"] for row in loaded] == ["page 0", "page 1", "page 2"]
    with pytest.raises(UsageError, match=r"dataset '.*shards' has no split 'test'; it has: train$"):
        load_dataset(str(tmp_path / "shards"), "test", streaming)


def test_metadata_that_leaves_its_folder_is_refused(imagefolder, tmp_path):
    (tmp_path / "secret.png").write_bytes(image_bytes(60, 40))
    (imagefolder / "train" / "metadata.jsonl").write_text('{"file_name": "../../secret.png", "text": "x"}')
    with pytest.raises(UsageError, match=r"cannot load '.*scans': Invalid metadata file_name"):
        load_dataset(str(imagefolder), "train")


@pytest.mark.parametrize("streaming", [False, True])
def test_what_save_to_disk_wrote_is_taken_as_it_is(tmp_path, datasets_cache, streaming):
    datasets.DatasetDict({"train": text_rows()}).save_to_disk(tmp_path / "both")
    text_rows().save_to_disk(tmp_path / "one")
    for rows in (
        load_dataset(str(tmp_path / "both"), "train", streaming),
        load_dataset(str(tmp_path / "one"), streaming=streaming),
    ):
        assert [row["text"] for row in rows] == ["a", "b"]
    assert list(load_dataset(str(tmp_path / "both"), streaming=streaming)) == ["train"]
    with pytest.raises(UsageError, match="has no split 'test'; it has: train"):
        load_dataset(str(tmp_path / "both"), "test", streaming)


def test_a_built_dataset_of_another_user_is_only_read(letters, datasets_cache):
    before = sorted(datasets_cache.rglob("*"))
    folders = [path for path in (datasets_cache, *before) if path.is_dir()]
    for folder in folders:
        folder.chmod(0o555)
    try:
        with plain_rights():
            assert sum(map(len, load_dataset("letters").values())) == 10
            assert len(list(load_dataset("letters", split="test[:1]", streaming=True))) == 1
    finally:
        for folder in folders:
            folder.chmod(0o755)
    assert sorted(datasets_cache.rglob("*")) == before


BREAKS = {
    "a shard cut off": ("*-train.arrow", lambda path: path.write_bytes(path.read_bytes()[:-2000])),
    "a shard's beginning": ("*-train.arrow", lambda path: path.write_bytes(path.read_bytes()[:900])),
    "an empty shard": ("*-train.arrow", lambda path: path.write_bytes(b"")),
    "no shard": ("*-train.arrow", Path.unlink),
    "half the file about them": ("dataset_info.json", lambda path: path.write_text('{"a"')),
    "another file about them": ("dataset_info.json", lambda path: path.write_text("[]")),
}


@pytest.mark.parametrize("name", BREAKS)
def test_a_built_dataset_that_broke_is_told(letters, name):
    pattern, act = BREAKS[name]
    (path,) = built_datasets()["letters"].glob(pattern)
    act(path)
    for split in (None, "train"):
        with pytest.raises(WorkError, match=r"^the built dataset 'letters' is broken \(.*\): remove .*, and build it"):
            load_dataset("letters", split)
