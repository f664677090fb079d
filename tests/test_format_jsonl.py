"""Rows of JSONL: chats as other trainers have them, and plain pages."""

import json

import pytest

from helpers.format_folders import build, read_folder, write_images, write_json, write_rows
from ocr2_hf.data.tasks import PROMPTS, build_example

PLAIN = {"text": "page", "bboxes": [[5, 5, 50, 20]], "labels": ["text"], "texts": ["page"]}


def chat(*contents, image="a.png", **changes):
    roles = ["user", "assistant"] * len(contents)
    messages = [{"role": role, "content": content} for role, content in zip(roles, contents)]
    return {"messages": messages, "images": [image]} | changes


def parts(text, **image):
    return [{"type": "image", **image}, {"type": "text", "text": text}]


def folder_with(tmp_path, *rows):
    write_rows(tmp_path / "train.jsonl", *rows)
    return write_images(tmp_path, "a.png", "b.png", "scans/c.png")


def read(tmp_path, *rows):
    return read_folder(folder_with(tmp_path, *rows), "jsonl")


def deepseek(images, marks="<|%s|>"):
    """A chat as notebooks for DeepSeek-OCR make it."""
    asked = {"role": marks % "User", "content": "<image>\nQ? ", "images": images}
    return {"messages": [asked, {"role": marks % "Assistant", "content": "A.", "images": None}]}


LLAVA = [{"from": "human", "value": "<image>\nQ?"}, {"from": "gpt", "value": "A."}]
CHATS = {
    "ms-swift": chat("<image>Q?", "A."),
    "ms-swift, image in an object": chat("<image>Q?", "A.", image={"bytes": None, "path": "a.png"}),
    "ms-swift, older": {"query": "<image>Q?", "response": "A.", "images": ["a.png"], "history": []},
    "ms-swift, oldest": {"query": "Q?", "response": "A.", "image": "/home/me/data/a.png"},
    "unsloth": {"messages": chat(parts("Q?", image="a.png"), [{"type": "text", "text": "A."}])["messages"]},
    "unsloth, image beside": chat(parts("Q?"), [{"type": "text", "text": "A."}]),
    "openai": {"messages": chat(parts("Q?"), "A.")["messages"], "image": "a.png"},
    "openai, url": {
        "messages": chat(
            [{"type": "text", "text": "Q?"}, {"type": "image_url", "image_url": {"url": "file:///data/a.png"}}], "A."
        )["messages"]
    },
    "openai, a url of its own": {
        "messages": chat([{"type": "image_url", "image_url": "a.png"}, {"type": "text", "text": "Q?"}], "A.")[
            "messages"
        ]
    },
    "openai, responses": {
        "messages": chat(
            [{"type": "input_text", "text": "Q?"}, {"type": "input_image", "image_url": "https://x.org/data/a.png"}],
            [{"type": "output_text", "text": "A."}],
        )["messages"]
    },
    "transformers": {"messages": chat(parts("Q?", url="a.png", image=None), "A.")["messages"]},
    "transformers, path": {"messages": chat(parts("Q?", path="a.png"), "A.")["messages"]},
    "deepseek": deepseek(["a.png"]),
    "deepseek, one image": deepseek("a.png"),
    "deepseek, vl": chat("<image_placeholder>Q?", "A."),
    "deepseek, as datasets writes it": deepseek([{"bytes": None, "path": "a.png"}]) | {"query": None, "images": None},
    "deepseek, full-width bars": deepseek(["a.png"], "<｜%s｜>"),
    "capitals": deepseek(["a.png"], "%s"),
    "llava, a list of one": {"image": ["a.png"], "conversations": LLAVA},
    "llava": {"id": "x", "image": "a.png", "conversations": LLAVA},
}


@pytest.mark.parametrize("row", CHATS.values(), ids=CHATS.keys())
def test_a_chat_of_one_question_becomes_a_custom_row(tmp_path, row):
    records, reasons = read(tmp_path, row)
    assert not reasons
    record = records["a"]
    assert (record.prompt, record.target, record.text, record.bboxes) == ("Q?", "A.", "", [])


@pytest.mark.parametrize("role", ["system", "developer", "<|System|>"])
def test_a_system_message_stands_before_the_question(tmp_path, role):
    row = chat("<image>\nQ?", "A.")
    row["messages"].insert(0, {"role": role, "content": "You read receipts."})
    assert read(tmp_path, row)[0]["a"].prompt == "You read receipts.\nQ?"


@pytest.mark.parametrize("name", ["ms-swift", "ms-swift, older", "llava"])
def test_a_system_text_beside_the_chat_stands_before_the_question(tmp_path, name):
    assert read(tmp_path, CHATS[name] | {"system": "Be brief."})[0]["a"].prompt == "Be brief.\nQ?"
    assert read(tmp_path, CHATS[name] | {"system": ""})[0]["a"].prompt == "Q?"
    assert "is 5, not a string" in read(tmp_path, CHATS[name] | {"system": 5})[1]["a"]


@pytest.mark.parametrize("task", ["ocr", "markdown"])
def test_a_question_that_is_the_models_own_prompt_stays_as_it_is(tmp_path, datasets_cache, task):
    row = chat(f"{PROMPTS[task]} ", "# A\n\n| b |")
    row["messages"][0]["role"] = "<|User|>"
    (built,) = build("chats", folder_with(tmp_path, row))
    assert build_example("custom", built) == (PROMPTS[task], "# A\n\n| b |")


def test_grounding_tags_are_kept_and_the_row_trains_the_task_custom(tmp_path, datasets_cache):
    answer = "<|ref|>title<|/ref|><|det|>[[1, 2, 30, 40]]<|/det|>\nA \u00e9"
    (row,) = build("chats", folder_with(tmp_path, chat("<image>\n<|grounding|>Convert.", answer)))
    assert build_example("custom", row) == ("<image>\n<|grounding|>Convert.", answer)


def test_rows_of_one_image_are_numbered_and_a_line_added_changes_no_id(tmp_path):
    rows = [chat("1", "x"), chat("2", "y", image="scans/c.png"), chat("3", "z", image="./a.png")]
    records, _ = read(tmp_path, *rows)
    assert {page: record.prompt for page, record in records.items()} == {"a": "1", "scans/c": "2", "a#2": "3"}
    assert list(read(tmp_path, *rows, chat("4", "w", image="b.png"))[0]) == ["a", "a#2", "b", "scans/c"]


def test_plain_pages_as_rows(tmp_path):
    scaled = PLAIN | {"file_name": "scans/c.png", "width": 120, "height": 80}
    records, reasons = read(tmp_path, PLAIN | {"image": "a.png", "prompt": "Q", "target": "A"}, scaled)
    assert not reasons
    first = records["a"]
    assert (first.text, first.labels, first.texts, first.prompt, first.target) == ("page", ["text"], ["page"], "Q", "A")
    assert (first.bboxes, records["scans/c"].bboxes) == ([[5, 5, 50, 20]], [[2.5, 2.5, 25, 10]])


def test_a_json_list_of_rows_is_read_too(tmp_path):
    write_images(tmp_path, "a.png", "b.png")
    llava = {"id": "x", "image": "a.png", "conversations": LLAVA}
    write_json(tmp_path / "llava.json", [llava, PLAIN | {"image": "b.png"}, 7])
    records, reasons = read_folder(tmp_path, "jsonl")
    assert (records["a"].target, records["b"].text) == ("A.", "page")
    assert reasons == {"llava.json#3": "row is 7, not an object"}


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (chat("Q", "A", "Q", "A"), "one question and its answer are needed"),
        (chat("Q"), "messages are of ['user']: one question and its answer are needed"),
        (chat(), "messages are of []"),
        (chat("Q", "A", images=["a.png", "b.png"]), "row has 2 images, not one"),
        ({"image": ["a.png", "b.png"], "text": "x"}, "row has 2 images, not one"),
        (chat("Q", "A", images=[]), "row has 0 images, not one"),
        (chat(parts("Q", image="b.png"), "A"), "row has 2 images, not one"),
        (chat("<image><image>Q", "A"), "messages hold <image> in the answer, or more than once"),
        (chat("Q", "<image>"), "messages hold <image> in the answer"),
        (chat("Find <ref-object>", "<bbox>"), "messages hold <bbox>: fill such placeholders in"),
        (chat("Q", None), "content of a message is None, not a string"),
        (chat([{"type": "video"}], "A"), "messages have the part {'type': 'video'}, neither text nor image"),
        (chat([{"type": "text", "text": 5}], "A"), "text in messages is 5, not a string"),
        (chat("Q", "A", image="gone.png"), "no image 'gone.png' in"),
        (chat("Q", "A", image="../a.png"), "leaves the image folder"),
        (chat("Q", "A", image=5), "image is 5, not a string"),
        (chat("Q", "A", image="https://x.org/b/gone.png"), "which is not fetched: download it first; --images names"),
        (
            chat("Q", "A", image={"bytes": "iVBO", "path": None}),
            "image is {'bytes': 'iVBO', 'path': None}, not a string",
        ),
        (deepseek(["a.png", "b.png"]), "row has 2 images, not one"),
        (deepseek(["a.png"]) | {"image": "b.png"}, "row has 2 images, not one"),
        (deepseek(["a.png"], "<|%s|>x"), "messages are of ['user|>x', 'assistant|>x']: one question"),
        (chat("Q", "A", messages=[{"role": 1, "content": "Q"}]), "messages are of [1]"),
        (chat([{"type": "input_file"}], "A"), "messages have the part {'type': 'input_file'}, neither text nor image"),
        (chat("Q", "A", messages="Q"), "messages is 'Q', not a list of objects"),
        ({"query": "Q", "response": "A", "history": [["Q", "A"]], "image": "a.png"}, "row has a history"),
        ({"image": "a.png", "text": "x", "labels": []}, "annotation has no bboxes"),
        (PLAIN, "row has 0 images, not one"),
        (PLAIN | {"image": "a.png", "bboxes": [["1", 2, 3, 4]]}, "bboxes[0] holds '1', not a number"),
        ([], "annotation is a JSON list, not an object"),
    ],
)
def test_a_bad_row_is_rejected_and_the_others_are_read(tmp_path, bad, reason):
    records, reasons = read(tmp_path, chat("Q", "A", image="scans/c.png"), bad)
    assert list(records) == ["scans/c"] and len(reasons) == 1
    assert reason in next(iter(reasons.values()))


def test_broken_lines_are_named_by_their_number(tmp_path):
    folder = folder_with(tmp_path, chat("Q", "A"))
    with open(folder / "train.jsonl", "ab") as file:
        file.write(b'\n{"messages": [\n\xff\xfe\n{"a": NaN}\n' + json.dumps(chat("2", "B", image="b.png")).encode())
    records, reasons = read_folder(folder, "jsonl")
    assert list(records) == ["a", "b"]
    assert sorted(reasons) == ["train.jsonl#3", "train.jsonl#4", "train.jsonl#5"]


def test_a_line_beyond_the_limit_is_rejected_and_the_next_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr("data_scripts.formats.json_files.MAX_PAGE_BYTES", 500)
    records, reasons = read(tmp_path, chat("Q", "A" * 1200), chat("Q", "A", image="b.png"))
    assert list(records) == ["b"] and list(reasons) == ["train.jsonl#1"]
    assert reasons["train.jsonl#1"].endswith("bytes is over the limit of 500 bytes")


def test_a_build_by_two_processes_is_the_build_by_one(tmp_path, datasets_cache):
    rows = [chat(str(i), "x" * i, image=("a.png", "b.png")[i % 2]) for i in range(9)]
    folder = folder_with(tmp_path, *rows)
    write_json(tmp_path / "llava.json", [{"image": "scans/c.png", "conversations": LLAVA}])
    assert build("one", folder) == build("two", folder, "--num_proc", 2)
    assert len(build("one", folder)) == 10
