"""Pages as the world has them: broken, locked, blank, turned, enormous. One run of `ocr2 read` meets them all, with the
tiny base that really reads; then a run is killed, and the same command goes on."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from PIL import Image

from data_scripts.synthesize import main as synthesize
from helpers.commands import ROOT, environment, run
from helpers.fork_server import Popen
from helpers.page_folders import LOCKED_PDF, turned
from helpers.tiny_pages import noise
from ocr2_hf.document.atomic_files import PARTIAL
from ocr2_hf.errors import run_command
from ocr2_hf.evaluation.text import character_error_rate
from ocr2_hf.reading.resume_log import RESUME_FILE

BASE = ROOT / "recipes/tiny/base"


@pytest.fixture(scope="module")
def slip(tmp_path_factory) -> tuple[Image.Image, str]:
    """A typed slip of a seed that was not trained on, and its text."""
    folder = tmp_path_factory.mktemp("slip")
    font = Path(matplotlib.get_data_path()) / "fonts/ttf/DejaVuSansMono.ttf"
    options = ["--kind", "typed", "--pages", "1", "--seed", "7", "--size", "192x192", "--font", str(font)]
    assert run_command(synthesize, [str(folder), *options]) == 0
    (image,), (annotation,) = folder.glob("images/*.png"), folder.glob("annotations/*.json")
    return Image.open(image).convert("RGB"), json.loads(annotation.read_text())["text"]


def write_readable(folder: Path, image: Image.Image) -> list[str]:
    """The slip in the forms that scanners, phones and programs give it; their names."""
    grey = image.convert("L")
    sixteen = Image.fromarray(np.asarray(grey).astype(np.uint16) * 257)
    sixteen.save(folder / "sixteen_bit.png")
    image.convert("CMYK").save(folder / "cmyk.jpg", quality=95)
    image.save(folder / "animated.gif", save_all=True, append_images=[Image.new("RGB", image.size, "red")])
    image.transpose(Image.Transpose.ROTATE_90).save(folder / "turned_by_exif.png", exif=turned(6))
    clear = image.convert("RGBA")
    clear.putalpha(Image.fromarray(np.where(np.asarray(grey) > 200, 0, 255).astype(np.uint8)))
    clear.save(folder / "transparent.png")
    image.save(folder / "document.pdf", resolution=144)
    return ["sixteen_bit", "cmyk", "animated", "turned_by_exif", "transparent", "document"]


def write_unreadable(folder: Path, image: Image.Image) -> dict[str, str]:
    """Files that cannot be read and what must be said of each."""
    image.save(folder / "truncated.jpg")
    content = (folder / "truncated.jpg").read_bytes()
    (folder / "truncated.jpg").write_bytes(content[: len(content) // 2])
    image.save(folder / "truncated.png")
    (folder / "truncated.png").write_bytes((folder / "truncated.png").read_bytes()[:2000])
    (folder / "zero.tif").touch()
    (folder / "locked.pdf").write_bytes(LOCKED_PDF)
    image.save(folder / "broken.pdf")
    (folder / "broken.pdf").write_bytes((folder / "broken.pdf").read_bytes()[:300])
    (folder / "lie.png").write_text("<html>no image</html>")
    Image.new("L", (9000, 30)).save(folder / "thread.png")
    return {
        "truncated.jpg": "cannot be read",
        "truncated.png": "cannot be read",
        "zero.tif": "the file is empty",
        "locked.pdf": "it needs a password",
        "broken.pdf": "broken PDF",
        "lie.png": "not a readable image or PDF",
        "thread.png": "one side is more than 100 times the other",
    }


@pytest.fixture(scope="module")
def one_run(slip, tmp_path_factory):
    """(names of readable files, reasons, the finished process, output folder): everything in one folder, read once."""
    folder, output = tmp_path_factory.mktemp("hard"), tmp_path_factory.mktemp("read")
    image, _ = slip
    readable, reasons = write_readable(folder, image), write_unreadable(folder, image)
    Image.new("RGB", (600, 800), (250, 249, 245)).save(folder / "blank.jpg")
    noise((300, 200), 90).save(folder / "photo.png")  # and nothing the model can end
    image.rotate(90).save(folder / "turned.png")
    image.resize((10_000, 10_000), Image.Resampling.NEAREST).convert("1").save(folder / "hundred_megapixels.png")
    command = [sys.executable, "-m", "ocr2_hf", "read", folder, "--model", BASE, "--output_dir", output]
    options = ["--max_new_tokens", "350", "--batch_size", "4"]
    done = run(*command, *options)
    return readable, {str(folder / name): reason for name, reason in reasons.items()}, done, output


def page(output: Path, name: str) -> dict:
    (page,) = json.loads((output / f"{name}.json").read_text(encoding="utf-8"))["pages"]
    assert (output / f"{name}.md").is_file() and (output / f"{name}.overlay.jpg").is_file()
    return page


def test_what_can_be_read_is_read(one_run, slip):
    readable, _, _, output = one_run
    for name in readable:
        found = page(output, name)
        assert character_error_rate([found["text"]], [slip[1]]) < 0.1, (name, found["text"])
        assert (found["finished"], found["reason"]) == (True, "eos") and found["score"] > 0.7
        assert all(region["score"] > 0.5 for region in found["regions"])


def test_what_cannot_be_read_is_listed_with_its_reason(one_run):
    _, reasons, done, output = one_run
    assert done.returncode == 1 and "Traceback" not in done.stderr
    listed = dict(re.findall(r"^  (\S+?): (.*)$", done.stderr.partition("not read:\n")[2], re.MULTILINE))
    assert listed.keys() == reasons.keys()
    for path, reason in reasons.items():
        assert reason in listed[path]
        assert not list(output.glob(f"{Path(path).stem}.json"))


def test_a_blank_page_is_empty(one_run):
    blank = page(one_run[3], "blank")
    assert (blank["text"], blank["regions"], blank["tables"], blank["reason"]) == ("", [], [], "blank")


def test_a_photo_gives_what_the_model_says_and_no_table(one_run):
    photo = page(one_run[3], "photo")
    assert photo["tables"] == [] and photo["score"] < 0.8  # of the page in the quickstart: 0.90
    assert photo["reason"] in ("length", "eos") and photo["finished"] == (photo["reason"] == "eos")


def test_a_page_that_lies_on_its_side_is_read_as_it_lies(one_run, slip):
    lying = page(one_run[3], "turned")
    assert (lying["width"], lying["height"]) == (192, 192) and lying["reason"] in ("eos", "length")


def test_a_scan_of_a_hundred_megapixels_is_read(one_run):
    """What it says is no matter: the tiny base knows pages of one view only. Boxes are pixels of the scan."""
    large = page(one_run[3], "hundred_megapixels")
    assert (large["width"], large["height"]) == (10_000, 10_000) and large["tokens"] > 0
    assert Image.open(one_run[3] / "hundred_megapixels.overlay.jpg").size == (1200, 1200)


def pages_done(output: Path) -> int:
    """Pages whose results are kept: whole files by the resume log, and the pages of the PDF."""
    kept, log = output / ".book.pages", output / RESUME_FILE
    lines = kept.read_bytes().count(b"\n") - 1 if kept.is_file() else 0
    return max(lines, 0) + (log.read_bytes().count(b"\n") if log.is_file() else 0)


def start(command: list[str]) -> subprocess.Popen:
    null = subprocess.DEVNULL
    return Popen(command, env=environment(), cwd=ROOT, stdout=null, stderr=null)


def kill_after(command: list[str], output: Path, pages: int) -> None:
    process = start(command)
    deadline = time.monotonic() + 300
    while process.poll() is None and pages_done(output) < pages and time.monotonic() < deadline:
        time.sleep(0.005)
    assert process.poll() is None, "it was to be killed at work"
    os.kill(process.pid, signal.SIGKILL)
    process.wait()


def test_a_killed_run_goes_on_where_it_was(slip, tmp_path):
    """Killed inside of a PDF, then between files: nothing is read twice, and nothing is missing."""
    scans, output = tmp_path / "scans", tmp_path / "out"
    scans.mkdir()
    image = slip[0]
    image.save(scans / "book.pdf", save_all=True, append_images=[image] * 4)
    for number in range(8):
        image.save(scans / f"scan-{number}.png")
    words = ["read", scans, "--model", BASE, "--output_dir", output, "--task", "ocr", "--batch_size", "1"]
    command = [sys.executable, "-m", "ocr2_hf", *map(str, words)]
    kill_after(command, output, 2)
    kept = output / ".book.pages"
    assert kept.is_file() and not (output / "book.json").exists()
    first = kept.read_bytes()
    kill_after(command, output, 8)  # book.pdf counts for one here
    assert not kept.exists() and len(json.loads((output / "book.json").read_text())["pages"]) == 5
    done = {path: path.stat().st_mtime_ns for path in output.glob("scan-*.json")}
    assert 5 <= len(done) <= 7 and first.count(b"\n") >= 2
    finished = run(*command)
    assert finished.returncode == 0, finished.stderr
    # The page at which the kill fell may have been written, but not noted.
    read = int(re.match(r"pages read: (\d)\nfiles read before: \d\n", finished.stdout)[1])
    assert 8 - len(done) <= read <= 8 - len(done) + 1
    unchanged = [path for path, written in done.items() if path.stat().st_mtime_ns == written]
    assert len(unchanged) >= len(done) - 1
    texts = [path.read_text() for path in output.glob("scan-*.md")]
    assert len(texts) == 8 and len(set(texts)) == 1
    hidden = [path.name for path in output.iterdir() if path.name.startswith(".") and path.suffix != PARTIAL]
    assert hidden == [RESUME_FILE]
