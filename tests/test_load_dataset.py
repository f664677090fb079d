"""Datasets by name: built ones, those of the Hub, and everything that is neither."""

import io

import datasets
import pytest
from PIL import Image

from data_scripts.build_dataset import main
from helpers.page_folders import image_bytes, write_pages
from ocr2_hf.data.columns import FEATURES
from ocr2_hf.data.load import built_datasets, load_dataset
from ocr2_hf.errors import UsageError

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
    on_hub(hub_rows().remove_columns(["bboxes", "labels"]))
    with pytest.raises(UsageError, match="org/pages has no column bboxes, labels; its columns are: image, text"):
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
