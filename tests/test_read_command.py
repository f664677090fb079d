"""`ocr2 read`: files and folders in, markdown, JSON, figures and overlays out."""

import json
import math
import os
import signal
import threading
import time
import weakref
from dataclasses import replace
from urllib.parse import unquote

import pytest
from PIL import Image, ImageDraw

from helpers.apart import sleep
from helpers.bad_pdfs import nested_forms
from helpers.parrot import Parrot
from helpers.tiny_pages import noise
from ocr2_hf.commands import read
from ocr2_hf.document import page_process
from ocr2_hf.document.page_files import PageSource
from ocr2_hf.document.page_process import open_apart
from ocr2_hf.errors import UsageError, run_command
from ocr2_hf.reading.inputs import find_inputs
from ocr2_hf.reading.reader import DocumentReader
from ocr2_hf.reading.resume_log import RESUME_FILE

ANSWER = "<|ref|>title<|/ref|><|det|>[[100, 100, 500, 200]]<|/det|>\nA page"
FIGURES = (
    "<|ref|>image<|/ref|><|det|>[[0, 0, 500, 999]]<|/det|>\n\n"
    "<|ref|>text<|/ref|><|det|>[[500, 0, 999, 100]]<|/det|>\nText\n\n"
    "<|ref|>figure<|/ref|><|det|>[[500, 500, 999, 999]]<|/det|>\nIts text\n\n"
    "<|ref|>image<|/ref|><|det|>[[5, 5, 5, 5]]<|/det|>"
)


def drawn(text="one", size=(200, 100)):
    image = Image.new("RGB", size, "white")
    ImageDraw.Draw(image).text((5, 5), text, fill="black", font_size=20)
    return image


@pytest.fixture
def model(monkeypatch):
    """What the command loads as a model; its answer can be changed."""
    parrot = Parrot(ANSWER)
    monkeypatch.setattr(DocumentReader, "from_pretrained", lambda *args, **options: parrot)
    return parrot


@pytest.fixture
def scans(tmp_path):
    folder = tmp_path / "scans"
    for name in ("one.png", "deep/one.jpg", "deep/deeper/my scan.png", ".hidden/no.png", "deep/.no.png"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        drawn(name).save(folder / name)
    drawn().save(folder / "book.pdf", save_all=True, append_images=[drawn("two", (100, 60)), drawn("three")])
    (folder / "notes.txt").write_text("no page")
    return folder


def run(*argv):
    return run_command(read.main, [*map(str, argv), "--model", "tiny"])


def written(folder):
    files = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    return sorted(file for file in files if not file.endswith(RESUME_FILE))


def test_a_folder_gives_the_results_of_every_file_in_it(model, scans, tmp_path, capsys):
    assert run(scans, "--output_dir", tmp_path / "out") == 0
    assert written(tmp_path / "out") == [
        "book.json",
        "book.md",
        *(f"book.page-{number}.overlay.jpg" for number in (1, 2, 3)),
        "deep/deeper/my scan.json",
        "deep/deeper/my scan.md",
        "deep/deeper/my scan.overlay.jpg",
        "deep/one.json",
        "deep/one.md",
        "deep/one.overlay.jpg",
        "one.json",
        "one.md",
        "one.overlay.jpg",
    ]
    document = json.loads((tmp_path / "out" / "book.json").read_text(encoding="utf-8"))
    assert document["file"] == str(scans / "book.pdf") and [page["page"] for page in document["pages"]] == [1, 2, 3]
    assert [page["width"] for page in document["pages"]] == [400, 200, 400]
    assert (tmp_path / "out" / "book.md").read_text(encoding="utf-8") == "A page\n\nA page\n\nA page\n"
    assert document["settings"]["task"] == "markdown" and "failed" not in document
    assert Image.open(tmp_path / "out" / "book.page-3.overlay.jpg").size == (800, 400)  # small pages are enlarged
    assert capsys.readouterr().out == "pages read: 6\nfiles left out, no images or PDFs: 1\n"
    assert model.batches == [6]  # across files


def test_overlays_are_small_jpegs_large_pngs_or_none(model, tmp_path):
    noise((1240, 1754), 20).save(tmp_path / "scan.png")
    command = (tmp_path / "scan.png", "--output_dir", tmp_path / "out")
    assert run(*command) == 0
    overlay = tmp_path / "out/scan.overlay.jpg"
    with Image.open(overlay) as picture:
        assert (picture.format, picture.size) == ("JPEG", (848, 1200))
        frame = picture.getpixel((85, 180))
    assert overlay.stat().st_size < 200_000 and frame[0] > frame[2] + 60  # the frame of a title
    assert run(*command, "--task", "ocr", "--overlay", "png") == 0
    assert written(tmp_path / "out") == ["scan.json", "scan.md", "scan.overlay.png"]
    assert Image.open(tmp_path / "out/scan.overlay.png").size == (1240, 1754)
    assert run(*command, "--overlay", "none") == 0
    assert written(tmp_path / "out") == ["scan.json", "scan.md"]


def test_every_page_is_opened_once(model, scans, tmp_path, monkeypatch):
    opened, load = [], PageSource.load_for_reading
    monkeypatch.setattr(PageSource, "load_for_reading", lambda page: opened.append(page.name) or load(page))
    assert run(scans, "--batch_size", "2", "--output_dir", tmp_path / "out") == 0
    assert len(opened) == len(set(opened)) == 6


def test_the_pages_that_are_asked_for(model, scans, tmp_path, capsys):
    assert run(scans / "book.pdf", "--pages", "2-9", "--output_dir", tmp_path / "out") == 0
    pages = json.loads((tmp_path / "out" / "book.json").read_text())["pages"]
    assert [page["page"] for page in pages] == [2, 3]
    assert run(scans / "book.pdf", scans / "one.png", "--pages", "2", "--output_dir", tmp_path / "other") == 1
    assert f"{scans / 'one.png'}: has 1 page, no page 2" in capsys.readouterr().err
    assert written(tmp_path / "other") == ["book.json", "book.md", "book.page-2.overlay.jpg"]


def test_without_an_output_dir_the_markdown_is_printed(model, scans, capsys):
    (scans / "bad.png").write_text("no image")
    assert run(scans / "one.png", scans / "bad.png", scans / "book.pdf") == 1
    printed = capsys.readouterr()
    assert printed.out == "A page\nA page\n\nA page\n\nA page\n"
    assert printed.err.endswith(f"not read:\n  {scans / 'bad.png'}: not a readable image or PDF\n")


def test_figures_are_cut_out_and_linked(model, scans, tmp_path):
    model.answer = FIGURES
    file = scans / "deep/deeper/my scan.png"
    assert run(file, "--output_dir", tmp_path / "out") == 0
    name = "my scan.figure-{}.png"
    markdown = (tmp_path / "out" / "my scan.md").read_text()
    first, second = (f"![figure](my%20scan.figure-{number}.png)" for number in (1, 2))
    assert markdown == f"{first}\n\nText\n\n{second}\n\nIts text\n"
    assert (tmp_path / "out" / unquote("my%20scan.figure-1.png")).is_file()
    page = drawn("deep/deeper/my scan.png")
    for number, box in ((1, (0, 0, 101, 100)), (2, (100, 50, 200, 100))):
        assert Image.open(tmp_path / "out" / name.format(number)).tobytes() == page.crop(box).tobytes()
    (page,) = json.loads((tmp_path / "out" / "my scan.json").read_text())["pages"]
    assert [region.get("image") for region in page["regions"]] == [name.format(1), None, name.format(2), None]
    assert page["markdown"] + "\n" == markdown
    # Read with other settings, there are fewer: the old pictures go.
    model.answer = ANSWER
    assert run(file, "--task", "ocr", "--output_dir", tmp_path / "out") == 0
    assert written(tmp_path / "out") == ["my scan.json", "my scan.md", "my scan.overlay.jpg"]


def test_bad_files_and_pages_are_listed_and_the_others_are_read(model, scans, tmp_path, capsys, monkeypatch):
    (scans / "bad.png").write_text("no image")
    (scans / "empty.pdf").write_bytes(b"")
    whole = (scans / "deep/one.jpg").read_bytes()
    (scans / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    os.mkfifo(scans / "pipe.png")
    (scans / "endless.pdf").write_bytes(nested_forms())
    monkeypatch.setattr(page_process, "SECONDS", 1)
    command = (scans, scans / "gone.pdf", "--output_dir", tmp_path / "out")
    assert run(*command) == 1
    message = capsys.readouterr().err.split("error: ")[1]
    told = ["bad.png: not a readable image", "cut.jpg: cannot be read", "empty.pdf: the file is empty", "gone.pdf: no"]
    told += ["pipe.png: a pipe or a device, no file", "endless.pdf: not opened within 1 s"]
    assert all(reason in message for reason in told) and len(message.splitlines()) == 7 and "Traceback" not in message
    files = written(tmp_path / "out")
    assert {"scans/book.md", "scans/one.md", "scans/deep/one.md", "scans/deep/deeper/my scan.md"} <= set(files)
    assert not any(name in file for file in files for name in ("bad", "cut", "empty", "gone", "pipe", "less"))
    assert run(*command) == 1 and capsys.readouterr().out.startswith("pages read: 0\nfiles read before: 4\n")


def killed(*argv):
    pid = os.fork()
    if not pid:
        run(*argv)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL


def test_a_page_whose_opening_ends_runs_is_put_last_and_then_listed(model, scans, tmp_path, capsys, monkeypatch):
    command = (scans, "--output_dir", tmp_path / "out", "--batch_size", "1")
    load = PageSource.load_for_reading

    def die(page):
        if page.name.endswith("book.pdf, page 2"):  # of the file that comes first
            os.kill(os.getpid(), signal.SIGKILL)
        return load(page)

    monkeypatch.setattr(PageSource, "load_for_reading", die)
    for _ in range(2):
        killed(*command)
        assert not (tmp_path / "out/one.json").exists()
    killed(*command)
    assert {"one.json", "deep/one.json"} < set(written(tmp_path / "out"))
    assert run(*command) == 1
    told = capsys.readouterr().err
    assert "book.pdf, page 2: not opened: the run was killed 3 times while it was opened; remove " in told
    book = json.loads((tmp_path / "out/book.json").read_text())
    assert [page["page"] for page in book["pages"]] == [1, 3] and list(book["failed"]) == ["2"]
    (tmp_path / "out/.ocr2_read.started").unlink()
    monkeypatch.setattr(PageSource, "load_for_reading", load)
    assert run(*command) == 0 and not (tmp_path / "out/.ocr2_read.started").exists()


def starts(output):
    """Of each page that a run was opening, how often."""
    path = output / ".ocr2_read.started"
    return {key.split("/")[-1]: count for key, count in json.loads(path.read_text()).items()} if path.exists() else {}


def test_a_page_that_ends_runs_is_told_from_those_that_are_opened_beside_it(model, tmp_path, monkeypatch):
    for number in range(8):
        drawn(str(number)).save(tmp_path / f"{number}.png")
    output = tmp_path / "out"
    load, beside = PageSource.load_for_reading, threading.Barrier(2)

    def die(page):
        if page.name.endswith(("2.png", "3.png")) and not output_has_starts:
            beside.wait(20)  # until both are being opened
        if page.name.endswith("3.png"):
            os.kill(os.getpid(), signal.SIGKILL)
        if page.name.endswith("2.png") and not output_has_starts:
            time.sleep(20)
        return load(page)

    monkeypatch.setattr(PageSource, "load_for_reading", die)
    monkeypatch.setattr("ocr2_hf.reading.look_ahead.usable_processors", lambda: 2)
    output_has_starts = False
    killed(tmp_path, "--batch_size", "2", "--output_dir", output)
    assert sorted(starts(output).values()) == [1, 1]
    output_has_starts = True
    killed(tmp_path, "--batch_size", "2", "--output_dir", output)
    ((name, count),) = starts(output).items()
    assert name.startswith("3.png") and count == 2
    killed(tmp_path, "--batch_size", "2", "--output_dir", output)
    assert len(list(output.glob("*.json"))) == 6  # what was answered is written before it is opened again
    assert run(tmp_path, "--batch_size", "2", "--output_dir", output) == 1
    assert sorted(path.stem for path in output.glob("*.json")) == list("0124567")


def test_an_interrupted_run_suspects_no_page_and_does_not_wait_for_one(model, scans, tmp_path, monkeypatch):
    load = PageSource.load_for_reading

    def interrupt(page):
        if page.name.endswith("page 3"):
            os.kill(os.getpid(), signal.SIGINT)
            open_apart(sleep, scans / "one.png", page.name, 50)
        return load(page)

    monkeypatch.setattr(PageSource, "load_for_reading", interrupt)
    begun = time.monotonic()
    assert run(scans, "--batch_size", "1", "--output_dir", tmp_path / "out") == 130
    assert time.monotonic() - begun < 20 and not starts(tmp_path / "out")
    monkeypatch.setattr(PageSource, "load_for_reading", load)
    assert run(scans, "--batch_size", "1", "--output_dir", tmp_path / "out") == 0


def test_a_run_that_is_killed_while_the_model_answers_suspects_no_page(model, scans, tmp_path):
    model.answer = lambda image: os.kill(os.getpid(), signal.SIGKILL)
    killed(scans, "--output_dir", tmp_path / "out")
    assert not (tmp_path / "out/.ocr2_read.started").exists()


def test_a_page_that_fails_is_tried_again_and_no_other(model, tmp_path, capsys):
    frames = [drawn(), drawn("two", (300, 2)), drawn("three")]
    frames[0].save(tmp_path / "scan.tif", save_all=True, append_images=frames[1:])
    command = (tmp_path / "scan.tif", "--output_dir", tmp_path / "out")
    for batches in ([2], [2]):
        assert run(*command) == 1
        assert "scan.tif, page 2: cannot be read (300 x 2 is no page" in capsys.readouterr().err
        document = json.loads((tmp_path / "out" / "scan.json").read_text())
        assert [page["page"] for page in document["pages"]] == [1, 3] and "300 x 2" in document["failed"]["2"]
        assert model.batches == batches


def results(folder):
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*.json")}


def test_what_is_done_is_passed_over_until_settings_or_files_change(model, scans, tmp_path, capsys):
    command = (scans, "--output_dir", tmp_path / "out")
    assert run(*command) == 0
    first = results(tmp_path / "out")
    assert run(*command, "--batch_size", "2") == 0 and results(tmp_path / "out") == first
    assert "pages read: 0\nfiles read before: 4\n" in capsys.readouterr().out
    drawn("another").save(scans / "one.png")
    assert run(*command) == 0
    changed = [path.name for path, then in results(tmp_path / "out").items() if then != first[path]]
    assert changed == ["one.json"]
    (tmp_path / "out" / "book.json").unlink()
    assert run(*command) == 0 and "pages read: 3\n" in capsys.readouterr().out
    for other in (["--task", "ocr"], ["--max_new_tokens", "9"], ["--prompt", "Read."], ["--pages", "1"]):
        assert run(*command, *other) == 0
        assert "files read before" not in capsys.readouterr().out


def test_what_a_person_corrected_counts_where_its_source_is_gone(model, tmp_path, capsys):
    """Nothing is left to read, but an earlier call has written here: it is gone on with, as ever."""
    page = tmp_path / "page.png"
    Image.new("RGB", (40, 30), "white").save(page)
    command = [page, "--output_dir", tmp_path / "out"]
    assert run(*command) == 0
    corrected = tmp_path / "out" / "page.json"
    corrected.write_text(corrected.read_text() + " ")
    page.unlink()
    assert run(*command) == 0 and "corrected by hand" in capsys.readouterr().out
    assert run(page, "--output_dir", tmp_path / "new") == 1
    told = capsys.readouterr()
    assert told.out == "pages read: 0\n" and f"not read:\n  {page}: " in told.err


def test_what_a_person_corrected_is_never_overwritten(model, scans, tmp_path, capsys):
    command = (scans, "--output_dir", tmp_path / "out")
    assert run(*command) == 0
    corrected = tmp_path / "out" / "one.json"
    corrected.write_text(corrected.read_text().replace("A page", "My page"))
    for other in ([], ["--task", "ocr"]):
        assert run(*command, *other) == 0 and "My page" in corrected.read_text()
    assert f"corrected by hand and kept (remove them to read anew): 1\n  {corrected}\n" in capsys.readouterr().out
    corrected.unlink()
    assert run(*command, "--task", "ocr") == 0 and "My page" not in corrected.read_text()


def test_a_resume_log_that_is_none_is_told(model, scans, tmp_path, capsys):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / RESUME_FILE).write_text('{"name": "one"}\nnonsense\n{"half')
    assert run(scans, "--output_dir", tmp_path / "out") == 1
    assert f"{RESUME_FILE}, line 2: broken; remove the file" in capsys.readouterr().err
    (tmp_path / "out" / RESUME_FILE).write_text('{"name": "one"}\n{"half')
    assert run(scans, "--output_dir", tmp_path / "out") == 0


def test_answers_without_an_end_are_told(model, scans, tmp_path, capsys):
    model.finished = False
    assert run(scans / "one.png", "--output_dir", tmp_path / "out") == 0
    assert f"answers cut off at a limit: 1\n  {scans / 'one.png'} (length)\n" in capsys.readouterr().out
    (page,) = json.loads((tmp_path / "out" / "one.json").read_text())["pages"]
    assert (page["finished"], page["reason"]) == (False, "length")


class Neighbours(Parrot):
    """Scores a page by its whole batch, as a model's sums in half precision may; stops after `left` batches."""

    left = math.inf

    def generate(self, images, prompts, max_new_tokens=0):
        if self.left == 0:
            raise KeyboardInterrupt
        self.left -= 1
        score = sum(image.width for image in images) / 10_000
        answers = super().generate(images, prompts)
        return [replace(answer, probabilities=(score,), token_ends=(len(answer.text),)) for answer in answers]


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.rglob("*.*") if path.name != RESUME_FILE}


def test_reading_goes_on_with_the_batches_it_would_have_had(scans, tmp_path, monkeypatch):
    for number in range(4):
        drawn(str(number), (110 + number, 60)).save(scans / f"{number}.png")
    Image.new("RGB", (90, 90), "white").save(scans / "1 blank.png")
    (scans / "2 bad.png").write_text("no image")
    model = Neighbours(ANSWER)
    monkeypatch.setattr(DocumentReader, "from_pretrained", lambda *args, **options: model)
    options = (scans, "--batch_size", "3", "--output_dir")
    assert run(*options, tmp_path / "whole") == 1
    model.left = 2
    assert run(*options, tmp_path / "out") == 130
    kept = tmp_path / "out" / ".book.pages"  # as if it was killed between two pages of a batch
    lines = kept.read_bytes().splitlines(keepends=True)
    kept.write_bytes(b"".join(lines[:-1]) + lines[-1][:30])
    model.left = math.inf
    assert run(*options, tmp_path / "out") == 1
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")
    model.batches.clear()
    for name in ("one", "3"):  # to be read again, from the middle of what is done
        (tmp_path / "out" / f"{name}.json").unlink()
    assert run(*options, tmp_path / "out") == 1
    assert contents(tmp_path / "out") == contents(tmp_path / "whole") and model.batches == [3, 3]


def test_a_resumed_run_keeps_the_batch_that_was_chosen_for_it(scans, tmp_path, monkeypatch):
    model = Neighbours(ANSWER)
    monkeypatch.setattr(DocumentReader, "from_pretrained", lambda *args, **options: model)
    model.pages, model.left = 4, 1
    assert run(scans, "--output_dir", tmp_path / "out") == 130
    model.pages, model.left = 3, math.inf  # on another GPU
    assert run(scans, "--batch_size", "auto", "--output_dir", tmp_path / "out") == 0
    assert model.batches == [4, 2]
    assert run(scans, "--task", "ocr", "--output_dir", tmp_path / "out") == 0
    assert run(scans, "--task", "ocr", "--batch_size", "5", "--output_dir", tmp_path / "other") == 0
    assert model.batches == [4, 2, 3, 3, 5, 1]


def test_a_page_that_two_runs_kept_counts_once_and_one_that_is_gone_is_missed(scans, tmp_path, capsys, monkeypatch):
    model = Neighbours(ANSWER)
    monkeypatch.setattr(DocumentReader, "from_pretrained", lambda *args, **options: model)
    command = (scans / "book.pdf", "--batch_size", "1", "--output_dir", tmp_path / "out")
    model.left = 2
    assert run(*command) == 130
    kept = tmp_path / "out" / ".book.pages"
    lines = kept.read_bytes().splitlines(keepends=True)
    kept.write_bytes(b"".join([*lines, lines[1]]))

    def answer(image):  # while the last page is read, another program takes the first one away
        kept.write_bytes(lines[0] + lines[2])
        return ANSWER

    model.left, model.answer = math.inf, answer
    assert run(*command) == 1
    assert "book.pdf: 1 of 3 pages that were read are not in" in capsys.readouterr().err
    assert not (tmp_path / "out" / "book.json").exists()
    kept.write_bytes(b"".join([*lines, lines[1]]))
    model.answer = ANSWER
    assert run(*command) == 0
    assert [page["page"] for page in json.loads((tmp_path / "out" / "book.json").read_text())["pages"]] == [1, 2, 3]


def test_memory_does_not_grow_with_the_files(model, tmp_path):
    for number in range(60):
        drawn(str(number)).save(tmp_path / f"{number}.png")
    images, most = [], 0

    def answer(image):
        nonlocal most
        images.append(weakref.ref(image))
        most = max(most, sum(image() is not None for image in images))
        return ANSWER

    model.answer = answer
    assert run(tmp_path, "--batch_size", "4", "--output_dir", tmp_path / "out") == 0
    assert len(images) == 60 and most <= 16  # a batch each is loaded, answered and written


@pytest.mark.timeout(60)
def test_ten_thousand_files_are_listed_at_once(tmp_path):
    for folder in range(10):
        (tmp_path / str(folder)).mkdir()
        for number in range(1000):
            (tmp_path / str(folder) / f"{number}.png").touch()
    found = find_inputs([str(tmp_path)], tmp_path / "out")
    assert len(found.files) == len({item.name for item in found.files}) == 10_000


def names(*paths, output=None):
    return [item.name for item in find_inputs([str(path) for path in paths], output).files]


def test_names_of_results(scans):
    drawn().save(scans / "one.tif")
    deep = ["deep/one", "deep/deeper/my scan"]
    assert names(scans) == ["book", "one.png", "one.tif", *deep]
    assert names(scans / "one.png", scans / "one.tif", scans / "one.png") == ["one.png", "one.tif"]
    assert names(scans / "one.png", scans / "deep") == ["one", "deep/one", "deep/deeper/my scan"]
    assert names(scans, output=scans / "deep") == ["book", "one.png", "one.tif"]
    with pytest.raises(UsageError, match=r"one\.png and .*one\.png would both give one\.png\.md; read them apart"):
        os.link(scans / "one.png", scans / "deep/one.png")
        names(scans / "one.png", scans / "deep/one.png")


@pytest.mark.parametrize("name", ["n" * 251, "名" * 83], ids=["ascii", "wide"])
def test_a_name_as_long_as_names_can_be_is_no_hindrance(model, tmp_path, name):
    model.answer = FIGURES
    drawn().save(tmp_path / f"{name}.pdf", save_all=True, append_images=[drawn("two")])
    drawn().save(tmp_path / f"{name[:-1]}m.pdf")
    for _ in range(2):
        assert run(tmp_path, "--output_dir", tmp_path / "out") == 0
    kept = {json.loads(path.read_text())["file"] for path in (tmp_path / "out").glob("*.json")}
    assert kept == {str(tmp_path / f"{name}.pdf"), str(tmp_path / f"{name[:-1]}m.pdf")}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["one.png", "--model", "no_such_dir"], "no_such_dir"),
        (["one.png", "--model", "tiny", "--task", "locate"], "needs a prompt"),
        (["one.png", "--model", "tiny", "--output_dir", "one.png"], "is a file"),
        (["one.png", "--model", "tiny", "--no_repeat_ngram", "91"], "no_repeat_window: 90 is shorter"),
        (["one.png", "--model", "tiny", "--pages", "3-1"], "pages '3-1': '3-1' is empty"),
        (["void", "--model", "tiny"], "void: no images or PDFs in it"),
        ([".", "--model", "tiny", "--output_dir", "."], "is what is to be read"),
    ],
)
def test_a_wrong_call_gives_one_message(arguments, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    drawn().save("one.png")
    os.mkdir("void")
    assert run_command(read.main, arguments) == 2
    error = capsys.readouterr().err
    assert message in error and "Traceback" not in error


@pytest.mark.parametrize(
    "arguments", [[], ["--task", "translate"], ["--batch_size", "0"], ["--max_seconds", "-1"], ["--max_seconds", "nan"]]
)
def test_what_argparse_refuses(arguments):
    with pytest.raises(SystemExit, match="2"):
        run_command(read.main, ["one.png", *(["--model", "tiny", *arguments] if arguments else [])])
