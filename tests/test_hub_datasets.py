"""Datasets on the Hub, with the real client against a Hub on the loopback: pushed, loaded by name, streamed."""

import io
import json
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from huggingface_hub import DatasetCard

from helpers.commands import ROOT
from helpers.hub_client import environment, run
from helpers.hub_server import HubServer
from helpers.page_folders import image_bytes, run_script, write_page, write_pages

BUILD = "data_scripts/build_dataset.py"
ROWS = "tests/helpers/workers/dataset_rows.py"


@pytest.fixture(scope="module")
def hub():
    with HubServer() as server:
        yield server


@pytest.fixture(scope="module")
def pages(tmp_path_factory) -> Path:
    folder = write_pages(tmp_path_factory.mktemp("hub") / "pages", 9)
    write_page(folder, "photo", image_bytes(kind="JPEG"), ".jpg", text="a ``` b | c", prompt="Total?", target="7")
    write_page(folder, "broken", b"no image")
    return folder


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("home")


def command(hub: HubServer, home: Path, *words: object, token: str | None = None) -> subprocess.CompletedProcess:
    env = environment(hub, home, HF_TOKEN=token or hub.token)
    # Executed: what a build imports takes less time than what processes of another home would be forked from.
    command = [sys.executable, *map(str, words)]
    return subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=400, check=False)


def push(hub: HubServer, home: Path, pages: Path, *options: object, to: str = "me/letters", **other):
    words = (BUILD, "letters", "--annotations", pages, "--max_bad", 0.5, "--push", to, *options)
    return command(hub, home, *words, **other)


@pytest.fixture(scope="module")
def pushed(hub, home, pages) -> subprocess.CompletedProcess:
    done = push(hub, home, pages, "--license", "cc-by-4.0", "--test", 0.2, "--private")
    assert done.returncode == 0, done.stderr
    return done


def rows(hub: HubServer, home: Path, *words: str) -> list[dict]:
    done = command(hub, home, ROWS, "me/letters", *words)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_the_hub_has_parquet_with_the_images_and_a_card(pushed, hub, pages):
    repo = hub.repo("datasets", "me/letters")
    assert repo.private
    files = repo.files
    parquet = [path for path in files if path.endswith(".parquet")]
    assert sorted(path.split("/")[1].split("-")[0] for path in parquet) == ["test", "train", "validation"]
    row = pq.read_table(io.BytesIO(files[parquet[0]].content)).to_pylist()[0]
    original = next(path for path in pages.iterdir() if path.stem == row["id"] and path.suffix != ".json")
    assert row["image"]["bytes"] == original.read_bytes()
    assert 'ocr2_hf.load_dataset("me/letters")' in pushed.stdout


def test_the_card_tells_licence_columns_counts_and_an_example(pushed, hub):
    card = DatasetCard(hub.repo("datasets", "me/letters").files["README.md"].content.decode())
    assert card.data.license == "cc-by-4.0"
    assert {part["name"]: part["num_examples"] for part in card.data.dataset_info["splits"]} == {
        "train": 8,
        "validation": 1,
        "test": 1,
    }
    assert {feature["name"] for feature in card.data.dataset_info["features"]} >= {"image", "bboxes", "texts", "prompt"}
    text = card.text
    assert "| train | 8 | 8 |" in text and "1 pages of the source failed" in text
    assert 'load_dataset("me/letters", split="train")' in text
    example = json.loads(text.split("```json\n")[1].split("\n```")[0])
    assert example["bboxes"] == [[5.0, 5.0, 50.0, 20.0]] and example["image"] == "60x40 pixels"


@pytest.mark.parametrize("how", ["whole", "streaming"])
def test_a_stranger_loads_it_by_name(pushed, hub, home, tmp_path, how):
    local = command(hub, home, ROWS, "letters", "train", "whole")
    assert rows(hub, tmp_path, "train", how) == json.loads(local.stdout)
    assert len(json.loads(local.stdout)) == 8


def test_a_slice_and_a_prompt_survive(pushed, hub, tmp_path):
    everything = [row for split in ("train", "validation", "test") for row in rows(hub, tmp_path, split, "whole")]
    (photo,) = [row for row in everything if row["id"] == "photo"]
    assert (photo["prompt"], photo["target"], photo["text"]) == ("Total?", "7", "a ``` b | c")
    assert [row["id"] for row in rows(hub, tmp_path, "train[:2]", "whole")] == [row["id"] for row in everything[:2]]


def test_pushing_again_sends_no_image_twice(pushed, hub, home, pages):
    before = len(hub.requests)
    done = push(hub, home, pages, "--license", "cc-by-4.0", "--test", 0.2, "--private")
    assert done.returncode == 0, done.stderr
    assert "unchanged, not built again" in done.stdout
    assert not [request for request in hub.requests[before:] if request[0] == "PUT"]


def test_a_hub_that_refuses_is_one_message_without_the_token(pushed, hub, home, pages):
    done = push(hub, home, pages, "--test", 0.2, token="hf_secretsecretsecret")
    assert done.returncode == 1
    assert "the token is not accepted" in done.stderr and "the card will say unknown" in done.stderr
    assert "Traceback" not in done.stderr and "secretsecret" not in done.stderr + done.stdout


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--push", "letters"], "'letters' is not ORG/NAME"),
        (["--push", "me/../x"], "'me/../x' is not ORG/NAME"),
        (["--license", "mit"], "--license and --private go with --push"),
    ],
)
def test_wrong_options_have_status_two(hub, home, pages, options, message):
    done = command(hub, home, BUILD, "letters", "--annotations", pages, *options)
    assert done.returncode == 2 and message in done.stderr


def test_a_hub_that_does_not_answer_is_one_message(hub, home, pages):
    words = (BUILD, "letters", "--annotations", pages, "--max_bad", 0.5, "--push", "me/letters")
    done = run(hub, home, *words, HF_ENDPOINT="http://127.0.0.1:9")
    assert done.returncode == 1 and "no answer from http://127.0.0.1:9" in done.stderr
    assert "the dataset is built, run again to push" in done.stderr and "Traceback" not in done.stderr


def test_without_a_network_it_says_so(tmp_path, pages):
    done = run_script("build_dataset", "letters", "--annotations", pages, "--max_bad", 0.5, "--push", "me/letters")
    assert done.returncode == 1
    assert "HF_HUB_OFFLINE is set" in done.stderr and "Traceback" not in done.stderr


def test_pages_of_text_alone_go_there_and_back(hub, home, tmp_path):
    """Without columns that are empty; streamed by other names."""
    folder = tmp_path / "pages"
    for number in range(3):
        (folder / f"{number}.png").parent.mkdir(exist_ok=True)
        (folder / f"{number}.png").write_bytes(image_bytes())
        (folder / f"{number}.txt").write_text(f"# Page {number}\n")
    words = (BUILD, "plain", "--annotations", folder, "--val", 0, "--test", 0, "--push", "me/plain")
    done = command(hub, home, *words)
    assert done.returncode == 0, done.stderr
    assert "can train      ocr, markdown without boxes" in done.stdout
    files = hub.repo("datasets", "me/plain").files
    (parquet,) = (file.content for path, file in files.items() if path.endswith(".parquet"))
    assert pq.read_schema(io.BytesIO(parquet)).names == ["id", "image", "width", "height", "text"]
    assert b"regions" not in files["README.md"].content.split(b"## Columns")[1]
    done = command(hub, home, ROWS, "me/plain", "train", "streaming", "text=id")
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)
    assert [(row["text"], row["bboxes"], row["width"]) for row in rows] == [(name, [], 60) for name in "012"]
