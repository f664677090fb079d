"""Images that lie in the row, in base64: the dataset holds their bytes."""

import json
from base64 import b64encode

import pytest

from data_scripts import build_dataset
from data_scripts.formats import json_files
from helpers.format_folders import build, read_folder, write_images, write_json, write_rows
from helpers.page_folders import image_bytes
from ocr2_hf import load_dataset
from ocr2_hf.errors import WorkError

PNG, JPEG = image_bytes(60, 40), image_bytes(50, 70, "JPEG", seed=1)


def data_url(image=PNG, kind="image/png"):
    return f"data:{kind};base64,{b64encode(image).decode()}"


def openai(part, answer="A."):
    question = [{"type": "text", "text": "Q?"}, part]
    return {"messages": [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]}


IMAGE_URL = {"type": "image_url", "image_url": {"url": data_url(), "detail": "high"}}
ROWS = {
    "openai": openai(IMAGE_URL),
    "openai, responses": openai({"type": "input_image", "image_url": data_url()}),
    "transformers": openai({"type": "image", "url": data_url()}),
    "in capitals": openai({"type": "image", "image": f"DATA:{data_url()[5:]}"}),
    "with parameters": openai({"type": "image", "image": data_url(kind="image/png;charset=utf-8")}),
    "of any kind": openai({"type": "image", "image": data_url(kind="")}),
    "beside": openai({"type": "image"}) | {"images": [data_url()]},
    "plain": {"image": data_url(), "prompt": "Q?", "target": "A."},
}


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
def test_the_image_of_a_row_is_its_page(tmp_path, row):
    write_rows(tmp_path / "train.jsonl", {"image": "a.png", "text": "x"}, row)
    records, reasons = read_folder(write_images(tmp_path, "a.png"), "jsonl")
    assert not reasons and list(records) == ["a", "train.jsonl:2"]
    record = records["train.jsonl:2"]
    assert (record.image_bytes, record.prompt, record.target) == (PNG, "Q?", "A.")


def test_the_dataset_holds_the_bytes_as_they_were(tmp_path, datasets_cache):
    rows = [{"image": data_url(), "text": "1"}, {"image": data_url(JPEG, "image/jpeg"), "text": "2"}]
    rows.append({"image": "a.png", "text": "3"})
    folder = write_images(tmp_path / "pages", "a.png")
    write_rows(folder / "rows.jsonl", *rows)
    built = build("embedded", folder)
    assert [(row["id"], row["text"], row["width"]) for row in built] == [
        ("a", "3", 60),
        ("rows.jsonl:1", "1", 60),
        ("rows.jsonl:2", "2", 50),
    ]
    images = load_dataset("embedded", split="train").with_format("arrow")[:]["image"].to_pylist()
    assert images == [{"bytes": image, "path": None} for image in ((folder / "a.png").read_bytes(), PNG, JPEG)]
    assert build("embedded", folder, "--num_proc", 2, "--check", "full") == built


def test_a_json_list_and_a_file_of_one_page_may_have_it_too(tmp_path, datasets_cache):
    write_json(tmp_path / "list/rows.json", [openai(IMAGE_URL), {"image": data_url(JPEG), "text": "x"}])
    assert [row["id"] for row in build("of_list", tmp_path / "list")] == ["rows.json:1", "rows.json:2"]
    write_json(tmp_path / "one/page.json", {"image": data_url(JPEG), "text": "x"})
    assert [(row["id"], row["height"]) for row in build("of_one", tmp_path / "one")] == [("page", 70)]


def test_questions_about_one_image_stay_in_one_split_and_others_are_parted(tmp_path, datasets_cache):
    images = [data_url(image_bytes(12, 9, seed=seed)) for seed in range(30)]
    rows = [{"image": image, "prompt": prompt, "target": "A"} for prompt in "QR" for image in images]
    (tmp_path / "pages").mkdir()
    write_rows(tmp_path / "pages/rows.jsonl", *rows)
    arguments = ["parted", "--annotations", str(tmp_path / "pages"), "--val", "0.3", "--test", "0.3"]
    assert build_dataset.main(arguments) == 0
    ids = {split: set(rows["id"]) for split, rows in load_dataset("parted").items()}
    assert len(ids) == 3 and sum(map(len, ids.values())) == 60
    assert ids["test"] and all((f"{page}#2" in ids["test"]) for page in ids["test"] if "#" not in page)


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("data:image/png;base64,iVBO*Rw0KGgo=", "image 'data:image/png;base64,iVBO*Rw0KGgo='... is no base64"),
        ("data:image/png;base64,iVBORw0KGgo", "... is no base64: Incorrect padding"),
        ("data:image/png;base64,iVBO\nRw0KGgo=", "is no base64"),
        ("data:image/png;base64,\u00e9", "is no base64: string argument should contain only ASCII characters"),
        ("data:image/svg+xml,<svg/>", "image 'data:image/svg+xml,<svg/>'... is not data:image/...;base64,..."),
        ("data:image/png;base64", "is not data:image/...;base64,..."),
        (data_url()[: len(data_url(b"")) + 176], "is cut off after"),
        (data_url(b""), "image file is empty"),
        (data_url(b"GIF89a"), "image is not opened as one of"),
    ],
)
def test_what_is_no_image_is_refused(tmp_path, url, reason):
    write_rows(tmp_path / "train.jsonl", {"image": data_url(JPEG), "text": "x"}, openai({"type": "image", "url": url}))
    records, reasons = read_folder(tmp_path, "jsonl")
    assert list(records) == ["train.jsonl:1"] and list(reasons) == ["train.jsonl:2"]
    assert reason in reasons["train.jsonl:2"]


def test_half_a_character_in_it_is_no_base64(tmp_path):
    (tmp_path / "t.jsonl").write_text('{"image": "data:image/png;base64,\\ud800", "text": "x"}')
    (reason,) = read_folder(tmp_path, "jsonl")[1].values()
    assert reason.startswith("image 'data:image/png;base64,\\ud800'... is no base64: ")


def test_it_is_bounded_before_it_is_decoded(tmp_path, monkeypatch):
    monkeypatch.setattr("data_scripts.formats.data_urls._LONGEST", len(data_url(b"x" * 300)) - len(data_url(b"")))
    monkeypatch.setattr("binascii.a2b_base64", lambda *args, **kwargs: b"x")
    write_rows(tmp_path / "t.jsonl", *({"image": data_url(b"x" * size), "text": "x"} for size in (300, 303)))
    _, reasons = read_folder(tmp_path, "jsonl")
    assert "image is not opened" in reasons["t.jsonl:1"]
    assert reasons["t.jsonl:2"] == "image in base64 is over the limit of 268,435,456 bytes: write it to a file"


def test_a_row_with_an_image_may_be_longer_than_others_but_not_what_else_is_in_it(tmp_path, monkeypatch):
    monkeypatch.setattr(json_files, "MAX_PAGE_BYTES", 200)
    monkeypatch.setattr(json_files, "MAX_ROW_BYTES", 20_000)
    assert 200 < len(data_url()) < 20_000
    rows = [{"image": data_url().replace("/", "\\/"), "text": "x"}, {"image": data_url(), "text": "x" * 200}]
    lines = [json.dumps(row).replace("\\\\", "\\") for row in [*rows, {"image": data_url(), "text": "x" * 20_000}]]
    (tmp_path / "t.jsonl").write_text("\n".join(lines))
    records, reasons = read_folder(tmp_path, "jsonl")
    assert list(records) == ["t.jsonl:1"] and records["t.jsonl:1"].image_bytes == PNG
    assert reasons["t.jsonl#2"].endswith(" bytes is over the limit of 200 bytes")
    assert reasons["t.jsonl#3"].endswith(" bytes is over the limit of 20,000 bytes")


def test_a_table_may_have_it_too(tmp_path):
    (tmp_path / "t.csv").write_text(f'image,text\n"{data_url()}",x\n')
    assert read_folder(tmp_path, "csv")[0]["t.csv:2"].image_bytes == PNG


def test_an_address_is_a_local_file_or_is_to_be_downloaded(tmp_path, datasets_cache):
    rows = [openai({"type": "image_url", "image_url": {"url": f"https://x.org/scans/{n}.png?v=1"}}) for n in "ab"]
    write_rows(write_images(tmp_path / "pages", "a.png") / "train.jsonl", *rows)
    records, reasons = read_folder(tmp_path / "pages", "jsonl")
    assert list(records) == ["a"]
    (reason,) = reasons.values()
    assert reason.startswith("no image 'https://x.org/scans/b.png?v=1' in ")
    assert reason.endswith("/pages, which is not fetched: download it first; --images names their folder")
    with pytest.raises(WorkError, match="download it first"):
        build("remote", tmp_path / "pages")


def test_so_it_is_in_a_json_list(tmp_path, monkeypatch):
    monkeypatch.setattr(json_files, "MAX_PAGE_BYTES", 200)
    (tmp_path / "t.json").write_text(json.dumps([{"image": data_url(), "text": text} for text in ("x", "x" * 200)]))
    records, reasons = read_folder(tmp_path, "jsonl")
    assert len(records) == len(reasons) == 1
    assert reasons["t.json#2"].endswith(" bytes is over the limit of 200 bytes")
