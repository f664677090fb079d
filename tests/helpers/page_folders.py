"""Small annotation folders for the tests of the data scripts."""

import io
import json
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, TiffImagePlugin

from helpers import commands
from helpers.fork_server import Popen


def image_bytes(width: int = 60, height: int = 40, kind: str = "PNG", seed: int = 0, **options: Any) -> bytes:
    """An image file of noise."""
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind, **options)
    return file.getvalue()


def write_tiff(path: Path, *frames: tuple[Image.Image, int], **options: Any) -> Path:
    """A TIFF of these frames, each with its NewSubfileType; `options` are those of Pillow for every frame."""
    with TiffImagePlugin.AppendingTiffWriter(str(path), new=True) as file:
        for image, kind in frames:
            image.save(file, "TIFF", tiffinfo={254: kind}, **options)
            file.newFrame()
    return path


def deep_tiff(values: np.ndarray, photometric: int = 1) -> bytes:
    """An uncompressed TIFF of one row of grey; `values` [N] of any type, `photometric` 0 where white is 0."""
    data, kind = values.tobytes(), {"u": 1, "i": 2, "f": 3}[values.dtype.kind]
    short = {258: values.itemsize * 8, 259: 1, 262: photometric, 277: 1, 339: kind}
    long = {256: len(values), 257: 1, 273: 8, 278: 1, 279: len(data)}
    tags = [struct.pack("<HHLHH", tag, 3, 1, value, 0) for tag, value in short.items()]
    tags += [struct.pack("<HHLL", tag, 4, 1, value) for tag, value in long.items()]
    return struct.pack("<2sHL", b"II", 42, 8 + len(data)) + data + b"".join([b"\n\0", *sorted(tags), bytes(4)])


def write_page(folder: Path, name: str, file: bytes | None = b"", suffix: str = ".png", **changes: Any) -> Path:
    """Write NAME.json and NAME.png in `folder` (60x40, one box) and return the JSON's path.

    `changes` replace keys of the annotation, or with None remove them. With a `file` of None there is no image.
    """
    annotation = {"text": f"page {name}", "bboxes": [[5, 5, 50, 20]], "labels": ["text"], "texts": [name]}
    annotation = {key: value for key, value in (annotation | changes).items() if value is not None}
    path = folder / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(annotation))
    if file is not None:
        path.with_suffix(suffix).write_bytes(file or image_bytes(seed=len(name)))
    return path


def write_pages(folder: Path, count: int) -> Path:
    """`count` good pages p000, p001, ... in `folder`, which is returned."""
    for number in range(count):
        write_page(folder, f"p{number:03d}", image_bytes(seed=number))
    return folder


def run_script(name: str, *arguments: object) -> subprocess.CompletedProcess:
    """`python data_scripts/NAME.py ...` as a user runs it, from the root of the checkout."""
    return commands.python(f"data_scripts/{name}.py", *arguments, timeout=120)


def start_script(name: str, *arguments: object) -> subprocess.Popen:
    """The same command, running."""
    command = [sys.executable, f"data_scripts/{name}.py", *map(str, arguments)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return Popen(command, cwd=commands.ROOT, env=commands.environment(), **pipes)


LOCKED_PDF = b"""%%PDF-1.4
1 0 obj <</Type /Catalog /Pages 2 0 R>> endobj
2 0 obj <</Type /Pages /Kids [3 0 R] /Count 1>> endobj
3 0 obj <</Type /Page /Parent 2 0 R /MediaBox [0 0 100 100]>> endobj
4 0 obj <</Filter /Standard /V 1 /R 2 /P -4 /O <%(key)s> /U <%(key)s>>> endobj
trailer <</Root 1 0 R /Size 5 /Encrypt 4 0 R /ID [<00> <00>]>>
%%%%EOF
""" % {b"key": b"ab" * 32}


def turned(orientation: int) -> Image.Exif:
    """The tag of a camera held so."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif
