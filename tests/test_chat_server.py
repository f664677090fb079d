"""A saved directory behind `transformers serve`: the OpenAI protocol, boxes and all."""

import base64
import json
import socket
import subprocess
import time
from importlib.util import find_spec
from pathlib import Path
from urllib.error import URLError
from urllib.request import Request, urlopen

import matplotlib
import pytest

from data_scripts.synthesize import main as synthesize
from helpers.commands import BIN, ROOT
from ocr2_hf.errors import run_command
from ocr2_hf.reading.reader import DocumentReader

BASE = ROOT / "recipes/tiny/base"
NEEDED = ("fastapi", "uvicorn", "openai", "multipart")


@pytest.fixture
def slip(tmp_path) -> Path:
    font = Path(matplotlib.get_data_path()) / "fonts/ttf/DejaVuSansMono.ttf"
    options = ["--kind", "typed", "--pages", "1", "--seed", "7", "--size", "192x192", "--font", str(font)]
    assert run_command(synthesize, [str(tmp_path / "slips"), *options]) == 0
    return tmp_path / "slips/images/000000.png"


def asked(port: int, body: dict, process: subprocess.Popen) -> dict:
    """The answer, as soon as the server is up."""
    address = f"http://127.0.0.1:{port}/v1/chat/completions"
    request = Request(address, json.dumps(body).encode(), {"Content-Type": "application/json"})
    deadline = time.monotonic() + 120
    while True:
        try:
            return json.load(urlopen(request, timeout=120))
        except URLError:
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.5)


@pytest.mark.slow
@pytest.mark.skipif(not all(map(find_spec, NEEDED)), reason=f"transformers serve needs {', '.join(NEEDED)}")
def test_it_answers_with_boxes_as_the_reader_here_does(slip):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    picture = "data:image/png;base64," + base64.b64encode(slip.read_bytes()).decode()
    prompt = {"type": "text", "text": "<|grounding|>Convert the document to markdown."}
    question = [{"type": "image_url", "image_url": {"url": picture}}, prompt]
    body = {
        "model": str(BASE),
        "messages": [{"role": "user", "content": question}],
        "max_tokens": 500,
        "temperature": 0,
    }
    command = [str(BIN / "transformers"), "serve", str(BASE), "--port", str(port), "--device", "cpu"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            answer = asked(port, body, process)
        finally:
            process.terminate()
    said = answer["choices"][0]["message"]["content"]
    page = DocumentReader.from_pretrained(BASE).read(slip, task="markdown")
    assert said.startswith("<|ref|>") and said.count("<|det|>") == len(page.regions) > 2
    assert all(region.text in said for region in page.regions)
